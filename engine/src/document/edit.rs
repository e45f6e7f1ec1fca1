//! Changes to a workplan's text that leave every other byte alone.

use std::collections::{BTreeMap, HashMap};

use crate::text::{SourceFile, Span};
use crate::yaml::{Node, Value};

use super::scan::is_date;
use super::{Document, Task, TaskStatus, WorkplanStatus, parse};

/// What to change. Everything is optional; an empty edit gives the text back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// New statuses of tasks, by short id. A status that is read as the new one already (a
    /// synonym of it too) is left as it is written.
    pub statuses: BTreeMap<String, NewValue<TaskStatus>>,
    /// The new status of the workplan.
    pub workplan_status: Option<NewValue<WorkplanStatus>>,
    /// The new `updated` date, `2026-01-31`. Nothing happens where the front matter has no such
    /// key or says nothing in it.
    pub updated: Option<NewValue<String>>,
    /// Lines to add; at most one a task.
    pub complete: Vec<Completion>,
    /// Lines to remove: short id of the task, and the run that wrote the line. A line that is not
    /// there is no error.
    pub remove: Vec<(String, String)>,
}

/// A new value in the YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewValue<T> {
    /// Written in the style that stands there (its quotes are kept).
    Set(T),
    /// These very bytes, quotes included: what [`Task::status_written`],
    /// [`Document::status_written`] or [`Document::updated_written`] gave before.
    Restore(String),
}

/// The line `Completed on DATE by workplan run RUN (evidence sha256:…).`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The task's short id.
    pub task: String,
    /// `2026-01-31`.
    pub date: String,
    /// The run's id: letters, digits, `-`, `_`, `.`.
    pub run: String,
    /// The SHA-256 of the evidence as hexadecimal digits, without a prefix.
    pub evidence: String,
}

/// Why a workplan could not be written back. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The document has no such task.
    #[error("find the task `{0}` in the workplan")]
    UnknownTask(String),
    /// There is no value to replace.
    #[error("change `{key}` of `{of}`: it has no such key")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The task's short id or the workplan's id.
        of: String,
    },
    /// The value is a block scalar or spans lines.
    #[error("change `{key}` of `{of}`: its value is written over several lines")]
    ManyLines {
        /// The key.
        key: &'static str,
        /// The task's short id or the workplan's id.
        of: String,
    },
    /// A date, run id or digest that would not be read back.
    #[error("write `{0}` into the workplan: it is no valid date, run id or digest")]
    BadText(String),
    /// Two lines for one task, or two changes of the same bytes.
    #[error("change `{0}` twice in one edit")]
    Twice(String),
    /// The text around would swallow the change (an open fence or comment, for example).
    #[error("change `{0}`: the edited workplan would not be read back as meant")]
    NotReadBack(String),
}

impl Completion {
    /// The line, without a line end.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "Completed on {} by workplan run {} (evidence sha256:{}).",
            self.date, self.run, self.evidence
        )
    }

    fn check(&self) -> Result<(), EditError> {
        let run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !is_date(&self.date) {
            Err(EditError::BadText(self.date.clone()))
        } else if self.run.is_empty() || !self.run.chars().all(run) {
            Err(EditError::BadText(self.run.clone()))
        } else if self.evidence.is_empty() || !self.evidence.chars().all(|c| c.is_ascii_hexdigit())
        {
            Err(EditError::BadText(self.evidence.clone()))
        } else {
            Ok(())
        }
    }
}

impl Task {
    /// The status as it stands in the file, quotes included, for [`NewValue::Restore`].
    #[must_use]
    pub fn status_written<'a>(&self, file: &'a SourceFile) -> Option<&'a str> {
        self.status_span.map(|span| file.slice(span))
    }
}

impl Document {
    /// The workplan's status as it stands in the file, quotes included.
    #[must_use]
    pub fn status_written(&self) -> Option<&str> {
        self.front_value("status").map(|node| self.file.slice(node.span))
    }

    /// `updated` as it stands in the file, quotes included.
    #[must_use]
    pub fn updated_written(&self) -> Option<&str> {
        self.front_value("updated").map(|node| self.file.slice(node.span))
    }

