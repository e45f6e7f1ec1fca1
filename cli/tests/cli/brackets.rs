//! What is down is said first, by every command, until it is up again.

use crate::same;
use crate::support::Bench;

/// A workplan of one task.
fn one_task(plan: &str) -> Bench {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write("plans/W.yaml", plan);
    bench
}

/// An outage with a step `move` in it; `up` is there while nothing is down.
fn outage_around(step: &str) -> Bench {
    let bench = one_task(
        &r#"workplan: W
brackets:
  - {name: outage, open: T01.stop, close: T01.start, budget: 10m, on_failure: release}
tasks:
  T01:
    steps:
      - {id: stop, uses: command, with: {run: "rm up", check: "! test -f up", readonly: true, undo: "touch up"}}
      - {id: move, uses: command, needs: [stop], with: {STEP}}
      - {id: start, uses: command, needs: [move], with: {run: "touch up", check: "test -f up && test -f moved", readonly: true, undo: "rm -f up"}}
"#
        .replace("STEP", step),
    );
    bench.write("up", "");
    bench
}

/// Runs and is killed when `begun` is there.
fn killed(bench: &Bench) {
    let mut child = bench.command(&["run", "plan.md", "--yes"]).spawn().unwrap();
    bench.wait_for("begun");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// An outage that was left open by a kill; `move` goes on when `go` is there.
fn outage() -> Bench {
    let bench = outage_around(
        r#"run: "touch begun; while ! test -f go; do sleep 0.05; done; touch moved", check: "test -f moved", readonly: true, undo: "rm -f moved""#,
    );
    killed(&bench);
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

/// Two outages of one service. Killed in the first one, the service is down: also where the second
/// one will take it down, after the first has brought it up.
#[test]
fn after_a_kill_in_one_outage_the_next_one_is_seen_anew() {
    let tasks =
        ["T01", "T02"].map(|t| format!("## {t} — A\n\n```task\nid: W-{t}\nstatus: todo\n```\n\n"));
    let bench = Bench::with(&format!("---\nid: W\ntitle: W\n---\n\n{}", tasks.concat()));
    let task = |id: &str, needs: &str, wait: &str| {
        format!(
            r#"  {id}:
    steps:
      - {{id: drain, uses: command, {needs}with: {{run: "true", undo: "true", writes: []}}}}
      - {{id: stop, uses: command, needs: [drain], with: {{run: "rm -f up; echo down >> log", check: "! test -f up", readonly: true, undo: "touch up", writes: [service]}}}}
      - {{id: move, uses: command, needs: [stop], holds: [stop], with: {{run: "{wait}touch {id}.moved", check: "test -f {id}.moved", readonly: true, undo: "rm -f {id}.moved", writes: [{id}]}}}}
      - {{id: start, uses: command, needs: [move], with: {{run: "touch up; echo up >> log", check: "test -f up && test -f {id}.moved", readonly: true, undo: "rm -f up", writes: [service]}}}}
"#
        )
    };
    bench.write(
        "plans/W.yaml",
        format!(
            "workplan: W\nbrackets:\n  - {{name: one, open: T01.drain, close: T01.start, budget: 10m, on_failure: release}}\n  \
             - {{name: two, open: T02.drain, close: T02.start, budget: 10m, on_failure: release}}\ntasks:\n{}{}",
            task("T01", "", "touch begun; while ! test -f go; do sleep 0.05; done; "),
            task("T02", "needs: [T01.start], ", ""),
        ),
    );
    bench.write("up", "");
    killed(&bench);
    bench.write("go", "");
    bench.expect(0, &["resume", "--yes"]);
    assert!(bench.has("up") && bench.has("T01.moved") && bench.has("T02.moved"));
    assert_eq!(bench.read("log"), "down\nup\ndown\nup\n");
}

#[test]
fn rollback_ends_it_too() {
    let bench = outage();
    let back = bench.expect(0, &["rollback", "--yes"]);
    assert!(back.stderr.starts_with("outage is DOWN since "), "{}", back.stderr);
    assert!(bench.has("up") && !bench.has("moved"));
    assert_eq!(bench.json(0, &["status", "--json"])["run"]["state"], "rolled_back");
}

#[test]
fn what_is_lost_is_said_before_a_point_of_no_return_is_passed_backwards() {
    let bench = one_task(
        r#"workplan: W
tasks:
  T01:
    steps:
      - {id: move, uses: command, with: {run: "touch moved", check: "test -f moved", readonly: true, undo: "rm moved"}}
      - {id: open, uses: command, needs: [move], point_of_no_return: true, with: {run: "touch open", check: "test -f open", readonly: true, undo: "rm open"}}
      - {id: tell, uses: command, needs: [open], with: {run: "echo told"}}
"#,
    );
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    let mut all = vec![
        bench.session(&["rollback", &run, "--dry-run"]),
        bench.session(&["rollback", &run, "--yes"]),
    ];
    assert!(bench.has("open"));
    let shown = bench.json(0, &["rollback", &run, "--dry-run", "--json"]);
    let actions: Vec<&str> =
        shown["steps"].as_array().unwrap().iter().map(|s| s["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["keep", "undo", "undo"]);
    assert_eq!(shown["loss"]["step"], "T01.open");
    assert_eq!(shown["loss"]["accepted"], false);
    assert!(bench.has("open") && bench.has("moved"), "a dry-run changes nothing");
    all.push(bench.session(&["rollback", &run, "--yes", "--accept-loss"]));
    assert!(!bench.has("open") && !bench.has("moved"));
    same!(all.join("\n"));
}

#[test]
fn what_failed_is_told_though_its_bracket_was_released() {
    let bench = outage_around(
        r#"run: "touch moved; echo 'the disk is full'; exit 3", check: "test ! -f moved && exit 1; exit 7", readonly: true, undo: "rm -f moved""#,
    );
    let all = [
        bench.session(&["run", "plan.md", "--yes"]),
        bench.session(&["explain", "move"]),
        bench.session(&["rollback", "--yes"]),
    ];
    assert!(bench.has("up") && !bench.has("moved"));
    same!(all.join("\n"));
}
