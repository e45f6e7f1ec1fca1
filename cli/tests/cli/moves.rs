//! A file that one step of a plan edits, the next one moves to another repository, and a third one
//! edits there.

use std::fs;
use std::process::Command;

use crate::support::Bench;

const WORKPLAN: &str = "---\nid: W\ntitle: W\n---\n\n## T01 — Before\n\n```task\nid: W-T01\nstatus: todo\n```\n\n**Done when:** it is edited.\n\n## T02 — Move\n\n```task\nid: W-T02\nstatus: todo\ndepends_on: [T01]\n```\n\n## T03 — After\n\n```task\nid: W-T03\nstatus: todo\ndepends_on: [T02]\n```\n";

const PLAN: &str = r#"
workplan: W
target_of_record: here
tasks:
  T01:
    steps:
      - {id: edit, uses: file.edit, done_when: [it is edited], with: {file: "one:conf/app.conf", find: "a = 1", replace: "a = 2", commit: first}}
  T02:
    steps:
      - {id: move, uses: git.move, with: {from: "one:conf/app.conf", to: "two:conf/"}}
  T03:
    steps:
      - {id: edit, uses: file.edit, with: {file: "two:conf/app.conf", find: "b = 1", replace: "b = 2", commit: second}}
      - {id: copy, uses: file.content, needs: [edit], with: {path: copy, content_secret: "file:one:conf/app.conf"}}
"#;

fn git(bench: &Bench, repo: &str, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-C", repo]).args(args);
    let ran = git.current_dir(bench.dir()).env("HOME", bench.dir()).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn bench() -> Bench {
    let bench = Bench::with(WORKPLAN);
    bench.write("plans/W.yaml", PLAN);
    bench.write("targets/here.yaml", "kind: local\nrepos: {one: one, two: two}\n");
    bench.write("one/conf/app.conf", "a = 1\nb = 1\n");
    bench.write("two/README.md", "Two.\n");
    for repo in ["one", "two"] {
        git(&bench, repo, &["init", "--quiet"]);
        git(&bench, repo, &["add", "."]);
        git(&bench, repo, &["commit", "--quiet", "-m", "begin"]);
    }
    bench
}

/// What is committed in both.
fn trees(bench: &Bench) -> String {
    ["one", "two"].map(|repo| git(bench, repo, &["ls-tree", "-r", "HEAD"])).join("\n")
}

const RUN: [&str; 5] = ["run", "plan.md", "--target", "here", "--yes"];

#[test]
fn references_follow_the_plans_own_moves() {
    let bench = bench();
    let start = trees(&bench);
    bench.expect(0, &RUN);
    assert!(!bench.has("one/conf/app.conf"));
    assert_eq!(bench.read("two/conf/app.conf"), "a = 2\nb = 2\n");

    // A second run finds all of it so, where it is now, and says where that is.
    let plan = bench.json(0, &["plan", "plan.md", "--target", "here", "--json"]);
    let first = &plan["tasks"][0]["steps"][0];
    assert_eq!(
        (first["id"].as_str(), first["action"].as_str()),
        (Some("T01.edit"), Some("skip")),
        "{first}"
    );
    let moved = first["facts"]["moved"]["value"][0].as_str().unwrap_or_else(|| panic!("{first}"));
    assert!(moved.starts_with("`one:conf/app.conf` is at `"), "{moved}");
    assert!(moved.contains("/two/conf/app.conf`, where this plan moves it"), "{moved}");
    let second = bench.expect(0, &RUN);
    assert!(second.stderr.contains("nothing to do"), "{}", second.stderr);

    // What was done before the move is put right where the file is; a secret is read there too.
    bench.write("two/conf/app.conf", "a = 1\nb = 2\n");
    git(&bench, "two", &["commit", "--quiet", "-am", "somebody else"]);
    bench.expect(0, &RUN);
    assert_eq!(bench.read("two/conf/app.conf"), "a = 2\nb = 2\n");
    assert!(!bench.has("one/conf/app.conf"));
    assert_eq!(bench.read("copy"), "a = 2\nb = 2", "read in its old place");

    // Decided by what is there: the same without the journal.
    fs::remove_dir_all(bench.dir().join(".workplan")).unwrap();
    let third = bench.expect(0, &RUN);
    assert!(third.stderr.contains("nothing to do"), "{}", third.stderr);
    assert_ne!(trees(&bench), start);
}

#[test]
fn a_rollback_goes_back_through_the_move() {
    let bench = bench();
    let start = trees(&bench);
    bench.expect(0, &RUN);
    let status = bench.json(0, &["status", "--json"]);
    bench.expect(0, &["rollback", status["run"]["id"].as_str().unwrap(), "--yes"]);
    assert_eq!(trees(&bench), start);
    assert_eq!(bench.read("one/conf/app.conf"), "a = 1\nb = 1\n");
}
