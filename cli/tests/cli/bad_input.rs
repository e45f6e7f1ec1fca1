//! Broken input of every sort: the exit code and the message.

use crate::same;
use crate::support::Bench;

/// Checks `plan.md` with this text.
macro_rules! bad {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let bench = Bench::with($text);
            let session = bench.session(&["check", "plan.md"]);
            assert!(session.contains("\nexit: 3\n"), "{session}");
            same!(session);
        }
    )*};
}

fn task(steps: &str) -> String {
    format!(
        "---\nid: W\ntitle: W\nstatus: active\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n\n```steps\n{steps}\n```\n"
    )
}

bad! {
    unknown_step_key: &task("- id: a\n  uses: command\n  with: {run: x}\n  timout: 5m");
    unknown_parameter: &task("- id: a\n  uses: command\n  with: {run: x, chek: y}");
    unknown_kind: &task("- id: a\n  uses: comand\n  with: {run: x}");
    unknown_need: &task("- id: copy\n  uses: command\n  with: {run: x}\n- id: b\n  uses: command\n  needs: [cpoy]\n  with: {run: x}");
    unknown_task_need: &task("- id: a\n  uses: command\n  needs: [T07]\n  with: {run: x}");
    duplicate_step: &task("- id: a\n  uses: command\n  with: {run: x}\n- id: a\n  uses: command\n  with: {run: y}");
    duplicate_key: &task("- id: a\n  uses: command\n  uses: command\n  with: {run: x}");
    cycle: &task("- id: a\n  uses: command\n  needs: [c]\n  with: {run: x}\n- id: b\n  uses: command\n  needs: [a]\n  with: {run: x}\n- id: c\n  uses: command\n  needs: [b]\n  with: {run: x}");
    needs_itself: &task("- id: a\n  uses: command\n  needs: [a]\n  with: {run: x}");
    wrong_type_bool: &task("- id: a\n  uses: command\n  with: {run: x, readonly: maybe}");
    wrong_type_duration: &task("- id: a\n  uses: command\n  timeout: soon\n  with: {run: x}");
    wrong_type_list: &task("- id: a\n  uses: command\n  with: {run: [x, y]}");
    wrong_word: &task("- id: a\n  uses: command\n  with: {run: x, rerun: sometimes}");
    steps_no_list: &task("a: b");
    step_no_mapping: &task("- just text");
    step_without_id: &task("- uses: command\n  with: {run: x}");
    step_without_uses: &task("- id: a\n  with: {run: x}");
    command_without_run: &task("- id: a\n  uses: command\n  with: {undo: x}");
    bad_reference: &task("- id: a\n  uses: command\n  with: {run: x, env: {A: \"${{ steps.T01.b.outputs.x }}\"}}");
    unknown_output: &task("- id: a\n  uses: command\n  with: {run: x, outputs: [one]}\n- id: b\n  uses: command\n  needs: [a]\n  with: {run: x, env: {A: \"${{ steps.T01.a.outputs.two }}\"}}");
    unclosed_reference: &task("- id: a\n  uses: command\n  with: {run: x, env: {A: \"${{ inputs.x\"}}");
    reference_in_a_script: &task("- id: a\n  uses: command\n  with: {run: \"echo ${{ inputs.x }}\"}");
    unknown_reference_root: &task("- id: a\n  uses: command\n  with: {run: x, env: {A: \"${{ secrets.x }}\"}}");
    two_writers: &task("- id: a\n  uses: command\n  with: {run: x, writes: [file/x]}\n- id: b\n  uses: command\n  with: {run: y, writes: [file/x]}");
    clause_that_is_not_there: &task("- id: a\n  uses: command\n  with: {run: x, check: y}\n  done_when: [nobody asked]");
    secret_written_out: &task("- id: a\n  uses: command\n  with: {run: x, secrets: {PW: hunter2}}");
    broken_yaml: &task("- id: a\n  uses: [command\n  with: {run: x}");
    tab_in_yaml: &task("- id: a\n\tuses: command");
    broken_front_matter: "---\nid: [W\ntitle: W\n---\n\n# W\n";
    front_matter_without_end: "---\nid: W\ntitle: W\n\n# W\n";
    duplicate_task: "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n\n## T01 — B\n\n```task\nid: W-T01\nstatus: todo\n```\n";
    unknown_status: "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: whenever\n```\n";
    task_without_id: "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nstatus: todo\n```\n";
    unclosed_fence: "# W\n\n```sh step=a\necho a\n";
    unknown_attribute: "# W\n\n```sh step=a chek=\"true\"\necho a\n```\n";
    unclosed_quote: "# W\n\n```sh step=a check=\"true\necho a\n```\n";
    depends_on_nothing: "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\ndepends_on: [T09]\n```\n";
task_cycle: "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\ndepends_on: [T02]\n```\n\n```steps\n- {id: a, uses: command, with: {run: x}}\n```\n\n## T02 — B\n\n```task\nid: W-T02\nstatus: todo\ndepends_on: [T01]\n```\n\n```steps\n- {id: b, uses: command, with: {run: x}}\n```\n";
}

