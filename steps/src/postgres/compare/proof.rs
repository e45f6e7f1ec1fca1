//! What a proof says of itself, for a later look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::probe::Probe;

/// What the proof was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) from: Was,
    pub(crate) to: Was,
}

/// One side at the time of the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Was {
    pub(crate) system: String,
    pub(crate) database: String,
    pub(crate) oid: u32,
    pub(crate) probe: Probe,
}

/// A proof that is kept: with a published database it tells a process without a journal that it
/// was equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) digest: String,
    pub(crate) tables: usize,
    pub(crate) rows: i64,
    pub(crate) subject: Subject,
}

impl Proof {
    /// The outputs of a comparison that ended well, as far as they were kept.
    pub(super) fn outputs(&self, kept: &str) -> BTreeMap<String, Value> {
        [
            ("equal", Value::from(true)),
            ("digest", Value::from(self.digest.as_str())),
            ("tables", Value::from(self.tables)),
            ("rows", Value::from(self.rows)),
            ("differences", json!([])),
            ("notes", json!([{"note": kept}])),
            ("control", Value::from(kept)),
            ("subject", Value::from(json!(self.subject).to_string())),
            ("proof", Value::from(json!(self).to_string())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
