//! `report`.

use crate::support::{Bench, TASKS};

#[test]
fn one_file_with_proofs_and_everything_escaped() {
    let bench = Bench::with(&TASKS.replace("Two tasks", "Two <script>alert(1)</script> tasks"));
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    let ran = bench.expect(0, &["report"]);
    assert_eq!(ran.stdout, format!("{run}.html\n"));
    let page = bench.read(&format!("{run}.html"));
    for part in [
        "<!doctype html>",
        "T01.make",
        "the file is there",
        "proven",
        "not proven",
        "somebody likes it",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && page.contains("alert(1)"));
    assert!(!page.contains("http://") && !page.contains("https://"), "it needs nothing else");
}

#[test]
fn to_a_named_file_and_to_stdout() {
    let bench = Bench::with(TASKS);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    bench.expect(0, &["report", "-o", "r.html"]);
    let page = bench.expect(0, &["report", "-o", "-"]);
    assert_eq!(page.stdout, bench.read("r.html"));
    let document = bench.json(0, &["report", "--json"]);
    assert_eq!(document["tasks"][0]["clauses"][0]["proven"], true);
}
