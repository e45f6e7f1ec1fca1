//! Which step stands for an earlier one.

use crate::support::plan;

/// The pairs: a step, and the one that it is superseded by.
fn pairs(case: &str) -> Vec<(String, String)> {
    let plan = plan(case);
    let pair = |step: &workplan_engine::plan::PlanStep| {
        Some((step.id.clone(), plan.steps[step.superseded_by?].id.clone()))
    };
    plan.steps.iter().filter_map(pair).collect()
}

fn pair(first: &str, second: &str) -> (String, String) {
    (first.to_owned(), second.to_owned())
}

/// A release that is deployed in two tasks; between them, `between`.
fn twice(between: &str, second: &str) -> String {
    format!(
        "@T01 todo\n@T02 todo depends_on: [T01]\n=== plan\nworkplan: W\ntasks:\n  T01:\n    - {{id: deploy, \
         uses: release.deploy, with: {{release: app, namespace: a, chart: gitea, values: [v.yaml]}}}}\n    \
         - {{id: works, uses: app.check, needs: [deploy], with: {{release: app, namespace: a}}}}\n  T02:\n    \
         - {{id: between, {between}}}\n    - {{id: deploy, needs: [between], uses: release.deploy, with: \
         {{{second}, chart: gitea, values: [v.yaml]}}}}\n    - {{id: works, needs: [deploy], uses: \
         app.check, with: {{release: app, namespace: a, through: inside}}}}\n"
    )
}

const SAME: &str = "release: app, namespace: a";

#[test]
fn what_reads_what_a_step_in_between_writes_is_left_to_the_later_one() {
    let set = "uses: values.set, with: {file: ./v.yaml, set: {a: b}}";
    let deploys = pair("T01.deploy", "T02.deploy");
    let checks = pair("T01.works", "T02.works");
    assert_eq!(pairs(&twice(set, SAME)), [deploys.clone(), checks.clone()]);
    // Another way to write it.
    let moved = "uses: command, with: {run: x, reads: [], writes: [file/v.yaml]}";
    assert_eq!(pairs(&twice(moved, SAME)), [deploys, checks]);
}

#[test]
fn a_difference_that_nothing_in_between_makes_is_nobody_elses() {
    // Then the earlier deploy is done again. That the later one may change the release is enough for
    // the proof.
    let other = "uses: values.set, with: {file: w.yaml, set: {a: b}}";
    assert_eq!(pairs(&twice(other, SAME)), [pair("T01.works", "T02.works")]);
}

#[test]
fn another_release_stands_for_nothing() {
    let set = "uses: values.set, with: {file: v.yaml, set: {a: b}}";
    assert_eq!(pairs(&twice(set, "release: other, namespace: a")), []);
    assert_eq!(pairs(&twice(set, "release: app, namespace: b")), []);
}
