//! Order: tasks, steps, shell blocks, cycles.

use insta::assert_snapshot;

use crate::support::check;

#[test]
fn a_plan_file_binds_steps_with_needs() {
    assert_snapshot!(check(r#"
@T01 todo
@T02 todo depends_on: [T01]
=== plan
workplan: W
tasks:
  W-T02:
    steps:
      - {id: stop, uses: command, with: {run: "true", reads: []}, timeout: 30m, retry: {max: 2, backoff: 5s}}
      - {id: copy, uses: command, with: {run: "true", reads: []}, needs: [stop], point_of_no_return: true}
      - {id: check, uses: command, with: {run: "true", reads: [], due: always}, needs: copy, holds: [stop]}
  T01:
    - {id: a, uses: command, with: {run: "true", reads: []}}
    - {id: b, uses: command, with: {run: "true", reads: []}, retry: 1}
"#), @r#"
T01.a command
T01.b command retry 1x1000ms
T02.stop command needs [T01.a, T01.b] timeout 1800000ms retry 2x5000ms
T02.copy command needs [T02.stop] ponr
T02.check command needs [T02.copy] holds [T02.stop] always
"#);
}

#[test]
fn the_order_of_the_workplan_is_kept() {
    assert_snapshot!(check(r#"
```sh step=first reads=x
true
```
@T01 todo
```sh step=a needs="" reads=x
true
```
@T02 todo
@T03 todo
```steps
- {id: a, uses: command, with: {run: "true", reads: []}, needs: [T02.z]}
- {id: b, uses: command, with: {run: "true", reads: []}}
```
=== plan
workplan: W
tasks:
  T02:
    steps: [{id: z, uses: command, with: {run: "true", reads: []}}]
"#), @r#"
first command
T01.a command
T02.z command
T03.a command needs [T02.z]
T03.b command
"#);
}

#[test]
fn a_task_in_needs_is_all_of_its_steps() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true", reads: []}}
- {id: b, uses: command, with: {run: "true", reads: []}, needs: [a]}
- {id: c, uses: command, with: {run: "true", reads: []}}
```
@T02 todo
```steps
- {id: d, uses: command, with: {run: "true", reads: []}, needs: [W-T01]}
- {id: e, uses: command, with: {run: "true", reads: []}, needs: [T01.a, W-T01.c]}
```
"#), @r#"
T01.a command
T01.b command needs [T01.a]
T01.c command
T02.d command needs [T01.b, T01.c]
T02.e command needs [T01.a, T01.c]
"#);
}

#[test]
fn a_persons_task_is_waited_for_and_passed_through() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true", reads: []}}
```
@T02 todo depends_on: [T01]
@T03 done depends_on: [T02]
@T04 todo depends_on: [T03]
```steps
- {id: b, uses: command, with: {run: "true", reads: []}}
```
"#), @r#"
T01.a command
T04.b command needs [T01.a] people [T02, T03]
"#);
}

#[test]
fn shell_blocks_follow_each_other_unless_needs_says_otherwise() {
    assert_snapshot!(check(r#"
@T01 todo
```sh step=a reads=x
true
```
```sh step=b reads=x
true
```
```bash step=c needs=a reads=x timeout=5s retry=2
true
```
```sh step=d needs="" reads=x
true
```
"#), @r#"
T01.a command
T01.b command needs [T01.a]
T01.c command needs [T01.a] timeout 5000ms retry 2x1000ms
T01.d command
"#);
}

#[test]
fn shell_blocks_of_tasks_that_are_ordered_otherwise() {
    assert_snapshot!(check(r#"
@T01 todo depends_on: [T03]
```sh step=a reads=x
true
```
@T02 todo
```sh step=b reads=x
true
```
@T03 todo
```sh step=c reads=x
true
```
"#), @r#"
T03.c command
T01.a command needs [T03.c]
T02.b command needs [T01.a]
"#);
}

#[test]
fn a_shell_block_that_is_needed_by_the_one_before_it() {
    assert_snapshot!(check(r#"
```sh step=a needs=b reads=x
true
```
```sh step=b reads=x
true
```
```sh step=c reads=x
true
```
"#), @r#"
b command
a command needs [b]
c command needs [b]
"#);
}

#[test]
fn a_cycle_is_told_as_a_chain() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}, needs: [c]}
- {id: b, uses: command, with: {run: "true"}, needs: [a]}
- {id: c, uses: command, with: {run: "true"}, needs: [b]}
- {id: d, uses: command, with: {run: "true"}, needs: [d]}
```
"#), @r#"
error[dependency-cycle] W.md:9:8 «a»: these wait for each other: T01.a -> T01.c -> T01.b -> T01.a
  W.md:11:8: is in the cycle
  W.md:10:8: is in the cycle
  help: each needs the next; take one `needs`, reference or pre-condition out
error[dependency-cycle] W.md:12:8 «d»: `T01.d` waits for itself
  help: each needs the next; take one `needs`, reference or pre-condition out
"#);
}

#[test]
fn a_cycle_of_tasks_and_steps() {
    assert_snapshot!(check(r#"
@T01 todo depends_on: [T02]
```steps
- {id: a, uses: command, with: {run: "true"}}
```
@T02 todo
```steps
- {id: b, uses: command, with: {run: "true"}, needs: [T01]}
```
"#), @r#"
error[dependency-cycle] W.md:9:8 «a»: these wait for each other: T01.a -> T02.b -> T01.a
  W.md:19:8: is in the cycle
  help: each needs the next; take one `needs`, reference or pre-condition out
"#);
}

#[test]
fn a_cycle_through_a_persons_task() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}, needs: [T02]}
```
@T02 todo depends_on: [T01]
"#), @r#"
error[dependency-cycle] W.md:9:8 «a»: these wait for each other: T01.a -> T02 -> T01.a
  W.md:15:14: is in the cycle
  help: each needs the next; take one `needs`, reference or pre-condition out
"#);
}

#[test]
fn a_cycle_of_tasks_alone() {
    assert_snapshot!(check(r#"
@T01 todo depends_on: [T02]
@T02 todo depends_on: [T01]
@T03 todo
```steps
- {id: a, uses: command, with: {run: "true"}}
```
"#), @r#"
error[dependency-cycle] W.md:5:14 «T02»: these wait for each other: T01 -> T02 -> T01
  W.md:12:14: is in the cycle
  help: each needs the next; take one `needs`, reference or pre-condition out
"#);
}

#[test]
fn holds_must_come_before() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: fence, uses: command, with: {run: "true", reads: []}}
- {id: a, uses: command, with: {run: "true", reads: []}, needs: [fence]}
- {id: b, uses: command, with: {run: "true", reads: []}, needs: [a], holds: [fence, fence]}
- {id: c, uses: command, with: {run: "true", reads: []}, holds: [fence, nobody]}
```
"#), @r#"
error[holds-unordered] W.md:12:66 «fence»: `T01.c` holds on to `fence` but does not come after it
  help: add it to `needs` as well
error[unknown-step] W.md:12:73 «nobody»: `T01.c` holds on to `nobody`, which is no step or task
  help: name a step of the same task, `T01.step`, or a whole task
"#);
}

#[test]
fn a_step_does_not_need_its_own_task() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}, needs: [T01]}
```
"#), @r#"
error[needs-itself] W.md:9:55 «T01»: `T01.a` needs its own task `T01`
  help: name the steps that it comes after
"#);
}
