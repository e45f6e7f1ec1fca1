//! What a plan means, and what does not matter.

use crate::support::plan;

const BASE: &str = r#"
Some prose.

@T01 todo priority: high
Done when: all is fine.
```steps
- {id: a, uses: command, with: {run: "true", check: "true", env: {A: "1", B: "2"}}, done_when: [all is fine]}
- {id: b, uses: command, with: {run: "true", reads: []}, needs: [a], timeout: 5m}
```
@T02 todo
=== plan
workplan: W
tasks:
  T02: {steps: [{id: c, uses: typed, with: {string: "${{ target.values.x }}"}}]}
=== target
kind: local
identity: lab
values: {x: 1}
"#;

fn meaning(changes: &[(&str, &str)]) -> String {
    let mut case = BASE.to_owned();
    for (from, to) in changes {
        assert!(case.contains(from), "{from}");
        case = case.replacen(from, to, 1);
    }
    plan(&case).meaning().to_string()
}

#[test]
fn what_does_not_matter() {
    let base = meaning(&[]);
    for (from, to) in [
        ("@T01 todo", "@T01 done"),
        ("@T01 todo", "@T01 in_progress"),
        (
            "@T02 todo",
            "@T02 todo\nCompleted on 2026-01-01 by workplan run r1 (evidence sha256:ab).",
        ),
        ("priority: high", "priority: low"),
        ("Some prose.", "Other prose, a comment <!-- x -->."),
        ("all is fine.", "**All is** fine"),
        (
            "{run: \"true\", check: \"true\", env: {A: \"1\", B: \"2\"}}",
            "{env: {B: 2, A: 1}, check: \"true\", run: \"true\"}",
        ),
        ("timeout: 5m}", "timeout: 300s} # why"),
        ("${{ target.values.x }}", "${{target.values.x}}"),
        ("- {id: b,", "\n- {id: b,"),
    ] {
        assert_eq!(meaning(&[(from, to)]), base, "{from} -> {to}");
    }
    let swapped =
        meaning(&[("@T01 todo", "@T09 todo"), ("@T02 todo", "@T01 todo"), ("T02:", "T01:")]);
    let moved = meaning(&[
        ("@T01 todo", "@T09 todo"),
        ("\n@T02 todo", ""),
        ("T02:", "T01:"),
        ("Some prose.", "@T01 todo"),
    ]);
    assert_eq!(moved, swapped, "the order of the tasks in the file");
}

#[test]
fn what_matters() {
    let mut all = vec![meaning(&[])];
    for (from, to) in [
        ("run: \"true\"", "run: \"false\""),
        ("A: \"1\"", "A: \"9\""),
        ("needs: [a]", "needs: []"),
        ("timeout: 5m", "timeout: 6m"),
        ("timeout: 5m", "timeout: 5m, retry: 2"),
        ("timeout: 5m", "timeout: 5m, point_of_no_return: true"),
        ("timeout: 5m", "timeout: 5m, holds: [a]"),
        ("id: b,", "id: bb,"),
        ("all is fine.", "all is fine; nobody waits."),
        (", done_when: [all is fine]", ""),
        ("@T02 todo", "@T02 blocked"),
        ("values: {x: 1}", "values: {x: 2}"),
        ("identity: lab", "identity: other"),
        ("identity: lab", "identity: lab\nlive: true"),
        ("workplan: W\n", "workplan: W\ntarget_of_record: other\n"),
        ("workplan: W\n", "workplan: W\nbrackets: [{name: x, open: T01.a, close: T01.b}]\n"),
        ("reads: []", "reads: [], due: always"),
    ] {
        all.push(meaning(&[(from, to)]));
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
