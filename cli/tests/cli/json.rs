//! JSON documents: every one says its schema, and every field is in it.

use serde_json::Value;

use crate::same;
use crate::support::{Bench, TASKS};

fn ran() -> Bench {
    let bench = Bench::with(TASKS);
    bench.expect(0, &["run", "plan.md", "--yes"]);
    bench
}

#[test]
fn shapes() {
    let bench = ran();
    let all: Vec<String> = [
        &["status", "--json"][..],
        &["runs", "--json"],
        &["explain", "make", "--json"],
        &["log", "make", "--json"],
        &["plan", "plan.md", "--json"],
    ]
    .iter()
    .map(|args| bench.session(args))
    .collect();
    same!(all.join("\n"));
}

#[test]
fn documents_are_as_their_schemas_say() {
    let bench = ran();
    for (name, args) in [
        ("check", &["check", "plan.md", "--json"][..]),
        ("plan", &["plan", "plan.md", "--json"]),
        ("status", &["status", "--json"]),
        ("runs", &["runs", "--json"]),
        ("explain", &["explain", "make", "--json"]),
        ("log", &["log", "make", "--json"]),
        ("report", &["report", "--json"]),
        ("rollback", &["rollback", &bench.newest(), "--dry-run", "--json"]),
        ("do", &["do", "command", "--with", "run=true", "--dry-run", "--json"]),
    ] {
        let document = bench.json(0, args);
        assert_eq!(document.as_object().unwrap().keys().next().unwrap(), "schema");
        fits(&bench, name, &document);
    }
    let schema = bench.json(0, &["schema", "events"]);
    for line in bench.expect(0, &["log", "--json"]).stdout.lines() {
        valid("events", &serde_json::from_str(line).unwrap(), &schema, &schema);
    }
}

#[test]
fn a_plan_with_everything_in_it_is_as_its_schema_says() {
    let bench = Bench::with(
        "---\nid: W\n---\n\n## Pre-conditions\n\n- it is there\n- it is not\n\n\
         ## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n",
    );
    bench.write("there", "");
    bench.write(
        "plans/W.yaml",
        r#"workplan: W
inputs: {name: {type: string, default: x}}
preconditions:
  - {text: "it is there", uses: command, with: {check: "test -f there", readonly: true}}
  - {text: "it is not", uses: command, with: {check: "test -f elsewhere", readonly: true}}
brackets:
  - {name: outage, open: T01.stop, close: T01.start, budget: 10m, on_failure: hold, gate: {approve: "now?"}}
tasks:
  T01:
    steps:
      - {id: stop, uses: command, with: {run: "true", check: "exit 1", readonly: true, undo: "true"}}
      - {id: move, uses: file.content, needs: [stop], point_of_no_return: true, with: {path: "new", content: "${{ inputs.name }}"}}
      - {id: start, uses: command, needs: [move], with: {run: "true", check: "exit 7", readonly: true, undo: "true"}}
"#,
    );
    let args = ["plan", "plan.md", "--json", "--task", "T01", "--set", "name=y"];
    let document = bench.json(0, &args);
    for part in ["preconditions", "brackets"] {
        assert!(!document[part].as_array().unwrap().is_empty(), "{part}");
    }
    assert_eq!(document["sources"]["scope"]["of"], "T01");
    fits(&bench, "plan", &document);
}

