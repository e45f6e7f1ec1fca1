//! Why an attempt failed, in the words a user needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How an attempt ended that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCause {
    /// It ended by itself and said no.
    Failed,
    /// It was ended at its deadline.
    TimedOut,
    /// It was ended because somebody asked for it.
    Cancelled,
    /// It never began: nothing can have happened.
    NotStarted,
}

/// What happened, why, where to look, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct StepError {
    /// How it ended.
    pub cause: ErrorCause,
    /// What happened: one sentence without a closing period.
    pub what: String,
    /// The end of what the tool said, redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// The file with the whole output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What was found all the same: a comparison that is not equal still says in what. They are
    /// shown and kept, and no later step can use them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
}

impl StepError {
    /// An attempt that said no.
    #[must_use]
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(ErrorCause::Failed, what)
    }

    /// An attempt with its cause.
    #[must_use]
    pub fn new(cause: ErrorCause, what: impl Into<String>) -> Self {
        Self {
            cause,
            what: what.into(),
            said: Vec::new(),
            log: None,
            help: None,
            outputs: BTreeMap::new(),
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what was found out all the same.
    #[must_use]
    pub fn with_outputs(mut self, outputs: BTreeMap<String, Value>) -> Self {
        self.outputs = outputs;
        self
    }
}
