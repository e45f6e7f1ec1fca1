//! What a look at the world says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use super::Facts;

/// Whether the world is as a step wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "why")]
pub enum Seen {
    /// Nothing of it is there.
    Absent,
    /// It is so.
    Done,
    /// A part of it is there; says which.
    Half(String),
    /// It cannot be told; says why.
    Unknown(String),
}

/// A look at the world with what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The verdict.
    pub seen: Seen,
    /// What was looked at, by name.
    pub facts: Facts,
    /// The verdict rests on a record (exit 0 once), not on a look at the world. Such evidence
    /// never proves a "Done when" clause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// Nothing was looked at: a dry-run may not ask this step's check, or it has none and the
    /// record speaks; `record` then says what it says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_looked: bool,
    /// Outputs that the look itself knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// The record that the verdict rests on: the run or the file with it, or what it says
    /// (`never tried`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl Observation {
    /// An observation without facts.
    #[must_use]
    pub fn new(seen: Seen) -> Self {
        Self {
            seen,
            facts: Facts::default(),
            weak: false,
            not_looked: false,
            outputs: BTreeMap::new(),
            record: None,
        }
    }

    /// Nothing is there.
    #[must_use]
    pub fn absent() -> Self {
        Self::new(Seen::Absent)
    }

    /// It is so.
    #[must_use]
    pub fn done() -> Self {
        Self::new(Seen::Done)
    }

    /// A part is there.
    #[must_use]
    pub fn half(what: impl Into<String>) -> Self {
        Self::new(Seen::Half(what.into()))
    }

    /// It cannot be told.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::new(Seen::Unknown(why.into()))
    }

    /// Adds facts.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts.0.extend(facts.0);
        self
    }

    /// Marks the verdict as resting on a record.
    #[must_use]
    pub fn from_record(mut self, record: impl Into<String>) -> Self {
        self.weak = true;
        self.record = Some(record.into());
        self
    }

    /// Whether it is so.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.seen == Seen::Done
    }
}
