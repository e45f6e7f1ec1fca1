//! Values and the types that parameters want.

use serde_json::{Map, Value};

use super::target::scalar;
use crate::duration;
use crate::kind::{OutputType, ParamType, SecretRef};

/// Gives a value a type. `Err(None)` for a value of another type, with a reason for a bad secret.
pub(super) fn coerce(
    value: Value,
    plain: bool,
    ty: ParamType,
) -> Result<Value, Option<&'static str>> {
    let text = match &value {
        Value::String(s) => Some(s.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match (ty, text) {
        (ParamType::String | ParamType::Script, Some(text)) => Ok(Value::from(text)),
        (ParamType::Bool, Some(text)) => match scalar(&text, plain || !value.is_string()) {
            Value::Bool(b) => Ok(Value::Bool(b)),
            _ => Err(None),
        },
        (ParamType::Int, Some(text)) => match scalar(&text, plain || !value.is_string()) {
            number @ Value::Number(_) => Ok(number),
            _ => Err(None),
        },
        (ParamType::Duration, Some(text)) if duration::parse(&text).is_some() => {
            Ok(Value::from(text))
        }
        (ParamType::Mode, Some(text)) => match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 && (3..=5).contains(&text.len()) => Ok(Value::from(text)),
            _ => Err(None),
        },
        (ParamType::OneOf(words), Some(text)) if words.contains(&text.as_str()) => {
            Ok(Value::from(text))
        }
        (ParamType::Secret, Some(text)) => {
            SecretRef::parse(&text).map(|_| Value::from(text)).map_err(Some)
        }
        (ParamType::Strings, Some(text)) => Ok(Value::Array(vec![Value::from(text)])),
        (ParamType::Strings, None) => match value {
            Value::Array(items) => items
                .into_iter()
                .map(|v| coerce(v, false, ParamType::String))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            _ => Err(None),
        },
        (ParamType::Map | ParamType::Secrets, None) => match value {
            Value::Object(map) => {
                let inner =
                    if ty == ParamType::Map { ParamType::String } else { ParamType::Secret };
                map.into_iter()
                    .map(|(k, v)| Ok((k, coerce(v, false, inner)?)))
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::Object)
            }
            _ => Err(None),
        },
        // Names of outputs never come out of a reference.
        (ParamType::Outputs, None) => Ok(value),
        (ParamType::Value, _) => Ok(match value {
            Value::String(text) => scalar(&text, plain),
            other => other,
        }),
        _ => Err(None),
    }
}

/// What to call a value in a message.
pub(super) fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Whether an output of this type may stand where `ty` is wanted, as the whole value.
pub(super) fn accepts(ty: ParamType, output: OutputType) -> bool {
    match ty {
        _ if output == OutputType::List => false,
        ParamType::String | ParamType::Strings | ParamType::Value => true,
        ParamType::Int => output == OutputType::Int,
        ParamType::Bool => output == OutputType::Bool,
        // An output is a single value, and it is kept in the journal: no secret, no mapping.
        ParamType::Secret
        | ParamType::Secrets
        | ParamType::Script
        | ParamType::Outputs
        | ParamType::Map => false,
        ParamType::Duration | ParamType::Mode | ParamType::OneOf(_) => output == OutputType::String,
    }
}
