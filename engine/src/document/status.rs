//! Statuses as people write them.

use super::{TaskStatus, WorkplanStatus};

/// What a word was understood as.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Understood<T> {
    /// The word itself.
    Exactly(T),
    /// Another word for it.
    Synonym(T),
    Unknown,
}

pub(super) const TASK_WORDS: [&str; 5] = ["todo", "in_progress", "blocked", "done", "cancelled"];
pub(super) const WORKPLAN_WORDS: [&str; 6] =
    ["draft", "active", "blocked", "finished", "completed", "cancelled"];

pub(super) fn task(word: &str) -> Understood<TaskStatus> {
    use TaskStatus::{Blocked, Cancelled, Done, InProgress, Todo};
    let normal = normal(word);
    let status = match normal.as_str() {
        "todo" | "to_do" | "open" | "pending" | "new" | "planned" | "ready" | "backlog"
        | "not_started" | "queued" => Todo,
        "in_progress" | "inprogress" | "wip" | "doing" | "started" | "active" | "ongoing"
        | "running" | "work_in_progress" => InProgress,
        "blocked" | "waiting" | "on_hold" | "hold" | "paused" | "stuck" => Blocked,
        "done" | "completed" | "complete" | "finished" | "closed" | "resolved" => Done,
        "cancelled" | "canceled" | "skipped" | "skip" | "dropped" | "wontfix" | "won't_do"
        | "abandoned" | "obsolete" | "deferred" | "rejected" => Cancelled,
        _ => return Understood::Unknown,
    };
    exact_or_synonym(word, status.as_str(), status)
}

pub(super) fn workplan(word: &str) -> Understood<WorkplanStatus> {
    use WorkplanStatus::{Active, Blocked, Cancelled, Completed, Draft, Finished};
    let normal = normal(word);
    let status = match normal.as_str() {
        "draft" | "proposed" | "planned" | "new" | "todo" | "idea" | "pending" => Draft,
        "active" | "in_progress" | "inprogress" | "open" | "wip" | "doing" | "started"
        | "running" | "ready" | "approved" => Active,
        "blocked" | "waiting" | "on_hold" | "hold" | "paused" => Blocked,
        "finished" | "done" | "closed" => Finished,
        "completed" | "complete" => Completed,
        "cancelled" | "canceled" | "abandoned" | "dropped" | "obsolete" | "superseded"
        | "rejected" => Cancelled,
        _ => return Understood::Unknown,
    };
    exact_or_synonym(word, status.as_str(), status)
}

fn normal(word: &str) -> String {
    word.trim().to_lowercase().split([' ', '-', '_']).collect::<Vec<_>>().join("_")
}

fn exact_or_synonym<T>(word: &str, exact: &str, status: T) -> Understood<T> {
    if word == exact { Understood::Exactly(status) } else { Understood::Synonym(status) }
}