#[test]
fn a_missing_file() {
    same!(Bench::new().session(&["check", "nothing.md"]));
}

#[test]
fn a_folder() {
    let bench = Bench::new();
    bench.write("folder/x", "");
    same!(bench.session(&["check", "folder"]));
}

#[test]
fn not_utf8() {
    let bench = Bench::new();
    bench.write("plan.md", b"# ok\n\nbad \xff byte\n");
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn an_empty_file_has_nothing_to_do() {
    same!(Bench::with("").session(&["check", "plan.md"]));
}

#[test]
fn eighty_megabytes() {
    let bench = Bench::new();
    let file = std::fs::File::create(bench.dir().join("plan.md")).unwrap();
    file.set_len(80 * 1024 * 1024).unwrap();
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn a_line_of_fifty_kilobytes() {
    let long = "x".repeat(50_000);
    let bench = Bench::with(&task(&format!(
        "- {{id: a, uses: command, with: {{run: {long}, chek: {long}}}}}"
    )));
    let ran = bench.expect(3, &["check", "plan.md"]);
    assert!(ran.stdout.len() < 4_000, "{} bytes", ran.stdout.len());
    assert!(ran.stdout.contains("chek"), "{}", ran.stdout);
}

#[test]
fn a_pipe_cannot_be_read_twice() {
    same!(Bench::new().session(&["check", "/dev/null"]));
}

#[test]
fn every_problem_of_a_file_at_once() {
    let bench = Bench::with(&task(
        "- id: a\n  uses: comand\n- id: b\n  uses: command\n  with: {run: x, chek: y}\n  needs: [zz]",
    ));
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn a_target_that_is_not_there() {
    let bench = Bench::with("# W\n\n```sh step=a\ntrue\n```\n");
    bench.write("targets/staging.yaml", "kind: local\n");
    same!(bench.session(&["check", "plan.md", "--target", "stagng"]));
}

#[test]
fn a_target_with_an_unknown_key() {
    let bench = Bench::with("# W\n\n```sh step=a\ntrue\n```\n");
    bench.write("targets/t.yaml", "kind: local\ndatabase: {}\n");
    same!(bench.session(&["check", "plan.md", "--target", "t"]));
}

#[test]
fn a_plan_file_with_an_unknown_key() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write("plans/W.yaml", "workplan: W\nstep: []\n");
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn a_plan_file_for_another_workplan() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write("plans/W.yaml", "workplan: X\ntasks:\n  T09:\n    steps: []\n");
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn a_bracket_of_steps_that_are_not_there() {
    let bench = Bench::with(
        "---\nid: W\ntitle: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    let plan = "workplan: W\nbrackets:\n  - {name: outage, open: T01.stop, close: T01.start, budget: 5x}\ntasks:\n  T01:\n    steps:\n      - {id: stp, uses: command, with: {run: x}}\n";
    bench.write("plans/W.yaml", plan);
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn steps_in_both_places() {
    let bench = Bench::with(&task("- id: a\n  uses: command\n  with: {run: x}"));
    bench.write(
        "plans/W.yaml",
        "workplan: W\ntasks:\n  T01:\n    steps:\n      - {id: b, uses: command, with: {run: y}}\n",
    );
    same!(bench.session(&["check", "plan.md"]));
}

#[test]
fn a_broken_workplan_is_neither_planned_nor_run() {
    let bench = Bench::with(&task("- id: a\n  uses: comand"));
    for command in ["plan", "run", "graph"] {
        let ran = bench.expect(3, &[command, "plan.md"]);
        assert_eq!(ran.stdout, "", "{command}");
        assert!(ran.stderr.contains("error[unknown-kind]"), "{}", ran.stderr);
    }
    assert!(!bench.has(".workplan"));
}

#[test]
fn a_saved_plan_that_is_none() {
    let bench = Bench::new();
    bench.write("plan.json", "{\"schema\": \"workplan/status/v1\"}");
    same!(bench.session(&["run", "--plan", "plan.json"]));
    bench.write("plan.json", "not json");
    bench.expect(3, &["run", "--plan", "plan.json"]);
}

/// The codes of what `check --json` finds, with the sentences.
fn found(bench: &Bench) -> Vec<(String, String)> {
    let said = bench.json(3, &["check", "plan.md", "--json"]);
    let list = said["diagnostics"].as_array().unwrap();
    let text = |d: &serde_json::Value, key: &str| d[key].as_str().unwrap().to_owned();
    list.iter()
        .filter(|d| d["severity"] == "error")
        .map(|d| (text(d, "code"), text(d, "message")))
        .collect()
}

fn tasks(id: &str, steps: &str) -> String {
    format!(
        "---\nid: {id}\n---\n\n## T01 - A\n\n```task\nid: {id}-T01\nstatus: todo\n```\n\n```steps\n{steps}```\n"
    )
}

#[test]
fn a_cycle_hides_no_other_finding() {
    let step = |id: &str, needs: &str, file: &str| {
        format!(
            "- id: {id}\n  uses: command\n  needs: [{needs}]\n  with: {{run: x, writes: [file/{file}]}}\n"
        )
    };
    // a and b wait for each other, c comes after a, so after both; d is in no order to e.
    let steps = [
        step("a", "b", "one"),
        step("b", "a", "one"),
        step("c", "a", "one"),
        step("d", "", "two"),
        step("e", "", "two"),
    ];
    let bench = Bench::with(&tasks("C-1", &steps.concat()));
    let found = found(&bench);
    let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["dependency-cycle", "unordered-writers"], "{found:?}");
    assert!(found[1].1.starts_with("`T01.d` and `T01.e` both change"), "{found:?}");
}

#[test]
fn brackets_that_cross_are_refused() {
    let check = |needs: [&str; 4], expected: &[&str]| {
        let mut steps = String::new();
        for (id, needs) in ["a", "b", "c", "d"].iter().zip(needs) {
            steps.push_str(&format!(
                "- id: {id}\n  uses: command\n  needs: [{needs}]\n  with: {{run: x, undo: y, check: z}}\n"
            ));
        }
        let bench = Bench::with(&tasks("X-1", &steps));
        let brackets = "workplan: X-1\nbrackets:\n  - {name: one, open: T01.a, close: T01.c, budget: 5m, on_failure: release}\n  - {name: two, open: T01.b, close: T01.d, budget: 5m, on_failure: release}\n";
        std::fs::create_dir_all(bench.dir().join("plans")).unwrap();
        bench.write("plans/X-1.yaml", brackets);
        let said = bench.run(&["check", "plan.md", "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let list = said["diagnostics"].as_array().unwrap();
        let errors: Vec<&str> = list
            .iter()
            .filter(|d| d["severity"] == "error")
            .map(|d| d["code"].as_str().unwrap())
            .collect();
        assert_eq!(errors, expected, "{needs:?}: {said}");
    };
    // a opens one, c closes it; b opens two, d closes it.
    check(["", "a", "b", "c"], &["brackets-cross"]);
    check(["", "a", "a, b", "b"], &["brackets-cross"]);
    check(["", "c", "a", "b"], &[]);
    check(["", "a", "d", "b"], &[]);
    check(["", "", "a", "b"], &[]);
}
