//! What `rollback --dry-run --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// What a rollback would take back, and what it would lose.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RollbackDocument {
    /// `workplan/rollback/v1`.
    pub(crate) schema: &'static str,
    /// The run.
    pub(crate) run: String,
    /// The step that stays, with what was done before it; `null` for all.
    pub(crate) to: Option<String>,
    /// What the run did, in the order in which it would go back.
    pub(crate) steps: Vec<RollbackStep>,
    /// What going back would lose; `null` where no point of no return is passed.
    pub(crate) loss: Option<Losing>,
}

/// A step on the way back.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RollbackStep {
    /// Its name.
    pub(crate) id: String,
    /// Its kind.
    pub(crate) kind: String,
    /// What would become of it: `undo`, `gone` (it is as before already), `keep` (it changed nothing
    /// that has to go back, or has no way back) or `unknown` (a person would be asked).
    pub(crate) action: &'static str,
    /// Why.
    pub(crate) reason: Option<String>,
    /// How it would be taken back; `null` where it would not be.
    pub(crate) undo: Option<String>,
    /// What was seen, by name: `value` where it may be shown, and `digest`.
    pub(crate) facts: Map<String, Value>,
    /// Going back behind it loses what was written since.
    pub(crate) point_of_no_return: bool,
}

/// What going back would lose.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Losing {
    /// The step that is the point of no return.
    pub(crate) step: String,
    /// What it says of what came after it, in words.
    pub(crate) said: Vec<String>,
    /// The same as facts, by name.
    pub(crate) facts: Map<String, Value>,
    /// It was accepted, with `--accept-loss` now or when the rollback began. Otherwise the rollback is
    /// refused.
    pub(crate) accepted: bool,
}
