//! Two engines, dead engines, damaged journals, no space, no rights: each has its sentence.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::ground::{Ground, skipped, wait_for};

/// A step that runs until there is a file `go`.
const WAITS: &str = "# Waits

```sh step=wait check=\"test -f waited\"
touch begun
while ! test -f go; do sleep 0.05; done
touch waited
```
";

const QUICK: &str = "# Quick

```sh step=a check=\"test -f a\" undo=\"rm a\"
touch a
```
";

#[test]
fn a_second_engine_is_refused_and_readers_are_not() {
    let ground = Ground::new(WAITS);
    let mut first = ground.spawn(&["run", "plan.md", "--yes"]);
    wait_for(|| ground.file("begun").exists());
    let text = ground.run(&["run", "plan.md", "--yes"], 6);
    assert!(text.contains(&first.id().to_string()), "it names the process: {text}");
    let run = ground.run_id();
    ground.run(&["resume", &run, "--yes"], 6);
    ground.run(&["rollback", &run, "--yes"], 6);
    let status = ground.status();
    assert_eq!(status["run"]["state"], "running");
    assert_eq!(status["run"]["owner"]["alive"], true);
    assert_eq!(ground.step("wait"), "running");
    ground.run(&["check", "plan.md"], 0);
    ground.run(&["log", "wait"], 0);
    // What a live engine is at is not a person's to tell.
    for word in ["--done", "--not-done"] {
        let text = ground.run(&["resolve", &run, "wait", word, "--reason", "x"], 2);
        assert!(text.contains(&first.id().to_string()), "it names the process: {text}");
    }
    assert_eq!(ground.step("wait"), "running");
    ground.write("go", "");
    assert!(first.wait().expect("a child of ours").success());
    assert_eq!(ground.state(), "succeeded");
    assert_eq!(ground.status()["run"]["owner"]["alive"], false);
}

#[test]
fn two_clones_do_not_work_on_one_named_target_at_once() {
    let (here, there) = (Ground::new(WAITS), Ground::new(WAITS));
    let target = format!("kind: local\nidentity: {}\n", here.path().display());
    for ground in [&here, &there] {
        std::fs::create_dir(ground.file("targets")).expect("a folder");
        ground.write("targets/one.yaml", &target);
    }
    let mut first = here.spawn(&["run", "plan.md", "--target", "one", "--yes"]);
    wait_for(|| here.file("begun").exists());
    let text = there.run(&["run", "plan.md", "--target", "one", "--yes"], 6);
    assert!(text.contains(&first.id().to_string()), "it names the process: {text}");
    there.run(&["plan", "plan.md", "--target", "one"], 0);
    here.write("go", "");
    assert!(first.wait().expect("a child of ours").success());
    there.write("go", "");
    there.run(&["run", "plan.md", "--target", "one", "--yes"], 0);
}

#[test]
fn the_lock_of_a_dead_engine_heals() {
    let ground = Ground::new(WAITS);
    let mut first = ground.spawn(&["run", "plan.md", "--yes"]);
    wait_for(|| ground.file("begun").exists());
    first.kill().expect("a child of ours");
    first.wait().expect("a child of ours");
    assert_eq!(ground.state(), "interrupted", "never a ghost that runs");
    assert_eq!(ground.status()["run"]["owner"]["alive"], false);
    let text = ground.run(&["run", "plan.md", "--yes"], 8);
    for word in ["resume", "rollback", "abandon"] {
        assert!(text.contains(word), "{text}");
    }
    ground.write("go", "");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.step("wait"), "done");
}

#[test]
fn an_abandoned_run_is_out_of_the_way_and_stays_visible() {
    let ground = Ground::new(WAITS);
    let mut first = ground.spawn(&["run", "plan.md", "--yes"]);
    wait_for(|| ground.file("begun").exists());
    let run = ground.run_id();
    let text = ground.run(&["abandon", &run, "--reason", "x"], 2);
    assert!(text.contains("at work"), "{text}");
    first.kill().expect("a child of ours");
    first.wait().expect("a child of ours");
    ground.run(&["abandon", &run, "--reason", "the machine is gone"], 0);
    assert_eq!(ground.state(), "abandoned");
    ground.write("go", "");
    ground.run(&["run", "plan.md", "--yes"], 0);
    let runs = ground.run(&["runs"], 0);
    assert!(runs.contains("abandoned"), "{runs}");
}

