//! Policies: what keeps a workplan from being called finished, and what it may not do at all.

use crate::same;
use crate::support::Bench;

const POLICY: &str = r#"policy: D3
title: HA is not done until it has failed over
rules:
  - id: proof
    when: {uses: command, with: {run: "touch cluster"}}
    finished_needs: {uses: command, with: {run: "touch failed-over"}}
    message: A cluster that never failed over is redundant hardware.
"#;

fn deploy() -> Bench {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\nrepo: platform\nstatus: active\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n\n## T02 — B\n\n```task\nid: W-T02\nstatus: todo\n```\n",
    );
    bench.write("policies/d3.yaml", POLICY);
    bench
}

fn plan(steps: &str) -> String {
    format!(
        "workplan: W\npolicies: [d3]\ntasks:\n  T01:\n    steps:\n      - {{id: deploy, uses: command, with: {{run: \"touch cluster\", check: \"test -f cluster\", readonly: true}}}}\n{steps}"
    )
}

const PROOF: &str = "  T02:\n    steps:\n      - {id: failover, uses: command, needs: [T01], with: {run: \"touch failed-over\", check: \"test -f failed-over\", readonly: true}}\n";

fn status(bench: &Bench) -> String {
    let text = bench.read("plan.md");
    text.lines().find_map(|l| l.strip_prefix("status: ")).unwrap_or_default().to_owned()
}

#[test]
fn finished_comes_with_the_proof_and_not_before() {
    let bench = deploy();
    bench.write("plans/W.yaml", plan(""));
    let mut all = vec![bench.session(&["check", "plan.md"])];
    // T02 is a person's task and done; nothing proves the failover all the same.
    let text = bench.read("plan.md").replace("id: W-T02\nstatus: todo", "id: W-T02\nstatus: done");
    bench.write("plan.md", text);
    let held = bench.expect(0, &["run", "plan.md", "--yes"]);
    assert!(held.stderr.contains("not called finished: D3/proof"), "{}", held.stderr);
    assert_eq!(status(&bench), "active");

    bench.write("plans/W.yaml", plan(PROOF));
    bench.expect(0, &["run", "plan.md", "--yes"]);
    assert_eq!(status(&bench), "finished", "{}", bench.read("plan.md"));
    all.push(bench.session(&["check", "plan.md"]));
    same!(all.join("\n"));
}

#[test]
fn a_finished_without_the_proof_is_seen() {
    let bench = deploy();
    bench.write("plans/W.yaml", plan(PROOF));
    let text = bench.read("plan.md").replace("status: active", "status: finished");
    bench.write("plan.md", text);
    let seen = bench.expect(9, &["check", "plan.md"]);
    assert!(seen.stdout.contains("[policy-unproven]"), "{}", seen.stdout);
    same!(bench.session(&["check", "plan.md"]));
    // A run may mend it.
    bench.expect(0, &["run", "plan.md", "--yes"]);
    bench.expect(0, &["check", "plan.md"]);
}

#[test]
fn a_change_without_a_new_proof_takes_the_finished_back() {
    let bench = deploy();
    bench.write("plans/W.yaml", plan(PROOF));
    bench.expect(0, &["run", "plan.md", "--yes"]);
    assert_eq!(status(&bench), "finished");
    // Somebody takes the cluster away; only its task is run again.
    std::fs::remove_file(bench.dir().join("cluster")).unwrap();
    bench.expect(0, &["run", "plan.md", "--task", "T01", "--yes"]);
    assert_eq!(status(&bench), "active");
    // What has no way back stays, and nobody has seen that one fail over.
    bench.expect(0, &["rollback", &bench.newest(), "--yes"]);
    assert_eq!(status(&bench), "active");
    std::fs::remove_file(bench.dir().join("failed-over")).unwrap();
    bench.expect(0, &["run", "plan.md", "--yes"]);
    assert_eq!(status(&bench), "finished");

    // A task that was done and is done again has its status, and a line more: both go back.
    let with_undo =
        plan(PROOF).replace("readonly: true}}", "readonly: true, undo: \"rm cluster\"}}");
    bench.write("plans/W.yaml", with_undo);
    let before = bench.read("plan.md");
    std::fs::remove_file(bench.dir().join("cluster")).unwrap();
    bench.expect(0, &["run", "plan.md", "--task", "T01", "--yes"]);
    assert_eq!(status(&bench), "active");
    bench.expect(0, &["rollback", &bench.newest(), "--yes"]);
    assert_eq!(bench.read("plan.md"), before);
}

#[test]
fn what_a_layer_may_not_do_is_refused_before_anything_happens() {
    let bench = deploy();
    bench.write("plans/W.yaml", plan(""));
    bench.write(
        "policies/d3.yaml",
        POLICY.replace(
            "finished_needs: {uses: command, with: {run: \"touch failed-over\"}}",
            "only_in: {repo: [apps]}",
        ),
    );
    let held = bench.expect(9, &["run", "plan.md", "--yes"]);
    assert!(!bench.has("cluster"));
    assert!(held.stderr.contains("[policy-forbids]"), "{}", held.stderr);
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn policy_files_are_checked_like_any_other() {
    let bench = deploy();
    bench.write("plans/W.yaml", plan("").replace("[d3]", "[d3, d4]"));
    bench.write("policies/d3.yaml", "policy: D3\nrules:\n  - {id: a, wen: {uses: x}}\n");
    same!(bench.session(&["check", "plan.md"]));
}
