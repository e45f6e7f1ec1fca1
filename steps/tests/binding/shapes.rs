//! Shapes of plan files, steps blocks, shell blocks and target files.

use insta::assert_snapshot;

use crate::support::check;

#[test]
fn a_plan_file_of_wrong_shapes() {
    assert_snapshot!(check(r#"
=== plan
workplen: W
inputs: []
preconditions: x
brackets: {a: b}
tasks: []
"#), @r#"
error[unknown-key] plan.yaml:1:1 «workplen»: a plan file has no key `workplen`
  help: did you mean `workplan`?
error[missing-key] plan.yaml:1:1 «»: a plan file says which `workplan` it binds
  help: add `workplan: ID`, the id of the workplan's front matter
error[wrong-type] plan.yaml:2:9 «[]»: `inputs` is a mapping, this is a list
  help: for example `inputs: {window: {type: duration, default: 60s}}`
error[wrong-type] plan.yaml:3:16 «x»: `preconditions` is a list, this is text
  help: begin each item with `- `
error[wrong-type] plan.yaml:4:11 «{a: b}»: `brackets` is a list, this is a mapping
  help: begin each item with `- `
error[wrong-type] plan.yaml:5:8 «[]»: `tasks` is a mapping from task ids to their steps, this is a list
  help: for example `tasks: {T01: {steps: [...]}}`
"#);
}

#[test]
fn an_empty_plan_file() {
    assert_snapshot!(check(r#"
=== plan
# nothing
"#), @r#"
error[plan-empty] plan.yaml:1:1 «»: the plan file is empty
  help: it says at least `workplan: ID` and `tasks:`
"#);
}

#[test]
fn a_plan_file_that_is_a_list() {
    assert_snapshot!(check(r#"
=== plan
- a
"#), @r#"
error[wrong-type] plan.yaml:1:1 «- a»: a plan file is a mapping, this is a list
  help: it says at least `workplan: ID` and `tasks:`
"#);
}

#[test]
fn steps_of_wrong_shapes() {
    assert_snapshot!(check(r#"
@T01 todo
@T02 todo
@T03 todo
=== plan
workplan: [W]
target_of_record: {a: b}
tasks:
  T01: x
  T02: {step: []}
  T03:
    - {id: a, uses: command, run: "true", neds: [x], with: [a], needs: {a: b}, timeout: 5, retry: {max: many}, holds: [[a]], point_of_no_return: maybe}
    - {id: b, uses: command, with: {run: "true"}, timeout: 0s, retry: {backoff: 5s}}
    - {id: c, uses: command, with: {run: "true"}, retry: {max: 1, backoff: x, foo: 1}}
"#), @r#"
error[wrong-type] plan.yaml:1:11 «[W]»: `workplan` is text, this is a list
  help: write a single value; quote what YAML would read as something else
error[wrong-type] plan.yaml:2:19 «{a: b}»: `target_of_record` is text, this is a mapping
  help: write a single value; quote what YAML would read as something else
error[wrong-type] plan.yaml:4:8 «x»: task `T01` is a mapping, this is text
  help: its steps go under `steps:`
error[unknown-key] plan.yaml:5:9 «step»: task `T02` of a plan file has no key `step`
  help: did you mean `steps`?
error[bad-parameter] plan.yaml:7:12 «a»: there is nothing to run: neither `run` nor `check` is given
  help: say what to do with `run: …`
error[unknown-key] plan.yaml:7:30 «run»: a step has no key `run`
  help: a kind's own parameters go under `with`
error[unknown-key] plan.yaml:7:43 «neds»: a step has no key `neds`
  help: did you mean `needs`?
error[wrong-type] plan.yaml:7:60 «[a]»: `with` is a mapping, this is a list
  help: for example `with: {run: make copy}`
error[wrong-type] plan.yaml:7:72 «{a: b}»: `needs` is a list of texts, this is a mapping
  help: for example `[one, two]`
error[wrong-type] plan.yaml:7:89 «5»: `timeout` is a duration, this is a number
  help: write it as `500ms`, `60s`, `5m`, `1h30m`, `7d`
error[wrong-type] plan.yaml:7:105 «many»: `max` is a whole number up to 100, this is text
  help: for example `retry: {max: 2, backoff: 5s}`
error[wrong-type] plan.yaml:7:120 «[a]»: `holds` is text, this is a list
  help: write a single value; quote what YAML would read as something else
error[wrong-type] plan.yaml:7:146 «maybe»: `point_of_no_return` is `true` or `false`, this is text
  help: write one of the two words
note[no-claims] plan.yaml:8:12 «b»: 2 steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out
  help: with `--jobs 1`, the default, they run one after the other
error[wrong-type] plan.yaml:8:60 «0s»: `timeout` is longer than nothing
  help: leave it out, or write it as `60s`
error[wrong-type] plan.yaml:8:71 «{backoff: 5s}»: `retry` says how often, this is a mapping
  help: for example `retry: {max: 2, backoff: 5s}`
error[wrong-type] plan.yaml:9:76 «x»: `backoff` is a duration, this is text
  help: write it as `500ms`, `60s`, `5m`, `1h30m`, `7d`
error[unknown-key] plan.yaml:9:79 «foo»: `retry` has no key `foo`
  help: its keys are max, backoff
"#);
}

#[test]
fn shell_attributes() {
    assert_snapshot!(check(r#"
```sh step=a check=true readonly undo=true cwd=. reads=x writes="a,b c" outputs="n m" rerun=safe due=always timeout=5m retry=1 point_of_no_return
true
```
```sh step=b timeout=0 retry=many point_of_no_return=maybe foo=1 neds=a check readonly=maybe
true
```
```sh step="a b"
true
```
```sh step
true
```
"#), @r#"
error[wrong-type] W.md:4:22 «0»: `timeout` is a duration
  help: write `timeout=60s`
error[wrong-type] W.md:4:30 «many»: `retry` is a whole number up to 100
  help: write `retry=2`
error[wrong-type] W.md:4:54 «maybe»: `point_of_no_return` is `true` or `false`
  help: write `point_of_no_return=true`
error[unknown-key] W.md:4:60 «foo»: a shell block has no attribute `foo`
  help: use a `steps` block or a plan file for what an info string cannot say
error[unknown-key] W.md:4:66 «neds»: a shell block has no attribute `neds`
  help: did you mean `needs`?
error[wrong-type] W.md:4:73 «check»: `check` needs a value
  help: write `check="…"`
error[wrong-type] W.md:4:88 «maybe»: `readonly` is `true` or `false`, this is text
  help: write `true` or `false`, without quotes
error[bad-step-id] W.md:7:13 «a b»: `a b` cannot be the id of a step
  help: letters, digits, `-` and `_`, at most 100, beginning with a letter or digit
"#);
}

#[test]
fn a_target_file_of_wrong_shapes() {
    assert_snapshot!(check(r#"
=== target
kind: local
live: maybe
lvie: true
databases: {old: {password: hunter2}, new: {password: [a]}, none: {password: ~}}
"#), @r#"
error[unknown-key] lab.yaml:3:1 «lvie»: a target has no key `lvie`
  help: did you mean `live`?
error[wrong-type] lab.yaml:2:7 «maybe»: `live` is `true` or `false`
  help: `live: true` where people depend on it
error[bad-secret-reference] lab.yaml:4:29 «hunter2»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
error[bad-secret-reference] lab.yaml:4:55 «[a]»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
"#);
}

#[test]
fn a_target_of_no_kind() {
    assert_snapshot!(check(r#"
=== target
live: true
"#), @r#"
error[missing-key] lab.yaml:1:1 «»: a target says its `kind`
  help: `kind: local` or `kind: kubernetes`
"#);
}

#[test]
fn a_target_of_another_kind() {
    assert_snapshot!(check(r#"
=== target
kind: kubernets
"#), @r#"
error[target-kind] lab.yaml:1:7 «kubernets»: `kind` is `local` or `kubernetes`
  help: did you mean `kubernetes`?
"#);
}

#[test]
fn a_target_that_is_text() {
    assert_snapshot!(check(r#"
=== target
text
"#), @r#"
error[wrong-type] lab.yaml:1:1 «text»: a target is a mapping, this is text
  help: it says at least `kind: local`
"#);
}

#[test]
fn an_empty_target() {
    assert_snapshot!(check(r#"
=== target
# nothing
"#), @r#"
error[target-empty] lab.yaml:1:1 «»: the target file is empty
  help: it says at least `kind: local`
"#);
}