#[test]
fn a_step_that_never_began_is_in_no_rollbacks_way() {
    let ground = Ground::new(&format!("{QUICK}\n```sh step=odd check=\"exit 3\"\ntrue\n```\n"));
    ground.run(&["run", "plan.md", "--yes"], 8);
    assert_eq!(ground.step("odd"), "unknown");
    let run = ground.run_id();
    ground.run(&["rollback", &run, "--yes"], 0);
    assert_eq!(ground.state(), "rolled_back");
    assert!(!ground.file("a").exists());
}

#[test]
fn a_persons_answer_stands_where_a_check_cannot_tell() {
    let ground =
        Ground::new("# Odd\n\n```sh step=odd check=\"test -f told || exit 3\"\ntouch told\n```\n");
    ground.run(&["run", "plan.md", "--yes"], 8);
    let run = ground.run_id();
    ground.run(&["resolve", &run, "odd", "--not-done", "--reason", "looked"], 0);
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.step("odd"), "done");
}

#[test]
fn a_rejected_gate_may_be_approved_after_all() {
    let ground = Ground::new(
        "---\nid: G-1\n---\n\n# Gates\n\n## T01 - x\n\n```task\nid: G-1-T01\nstatus: todo\n```\n\n```steps\n- id: ok\n  uses: gate.approve\n  with: {message: \"Really?\"}\n```\n",
    );
    ground.run(&["run", "plan.md", "--yes"], 8);
    let run = ground.run_id();
    ground.run(&["reject", &run, "T01.ok", "--reason", "not tonight"], 0);
    let text = ground.run(&["resume", "--yes"], 1);
    assert!(text.contains("not tonight"), "{text}");
    ground.run(&["approve", &run, "T01.ok", "--reason", "tonight after all"], 0);
    ground.run(&["resume", "--yes"], 0);
}

#[test]
fn a_flipped_bit_is_noticed_and_nothing_is_believed() {
    let ground = Ground::new(QUICK);
    ground.run(&["run", "plan.md", "--yes"], 0);
    let journal = ground.file(".workplan/journal.db");
    let good = fs::read(&journal).expect("the journal");
    let place = good.windows(9).rposition(|w| w == b"succeeded").expect("an event");
    let mut bad = good.clone();
    bad[place] ^= 1;
    fs::write(&journal, &bad).expect("the journal");
    for args in [&["status"][..], &["run", "plan.md", "--yes"], &["log"]] {
        let text = ground.run(args, 1);
        assert!(text.contains("journal"), "{args:?}: {text}");
    }
    assert_eq!(fs::read(&journal).expect("the journal"), bad, "nothing was changed");
    fs::write(&journal, &good).expect("the journal");
    ground.run(&["status"], 0);
}

#[test]
fn a_journal_that_is_gone_is_made_anew_where_checks_can_tell() {
    let ground = Ground::new(QUICK);
    ground.run(&["run", "plan.md", "--yes"], 0);
    fs::remove_dir_all(ground.file(".workplan")).expect("the state folder");
    let before = fs::metadata(ground.file("a")).expect("a").modified().expect("a time");
    ground.run(&["run", "plan.md", "--yes"], 0);
    assert_eq!(ground.step("a"), "skipped");
    let after = fs::metadata(ground.file("a")).expect("a").modified().expect("a time");
    assert_eq!(before, after, "it was not touched again");
}

#[test]
fn a_read_only_state_folder_has_its_sentence() {
    let ground = Ground::new(QUICK);
    fs::create_dir(ground.file("state")).expect("a folder");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(ground.path(), open.clone()).expect("permissions");
    fs::set_permissions(ground.file("state"), fs::Permissions::from_mode(0o555)).expect("mode");
    let Some(mut command) = as_nobody(&ground, &["--state", "state", "run", "plan.md", "--yes"])
    else {
        return;
    };
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("read-only"), "{text}");
    assert!(text.contains("--state"), "it says what to do: {text}");
    assert!(!ground.file("a").exists(), "nothing was started");
}

#[test]
fn a_dry_run_of_somebody_who_may_only_read_works_and_changes_nothing() {
    let ground = Ground::new(&QUICK.replace("undo=", "readonly undo="));
    ground.run(&["run", "plan.md", "--yes"], 0);
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(ground.path(), open.clone()).expect("permissions");
    fs::set_permissions(ground.file(".workplan"), open).expect("permissions");
    fs::set_permissions(ground.file(".workplan/journal.db"), fs::Permissions::from_mode(0o644))
        .expect("permissions");
    let before = listing(&ground);
    let Some(mut command) = as_nobody(&ground, &["plan", "plan.md", "--detailed-exitcode"]) else {
        return;
    };
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&text));
    assert_eq!(listing(&ground), before);
}

