//! Names that name nothing, and names given twice.

use insta::assert_snapshot;

use crate::support::check;

#[test]
fn steps_twice() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}}
```
```sh step=b
true
```
```sh step=c
true
```
@T02 todo
```sh step=b reads=x
true
```
@T03 todo
=== plan
workplan: W
tasks:
  T01: {steps: [{id: a, uses: command, with: {run: "true"}}]}
  T02: {steps: [{id: a, uses: command, with: {run: "true"}}]}
  T03: {steps: [{id: a, uses: command, with: {run: "true"}}]}
  W-T03: {steps: [{id: b, uses: command, with: {run: "true"}}]}
"#), @r#"
error[steps-twice] W.md:9:1 «- {id: a, uses: command, with: {run: "true"}}»: task `T01` has steps in a `steps` block and in the plan file
  plan.yaml:3:3: its steps are here already
  help: keep one of the two
error[steps-twice] W.md:11:4 «sh step=b»: task `T01` has steps in a shell block and in the plan file
  plan.yaml:3:3: its steps are here already
  help: keep one of the two
error[steps-twice] W.md:24:4 «sh step=b reads=x»: task `T02` has steps in a shell block and in the plan file
  plan.yaml:4:3: its steps are here already
  help: keep one of the two
note[no-claims] plan.yaml:3:22 «a»: 3 steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out
  help: with `--jobs 1`, the default, they run one after the other
error[steps-twice] plan.yaml:6:3 «W-T03»: task `T03` has steps twice in the plan file
  plan.yaml:5:3: its steps are here already
  help: keep one of the two
"#);
}

#[test]
fn an_empty_entry_of_the_plan_file_is_no_second_place() {
    assert_snapshot!(check(r#"
@T01 todo
```sh step=a reads=x
true
```
=== plan
workplan: W
tasks:
  T01:
"#), @r#"T01.a command"#);
}

#[test]
fn ids() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}}
- {id: a, uses: command, with: {run: "true"}}
- {id: T02, uses: command, with: {run: "true"}}
- {id: a.b, uses: command, with: {run: "true"}}
- {uses: command}
- {id: c}
- 5
```
@T02 todo
"#), @r#"
note[no-claims] W.md:9:8 «a»: 2 steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out
  help: with `--jobs 1`, the default, they run one after the other
error[duplicate-id] W.md:10:8 «a»: there are two steps `T01.a`
  W.md:9:8: the first is here
  help: give one of them another name
error[bad-step-id] W.md:11:8 «T02»: `T02` is the id of a task, so no step can be called so
  help: give the step a name of its own; `needs` could not tell the two apart
error[bad-step-id] W.md:12:8 «a.b»: `a.b` cannot be the id of a step
  help: letters, digits, `-` and `_`, at most 100, beginning with a letter or digit
error[missing-key] W.md:13:3 «»: the step has no `id`
  help: give it a short name, for example `id: copy`
error[missing-key] W.md:14:3 «»: the step has no `uses`
  help: name its kind, for example `uses: command`
error[wrong-type] W.md:15:3 «5»: a step is a mapping, this is a number
  help: for example `{id: copy, uses: command, with: {run: make copy}}`
"#);
}