    fn front_value(&self, key: &str) -> Option<&Node> {
        self.front.as_ref()?.map.get(key).filter(|node| matches!(node.value, Value::Scalar(_)))
    }
}

/// The text of the document with the edit applied. Pure: reads and writes no file.
///
/// Removing a line again, and restoring what was replaced, gives back the very bytes from before.
/// The result was parsed again: statuses and lines are read back as meant, and no task moved.
///
/// # Errors
/// [`EditError`] where the document has no place for a change, or where the change would not be
/// read back; the document is unchanged then.
pub fn apply(document: &Document, edit: &Edit) -> Result<String, EditError> {
    let mut text = Patch::new(document, edit)?.values()?.removals()?.finish()?;
    if !edit.complete.is_empty() {
        // A removed line may stand where a new one goes, so the places are looked up again.
        let fresh = (text != document.file.text)
            .then(|| parse(&SourceFile::new(document.file.path.clone(), text.as_str())).0);
        text = Patch::new(fresh.as_ref().unwrap_or(document), edit)?.completions()?.finish()?;
    }
    if text != document.file.text {
        read_back(document, edit, &text)?;
    }
    Ok(text)
}

/// Replacements in one text, and where to find its tasks.
struct Patch<'a> {
    document: &'a Document,
    edit: &'a Edit,
    tasks: HashMap<&'a str, &'a Task>,
    changes: Vec<(Span, String, String)>,
}

impl<'a> Patch<'a> {
    fn new(document: &'a Document, edit: &'a Edit) -> Result<Self, EditError> {
        let mut tasks = HashMap::new();
        for task in &document.tasks {
            tasks.entry(task.short.as_str()).or_insert(task);
        }
        let named = edit
            .statuses
            .keys()
            .chain(edit.complete.iter().map(|c| &c.task))
            .chain(edit.remove.iter().map(|(task, _)| task));
        for short in named {
            if !tasks.contains_key(short.as_str()) {
                return Err(EditError::UnknownTask(short.clone()));
            }
        }
        Ok(Self { document, edit, tasks, changes: Vec::new() })
    }

    fn values(mut self) -> Result<Self, EditError> {
        for (short, new) in &self.edit.statuses {
            let task = self.tasks[short.as_str()];
            let Some(node) = task.map.get("status").filter(|_| task.status_span.is_some()) else {
                return Err(EditError::MissingKey { key: "status", of: short.clone() });
            };
            let new = match new {
                NewValue::Set(status) if task.status == *status && understood(task) => continue,
                NewValue::Set(status) => NewValue::Set(status.as_str()),
                NewValue::Restore(raw) => NewValue::Restore(raw.clone()),
            };
            self.value("status", short, node, &new)?;
        }
        let id = &self.document.id;
        if let Some(new) = &self.edit.workplan_status {
            let Some(node) = self.document.front_value("status") else {
                return Err(EditError::MissingKey { key: "status", of: id.clone() });
            };
            let same = matches!(new, NewValue::Set(s) if self.document.status == Some(*s));
            if !same {
                let new = match new {
                    NewValue::Set(status) => NewValue::Set(status.as_str()),
                    NewValue::Restore(raw) => NewValue::Restore(raw.clone()),
                };
                self.value("status", id, node, &new)?;
            }
        }
        if let (Some(new), Some(node)) = (&self.edit.updated, self.document.front_value("updated"))
        {
            let new = match new {
                NewValue::Set(date) if !is_date(date) => {
                    return Err(EditError::BadText(date.clone()));
                }
                NewValue::Set(date) => NewValue::Set(date.as_str()),
                NewValue::Restore(raw) => NewValue::Restore(raw.clone()),
            };
            self.value("updated", id, node, &new)?;
        }
        Ok(self)
    }

    /// Replaces a scalar, in its own quotes.
    fn value(
        &mut self,
        key: &'static str,
        of: &str,
        node: &Node,
        new: &NewValue<&str>,
    ) -> Result<(), EditError> {
        let many = || EditError::ManyLines { key, of: of.to_owned() };
        let old = self.document.file.slice(node.span);
        let new = match new {
            NewValue::Restore(raw) if raw.contains(['\n', '\r']) => return Err(many()),
            NewValue::Restore(raw) => raw.clone(),
            NewValue::Set(text) => {
                let plain = matches!(&node.value, Value::Scalar(s) if s.plain);
                let quote = ['"', '\''].into_iter().find(|q| old.starts_with(*q));
                match quote {
                    _ if old.contains(['\n', '\r']) => return Err(many()),
                    _ if plain => (*text).to_owned(),
                    Some(quote) => format!("{quote}{text}{quote}"),
                    None => return Err(many()),
                }
            }
        };
        self.changes.push((node.span, new, of.to_owned()));
        Ok(())
    }

