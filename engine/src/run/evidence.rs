//! What proves a step done.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::kind::{Applied, Facts, Observation};

/// Who answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name: the signature's principal, else the account.
    pub who: String,
    /// The reason given.
    pub reason: String,
    /// An SSH signature over the decision, where one was demanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Proof of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was seen.
    #[serde(default, skip_serializing_if = "is_empty_facts")]
    pub facts: Facts,
    /// It rests on an exit code alone; nothing looked at the world.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// What the step gives to others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// Worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The attempt's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// Who says so, where it is a person's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// The earlier record that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

fn is_empty_facts(facts: &Facts) -> bool {
    facts.0.is_empty()
}

impl Evidence {
    /// From a look.
    #[must_use]
    pub fn seen(observation: Observation) -> Self {
        Self {
            facts: observation.facts,
            weak: observation.weak,
            outputs: observation.outputs,
            record: observation.record,
            ..Self::default()
        }
    }

    /// From an attempt and the look after it.
    #[must_use]
    pub fn verified(applied: Applied, observation: Observation) -> Self {
        let mut evidence = Self::seen(observation);
        // A verified attempt is a record of its own.
        evidence.record = None;
        evidence.outputs.extend(applied.outputs);
        evidence.notes = applied.notes;
        evidence.log = applied.log;
        evidence
    }

    /// A person's word.
    #[must_use]
    pub fn person(person: Person) -> Self {
        Self { person: Some(person), ..Self::default() }
    }
}
