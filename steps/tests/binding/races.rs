//! Who reads and changes what.

use insta::assert_snapshot;

use crate::support::check;

#[test]
fn writers_and_readers_must_be_ordered() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: file.content, with: {path: etc/app.conf, content: a}}
- {id: b, uses: command, with: {run: "true", writes: [file/./etc/../etc/app.conf]}}
- {id: c, uses: command, with: {run: "true", writes: file//srv/etc/app.conf}, needs: [a, b]}
- {id: d, uses: command, with: {run: "true", reads: file/etc//app.conf}}
- {id: e, uses: command, with: {run: "true", reads: file/etc/app.conf}, needs: [c]}
- {id: f, uses: command, with: {run: "true", reads: file/etc/app.conf}, needs: [a]}
- {id: g, uses: command, with: {run: "true", reads: file/etc/other, writes: file/etc/other}}
```
"#), @r#"
error[unordered-writers] W.md:10:8 «b»: `T01.a` and `T01.b` both change `file//srv/etc/app.conf`, in no order
  W.md:9:8: the other one
  help: say which comes first, for example `needs: [T01.a]`
warning[unordered-reader] W.md:12:8 «d»: `T01.d` reads `file//srv/etc/app.conf`, which `T01.c` changes, in no order
  W.md:11:8: changes it
  help: say which comes first, for example `needs: [T01.c]`
warning[unordered-reader] W.md:14:8 «f»: `T01.f` reads `file//srv/etc/app.conf`, which `T01.c` changes, in no order
  W.md:11:8: changes it
  help: say which comes first, for example `needs: [T01.c]`
"#);
}

#[test]
fn order_through_others_is_order() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true", writes: [x]}}
- {id: between, uses: command, with: {run: "true", reads: []}, needs: [a]}
- {id: b, uses: command, with: {run: "true", writes: [x]}, needs: [between]}
```
"#), @r#"
T01.a command
T01.between command needs [T01.a]
T01.b command needs [T01.between]
"#);
}

#[test]
fn a_resource_named_by_an_output_is_one_resource() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: where, uses: command, with: {run: "true", outputs: [path], reads: []}}
- {id: a, uses: command, with: {run: "true", writes: ["file/${{ steps.where.outputs.path }}"]}}
- {id: b, uses: file.content, with: {path: "${{steps.T01.where.outputs.path}}", content: x}}
```
"#), @r#"
error[unordered-writers] W.md:11:8 «b»: `T01.a` and `T01.b` both change `file//srv/${{ steps.T01.where.outputs.path }}`, in no order
  W.md:10:8: the other one
  help: say which comes first, for example `needs: [T01.a]`
"#);
}

#[test]
fn steps_without_claims_are_noted_once() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true"}}
- {id: b, uses: command, with: {run: "true"}}
- {id: c, uses: manual, with: {instructions: look}}
```
"#), @r#"
note[no-claims] W.md:9:8 «a»: 2 steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out
  help: with `--jobs 1`, the default, they run one after the other
T01.a command
T01.b command
T01.c manual
"#);
}

#[test]
fn a_chain_without_claims_is_not_noted() {
    assert_snapshot!(check(r#"
```sh step=a
true
```
```sh step=b
true
```
```sh step=c
true
```
"#), @r#"
a command
b command needs [a]
c command needs [b]
"#);
}