#[test]
fn a_full_disk_has_its_sentence_and_loses_nothing() {
    let ground = Ground::new(QUICK);
    let disk = ground.file("disk");
    fs::create_dir(&disk).expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&disk)
        .status()
        .is_ok_and(|s| s.success());
    if !mounted {
        skipped("no right to mount a small disk here");
        return;
    }
    let (code, text) = ground.finish(&["--state", "disk/state", "run", "plan.md", "--yes"]);
    let started = ground.file("a").exists();
    let unmounted = Command::new("umount").arg(&disk).status().is_ok_and(|s| s.success());
    assert!(unmounted, "the small disk is taken away again");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no space"), "{text}");
    assert!(!started, "nothing was started that the journal does not know");
}

/// The binary as a user without rights; `None`, said aloud, where that cannot be had.
fn as_nobody(ground: &Ground, args: &[&str]) -> Option<Command> {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can become another user");
        return None;
    }
    use std::os::unix::process::CommandExt as _;
    let binary = ground.file("workplan");
    // Copied by another process: a descriptor of ours, open for writing, could slip into a child
    // of another test, and the copy would be "busy".
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_workplan")).arg(&binary).status();
    assert!(copied.is_ok_and(|s| s.success()), "a copy that anyone may run");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("permissions");
    let mut command = Command::new(binary);
    command.args(args).current_dir(ground.path()).stdin(std::process::Stdio::null());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", "/nonexistent").uid(65534).gid(65534);
    Some(command)
}

/// Every file below the folder with its size and time, less the copied binary.
fn listing(ground: &Ground) -> Vec<String> {
    fn walk(folder: &std::path::Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")) {
            let (path, meta) = (entry.path(), entry.metadata().expect("metadata"));
            if path.ends_with("workplan") && meta.is_file() {
                continue;
            }
            out.push(format!("{} {} {:?}", path.display(), meta.len(), meta.modified().ok()));
            if meta.is_dir() && !path.ends_with(".workplan") {
                walk(&path, out);
            } else if meta.is_dir() {
                out.pop();
                walk(&path, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(ground.path(), &mut out);
    out.sort();
    out
}

#[test]
fn an_answer_given_while_the_run_goes_on_is_heard() {
    let ground = Ground::new(
        "---\nid: G-1\n---\n\n# Gates\n\n## T01 - x\n\n```task\nid: G-1-T01\nstatus: todo\n```\n\n```steps\n- id: slow\n  uses: command\n  with: {run: \"touch begun; while ! test -f go; do sleep 0.05; done\", check: \"test -f go\"}\n- id: ok\n  uses: gate.approve\n  with: {message: \"Really?\"}\n- id: after\n  uses: command\n  needs: [ok]\n  with: {run: \"touch after\", check: \"test -f after\"}\n```\n",
    );
    let mut run = ground.spawn(&["run", "plan.md", "--yes", "--jobs", "2"]);
    wait_for(|| ground.file("begun").exists());
    wait_for(|| ground.step("T01.ok") == "waiting");
    ground.run(&["approve", &ground.run_id(), "T01.ok", "--reason", "seen"], 0);
    ground.write("go", "");
    assert!(run.wait().expect("a child of ours").success());
    assert!(ground.file("after").exists());
    assert_eq!(ground.state(), "succeeded");
}

#[test]
fn after_a_rollback_a_task_reads_as_the_workplan_does() {
    let ground = Ground::new(
        "---
id: BACK
---
## T01 — One
```task
id: BACK-T01
status: \"todo\"
```
```sh step=größe check=\"test -f a\" undo=\"rm a\"
touch a
```
```sh step=last check=\"test -f b\" undo=\"rm b\"
touch b
```
",
    );
    let text = ground.run(&["run", "plan.md", "--yes"], 0);
    // Names stand in columns, however many bytes a letter has.
    assert!(text.contains("\nT01.größe  done"), "{text}");
    assert!(text.contains("\nT01.last   done"), "{text}");
    let text = ground.run(&["rollback", &ground.run_id(), "--yes"], 0);
    assert!(ground.read("plan.md").contains("status: \"todo\""), "{text}");
    assert!(text.contains("T01 One: todo") && !text.contains("T01 One: in_progress"), "{text}");
    let text = ground.run(&["status"], 0);
    assert!(text.contains("T01 One: todo"), "{text}");
    let text = Ground::new(QUICK).run(&["run", "plan.md", "--task", "T09", "--yes"], 2);
    assert!(text.contains("it has no tasks"), "{text}");
}
