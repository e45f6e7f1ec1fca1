//! References and types.

use insta::assert_snapshot;

use crate::support::{TYPED, check, json, plan};
use workplan_engine::kind::With;
use workplan_engine::plan::resolve;

/// The parameters of the step `T01.a`.
fn with(case: &str) -> String {
    let plan = plan(case);
    json(&plan.steps[plan.step("T01.a").unwrap()].with)
}

#[test]
fn plain_scalars_are_text_where_text_is_wanted() {
    assert_snapshot!(with(r#"
@T01 todo
```steps
- id: a
  uses: typed
  with: {string: 1.50, strings: [200, true, 007], map: {PORT: 5432, DEBUG: true, V: 1.10}, mode: 0644, int: 5, bool: true, word: one, duration: 5s, secret: "env:X", secrets: {A: "file:a"}}
```
"#), @r#"{"string":"1.50","strings":["200","true","007"],"map":{"PORT":"5432","DEBUG":"true","V":"1.10"},"mode":"0644","int":5,"bool":true,"word":"one","duration":"5s","secret":"env:X","secrets":{"A":"file:a"}}"#);
}

#[test]
fn whole_values_keep_their_types() {
    assert_snapshot!(with(r#"
@T01 todo
```steps
- id: a
  uses: typed
  with:
    int: ${{ target.values.n }}
    bool: ${{ target.values.b }}
    strings: ${{ target.values.list }}
    map: ${{ target.values.map }}
    secrets: ${{ target.values.secrets }}
    secret: ${{ target.databases.old.password }}
    mode: ${{ target.values.mode }}
    duration: ${{target.values.wait}}
    string: "${{ target.databases.old.host }}:${{ target.databases.old.port }} ${{ target.values.zip }} ${{ target.values.list.1 }}"
```

=== target
kind: local
values: {n: 5, b: true, zip: 01234, list: [1, two, false], map: {PORT: 5432, ON: true}, secrets: {PW: "env:PW"}, mode: 0640, wait: 5s}
databases: {old: {host: 127.0.0.1, port: 25432, password: "env:OLD"}}
"#), @r#"{"int":5,"bool":true,"strings":["1","two","false"],"map":{"PORT":"5432","ON":"true"},"secrets":{"PW":"env:PW"},"secret":"env:OLD","mode":"0640","duration":"5s","string":"127.0.0.1:25432 01234 two"}"#);
}

#[test]
fn whole_values_of_wrong_types() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- id: a
  uses: typed
  with:
    int: ${{ target.values.wait }}
    bool: ${{ target.values.n }}
    strings: ${{ target.values.map }}
    map: ${{ target.values.list }}
    secrets: ${{ target.values.map }}
    secret: ${{ target.databases.old.host }}
    mode: ${{ target.values.wait }}
    duration: ${{ target.values.n }}
    word: ${{ target.values.n }}
    string: ${{ target.databases.old }}
- {id: b, uses: typed, with: {string: "x ${{ target.values.list }}"}}
```

=== target
kind: local
values: {n: 5, b: true, zip: 01234, list: [1, two, false], map: {PORT: 5432, ON: true}, secrets: {PW: "env:PW"}, mode: 0640, wait: 5s}
databases: {old: {host: 127.0.0.1, port: 25432, password: "env:OLD"}}
"#), @r#"
error[wrong-type] W.md:12:10 «${{ target.values.wait }}»: `int` is a whole number, `target.values.wait` is text
  help: write digits, without quotes
error[wrong-type] W.md:13:11 «${{ target.values.n }}»: `bool` is `true` or `false`, `target.values.n` is a number
  help: write `true` or `false`, without quotes
error[wrong-type] W.md:14:14 «${{ target.values.map }}»: `strings` is a list of texts, `target.values.map` is a mapping
  help: for example `[one, two]`; each is a single value
error[wrong-type] W.md:15:10 «${{ target.values.list }}»: `map` is names with texts, `target.values.list` is a list
  help: for example `{NAME: value}`; each value is a single one
error[bad-secret-reference] W.md:16:14 «${{ target.values.map }}»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
error[bad-secret-reference] W.md:17:13 «${{ target.databases.old.host }}»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
error[wrong-type] W.md:18:11 «${{ target.values.wait }}»: `mode` is permissions as octal digits (`0644`), `target.values.wait` is text
  help: for example `0644`
error[wrong-type] W.md:19:15 «${{ target.values.n }}»: `duration` is a duration (`500ms`, `60s`, `5m`, `1h30m`, `7d`), `target.values.n` is a number
  help: a number with its unit, for example `60s`
error[wrong-type] W.md:20:11 «${{ target.values.n }}»: `word` is one of `one`, `two`, `target.values.n` is a number
  help: use one of these words
error[wrong-type] W.md:21:13 «${{ target.databases.old }}»: `string` is text, `target.databases.old` is a mapping
  help: put it in quotes, or use a block text (`|`)
error[wrong-type] W.md:22:42 «${{ target.values.list }}»: `target.values.list` is a list; it cannot stand inside a text
  help: name one value in it, for example `target.databases.old.host`
"#);
}

#[test]
fn written_values_of_wrong_types() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- id: a
  uses: typed
  with:
    int: many
    bool: yes
    strings: {a: b}
    map: text
    secrets: {A: hunter2}
    secret: hunter2
    mode: 0999
    duration: 5
    word: three
    string: [a]
    script: {a: b}
- {id: b, uses: typed, with: {strings: [[a]], map: {A: [b], B: ~}}}
```
"#), @r#"
error[wrong-type] W.md:12:10 «many»: `int` is a whole number, this is text
  help: write digits, without quotes
error[wrong-type] W.md:13:11 «yes»: `bool` is `true` or `false`, this is text
  help: write `true` or `false`, without quotes
error[wrong-type] W.md:14:14 «{a: b}»: `strings` is a list of texts, this is a mapping
  help: for example `[one, two]`; each is a single value
error[wrong-type] W.md:15:10 «text»: `map` is names with texts, this is text
  help: for example `{NAME: value}`; each value is a single one
error[bad-secret-reference] W.md:16:18 «hunter2»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
error[bad-secret-reference] W.md:17:13 «hunter2»: a secret is named, not written: `env:NAME`, `file:PATH`, `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`
  help: the text itself is not repeated here, in case it is the secret
error[wrong-type] W.md:18:11 «0999»: `mode` is permissions as octal digits (`0644`), this is a number
  help: for example `0644`
error[wrong-type] W.md:19:15 «5»: `duration` is a duration (`500ms`, `60s`, `5m`, `1h30m`, `7d`), this is a number
  help: a number with its unit, for example `60s`
error[wrong-type] W.md:20:11 «three»: `word` is one of `one`, `two`, this is text
  help: use one of these words
error[wrong-type] W.md:21:13 «[a]»: `string` is text, this is a list
  help: put it in quotes, or use a block text (`|`)
error[wrong-type] W.md:22:13 «{a: b}»: `script` is text, this is a mapping
  help: put it in quotes, or use a block text (`|`)
error[wrong-type] W.md:23:41 «[a]»: `strings` is text, this is a list
  help: put it in quotes, or use a block text (`|`)
error[wrong-type] W.md:23:56 «[b]»: `map` is text, this is a list
  help: put it in quotes, or use a block text (`|`)
error[wrong-type] W.md:23:64 «~»: `map` is text, this is nothing
  help: put it in quotes, or use a block text (`|`)
"#);
}

#[test]
fn references_that_name_nothing() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: a, uses: command, with: {run: "true", outputs: {rows: int}}}
- id: b
  uses: typed
  with:
    string: ${{ target.databses.old.host }}
    strings: ["${{ inputs.windw }}", "${{ inputs.free }}", "${{ inputs.zzzzzz }}"]
    map: {A: "${{ steps.aa.outputs.rows }}", B: "${{ steps.a.outputs.row }}", C: "${{ steps.b.outputs.x }}", D: "x ${{ env.HOME }}", E: "${{ inputs.window", F: "${{ f(x) }}"}
    bool: ${{ steps.a.outputs.rows }}
    secret: ${{ steps.a.outputs.rows }}
- {id: c, uses: typed, with: {map: "${{ steps.a.outputs.rows }}", int: "${{ steps.a.outputs.rows }}", string: "${{ steps.c.outputs.x }}"}}
```
=== plan
workplan: W
inputs:
  window: {type: duration, default: 60s}
  free: {type: int}

=== target
kind: local
values: {n: 5, b: true, zip: 01234, list: [1, two, false], map: {PORT: 5432, ON: true}, secrets: {PW: "env:PW"}, mode: 0640, wait: 5s}
databases: {old: {host: 127.0.0.1, port: 25432, password: "env:OLD"}}
"#), @r#"
error[unknown-reference] W.md:13:13 «${{ target.databses.old.host }}»: the target `lab` has no `databses.old.host`
  help: did you mean `databases`?
error[unknown-reference] W.md:14:16 «${{ inputs.windw }}»: there is no input `windw`
  help: did you mean `window`?
error[unknown-reference] W.md:14:39 «${{ inputs.free }}»: the input `free` has no value
  help: give it: `--set free=VALUE`, or a `default` in the plan file
error[unknown-reference] W.md:14:61 «${{ inputs.zzzzzz }}»: there is no input `zzzzzz`
  help: declare it under `inputs` in the plan file
error[unknown-reference] W.md:15:15 «${{ steps.aa.outputs.rows }}»: there is no step `aa`
  help: did you mean `a`?
error[unknown-reference] W.md:15:50 «${{ steps.a.outputs.row }}»: `T01.a` has no output `row`
  help: did you mean `rows`?
error[bad-reference] W.md:15:83 «${{ steps.b.outputs.x }}»: it refers to its own output
  help: a step's outputs are known when it is done
error[bad-reference] W.md:15:116 «${{ env.HOME }}»: `env.HOME` names nothing: a reference is `target.NAME`, `inputs.NAME` or `steps.STEP.outputs.NAME`
  help: `$${{` stands for a literal `${{`
error[bad-reference] W.md:15:138 «${{ inputs.window»: a reference is not closed with `}}`
  help: `$${{` stands for a literal `${{`
error[bad-reference] W.md:15:162 «${{ f(x) }}»: `f(x)` cannot be read: a reference is `target.NAME`, `inputs.NAME` or `steps.STEP.outputs.NAME`; there are no functions
  help: `$${{` stands for a literal `${{`
error[wrong-type] W.md:16:11 «${{ steps.a.outputs.rows }}»: `rows` of `T01.a` is a number, wanted is `true` or `false`
  help: declare the output with its type, for example `outputs: {rows: int}`
error[wrong-type] W.md:17:13 «${{ steps.a.outputs.rows }}»: `rows` of `T01.a` is a number, wanted is a secret reference (`env:NAME`, `file:PATH`, …)
  help: an output is a single value that the journal keeps; write this one out
error[wrong-type] W.md:18:37 «${{ steps.a.outputs.rows }}»: `rows` of `T01.a` is a number, wanted is names with texts
  help: an output is a single value that the journal keeps; write this one out
error[bad-reference] W.md:18:112 «${{ steps.c.outputs.x }}»: it refers to its own output
  help: a step's outputs are known when it is done
"#);
}

#[test]
fn a_reference_in_a_script_is_refused() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- id: a
  uses: command
  with:
    run: |
      make
      psql "${{ inputs.db }}"
```
=== plan
workplan: W
inputs: {db: {default: gitea}}
"#), @r#"
error[reference-in-script] W.md:14:13 «${{ inputs.db }}»: `run` holds a reference; it would become part of the script
  help: hand it over as a variable: `env: {VALUE: "${{ inputs.db }}"}` and `"$VALUE"` in the script
"#);
}

#[test]
fn escapes_and_other_tools_references_stay_text() {
    let case = r#"
@T01 todo
```steps
- id: a
  uses: typed
  with:
    string: "a $${{ inputs.x }} ${{ inputs.x }}"
    strings: ["$${{ b }}"]
    script: "echo ${{ github.sha }} $${{ x"
```
```sh
echo ${{ inputs.x }}
```
=== plan
workplan: W
inputs: {x: {default: "1"}}
"#;
    let plan = plan(case);
    let resolved = resolve(&plan.steps[0].with, TYPED, &|_, _| None).unwrap();
    assert_snapshot!(json(&resolved), @r#"{"string":"a ${{ inputs.x }} 1","strings":["${{ b }}"],"script":"echo ${{ github.sha }} $${{ x"}"#);
    // All of it reads as ours, so the escape is one, in a script as well.
    let escaped =
        With(serde_json::json!({"script": "echo $${{ inputs.x }}"}).as_object().unwrap().clone());
    let resolved = resolve(&escaped, TYPED, &|_, _| None).unwrap();
    assert_eq!(json(&resolved), r#"{"script":"echo ${{ inputs.x }}"}"#);
}

#[test]
fn inputs_take_defaults_and_what_is_set() {
    assert_snapshot!(with(r#"
@T01 todo
```steps
- {id: a, uses: typed, with: {duration: "${{ inputs.window }}", int: "${{ inputs.n }}", bool: "${{ inputs.b }}", string: "${{ inputs.s }}", strings: "${{ inputs.n }}"}}
```
=== plan
workplan: W
inputs:
  window: {type: duration, default: 60s}
  n: {type: int, default: 1}
  b: {type: bool, default: false, description: whether}
  s: {default: 007}
=== set
n=5
b=true
"#), @r#"{"duration":"60s","int":5,"bool":true,"string":"007","strings":["5"]}"#);
}

#[test]
fn bad_inputs() {
    assert_snapshot!(check(r#"
=== plan
workplan: W
inputs:
  a: {type: float}
  b: {type: int, default: x}
  c: 5
  d: {typ: int}
  e: {type: duration}
=== set
e=5
"#), @r#"
error[wrong-type] plan.yaml:3:13 «float»: the type of an input is one of string, int, bool, duration
  help: for example `type: string`
error[wrong-type] plan.yaml:4:27 «x»: the default of `b` is not of type int
  help: correct the value or the `type`
error[wrong-type] plan.yaml:5:6 «5»: input `c` is a mapping, this is a number
  help: for example `window: {type: duration, default: 60s}`
error[unknown-key] plan.yaml:6:7 «typ»: an input has no key `typ`
  help: did you mean `type`?
error[wrong-type] plan.yaml:7:3 «e»: the input `e` is of type duration, `5` is not
  help: correct the value given with `--set`
"#);
}

#[test]
fn an_output_used_is_an_edge_and_is_kept_with_its_full_name() {
    assert_snapshot!(check(r#"
@T01 todo
```steps
- {id: b, uses: typed, with: {string: "x ${{steps.dump.outputs.digest}}", int: "${{ steps.W-T01.dump.outputs.rows }}"}}
- {id: dump, uses: command, with: {run: "true", reads: [], outputs: {digest: string, rows: int}}}
```
@T02 todo
```steps
- {id: c, uses: typed, with: {strings: ["${{ steps.T01.dump.outputs.rows }}"]}}
```
"#), @r#"
T01.dump command
T01.b typed needs [T01.dump]
T02.c typed needs [T01.dump]
"#);
}

#[test]
fn references_are_kept_with_full_names() {
    let plan = plan(
        r#"
@T01 todo
```steps
- {id: a, uses: typed, with: {string: "x ${{steps.dump.outputs.digest}} $${{", int: "${{ steps.W-T01.dump.outputs.rows }}"}}
- {id: dump, uses: command, with: {run: "true", reads: [], outputs: {digest: string, rows: int}}}
```
"#,
    );
    let step = &plan.steps[plan.step("T01.a").unwrap()];
    assert_snapshot!(json(&step.with), @r#"{"string":"x ${{ steps.T01.dump.outputs.digest }} $${{","int":"${{ steps.T01.dump.outputs.rows }}"}"#);
    let resolved = resolve(&step.with, TYPED, &|step, output| {
        assert_eq!(step, "T01.dump");
        Some(if output == "rows" { 3.into() } else { "abc".into() })
    });
    assert_snapshot!(json(&resolved.unwrap()), @r#"{"string":"x abc ${{","int":3}"#);
}
