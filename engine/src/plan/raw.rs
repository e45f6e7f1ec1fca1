//! Steps and plan files as written, before names are resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{InputSpec, OnFailure, Retry};
use crate::text::{SourceFile, Span};
use crate::yaml::Node;

/// The keys of a plan file.
pub const PLAN_KEYS: &[&str] =
    &["workplan", "target_of_record", "inputs", "policies", "preconditions", "brackets", "tasks"];

/// The keys of a step.
pub const STEP_KEYS: &[&str] = &[
    "id",
    "uses",
    "with",
    "needs",
    "timeout",
    "retry",
    "holds",
    "done_when",
    "point_of_no_return",
];

/// A word and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// One parameter as written.
#[derive(Debug, Clone)]
pub(super) struct RawParam {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// One step as written.
#[derive(Debug, Clone)]
pub(super) struct RawStep {
    pub(super) file: Arc<SourceFile>,
    pub(super) id: Word,
    pub(super) uses: Word,
    pub(super) with: Vec<RawParam>,
    /// `None` where it was left out.
    pub(super) needs: Option<Vec<Word>>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) retry: Option<Retry>,
    pub(super) holds: Vec<Word>,
    pub(super) done_when: Vec<Word>,
    pub(super) point_of_no_return: bool,
    /// Written as a shell block: without `needs` it comes after the block before it.
    pub(super) from_shell: bool,
}

/// A bracket as written.
#[derive(Debug, Clone)]
pub(super) struct RawBracket {
    pub(super) name: Word,
    pub(super) open: Word,
    pub(super) close: Word,
    pub(super) budget_ms: Option<u64>,
    pub(super) on_failure: OnFailure,
    pub(super) gate: Option<String>,
}

/// A bound precondition as written.
#[derive(Debug, Clone)]
pub(super) struct RawPrecondition {
    pub(super) text: Word,
    pub(super) uses: Word,
    pub(super) with: Vec<RawParam>,
}

/// A plan file as written.
#[derive(Debug, Clone)]
pub(super) struct RawPlan {
    pub(super) file: Arc<SourceFile>,
    pub(super) workplan: Option<Word>,
    pub(super) target_of_record: Option<String>,
    pub(super) inputs: BTreeMap<String, InputSpec>,
    pub(super) preconditions: Vec<RawPrecondition>,
    pub(super) brackets: Vec<RawBracket>,
    pub(super) tasks: Vec<(Word, Vec<RawStep>)>,
}
