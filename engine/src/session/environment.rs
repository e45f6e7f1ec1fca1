//! The environment of children: the engine's own, less what is secret.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kind::{BaseEnv, SecretRef};
use crate::plan::{Plan, Target};

/// Takes every variable out that some secret reference of the plan or the target names. The one
/// child that needs it gets it back.
pub(crate) fn without_secrets(env: &BaseEnv, plan: &Plan, target: Option<&Target>) -> BaseEnv {
    let mut names = BTreeSet::new();
    for step in &plan.steps {
        step.with.0.values().for_each(|v| collect(v, &mut names));
    }
    for precondition in &plan.preconditions {
        precondition.with.0.values().for_each(|v| collect(v, &mut names));
    }
    if let Some(target) = target {
        target.values.values().for_each(|v| collect(v, &mut names));
    }
    BaseEnv(env.0.iter().filter(|(k, _)| !names.contains(&*k.to_string_lossy())).cloned().collect())
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Ok(SecretRef::Env(name)) = SecretRef::parse(text) {
                names.insert(name);
            }
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, names)),
        Value::Object(map) => map.values().for_each(|v| collect(v, names)),
        _ => {}
    }
}
