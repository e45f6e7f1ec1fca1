//! Observed values.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::digest::Digest;

/// What a change of a fact between plan and run means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Identity, schema, revision: a change stops a saved plan.
    Binding,
    /// Rows, bytes: shown only.
    Informative,
    /// What an earlier step of this plan will make.
    Produced,
}

/// One observed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What a change means.
    pub class: Binding,
    /// The value, where it may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// A digest of the value; keyed where the value is secret.
    pub digest: Digest,
}

/// Facts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts(pub BTreeMap<String, Fact>);

/// How the names of facts begin by which a point of no return says what came after it: what going
/// back would lose.
pub const SINCE: &str = "since_";

impl Facts {
    /// Adds a fact whose value may be shown.
    #[must_use]
    pub fn with(mut self, name: &str, class: Binding, value: impl Into<Value>) -> Self {
        let value = value.into();
        let digest = Digest::of_json(&value);
        self.0.insert(name.to_owned(), Fact { class, value: Some(value), digest });
        self
    }

    /// Adds a fact of which only the digest is kept.
    #[must_use]
    pub fn with_digest(mut self, name: &str, class: Binding, digest: Digest) -> Self {
        self.0.insert(name.to_owned(), Fact { class, value: None, digest });
        self
    }

    /// The binding facts alone.
    pub fn binding(&self) -> impl Iterator<Item = (&String, &Fact)> {
        self.0.iter().filter(|(_, f)| f.class == Binding::Binding)
    }
}
