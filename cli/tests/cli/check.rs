//! `check` of what is right, or nearly.

use crate::same;
use crate::support::{Bench, TASKS, TWO};

#[test]
fn a_clean_runbook() {
    same!(Bench::with(TWO).session(&["check", "plan.md"]));
}

#[test]
fn tasks_people_and_unbound_preconditions() {
    same!(Bench::with(TASKS).session(&["check", "plan.md"]));
}

#[test]
fn json_of_one_file() {
    same!(Bench::with(TASKS).session(&["check", "plan.md", "--json"]));
}

#[test]
fn several_files_are_json_lines_and_the_worst_decides() {
    let bench = Bench::with(TWO);
    bench.write("bad.md", "---\nid: [x\n---\n");
    let ran = bench.expect(3, &["check", "plan.md", "bad.md", "--json"]);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["file"], "plan.md");
    assert_eq!(lines[1]["diagnostics"][0]["severity"], "error");
}

#[test]
fn warnings_do_not_fail() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: open\n```\n",
    );
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn nothing_is_created() {
    let bench = Bench::with(TWO);
    bench.expect(0, &["check", "plan.md"]);
    bench.expect(0, &["plan", "plan.md"]);
    bench.expect(0, &["status"]);
    bench.expect(0, &["runs"]);
    bench.expect(0, &["graph", "plan.md"]);
    assert!(!bench.has(".workplan"));
}
