//! What a workplan says, before anything is bound to it.

use std::sync::Arc;

use crate::text::{SourceFile, Span};
use crate::yaml::{Map, Node};

/// A parsed workplan file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The front matter, where there is one.
    pub front: Option<FrontMatter>,
    /// The workplan's id: from the front matter, else the file's name without ending.
    pub id: String,
    /// The title: from the front matter, else the first heading, else the id.
    pub title: String,
    /// The status of the whole workplan, where it was understood.
    pub status: Option<WorkplanStatus>,
    /// The tasks in the order of the file.
    pub tasks: Vec<Task>,
    /// The lines of the workplan's own list under a heading "Pre-conditions".
    pub preconditions: Vec<Precondition>,
    /// Shell blocks with `step=`, in the order of the file.
    pub shell_blocks: Vec<ShellBlock>,
}

/// The YAML between the two `---` lines at the start.
#[derive(Debug, Clone)]
pub struct FrontMatter {
    /// From the first `---` to the end of the line of the second.
    pub span: Span,
    /// All keys, unknown ones too.
    pub map: Map,
}

/// One line of the workplan's own list of pre-conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// The line's text without markup, white space folded.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One section of the workplan with a `task` block.
#[derive(Debug, Clone)]
pub struct Task {
    /// The full id as written, for example `RAIL-PL-WP-0001-T01`.
    pub id: String,
    /// The id without the workplan's own, for example `T01`. What steps and `needs` use.
    pub short: String,
    /// The heading without id, dash and markup.
    pub title: String,
    /// The status.
    pub status: TaskStatus,
    /// The status as written, and where (the value alone, quotes included).
    pub status_span: Option<Span>,
    /// `priority`, as written.
    pub priority: Option<String>,
    /// The tasks it comes after, by short id, each with the place that says so: `depends_on` and
    /// "Pre-condition:" sentences. Existence was checked; duplicates are gone.
    pub needs: Vec<(String, Span)>,
    /// What "Done when" asks for, split at `;`.
    pub clauses: Vec<Clause>,
    /// A line `Completed on …`, where there is one: its text and place. The last, if many.
    pub completed: Option<(String, Span)>,
    /// All lines `Completed on …` in the order of the file.
    pub completions: Vec<(String, Span)>,
    /// All keys of the block.
    pub map: Map,
    /// The heading's line.
    pub heading_span: Span,
    /// The YAML inside the fences.
    pub block_span: Span,
    /// From the heading to the end of the section (a closing `---` line and blank lines before the
    /// next heading are not part of it).
    pub section_span: Span,
    /// An inline `steps` block, where there is one.
    pub steps: Option<StepsBlock>,
}

/// One acceptance clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The text without markup, white space folded, without the final period.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Clause {
    /// What two spellings of one clause share: no markup, one space, no case, no final period.
    #[must_use]
    pub fn key(text: &str) -> String {
        let plain: String = text.chars().filter(|c| !matches!(c, '`' | '*' | '_' | '~')).collect();
        plain
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .trim_end_matches('.')
            .trim()
            .to_lowercase()
    }
}

/// A fenced `steps` block: the same list that the plan file would hold.
#[derive(Debug, Clone)]
pub struct StepsBlock {
    /// The YAML inside the fences.
    pub span: Span,
    /// The parsed list, where it could be parsed.
    pub list: Option<Node>,
}

/// A shell block whose info string has `step=`.
#[derive(Debug, Clone)]
pub struct ShellBlock {
    /// `sh` or `bash`.
    pub shell: String,
    /// The attributes of the info string in order: name, value (`None` for a bare word), place of
    /// the name, place of the value.
    pub attributes: Vec<Attribute>,
    /// The script.
    pub script: String,
    /// Where the script stands.
    pub span: Span,
    /// Where the info string stands.
    pub info_span: Span,
    /// The short id of the task whose section it is in.
    pub task: Option<String>,
}

/// One attribute of an info string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The value after unquoting; `None` for a bare word such as `readonly`.
    pub value: Option<String>,
    /// Where the value stands, without quotes (the name's place for a bare word).
    pub value_span: Span,
}

/// Status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Not begun.
    Todo,
    /// Begun.
    InProgress,
    /// Does not run.
    Blocked,
    /// Said to be done.
    Done,
    /// Does not run, for ever.
    Cancelled,
}

impl TaskStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::InProgress => "in_progress",
            Self::Blocked => "blocked",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Status of a workplan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkplanStatus {
    /// Being written.
    Draft,
    /// In force.
    Active,
    /// Waits for something.
    Blocked,
    /// All done, with evidence.
    Finished,
    /// An older word for finished.
    Completed,
    /// Given up.
    Cancelled,
}

impl WorkplanStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Finished => "finished",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}
