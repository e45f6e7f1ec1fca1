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

#[test]
fn what_proves_a_clause_stands_beside_it() {
    let told = TASKS
        .replace("echo content > file", "echo content > file; echo 'note=<b>'; echo rows=566")
        .replace("undo: \"rm", "outputs: {rows: int, note: string}, undo: \"rm");
    let bench = Bench::with(&told);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let text = bench.expect(0, &["report", "--text"]).stdout;
    assert!(text.contains("WP-1: Two tasks"), "{text}");
    let proven = "  proven  the file is there\n          T01.make: note <b>, rows 566\n";
    assert!(text.contains(proven), "{text}");
    assert!(text.contains("  not proven  somebody likes it (no step is bound to it)"), "{text}");
    let page = bench.expect(0, &["report", "-o", "-"]).stdout;
    assert!(page.contains("note &#60;b&#62;, rows 566"), "{page}");
}

#[test]
fn what_went_wrong_stands_there_with_the_last_that_was_printed() {
    let bench = Bench::with(
        "```sh step=login\necho 'FATAL: password <authentication> failed' >&2\nexit 2\n```\n",
    );
    bench.expect(1, &["run", "plan.md", "--yes"]);
    let page = bench.expect(0, &["report", "-o", "-"]).stdout;
    let wrong = page.split("What went wrong").nth(1).unwrap().split("<h2>").next().unwrap();
    assert!(wrong.contains("FATAL: password &#60;authentication&#62; failed"), "{wrong}");
    assert!(
        wrong.contains(
            "<code>login</code> <span class=\"state failed\">failed</span>: exited with code 2"
        ),
        "{wrong}"
    );
    assert!(page.contains("1 failed"), "{page}");
}

#[test]
fn how_long_it_was_down_is_told() {
    let bench =
        Bench::with("---\nid: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n");
    bench.write(
        "plans/W.yaml",
        r#"workplan: W
brackets: [{name: outage, open: T01.stop, close: T01.start, budget: 10m, on_failure: release}]
tasks:
  T01:
    steps:
      - {id: stop, uses: command, with: {run: "rm up", check: "! test -f up", readonly: true, undo: "touch up"}}
      - {id: move, uses: command, needs: [stop], with: {run: "test -f go && touch moved", check: "test -f moved", readonly: true, undo: "rm -f moved"}}
      - {id: start, uses: command, needs: [move], with: {run: "touch up", check: "test -f up && test -f moved", readonly: true, undo: "rm -f up"}}
"#,
    );
    bench.write("up", "");
    bench.expect(1, &["run", "plan.md", "--yes"]);
    bench.write("go", "");
    bench.expect(0, &["resume", "--yes"]);
    let page = bench.expect(0, &["report", "-o", "-"]).stdout;
    let outages = page.split("<h2>Outages").nth(1).unwrap().split("<h2>").next().unwrap();
    assert_eq!(outages.matches(">outage</td>").count(), 2, "{outages}");
    for part in ["<td>released</td>", "<td>closed</td>", "<td>10m</td>"] {
        assert!(outages.contains(part), "{part} in {outages}");
    }
}

#[test]
fn a_rollback_gives_statuses_back_and_the_report_says_so() {
    let bench = Bench::with(TASKS);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    assert!(!bench.json(0, &["report", "--json"])["tasks"][0]["status"].is_null());
    bench.expect(0, &["rollback", &run, "--yes"]);
    let document = bench.json(0, &["report", "--json"]);
    assert_eq!(document["tasks"][0]["status"], serde_json::Value::Null, "{document}");
    let status = bench.expect(0, &["status"]).stdout;
    assert!(status.contains("todo, as before"), "{status}");
}
