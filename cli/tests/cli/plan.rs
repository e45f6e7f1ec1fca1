//! `plan`: what it shows, saves and says by its exit code.

use crate::same;
use crate::support::{Bench, TASKS, TWO};

#[test]
fn steps_with_changes_and_undo() {
    same!(Bench::with(TWO).session(&["plan", "plan.md"]));
}

#[test]
fn tasks_with_people_and_preconditions() {
    same!(Bench::with(TASKS).session(&["plan", "plan.md"]));
}

#[test]
fn nothing_to_do() {
    let bench = Bench::with(TWO);
    bench.write("one", "");
    bench.write("two", "");
    same!(bench.session(&["plan", "plan.md"]));
}

#[test]
fn brackets_and_the_point_of_no_return() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## Pre-conditions\n\n- never met\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write(
        "plans/W.yaml",
        r#"workplan: W
preconditions:
  - text: "never met"
    uses: command
    with: {check: "false", readonly: true}
brackets:
  - {name: outage, open: T01.stop, close: T01.start, budget: 5m, on_failure: release}
tasks:
  T01:
    steps:
      - {id: stop, uses: command, with: {run: "touch stopped", check: "test -f stopped", readonly: true, undo: "rm -f stopped"}}
      - {id: move, uses: command, needs: [stop], with: {run: "touch moved", check: "test -f moved", readonly: true, undo: "rm moved"}}
      - {id: start, uses: command, needs: [move], point_of_no_return: true, with: {run: "touch started", check: "test -f started", readonly: true}}
"#,
    );
    same!(bench.session(&["plan", "plan.md"]));
}

#[test]
fn detailed_exit_code() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["plan", "plan.md"]);
    bench.expect(4, &["plan", "plan.md", "--detailed-exitcode"]);
    bench.expect(4, &["plan", "plan.md", "--detailed-exitcode", "--json"]);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    bench.expect(0, &["plan", "plan.md", "--detailed-exitcode"]);
}

#[test]
fn dry_run_is_plan() {
    let bench = Bench::with(TWO);
    let plan = bench.expect(0, &["plan", "plan.md"]);
    let run = bench.expect(0, &["run", "plan.md", "--dry-run"]);
    assert_eq!(plan.stdout, run.stdout);
    assert!(!bench.has("one") && !bench.has(".workplan"));
}

#[test]
fn names_of_parts_must_be_there() {
    let bench = Bench::with(TWO);
    same!(bench.session(&["plan", "plan.md", "--only", "tow"]));
    bench.expect(2, &["plan", "plan.md", "--task", "T07"]);
}

#[test]
fn saved_run_once_and_stale_when_the_workplan_moved() {
    let bench = Bench::with(TWO);
    let saved = bench.expect(0, &["plan", "plan.md", "-o", "p.json"]);
    assert!(saved.stderr.contains("workplan run --plan p.json"), "{}", saved.stderr);
    let plan: serde_json::Value = serde_json::from_str(&bench.read("p.json")).unwrap();
    assert_eq!(plan["schema"], "workplan/plan/v1");
    bench.write("plan.md", TWO.replace("cp one two", "cp one two; true"));
    let stale = bench.expect(7, &["run", "--plan", "p.json", "--yes"]);
    assert!(stale.stderr.contains("means something else now"), "{}", stale.stderr);
    assert!(!bench.has("one"));
    bench.write("plan.md", TWO);
    bench.expect(0, &["run", "--plan", "p.json", "--yes"]);
    assert!(bench.has("two"));
    bench.expect(7, &["run", "--plan", "p.json", "--yes"]);
}

#[test]
fn what_moved_under_a_saved_plan_is_named() {
    let bench = Bench::with(
        "---\nid: WP-9\n---\n\n## T01 — File\n\n```task\nid: WP-9-T01\nstatus: todo\n```\n\n\
         ```steps\n- id: conf\n  uses: file.content\n  with: {path: conf, content: \"new\"}\n```\n",
    );
    let target = |text: &str| bench.write("targets/t.yaml", format!("kind: local\n{text}\n"));
    target("values: {who: a}");
    bench.write("conf", "old");
    bench.expect(0, &["plan", "plan.md", "--target", "t", "-o", "p.json"]);
    let refused = |file: &str, why: &str| {
        let ran = bench.expect(7, &["run", "--plan", file, "--yes"]);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        assert!(ran.stderr.contains("make and read a new plan"), "{}", ran.stderr);
        assert_ne!(bench.read("conf"), "new");
    };
    bench.write("conf", "other");
    refused("p.json", "the saved plan is stale: `sha256`, `size` of `T01.conf` moved");
    bench.write("conf", "old");
    target("identity: another-machine\nvalues: {who: a}");
    refused("p.json", "target");
    target("values: {who: a}");
    let mut plan: serde_json::Value = serde_json::from_str(&bench.read("p.json")).unwrap();
    plan["version"] = "0.0.1".into();
    bench.write("q.json", plan.to_string());
    refused("q.json", "it was made by version 0.0.1, this is");
    // A comment in the workplan means nothing; nor does when a file was written.
    bench.write("plan.md", bench.read("plan.md").replace("File\n", "File\n\nA word more.\n"));
    bench.write("conf", "old");
    bench.expect(0, &["run", "--plan", "p.json", "--yes"]);
    assert_eq!(bench.read("conf"), "new");
    bench.write("conf", "old");
    let spent = bench.expect(7, &["run", "--plan", "p.json", "--yes"]);
    assert!(spent.stderr.contains("a plan is run once"), "{}", spent.stderr);
}

#[test]
fn a_plan_that_cannot_be_saved() {
    let bench = Bench::with(TWO);
    let ran = bench.expect(1, &["plan", "plan.md", "-o", "no/such/folder/p.json"]);
    assert!(ran.stderr.contains("failed to write `no/such/folder/p.json`"), "{}", ran.stderr);
}
