//! Inputs of a plan file: declared, typed, with defaults.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::duration;
use crate::kind::OutputType;
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{Map, Node};

/// The types of an input.
const TYPES: &[&str] = &["string", "int", "bool", "duration"];
const KEYS: &[&str] = &["type", "default", "description"];

/// A declared input.
#[derive(Debug, Clone)]
pub struct InputSpec {
    /// `string`, `int`, `bool` or `duration`.
    pub ty: String,
    /// The value where none is given.
    pub default: Option<Value>,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is declared.
    pub span: Span,
}

impl InputSpec {
    /// The type that a whole reference to it has.
    #[must_use]
    pub fn output_type(&self) -> OutputType {
        match self.ty.as_str() {
            "int" => OutputType::Int,
            "bool" => OutputType::Bool,
            _ => OutputType::String,
        }
    }

    /// Reads a value given as text.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Value> {
        match self.ty.as_str() {
            "int" => text.parse::<i64>().ok().map(Value::from),
            "bool" => text.parse::<bool>().ok().map(Value::from),
            "duration" => duration::parse(text).map(|_| Value::from(text)),
            _ => Some(Value::from(text)),
        }
    }
}

/// Reads the `inputs:` mapping.
pub(super) fn read(
    file: &Arc<SourceFile>,
    map: &Map,
    found: &mut Diagnostics,
) -> BTreeMap<String, InputSpec> {
    let mut out = BTreeMap::new();
    for entry in &map.entries {
        let mut spec = InputSpec {
            ty: "string".to_owned(),
            default: None,
            description: None,
            span: entry.key_span,
        };
        let Some(body) = entry.value.as_map() else {
            found.push(
                Diagnostic::error(
                    "wrong-type",
                    file,
                    entry.value.span,
                    format!(
                        "input `{}` is a mapping, this is {}",
                        entry.key,
                        entry.value.type_name()
                    ),
                )
                .with_help("for example `window: {type: duration, default: 60s}`"),
            );
            continue;
        };
        for key in &body.entries {
            if !KEYS.contains(&key.key.as_str()) {
                found.push(
                    Diagnostic::error(
                        "unknown-key",
                        file,
                        key.key_span,
                        format!("an input has no key `{}`", key.key),
                    )
                    .with_help(format!("its keys are {}", KEYS.join(", ")))
                    .with_help_opt(did_you_mean(&key.key, KEYS.iter().copied())),
                );
            }
        }
        spec.description = body.get("description").and_then(Node::as_str).map(str::to_owned);
        if let Some(ty) = body.get("type") {
            match ty.as_str() {
                Some(word) if TYPES.contains(&word) => spec.ty = word.to_owned(),
                _ => found.push(
                    Diagnostic::error(
                        "wrong-type",
                        file,
                        ty.span,
                        format!("the type of an input is one of {}", TYPES.join(", ")),
                    )
                    .with_help("for example `type: string`")
                    .with_help_opt(
                        ty.as_str().and_then(|w| did_you_mean(w, TYPES.iter().copied())),
                    ),
                ),
            }
        }
        if let Some(default) = body.get("default") {
            spec.default = default.as_str().and_then(|text| spec.read(text));
            if spec.default.is_none() {
                found.push(
                    Diagnostic::error(
                        "wrong-type",
                        file,
                        default.span,
                        format!("the default of `{}` is not of type {}", entry.key, spec.ty),
                    )
                    .with_help("correct the value or the `type`"),
                );
            }
        }
        out.insert(entry.key.clone(), spec);
    }
    out
}