#[test]
fn unknown_names() {
    let found = check(
        r#"
@T01 todo
```steps
- {id: copy, uses: command, with: {run: "true"}, needs: [compar, T03, nothing-like-it]}
- {id: compare, uses: comand, with: {run: "true"}}
- {id: other, uses: nothing}
```
@T02 todo
=== plan
workplan: V
tasks:
  T20: {steps: []}
  nothing: {steps: []}
"#,
    );
    // The catalogue grows.
    let grown = workplan_steps::catalogue();
    let mut names: Vec<&str> = grown.names().chain(["typed"]).collect();
    names.sort_unstable();
    let names = names.join(", ");
    assert!(found.contains(&names), "{found}");
    assert_snapshot!(found.replace(&names, "…"), @r#"
error[unknown-step] W.md:9:58 «compar»: `T01.copy` needs `compar`, which is no step or task
  help: did you mean `compare`?
error[unknown-step] W.md:9:66 «T03»: `T01.copy` needs `T03`, which is no step or task
  help: did you mean `T02`?
error[unknown-step] W.md:9:71 «nothing-like-it»: `T01.copy` needs `nothing-like-it`, which is no step or task
  help: name a step of the same task, `T01.step`, or a whole task
error[unknown-kind] W.md:10:23 «comand»: there is no kind of step `comand`
  help: did you mean `command`?
error[unknown-kind] W.md:11:21 «nothing»: there is no kind of step `nothing`
  help: the kinds are …
error[wrong-workplan] plan.yaml:1:11 «V»: this plan file binds `V`, the workplan is `W`
  help: name the right plan file with `--steps PATH`, or correct `workplan:`
error[unknown-task] plan.yaml:3:3 «T20»: the workplan has no task `T20`
  help: did you mean `T02`?
error[unknown-task] plan.yaml:4:3 «nothing»: the workplan has no task `nothing`
  help: its tasks are `T01`, `T02`
"#);
}

#[test]
fn parameters() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {rum: "true"}}
- {id: b, uses: file.content, with: {content: x}}
- {id: c, uses: command, with: {run: " ", readonly: true}}
- {id: d, uses: typed, with: {int: 13}}
- {id: e, uses: manual}
```
"#), @r#"
error[unknown-parameter] W.md:9:33 «rum»: `command` has no parameter `rum`
  help: did you mean `run`?
error[missing-parameter] W.md:10:8 «b»: `file.content` needs the parameter `path`
  help: The file; relative to the workplan's folder.
error[bad-parameter] W.md:11:38 «" "»: `run` is empty
  help: the reference of the kind says what its parameters are
error[bad-parameter] W.md:11:53 «true»: `readonly` says that the check changes nothing; there is no check
  help: the reference of the kind says what its parameters are
error[bad-parameter] W.md:12:36 «13»: 13 brings bad luck
  help: the reference of the kind says what its parameters are
error[missing-parameter] W.md:13:8 «e»: `manual` needs the parameter `instructions`
  help: What the person does.
"#);
}

#[test]
fn clauses_are_matched_without_markup_case_and_period() {
    assert_snapshot!(check(r#"
@T01 todo
Done when: **All data** intact; the `a; b` file is there; nobody waits.

```steps
- {id: a, uses: command, with: {run: "true", check: "true", reads: []}, done_when: ["all data intact.", "All data intact"]}
- {id: b, uses: command, with: {run: "true", check: "true", reads: []}, done_when: "the a; b file is there; nobody waits"}
- {id: c, uses: command, with: {run: "true", reads: []}, done_when: [nobody waits]}
```
"#), @r#"
warning[weak-proof] W.md:13:70 «nobody waits»: `T01.c` has no `check`; an exit code of 0 alone never proves a clause
  help: add a `check` that looks at what the clause says
T01.a command proves
T01.b command proves
T01.c command proves
clause "All data intact" by [T01.a]
clause "the a; b file is there" by [T01.b]
clause "nobody waits" by [T01.b, T01.c]
"#);
}

#[test]
fn unknown_clauses() {
    assert_snapshot!(check(r#"
```sh step=loose done_when="all is fine"
true
```
@T01 todo
Done when: all data intact; nobody waits.

```sh step=a check=true done_when="all data intct; nobody waits; something else"
true
```
@T02 todo
```sh step=a check=true done_when="all is fine"
true
```
"#), @r#"
error[unknown-clause] W.md:1:29 «all is fine»: no "Done when" clause says `all is fine`
  help: only a step of a task can prove a clause
warning[weak-proof] W.md:1:29 «all is fine»: `loose` has no `check`; an exit code of 0 alone never proves a clause
  help: add a `check` that looks at what the clause says
error[unknown-clause] W.md:13:36 «all data intct; nobody waits; something else»: no "Done when" clause says `all data intct`
  help: did you mean `all data intact`?
error[unknown-clause] W.md:13:36 «all data intct; nobody waits; something else»: no "Done when" clause says `something else`
  help: its clauses are: `all data intact`, `nobody waits`
error[unknown-clause] W.md:23:36 «all is fine»: no "Done when" clause says `all is fine`
  help: task `T02` has no "Done when"
"#);
}

#[test]
fn preconditions() {
    assert_snapshot!(check(r#"
## Pre-conditions
- Active backup on Nextcloud, checked by hand
- Active backup on the laptop
- Nobody at work
- Somebody at work

@T01 todo
=== plan
workplan: W
preconditions:
  - {text: "active backup on nextcloud", uses: command, with: {check: "true"}}
  - {text: "Nobody at work", uses: command, with: {check: "true", readonly: true}}
"#), @r#"
precondition "active backup on nextcloud" command {"check":"true"}
precondition "Nobody at work" command {"check":"true","readonly":true}
unbound: Active backup on the laptop
unbound: Somebody at work
"#);
}

#[test]
fn bad_preconditions() {
    assert_snapshot!(check(r#"
## Pre-conditions
- Active backup on Nextcloud
- Active backup on the laptop
- Nobody at work

@T01 todo
```steps
- {id: a, uses: command, with: {run: "true", outputs: [x]}}
```
=== plan
workplan: W
preconditions:
  - {text: Active backup, uses: command, with: {check: "true"}}
  - {text: Nobody at wrk, uses: command, with: {check: "true"}}
  - {text: "**", uses: command, with: {check: "true"}}
  - {text: Nobody at work, uses: manual, with: {instructions: look}}
  - {text: Nobody at work, uses: command, with: {run: "true"}}
  - {text: Nobody at work, uses: command, with: {check: " "}}
  - {text: Nobody at work, uses: command, with: {check: "true", cwd: "${{ steps.T01.a.outputs.x }}"}}
  - {text: Nobody at work, uses: comand}
  - {uses: command}
  - 5
"#), @r#"
error[ambiguous-precondition] plan.yaml:3:12 «Active backup»: more than one line of the workplan's list begins with `Active backup`
  help: repeat more of the line that is meant
error[unknown-precondition] plan.yaml:4:12 «Nobody at wrk»: the workplan's own list has no line `Nobody at wrk`
  help: did you mean `Nobody at work`?
error[unknown-precondition] plan.yaml:5:12 «"**"»: the workplan's own list has no line `**`
  help: its lines are: `Active backup on Nextcloud`, `Active backup on the laptop`, `Nobody at work`
error[bad-precondition] plan.yaml:6:34 «manual»: a precondition is looked at; this kind waits for a person
  help: leave the line out: one without a check is named before a run
error[bad-precondition] plan.yaml:7:34 «command»: a precondition is looked at and never run; a `command` needs `check` here
  help: leave the line out: one without a check is named before a run
error[bad-parameter] plan.yaml:8:57 «" "»: `check` is empty
  help: the reference of the kind says what its parameters are
error[bad-reference] plan.yaml:9:71 «${{ steps.T01.a.outputs.x }}»: a precondition is checked before any step; it cannot use an output
  help: use values of the target or inputs
error[unknown-kind] plan.yaml:10:34 «comand»: there is no kind of step `comand`
  help: did you mean `command`?
error[missing-key] plan.yaml:11:5 «»: the precondition has no `text`
  help: repeat the line of the workplan
error[wrong-type] plan.yaml:12:5 «5»: a precondition is a mapping, this is a number
  help: it has `text`, `uses` and `with`
unbound: Active backup on Nextcloud
unbound: Active backup on the laptop
"#);
}
