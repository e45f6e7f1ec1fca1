//! `run`, `resume`, `rollback` from outside.

use crate::same;
use crate::support::{Bench, TASKS, TWO};

const FAILS: &str = r#"# W

```sh step=one check="test -f one" readonly undo="rm -f one"
touch one
```

```sh step=two check="test -f two" readonly undo="rm -f two"
echo working
echo the disk is full >&2
test -f allowed && touch two
```
"#;

#[test]
fn without_a_terminal_it_refuses_and_shows_what_it_would_ask() {
    let bench = Bench::with(TWO);
    same!(bench.session(&["run", "plan.md"]));
    assert!(!bench.has("one") && !bench.has(".workplan"));
}

#[test]
fn a_run_to_the_end_and_again() {
    let bench = Bench::with(TWO);
    let first = bench.session(&["run", "plan.md", "--yes"]);
    let second = bench.session(&["run", "plan.md"]);
    same!(format!("{first}\n{second}"));
}

#[test]
fn quiet_says_nothing() {
    let bench = Bench::with(TWO);
    let ran = bench.expect(0, &["run", "plan.md", "--yes", "--quiet"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[test]
fn a_task_with_an_unproven_clause_stays_in_progress() {
    let bench = Bench::with(TASKS);
    same!(bench.session(&["run", "plan.md", "--yes"]));
    assert!(bench.read("plan.md").contains("status: in_progress"));
}

#[test]
fn a_failure_says_what_why_where_and_what_to_do() {
    let bench = Bench::with(FAILS);
    same!(bench.session(&["run", "plan.md", "--yes"]));
}

#[test]
fn after_a_failure_run_refuses_resume_goes_on_and_is_finished_then() {
    let bench = Bench::with(FAILS);
    bench.expect(1, &["run", "plan.md", "--yes"]);
    let refused = bench.session(&["run", "plan.md", "--yes"]);
    bench.write("allowed", "");
    let asked = bench.session(&["resume"]);
    let resumed = bench.session(&["resume", "--yes"]);
    let again = bench.session(&["resume"]);
    let named = bench.expect(0, &["resume", &bench.newest()]);
    assert!(named.stderr.contains("is finished: succeeded"), "{}", named.stderr);
    same!([refused, asked, resumed, again].join("\n"));
}

#[test]
fn a_failed_run_is_taken_back() {
    let bench = Bench::with(FAILS);
    bench.expect(1, &["run", "plan.md", "--yes"]);
    let asked = bench.session(&["rollback"]);
    assert!(bench.has("one"));
    let back = bench.session(&["rollback", "--yes"]);
    assert!(!bench.has("one"));
    let again = bench.session(&["rollback"]);
    same!([asked, back, again].join("\n"));
}

#[test]
fn a_finished_run_is_taken_back_only_by_name() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    let unnamed = bench.expect(0, &["rollback", "--yes"]);
    assert!(unnamed.stderr.contains(&format!("workplan rollback {run}")), "{}", unnamed.stderr);
    assert!(bench.has("two"));
    bench.expect(0, &["rollback", &run[..9], "--yes"]);
    assert!(!bench.has("one") && !bench.has("two"));
    let again = bench.expect(0, &["rollback", &run, "--yes"]);
    assert!(again.stderr.contains("is finished: rolled back"), "{}", again.stderr);
}

#[test]
fn part_of_a_rollback() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    bench.expect(0, &["rollback", &bench.newest(), "--to", "one", "--yes"]);
    assert!(bench.has("one") && !bench.has("two"));
}

#[test]
fn no_run_at_all() {
    let bench = Bench::new();
    let all: Vec<String> = [
        &["resume"][..],
        &["rollback"],
        &["log"],
        &["explain", "x"],
        &["report"],
        &["status", "nothing"],
        &["status"],
        &["runs"],
        &["abandon", "x", "--reason", "y"],
    ]
    .iter()
    .map(|args| bench.session(args))
    .collect();
    same!(all.join("\n"));
}

#[test]
fn several_unfinished_runs_are_listed() {
    let bench = Bench::with(FAILS);
    bench.write("other.md", FAILS.replace("# W", "# O"));
    bench.expect(1, &["run", "plan.md", "--yes"]);
    bench.expect(1, &["run", "other.md", "--yes"]);
    same!(bench.session(&["resume", "--yes"]));
}

#[test]
fn events_are_json_lines_on_stdout() {
    let bench = Bench::with(TWO);
    let ran = bench.expect(0, &["run", "plan.md", "--yes", "--events", "jsonl"]);
    let events: Vec<serde_json::Value> =
        ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.first().unwrap()["kind"], "run.started");
    assert_eq!(events.last().unwrap()["kind"], "run.ended");
    for (event, next) in events.iter().zip(&events[1..]) {
        assert_eq!(event["schema"], "workplan/events/v1");
        assert_eq!(event["hash"], next["prev"]);
    }
    let log = bench.expect(0, &["log", "--json"]);
    assert_eq!(log.stdout, ran.stdout);
}

#[test]
fn only_and_task_do_a_part() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["run", "plan.md", "--only", "one", "--yes"]);
    assert!(bench.has("one") && !bench.has("two"));
}

#[test]
fn status_log_and_explain_of_a_failure() {
    let bench = Bench::with(FAILS);
    bench.expect(1, &["run", "plan.md", "--yes"]);
    let all: Vec<String> = [
        &["status"][..],
        &["runs"],
        &["log"],
        &["log", "two"],
        &["log", "one"],
        &["explain", "two"],
        &["explain", "tow"],
    ]
    .iter()
    .map(|args| bench.session(args))
    .collect();
    same!(all.join("\n"));
}

#[test]
fn a_precondition_that_is_not_met_holds_the_run() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## Pre-conditions\n\n- never\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write("plans/W.yaml", "workplan: W\npreconditions:\n  - {text: never, uses: command, with: {check: \"false\", readonly: true}}\ntasks:\n  T01:\n    steps:\n      - {id: a, uses: command, with: {run: \"touch a\"}}\n");
    bench.expect(9, &["run", "plan.md", "--yes"]);
    assert!(!bench.has("a"));
}