#[test]
fn evidence_is_as_its_schema_says() {
    let bench = Bench::with(
        "---\nid: W\n---\n\n## T01 — A\n\n```task\nid: W-T01\nstatus: todo\n```\n\n\
         Done when: it is made.\n\n```steps\n\
         - {id: make, uses: file.content, with: {path: made, content: x}, done_when: [\"it is made\"]}\n\
         - {id: weak, uses: command, with: {run: \"echo n=3\", outputs: [n]}}\n\
         - {id: hand, uses: manual, with: {instructions: \"Pull.\"}}\n```\n",
    );
    bench.expect(8, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    bench.expect(0, &["resolve", &run, "T01.hand", "--done", "--reason", "pulled"]);
    bench.expect(0, &["resume", "--yes"]);
    let path = format!("evidence/{}.json", bench.newest());
    let document: Value = serde_json::from_str(&bench.read(&path)).unwrap();
    let steps = &document["tasks"][0]["steps"];
    assert_eq!(steps.as_array().map(Vec::len), Some(3), "{document}");
    for pointer in ["/0/facts", "/1/weak", "/1/outputs/n", "/2/person/who"] {
        assert!(steps.pointer(pointer).is_some(), "{pointer} in {document}");
    }
    fits(&bench, "evidence", &document);
}

/// The document is valid, and every field of it is described.
fn fits(bench: &Bench, name: &str, document: &Value) {
    assert_eq!(document["schema"], format!("workplan/{name}/v1"));
    let schema = bench.json(0, &["schema", name]);
    valid(name, document, &schema, &schema);
}

/// The words of JSON Schema that our schemas of documents use. Stricter than the standard: a
/// field that is not described is not valid.
fn valid(at: &str, value: &Value, schema: &Value, root: &Value) {
    if let Err(why) = validate(at, value, schema, root) {
        panic!("{why}");
    }
}

fn validate(at: &str, value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    if let Some(path) = schema["$ref"].as_str() {
        return validate(at, value, root.pointer(path.trim_start_matches('#')).unwrap(), root);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(any) = schema[key].as_array()
            && any.iter().all(|one| validate(at, value, one, root).is_err())
        {
            return Err(format!("{at}: {value} fits none of {any:?}"));
        }
    }
    if let Some(expected) = schema.get("const").filter(|expected| *expected != value) {
        return Err(format!("{at}: {value} is not {expected}"));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        return Err(format!("{at}: {value} is none of {words:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if !types.is_empty() && !types.iter().any(|ty| is(value, ty)) {
        return Err(format!("{at}: {value} is not of type {types:?}"));
    }
    match value {
        Value::Object(map) => {
            for key in schema["required"].as_array().into_iter().flatten() {
                let key = key.as_str().unwrap();
                if !map.contains_key(key) {
                    return Err(format!("{at} has no `{key}`"));
                }
            }
            let Some(properties) = schema["properties"].as_object() else {
                let rest = schema.get("additionalProperties").filter(|rest| rest.is_object());
                return map.iter().try_for_each(|(key, inner)| match rest {
                    Some(rest) => validate(&format!("{at}.{key}"), inner, rest, root),
                    None => Ok(()),
                });
            };
            map.iter().try_for_each(|(key, inner)| match properties.get(key) {
                Some(described) => validate(&format!("{at}.{key}"), inner, described, root),
                None if schema.get("additionalProperties") == Some(&Value::Bool(true)) => Ok(()),
                None => Err(format!("{at}.{key} is not in the schema")),
            })
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(n, item)| {
            validate(&format!("{at}[{n}]"), item, &schema["items"], root)
        }),
        _ => Ok(()),
    }
}

fn is(value: &Value, ty: &str) -> bool {
    match ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("unknown type {ty}"),
    }
}

#[test]
fn the_validator_says_no() {
    let bench = ran();
    let schema = bench.json(0, &["schema", "plan"]);
    let good = bench.json(0, &["plan", "plan.md", "--json"]);
    for (pointer, bad) in [
        ("/schema", Value::from("workplan/plan/v2")),
        ("/tasks/0/steps/0/action", Value::from("perhaps")),
        ("/tasks/0/steps/0/needs", Value::from(1)),
        ("/summary/run", Value::from("one")),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = bad;
        assert!(validate("plan", &document, &schema, &schema).is_err(), "{pointer}");
    }
    let mut more = good.clone();
    more["sources"]["novel"] = Value::Null;
    assert!(validate("plan", &more, &schema, &schema).is_err());
}

#[test]
fn names_of_schemas() {
    let bench = Bench::new();
    // The kinds have a list of their own in the reference, which grows more often.
    let all = bench.session(&["schema"]);
    let kinds = all.lines().filter(|line| line.starts_with("kind/")).count();
    assert!(kinds > 10, "{all}");
    let rest: Vec<&str> = all.lines().filter(|line| !line.starts_with("kind/")).collect();
    same!(rest.join("\n"));
    let ran = bench.expect(2, &["schema", "statsu"]);
    assert!(ran.stderr.contains("did you mean `status`?"), "{}", ran.stderr);
}