    fn removals(mut self) -> Result<Self, EditError> {
        for (short, run) in &self.edit.remove {
            let task = self.tasks[short.as_str()];
            for line in our_lines(self.document, task, run) {
                let span = removal(&self.document.file.text, line);
                self.changes.push((span, String::new(), short.clone()));
            }
        }
        Ok(self)
    }

    fn completions(mut self) -> Result<Self, EditError> {
        let mut seen = HashMap::new();
        for completion in &self.edit.complete {
            completion.check()?;
            if seen.insert(&completion.task, ()).is_some() {
                return Err(EditError::Twice(completion.task.clone()));
            }
            let task = self.tasks[completion.task.as_str()];
            let line = completion.line();
            let existing = our_lines(self.document, task, &completion.run).last();
            let change = match existing {
                Some(span) => (span, line),
                None => insertion(&self.document.file.text, task.section_span.end, &line),
            };
            self.changes.push((change.0, change.1, completion.task.clone()));
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<String, EditError> {
        self.changes.sort_by_key(|(span, ..)| *span);
        let text = &self.document.file.text;
        let mut out = String::with_capacity(text.len() + 128 * self.changes.len());
        let mut at = 0;
        for (span, new, of) in self.changes {
            if span.start < at {
                return Err(EditError::Twice(of));
            }
            out.push_str(&text[at..span.start]);
            out.push_str(&new);
            at = span.end;
        }
        out.push_str(&text[at..]);
        Ok(out)
    }
}

/// Whether the status that stands there was read, or only assumed.
fn understood(task: &Task) -> bool {
    task.map.get("status").and_then(Node::as_str).is_some_and(|word| {
        !matches!(super::status::task(word), super::status::Understood::Unknown)
    })
}

/// The lines that this run wrote into the section, without their line ends.
fn our_lines<'a>(
    document: &'a Document,
    task: &'a Task,
    run: &str,
) -> impl Iterator<Item = Span> + 'a {
    let by = format!(" by workplan run {run} (evidence sha256:");
    let text = document.file.text.as_str();
    task.completions.iter().filter_map(move |(_, span)| {
        let length = our_line(&text[span.start..], &by)?;
        Some(Span::new(span.start, span.start + length))
    })
}

/// Length of a line of ours that `text` starts with.
fn our_line(text: &str, by: &str) -> Option<usize> {
    let rest = text.strip_prefix("Completed on ")?;
    let rest = rest.get(10..).filter(|_| is_date(&rest[..10]))?;
    let rest = rest.strip_prefix(by)?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).strip_prefix(").")?;
    Some(text.len() - rest.len())
}

/// Where a line goes after the content that ends at `end`, and what to put there.
///
/// One blank line before it. What follows directly may be a rule or text that would turn our line
/// into a heading or join it: then a blank line after it too, and a second one before it, which is
/// how [`removal`] knows.
fn insertion(text: &str, end: usize, line: &str) -> (Span, String) {
    let blanks = text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len();
    let at = end + blanks;
    let eol = match line_end(&text[at..]) {
        Some(eol) => eol,
        None if text[..at].rfind('\n').is_some_and(|i| text[..i].ends_with('\r')) => "\r\n",
        None => "\n",
    };
    let next = &text[at + line_end(&text[at..]).map_or(0, str::len)..];
    let next = next.split(['\n', '\r']).next().unwrap_or_default();
    let closed = !next.trim_matches([' ', '\t']).is_empty() && !is_atx_heading(next);
    let new =
        if closed { format!("{eol}{eol}{eol}{line}{eol}") } else { format!("{eol}{eol}{line}") };
    (Span::new(at, at), new)
}

