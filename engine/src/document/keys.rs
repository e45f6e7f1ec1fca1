//! Keys of front matter and task blocks: what is known, what is nearly known, what is required.

use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{Map, Node, Value};

use super::status::{self, Understood};
use super::{TaskStatus, WorkplanStatus};

const FRONT: [&str; 12] = [
    "id",
    "type",
    "title",
    "domain",
    "repo",
    "status",
    "owner",
    "topic_slug",
    "planning_priority",
    "created",
    "updated",
    "state_hub_workstream_id",
];
const TASK: [&str; 5] = ["id", "status", "priority", "state_hub_task_id", "depends_on"];

/// Other words that people use; not read, because a guess would change the order of work.
const ALIASES: [(&str, &str); 8] = [
    ("needs", "depends_on"),
    ("depends", "depends_on"),
    ("dependencies", "depends_on"),
    ("requires", "depends_on"),
    ("after", "depends_on"),
    ("blocked_by", "depends_on"),
    ("state", "status"),
    ("task_id", "id"),
];

pub(super) fn check_front(file: &Arc<SourceFile>, map: &Map, diagnostics: &mut Diagnostics) {
    near_misses(file, map, &FRONT, &[], diagnostics);
}

pub(super) fn check_task(file: &Arc<SourceFile>, map: &Map, diagnostics: &mut Diagnostics) {
    near_misses(file, map, &TASK, &ALIASES, diagnostics);
}

/// Unknown keys are kept, but one that is nearly a known key is probably a slip.
fn near_misses(
    file: &Arc<SourceFile>,
    map: &Map,
    known: &[&'static str],
    aliases: &[(&str, &str)],
    diagnostics: &mut Diagnostics,
) {
    for entry in &map.entries {
        if known.contains(&entry.key.as_str()) {
            continue;
        }
        let unseen = known.iter().copied().filter(|k| map.get(k).is_none());
        let normal = entry.key.replace('-', "_");
        let hint = aliases
            .iter()
            .find(|(alias, key)| *alias == normal && map.get(key).is_none())
            .map(|(_, key)| format!("did you mean `{key}`?"))
            .or_else(|| did_you_mean(&entry.key, unseen));
        if let Some(hint) = hint {
            diagnostics.push(
                Diagnostic::warning(
                    "unknown-key",
                    file,
                    entry.key_span,
                    format!("the key `{}` is not known", entry.key),
                )
                .with_help(hint),
            );
        }
    }
}

/// A scalar that says something; another type is an error, nothing is `None`.
pub(super) fn text<'a>(
    file: &Arc<SourceFile>,
    map: &'a Map,
    key: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'a Node> {
    let node = map.get(key)?;
    match &node.value {
        Value::Scalar(s) if !s.text.trim().is_empty() => Some(node),
        Value::Scalar(_) | Value::Null => None,
        _ => {
            diagnostics.push(Diagnostic::error(
                "wrong-type",
                file,
                node.span,
                format!("`{key}` is {}, not text", node.type_name()),
            ));
            None
        }
    }
}

pub(super) fn task_status(
    file: &Arc<SourceFile>,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<TaskStatus> {
    let word = node.as_str()?;
    let found = status::task(word);
    report(file, node.span, word, &found, TaskStatus::as_str, &status::TASK_WORDS, diagnostics);
    match found {
        Understood::Exactly(s) | Understood::Synonym(s) => Some(s),
        Understood::Unknown => None,
    }
}

pub(super) fn workplan_status(
    file: &Arc<SourceFile>,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<WorkplanStatus> {
    let word = node.as_str()?;
    let found = status::workplan(word);
    let all = &status::WORKPLAN_WORDS;
    report(file, node.span, word, &found, WorkplanStatus::as_str, all, diagnostics);
    match found {
        Understood::Exactly(s) | Understood::Synonym(s) => Some(s),
        Understood::Unknown => None,
    }
}

fn report<T: Copy>(
    file: &Arc<SourceFile>,
    span: Span,
    word: &str,
    found: &Understood<T>,
    name: impl Fn(T) -> &'static str,
    all: &[&'static str],
    diagnostics: &mut Diagnostics,
) {
    match found {
        Understood::Exactly(_) => {}
        Understood::Synonym(status) => diagnostics.push(
            Diagnostic::warning(
                "status-synonym",
                file,
                span,
                format!("the status `{word}` is read as `{}`", name(*status)),
            )
            .with_help(format!("write `{}`", name(*status))),
        ),
        Understood::Unknown => diagnostics.push(
            Diagnostic::error(
                "unknown-status",
                file,
                span,
                format!("the status `{word}` is not known"),
            )
            .with_help(format!("one of `{}`", all.join("`, `")))
            .with_help_opt(did_you_mean(word, all.iter().copied())),
        ),
    }
}
