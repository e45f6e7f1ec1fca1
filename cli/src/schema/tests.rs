//! Every schema is there, and says what the engine accepts.

use workplan_engine::plan::{PLAN_KEYS, STEP_KEYS, TARGET_KEYS};

fn keys(schema: &serde_json::Value) -> Vec<String> {
    let mut keys: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

fn sorted(keys: &[&str]) -> Vec<String> {
    let mut keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
    keys.sort();
    keys
}

#[test]
fn every_listed_name_has_a_schema_with_its_id() {
    for (name, about) in super::names() {
        let schema = super::of(&name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(schema["$id"], format!("workplan/{name}/v1"));
        assert!(!about.is_empty());
    }
    assert!(super::of("nothing").is_none());
    assert!(super::of("kind/nothing").is_none());
}

#[test]
fn keys_are_those_that_the_engine_reads() {
    assert_eq!(keys(&super::of("step").unwrap()), sorted(STEP_KEYS));
    assert_eq!(keys(&super::of("plan-file").unwrap()), sorted(PLAN_KEYS));
    assert_eq!(keys(&super::of("target").unwrap()), sorted(TARGET_KEYS));
}

#[test]
fn parameters_are_those_of_the_kind() {
    let schema = super::of("kind/command").unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for key in [
        "run", "check", "readonly", "undo", "env", "cwd", "secrets", "reads", "writes", "outputs",
        "rerun", "due",
    ] {
        assert!(properties.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