/// A heading that needs no blank line before it.
fn is_atx_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - rest.len()))
        && (rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// What to cut so that a line of ours leaves no trace.
fn removal(text: &str, line: Span) -> Span {
    let before = &text[..line.start];
    let Some(one) = strip_line_end(before) else { return sentence(text, line) };
    let Some(two) = strip_line_end(one) else { return sentence(text, line) };
    let after = &text[line.end..];
    let ends = line_end(after);
    let follows = &after[ends.map_or(0, str::len)..];
    let follows = follows.split(['\n', '\r']).next().unwrap_or_default();
    let joined = !follows.trim_matches([' ', '\t']).is_empty() && !is_atx_heading(follows);
    if joined || (ends.is_none() && !after.is_empty()) {
        return sentence(text, line);
    }
    // A later line of ours takes over the blank lines before this one.
    let next = after.trim_start_matches(['\r', '\n']);
    let between = &after[..after.len() - next.len()];
    let one_blank = strip_line_end(between).and_then(strip_line_end).is_some_and(str::is_empty);
    let next_line = next.split(['\n', '\r']).next().unwrap_or_default();
    if one_blank
        && next_line.starts_with("Completed on ")
        && next_line.contains(" by workplan run ")
    {
        return Span::new(line.start, line.end + (after.len() - next.len()));
    }
    if let (Some(three), Some(eol)) = (strip_line_end(two), ends)
        && line_end(&after[eol.len()..]).is_some()
    {
        return Span::new(three.len(), line.end + eol.len());
    }
    Span::new(two.len(), line.end)
}

/// Somebody wrote on in our paragraph: cut only the sentence, and its line end if it stood alone.
fn sentence(text: &str, line: Span) -> Span {
    let alone = line.start == 0 || text[..line.start].ends_with('\n');
    let end = match line_end(&text[line.end..]) {
        Some(eol) if alone => line.end + eol.len(),
        _ => line.end,
    };
    Span::new(line.start, end)
}

/// The line end that `text` starts with.
fn line_end(text: &str) -> Option<&'static str> {
    if text.starts_with("\r\n") {
        Some("\r\n")
    } else if text.starts_with('\n') {
        Some("\n")
    } else if text.starts_with('\r') {
        Some("\r")
    } else {
        None
    }
}

fn strip_line_end(text: &str) -> Option<&str> {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r']))
}

/// Parses the result: what was to change is so, what was not stays.
fn read_back(old: &Document, edit: &Edit, text: &str) -> Result<(), EditError> {
    let file = SourceFile::new(old.file.path.clone(), text);
    let (new, _) = parse(&file);
    let fail = |short: &str| Err(EditError::NotReadBack(short.to_owned()));
    if new.tasks.len() != old.tasks.len() {
        return fail(&old.id);
    }
    let mut complete: HashMap<&str, &Completion> =
        edit.complete.iter().map(|c| (c.task.as_str(), c)).collect();
    let mut statuses: HashMap<&str, &NewValue<TaskStatus>> =
        edit.statuses.iter().map(|(task, status)| (task.as_str(), status)).collect();
    for (was, is) in old.tasks.iter().zip(&new.tasks) {
        if was.id != is.id
            || was.clauses.len() != is.clauses.len()
            || was.needs.len() != is.needs.len()
        {
            return fail(&was.short);
        }
        match statuses.remove(was.short.as_str()) {
            Some(NewValue::Set(status)) if is.status != *status => return fail(&was.short),
            Some(NewValue::Restore(raw)) if is.status_written(&new.file) != Some(raw) => {
                return fail(&was.short);
            }
            None if is.status != was.status => return fail(&was.short),
            _ => {}
        }
        if let Some(completion) = complete.remove(was.short.as_str()) {
            let line = completion.line();
            if !is.completions.iter().any(|(text, _)| *text == line) {
                return fail(&was.short);
            }
        }
    }
    match &edit.workplan_status {
        Some(NewValue::Set(status)) if new.status != Some(*status) => return fail(&old.id),
        Some(NewValue::Restore(raw)) if new.status_written() != Some(raw) => return fail(&old.id),
        _ => {}
    }
    match &edit.updated {
        Some(NewValue::Restore(raw))
            if old.updated_written().is_some() && new.updated_written() != Some(raw) =>
        {
            fail(&old.id)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
