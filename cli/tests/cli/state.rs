//! Where the state is, and how it is found.

use crate::support::{Bench, TWO};

#[test]
fn beside_the_workplan_and_found_from_below() {
    let bench = Bench::new();
    bench.write("a/plan.md", TWO);
    bench.write("a/b/c/x", "");
    bench.expect(0, &["run", "a/plan.md", "--yes"]);
    assert_eq!(bench.read("a/.workplan/.gitignore"), "*\n");
    let from_below =
        bench.command(&["runs"]).current_dir(bench.dir().join("a/b/c")).output().unwrap();
    assert!(String::from_utf8(from_below.stdout).unwrap().contains("succeeded"));
    let from_above = bench.expect(0, &["runs"]);
    assert_eq!(from_above.stdout, "no run\n");
}

#[test]
fn in_the_git_directory_of_the_repository() {
    let bench = Bench::new();
    bench.write(".git/HEAD", "ref: refs/heads/main\n");
    bench.write("deep/plan.md", TWO);
    bench.expect(0, &["run", "deep/plan.md", "--yes"]);
    assert!(bench.has(".git/workplan/journal.db") && !bench.has("deep/.workplan"));
    assert!(bench.expect(0, &["runs"]).stdout.contains("succeeded"));
}

#[test]
fn by_option_and_by_variable() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["run", "plan.md", "--yes", "--state", "s"]);
    assert!(bench.has("s/journal.db") && !bench.has(".workplan"));
    assert!(bench.expect(0, &["--state", "s", "runs"]).stdout.contains("succeeded"));
    let by_variable = bench.command(&["runs"]).env("WORKPLAN_STATE", "s").output().unwrap();
    assert!(String::from_utf8(by_variable.stdout).unwrap().contains("succeeded"));
}

#[test]
fn a_damaged_journal_is_said_and_not_touched() {
    let bench = Bench::with(TWO);
    bench.write(".workplan/journal.db", "this is no database, and long enough to be looked at");
    for args in [&["status"][..], &["runs"], &["run", "plan.md", "--yes"], &["resume"]] {
        let ran = bench.expect(1, args);
        assert!(ran.stderr.starts_with("error: failed to "), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("help: "), "{args:?}: {}", ran.stderr);
    }
    assert!(!bench.has("one"));
}

#[test]
fn what_a_kill_left_without_an_index_stops_no_command_that_may_write() {
    let bench = Bench::with(
        "# W\n\n```sh step=long rerun=safe\ntouch started\nwhile ! test -f go; do sleep 0.05; done\n```\n",
    );
    let mut child = bench.command(&["run", "plan.md", "--yes"]).spawn().unwrap();
    bench.wait_for("started");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(bench.dir().join(".workplan/journal.db-shm")).unwrap();
    bench.expect(8, &["run", "plan.md", "--yes"]);
    bench.write("go", "");
    bench.expect(0, &["resume", "--yes"]);
}

#[test]
fn a_copied_folder_says_where_its_run_works() {
    let bench = Bench::new();
    let workplan = "# W\n\n```sh step=one\ntest -e now && touch one\n```\n";
    bench.write("first/plan.md", workplan);
    bench.expect(1, &["run", "first/plan.md", "--yes"]);
    bench.write("second/plan.md", workplan);
    let copied = std::process::Command::new("cp")
        .args(["-a", "first/.workplan", "second/"])
        .current_dir(bench.dir())
        .status();
    assert!(copied.unwrap().success());
    bench.write("first/now", "");
    let resume = |folder: &str| {
        let ran =
            bench.command(&["resume", "--yes"]).current_dir(bench.dir().join(folder)).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    let said = resume("second");
    assert!(said.contains("first/plan.md`, where it was begun"), "{said}");
    assert!(bench.has("first/one") && !bench.has("second/one"));
    let said = resume("first");
    assert!(!said.contains("where it was begun"), "{said}");
}

/// `old/format-1.db` is what a workplan of November 2026 wrote into `/srv/old/.workplan`: a run that
/// succeeded, and one that failed. Each later version has to read it and to go on from it.
#[test]
fn the_record_of_an_older_version_is_read_and_gone_on_from() {
    const FAILED: &str = "1m80m1gtcsy3n";
    let bench = Bench::with(include_str!("old/plan.md"));
    bench.write(".workplan/journal.db", include_bytes!("old/format-1.db"));
    let runs = bench.json(0, &["runs", "--json"]);
    let states: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|r| &r["state"]).collect();
    assert_eq!(states, ["failed", "succeeded"]);
    let status = bench.json(0, &["status", "--json"]);
    assert_eq!(status["run"]["id"], FAILED);
    let steps: Vec<_> = status["steps"].as_array().unwrap().iter().map(|s| &s["state"]).collect();
    assert_eq!(steps, ["skipped", "failed"]);
    assert!(bench.expect(0, &["log"]).stdout.contains("step.failed"));
    assert!(bench.expect(0, &["report", "--text"]).stdout.contains("done → in_progress"));
    // Its workplan lay elsewhere. It is not guessed where that is now, and there is another way out.
    let ran = bench.expect(3, &["resume", "--yes"]);
    assert!(ran.stderr.contains("`/srv/old/plan.md` does not exist"), "{}", ran.stderr);
    bench.expect(0, &["abandon", FAILED, "--reason", "its folder is gone"]);
    bench.write("allowed", "");
    bench.expect(0, &["run", "plan.md", "--yes"]);
    assert_eq!(bench.json(0, &["runs", "--json"])["runs"].as_array().unwrap().len(), 3);
    assert_eq!(bench.json(0, &["status", "--json"])["run"]["state"], "succeeded");
}
