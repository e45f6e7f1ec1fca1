//! What is down is said first, by every command, until it is up again.

use crate::same;
use crate::support::Bench;

fn outage() -> Bench {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write(
        "plans/W.yaml",
        r#"workplan: W
brackets:
  - {name: outage, open: T01.stop, close: T01.start, budget: 10m, on_failure: release}
tasks:
  T01:
    steps:
      - {id: stop, uses: command, with: {run: "rm up", check: "! test -f up", readonly: true, undo: "touch up"}}
      - {id: move, uses: command, needs: [stop], with: {run: "touch begun; while ! test -f go; do sleep 0.05; done; touch moved", check: "test -f moved", readonly: true, undo: "rm -f moved"}}
      - {id: start, uses: command, needs: [move], with: {run: "touch up", check: "test -f up && test -f moved", readonly: true, undo: "rm -f up"}}
"#,
    );
    bench.write("up", "");
    let mut child = bench.command(&["run", "plan.md", "--yes"]).spawn().unwrap();
    bench.wait_for("begun");
    child.kill().unwrap();
    child.wait().unwrap();
    bench
}

#[test]
fn after_a_kill_it_is_said_first_and_resume_ends_it() {
    let bench = outage();
    assert!(!bench.has("up"));
    let mut all = vec![bench.session(&["status"]), bench.session(&["run", "plan.md", "--yes"])];
    let status = bench.json(0, &["status", "--json"]);
    assert_eq!(status["open_brackets"][0]["name"], "outage");
    assert_eq!(status["open_brackets"][0]["budget_s"], 600.0);
    bench.write("go", "");
    let resumed = bench.expect(0, &["resume", "--yes"]);
    assert!(resumed.stderr.starts_with("outage is DOWN since "), "{}", resumed.stderr);
    assert!(bench.has("up"));
    let after = bench.expect(0, &["status"]);
    assert!(!after.stdout.contains("DOWN"), "{}", after.stdout);
    all.push(bench.session(&["explain", "stop"]));
    same!(all.join("\n"));
}

#[test]
fn rollback_ends_it_too() {
    let bench = outage();
    let back = bench.expect(0, &["rollback", "--yes"]);
    assert!(back.stderr.starts_with("outage is DOWN since "), "{}", back.stderr);
    assert!(bench.has("up") && !bench.has("moved"));
    assert_eq!(bench.json(0, &["status", "--json"])["run"]["state"], "rolled_back");
}
