//! Brackets.

use insta::assert_snapshot;

use crate::support::check;

#[test]
fn inside_is_what_needs_open_and_is_needed_by_close() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: stop, uses: command, with: {run: "true", reads: []}}
- {id: work, uses: command, with: {run: "true", reads: []}, needs: [stop]}
- {id: side, uses: command, with: {run: "true", reads: []}}
- {id: open, uses: command, with: {run: "true", reads: []}, needs: [work]}
```
=== plan
workplan: W
brackets:
  - {name: outage, open: T01.stop, close: W-T01.open, budget: 5m, gate: {approve: "It goes away"}}
"#), @r#"
note[no-undo-in-bracket] W.md:10:8 «work»: `T01.work` cannot be taken back (it declares no `undo`); when `outage` is released, what it did stays
  help: give it an `undo`, or make sure that what stays does no harm
T01.stop command
T01.work command needs [T01.stop]
T01.side command
T01.open command needs [T01.work]
bracket outage T01.stop .. T01.open around [T01.work] Some(300000) Release Some("It goes away")
"#);
}

#[test]
fn held_brackets_take_nothing_back() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: stop, uses: command, with: {run: "true", reads: []}}
- {id: work, uses: command, with: {run: "true", reads: []}, needs: [stop]}
- {id: side, uses: command, with: {run: "true", reads: []}}
- {id: open, uses: command, with: {run: "true", reads: []}, needs: [work]}
```
=== plan
workplan: W
brackets:
  - {name: outage, open: T01.stop, close: T01.open, on_failure: hold}
"#), @r#"
T01.stop command
T01.work command needs [T01.stop]
T01.side command
T01.open command needs [T01.work]
bracket outage T01.stop .. T01.open around [T01.work] None Hold None
"#);
}

#[test]
fn bad_brackets() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: stop, uses: command, with: {run: "true", reads: []}}
- {id: work, uses: command, with: {run: "true", reads: []}, needs: [stop]}
- {id: side, uses: command, with: {run: "true", reads: []}}
- {id: open, uses: command, with: {run: "true", reads: []}, needs: [work]}
```
=== plan
workplan: W
brackets:
  - {name: a, open: T01.stopp, close: T01.open}
  - {name: b, open: T01.open, close: T01.stop}
  - {name: b, open: T01.stop, close: T01.open}
  - {name: c, open: T01.side, close: T01.open}
  - {name: d, open: T01.stop, close: T01.open, budget: 0, on_failure: stay, gate: yes, foo: 1}
  - {open: T01.stop}
  - 5
"#), @r#"
note[no-undo-in-bracket] W.md:10:8 «work»: `T01.work` cannot be taken back (it declares no `undo`); when `d` is released, what it did stays
  help: give it an `undo`, or make sure that what stays does no harm
error[unknown-step] plan.yaml:3:21 «T01.stopp»: the bracket `a` is opened by `T01.stopp`, which is no step
  help: did you mean `T01.stop`?
error[bracket-unordered] plan.yaml:4:38 «T01.stop»: `T01.stop` does not come after `T01.open`
  help: the step that closes a bracket needs, directly or not, the one that opens it
error[duplicate-id] plan.yaml:5:12 «b»: there are two brackets `b`
  help: give one of them another name
error[bracket-unordered] plan.yaml:6:38 «T01.open»: `T01.open` does not come after `T01.side`
  help: the step that closes a bracket needs, directly or not, the one that opens it
error[wrong-type] plan.yaml:7:56 «0»: `budget` is longer than nothing
  help: leave it out, or write it as `60s`
error[wrong-type] plan.yaml:7:71 «stay»: `on_failure` is `release` or `hold`, this is text
  help: `release` takes back what is inside; `hold` leaves it to a person
error[wrong-type] plan.yaml:7:83 «yes»: `gate` says what is to be approved, this is text
  help: for example `gate: {approve: "Gitea goes away for a minute"}`
error[unknown-key] plan.yaml:7:88 «foo»: a bracket has no key `foo`
  help: its keys are name, open, close, budget, on_failure, gate
error[missing-key] plan.yaml:8:5 «»: the bracket has no `name`
  help: for example `name: outage`
error[missing-key] plan.yaml:8:5 «»: the bracket has no `close`
  help: the step that closes it, for example `close: T02.open`
error[wrong-type] plan.yaml:9:5 «5»: a bracket is a mapping, this is a number
  help: it has at least `name`, `open` and `close`
"#);
}

#[test]
fn nobody_is_waited_for_inside() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: stop, uses: command, with: {run: "true", undo: "true", reads: []}}
- {id: ask, uses: gate.approve, with: {message: Go on?}, needs: [stop]}
- {id: do, uses: manual, with: {instructions: do it}, needs: [ask]}
```
@T02 todo depends_on: [T01]
@T03 done depends_on: [T02]
@T04 todo depends_on: [T03]
```steps
- {id: open, uses: command, with: {run: "true", reads: []}, needs: [T01.do]}
```
=== plan
workplan: W
brackets:
  - {name: outage, open: T01.stop, close: T04.open}
"#), @r#"
error[gate-in-bracket] W.md:10:19 «gate.approve»: `T01.ask` waits for a person inside the bracket `outage`
  help: ask before it opens: `gate: {approve: …}` on the bracket, or a step that it needs
error[gate-in-bracket] W.md:11:18 «manual»: `T01.do` waits for a person inside the bracket `outage`
  help: ask before it opens: `gate: {approve: …}` on the bracket, or a step that it needs
error[gate-in-bracket] plan.yaml:3:12 «outage»: task `T02` has no steps and waits for a person inside the bracket `outage`
  help: let the bracket open after it, or close before it
"#);
}
