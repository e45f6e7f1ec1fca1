//! What `do --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// One step that was done without a workplan, or what it would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoDocument {
    /// `workplan/do/v1`.
    pub(crate) schema: &'static str,
    /// The kind.
    pub(crate) kind: String,
    /// What was, or with `--dry-run` would be, done: `run`, `skip`, `repair`, `blocked` or
    /// `unknown`, as a plan says it.
    pub(crate) action: String,
    /// What became of it: a state of a step; `null` for a dry-run.
    pub(crate) state: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// The run; `null` for a dry-run.
    pub(crate) run: Option<String>,
    /// What the step gives.
    pub(crate) outputs: Map<String, Value>,
    /// What was seen, by name: `value` where it may be shown, and `digest`.
    pub(crate) facts: Map<String, Value>,
    /// What it would change, or changed.
    pub(crate) changes: Vec<Value>,
    /// Why it failed; `null` where it did not.
    pub(crate) error: Option<String>,
    /// Its output.
    pub(crate) log: Option<String>,
}
