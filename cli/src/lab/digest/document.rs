//! The document that is digested.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Everything in a lab that a change would show in, by parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document {
    parts: BTreeMap<String, Value>,
}

/// The document as it is printed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DigestDocument<'d> {
    /// `workplan/lab-digest/v1`.
    schema: &'static str,
    /// Over all parts.
    digest: String,
    /// Sorted by name.
    parts: Vec<Part<'d>>,
}

/// A part of what is digested.
#[derive(Debug, Serialize, JsonSchema)]
struct Part<'d> {
    /// What it is about.
    name: &'d str,
    digest: String,
    /// All of it; secrets as keyed digests.
    content: &'d Value,
}

impl Document {
    /// Adds a part.
    pub(crate) fn put(&mut self, name: impl Into<String>, content: Value) {
        self.parts.insert(name.into(), content);
    }

    /// One digest over all of it.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, content) in &self.parts {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(canonical(content).as_bytes());
            hash.update([0]);
        }
        format!("sha256:{}", hex(&hash.finalize()))
    }

    /// The names of the parts with a digest each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, String)> {
        self.parts.iter().map(|(name, content)| (name.as_str(), of(content)))
    }

    /// The document as it is printed.
    pub(crate) fn printed(&self) -> DigestDocument<'_> {
        DigestDocument {
            schema: "workplan/lab-digest/v1",
            digest: self.digest(),
            parts: self
                .parts
                .iter()
                .map(|(name, content)| Part { name, digest: of(content), content })
                .collect(),
        }
    }
}

fn of(content: &Value) -> String {
    format!("sha256:{}", hex(&Sha256::digest(canonical(content))))
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of bytes, as hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// JSON in one spelling: keys sorted, no white space.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let inner: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(parts: &[(&str, Value)]) -> String {
        let mut document = Document::default();
        parts.iter().for_each(|(name, value)| document.put(*name, value.clone()));
        document.digest()
    }

    #[test]
    fn the_order_of_keys_and_parts_does_not_count() {
        let one = document(&[("a", json!({"x": 1, "y": [1, 2]})), ("b", json!(null))]);
        let other = document(&[("b", json!(null)), ("a", json!({"y": [1, 2], "x": 1}))]);
        assert_eq!(one, other);
    }

    #[test]
    fn everything_else_does() {
        let base = document(&[("a", json!({"x": [1, 2]}))]);
        for changed in [
            document(&[("a", json!({"x": [2, 1]}))]),
            document(&[("a", json!({"x": ["1", 2]}))]),
            document(&[("b", json!({"x": [1, 2]}))]),
            document(&[("a", json!({"x": [1, 2]})), ("b", json!(null))]),
        ] {
            assert_ne!(base, changed);
        }
    }
}
