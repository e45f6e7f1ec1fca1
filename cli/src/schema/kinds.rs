//! Schemas of parameters, from their descriptions.

use serde_json::{Map, Value, json};
use workplan_engine::kind::{Kind, ParamType};

/// A whole-value reference stands for a value of any type.
const REFERENCE: &str = r"^\$\{\{.*\}\}$";
/// As the engine reads durations.
pub(super) const DURATION: &str = r"^\s*(0|([0-9]+(ms|s|m|min|h|d)\s*)+)$";

/// The schema of a kind's `with`.
pub(super) fn with(kind: &dyn Kind) -> Value {
    let mut properties = Map::new();
    for param in kind.params() {
        let mut schema = of_type(param.ty);
        if let Some(map) = schema.as_object_mut() {
            map.insert("description".to_owned(), param.doc.into());
        }
        properties.insert(param.name.to_owned(), schema);
    }
    let required: Vec<&str> = kind.params().iter().filter(|p| p.required).map(|p| p.name).collect();
    json!({
        "title": kind.name(),
        "description": kind.about(),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn text() -> Value {
    // A plain `8080` or `true` is text where text is asked for.
    json!({"type": ["string", "number", "boolean"]})
}

fn or_reference(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": REFERENCE}]})
}

fn of_type(ty: ParamType) -> Value {
    match ty {
        ParamType::String | ParamType::Script => text(),
        ParamType::Bool => or_reference(json!({"type": "boolean"})),
        ParamType::Int => or_reference(json!({"type": "integer"})),
        ParamType::Duration => {
            or_reference(json!({"type": ["string", "integer"], "pattern": DURATION}))
        }
        ParamType::Strings => json!({"anyOf": [text(), {"type": "array", "items": text()}]}),
        ParamType::Value => json!({}),
        ParamType::Map => json!({"type": "object", "additionalProperties": text()}),
        ParamType::Secrets => json!({"type": "object", "additionalProperties": secret()}),
        ParamType::Secret => secret(),
        ParamType::Mode => json!({"type": ["string", "integer"], "pattern": "^[0-7]{3,4}$"}),
        ParamType::OneOf(words) => or_reference(json!({"enum": words})),
        ParamType::Outputs => json!({"anyOf": [
            text(),
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"enum": ["string", "int", "bool"]}},
        ]}),
    }
}

fn secret() -> Value {
    json!({"type": "string", "pattern": r"^(env:|file:|sops:|kube:|\$\{\{)"})
}
