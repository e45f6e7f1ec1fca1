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
    bench.expect(0, &["plan", "plan.md", "-o", "p.json"]);
    for (name, args) in [
        ("check", &["check", "plan.md", "--json"][..]),
        ("plan", &["plan", "plan.md", "--json"]),
        ("status", &["status", "--json"]),
        ("runs", &["runs", "--json"]),
        ("explain", &["explain", "make", "--json"]),
        ("log", &["log", "make", "--json"]),
        ("report", &["report", "--json"]),
        ("do", &["do", "command", "--with", "run=true", "--dry-run", "--json"]),
    ] {
        let document = bench.json(0, args);
        assert_eq!(document["schema"], format!("workplan/{name}/v1"));
        assert_eq!(document.as_object().unwrap().keys().next().unwrap(), "schema");
        let schema = bench.json(0, &["schema", name]);
        described(name, &document, &schema, &schema);
    }
}

/// Every field of the document is in the schema, and every field that the schema demands is there.
fn described(at: &str, value: &Value, schema: &Value, root: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    if let Some(any) = schema["anyOf"].as_array() {
        let fitting = any.iter().find(|s| value.is_null() == (s["type"] == "null"));
        return described(at, value, fitting.unwrap(), root);
    }
    match value {
        Value::Object(map) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            for (key, inner) in map {
                if let Some(described_by) = properties.get(key) {
                    described(&format!("{at}.{key}"), inner, described_by, root);
                } else {
                    let known =
                        ["meaning", "version", "sources", "preconditions", "brackets", "binding"];
                    assert!(
                        at.starts_with("plan") && known.contains(&key.as_str()),
                        "{at}.{key} is not in the schema"
                    );
                }
            }
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(key.as_str().unwrap()), "{at} has no {key}");
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .for_each(|item| described(&format!("{at}[]"), item, &schema["items"], root));
        }
        _ => {}
    }
}

#[test]
fn names_of_schemas() {
    let bench = Bench::new();
    same!(bench.session(&["schema"]));
    let ran = bench.expect(2, &["schema", "statsu"]);
    assert!(ran.stderr.contains("did you mean `status`?"), "{}", ran.stderr);
}
