//! Parameters whose references are not all known yet, and their values once they are.

use serde_json::{Map, Value};

use super::coerce::coerce;
use super::reference::{Piece, Reference, Template};
use crate::kind::{ParamSpec, ParamType, With};

/// Whether any parameter still refers to an output.
pub(super) fn has_open(value: &Value) -> bool {
    match value {
        Value::String(s) => {
            s.contains("${{") && Template::parse(s).is_ok_and(|t| t.has_references())
        }
        Value::Array(items) => items.iter().any(has_open),
        Value::Object(map) => map.values().any(has_open),
        _ => false,
    }
}

/// Whether any parameter refers to an output of another step.
#[must_use]
pub fn has_references(with: &With) -> bool {
    with.0.values().any(has_open)
}

/// Parameters as they could be in a run: a reference that is open stands for itself where text is
/// wanted, and for some value of the type elsewhere. Good for asking what a step touches.
pub(super) fn sample(with: &With, specs: &[ParamSpec]) -> With {
    let mut out = Map::new();
    for (key, value) in &with.0 {
        let ty = specs.iter().find(|s| s.name == key).map_or(ParamType::String, |s| s.ty);
        let value = match ty {
            ParamType::Script => script(value),
            _ if !has_open(value) => unescape(value),
            ParamType::Bool => Value::Bool(false),
            ParamType::Int => Value::from(1),
            ParamType::Duration => Value::from("1s"),
            ParamType::Mode => Value::from("0600"),
            ParamType::OneOf(words) => Value::from(words.first().copied().unwrap_or_default()),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    With(out)
}

/// Puts the outputs of other steps into parameters, just before they are needed. `output` gives
/// the value of an output by step name (`T02.dump`) and output name.
///
/// # Errors
/// A sentence that names the reference without a value, or the parameter that got a wrong type.
pub fn resolve(
    with: &With,
    specs: &[ParamSpec],
    output: &dyn Fn(&str, &str) -> Option<Value>,
) -> Result<With, String> {
    let mut out = Map::new();
    for (key, value) in &with.0 {
        let is_script = specs.iter().any(|s| s.name == key && s.ty == ParamType::Script);
        if is_script || !has_open(value) {
            out.insert(key.clone(), if is_script { script(value) } else { unescape(value) });
            continue;
        }
        let resolved = fill(value, output)?;
        let resolved = match specs.iter().find(|s| s.name == key) {
            Some(spec) => coerce(resolved, false, spec.ty).map_err(|_| {
                format!("`{key}` is {}, but its reference gave something else", spec.ty.expected())
            })?,
            None => resolved,
        };
        out.insert(key.clone(), resolved);
    }
    Ok(With(out))
}

/// A script as it runs. Only where all of it reads as ours is `$${{` an escape: in a text that
/// holds `${{` for another tool, `$$` is the shell's.
fn script(value: &Value) -> Value {
    match value {
        Value::String(text) if Template::parse(text).is_ok() => unescape(value),
        other => other.clone(),
    }
}

/// Escapes what [`unescape`] will take for a reference.
pub(super) fn escape(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${{", "$${{")),
        Value::Array(items) => Value::Array(items.into_iter().map(escape).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, escape(v))).collect()),
        other => other,
    }
}

/// A literal `${{` was kept escaped until here.
fn unescape(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$${{", "${{")),
        Value::Array(items) => Value::Array(items.iter().map(unescape).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (k.clone(), unescape(v))).collect())
        }
        other => other.clone(),
    }
}

fn fill(value: &Value, output: &dyn Fn(&str, &str) -> Option<Value>) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let template = Template::parse(text).map_err(|bad| bad.message)?;
            let get = |reference: &Reference| match reference {
                Reference::Output(step, name) => {
                    output(step, name).ok_or_else(|| format!("`{reference}` has no value"))
                }
                other => Err(format!("`{other}` has no value")),
            };
            if let Some(reference) = template.whole() {
                return get(reference);
            }
            let mut out = String::new();
            for piece in &template.pieces {
                match piece {
                    Piece::Text(t) => out.push_str(t),
                    Piece::Reference(reference, _) => match get(reference)? {
                        Value::String(s) => out.push_str(&s),
                        other => out.push_str(&other.to_string()),
                    },
                }
            }
            Ok(Value::String(out))
        }
        Value::Array(items) => {
            items.iter().map(|v| fill(v, output)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| Ok((k.clone(), fill(v, output)?)))
            .collect::<Result<Map<_, _>, String>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}
