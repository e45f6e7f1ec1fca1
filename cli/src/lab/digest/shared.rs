//! What the parts of the digest share.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Map, Value};
use workplan_platform::values::Values;

use super::keyed::Key;
use crate::exit;
use crate::failure::Failure;

/// The secrets that a lab has, and the key that stands between them and the document.
pub(super) struct Secrets {
    /// The key.
    pub(super) key: Key,
    /// The values, each once.
    pub(super) values: BTreeSet<Vec<u8>>,
}

impl Secrets {
    /// No secrets yet.
    pub(super) fn new(key: Key) -> Self {
        Self { key, values: BTreeSet::new() }
    }

    /// Takes note of what is secret in values.
    pub(super) fn learn(&mut self, values: &Values) {
        for (_, value, secret) in values.leaves() {
            if let (Some(text), true) = (value.as_str(), secret) {
                self.values.insert(text.as_bytes().to_vec());
                // The pooler's users have theirs in a list.
                let parts = text.split([';', ',']).filter(|p| !p.is_empty());
                self.values.extend(parts.map(|part| part.as_bytes().to_vec()));
            }
        }
    }

    /// Values by their dotted paths, secrets as their digests.
    pub(super) fn hide(&self, values: &Values) -> Value {
        let leaves = values.leaves().into_iter().map(|(path, value, secret)| {
            let shown = if secret { self.key.value(value) } else { value.clone() };
            (path.join("."), shown)
        });
        Value::Object(leaves.collect::<Map<String, Value>>())
    }
}

/// From an error of whatever was asked.
pub(super) fn no(error: impl Display) -> Failure {
    Failure::new(exit::FAILED, error.to_string())
}
