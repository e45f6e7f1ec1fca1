//! What is not as it should be.

use workplan_engine::kind::StepError;

/// A part of a check that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Miss {
    /// A sentence's end: `it did not end within 10s`.
    pub(super) what: String,
    /// What the other side said.
    pub(super) said: Vec<String>,
}

impl Miss {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), said: Vec::new() }
    }
}

impl From<StepError> for Miss {
    fn from(error: StepError) -> Self {
        Self { what: error.what, said: error.said }
    }
}
