//! What `check --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use workplan_engine::document::Document;
use workplan_engine::session::Loaded;
use workplan_engine::text::{Diagnostic, SourceFile};
use workplan_engine::yaml;

/// One workplan and everything that was found in it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckDocument {
    /// `workplan/check/v1`.
    schema: &'static str,
    /// The file as it was given.
    file: String,
    /// `id`, `title` and `status`, and all keys of the front matter as they are written; `null`
    /// where the file could not be read.
    workplan: Option<Map<String, Value>>,
    /// The tasks in the order of the file.
    tasks: Vec<CheckTask>,
    /// Everything that was found.
    diagnostics: Vec<CheckDiagnostic>,
}

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckTask {
    /// The full id.
    id: String,
    /// The title.
    title: String,
    /// `todo`, `in_progress`, `blocked`, `done` or `cancelled`.
    status: &'static str,
    /// The priority as written.
    priority: Option<String>,
    /// Short ids of the tasks that it comes after.
    needs: Vec<String>,
    /// The acceptance clauses.
    done_when: Vec<String>,
    /// The line of its heading, from 1.
    line: usize,
    /// How many steps are bound to it; 0 is a person's task.
    steps: usize,
}

/// A finding.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckDiagnostic {
    /// Stable name of this kind of finding.
    code: &'static str,
    /// `error`, `warning` or `note`.
    severity: &'static str,
    /// What happened.
    message: String,
    /// The file.
    file: Option<String>,
    /// The line, from 1.
    line: Option<usize>,
    /// The column in characters, from 1.
    column: Option<usize>,
    /// What to do.
    help: Option<String>,
}

impl CheckDocument {
    /// From sources as read.
    pub(crate) fn new(file: &std::path::Path, loaded: &Loaded) -> Self {
        let document = loaded.document.as_ref();
        Self {
            schema: "workplan/check/v1",
            file: file.display().to_string(),
            workplan: document.map(workplan),
            tasks: document.map(|d| tasks(d, loaded)).unwrap_or_default(),
            diagnostics: loaded.diagnostics.iter().map(CheckDiagnostic::new).collect(),
        }
    }
}

impl CheckDiagnostic {
    fn new(found: &Diagnostic) -> Self {
        let place = found.line_column();
        Self {
            code: found.code,
            severity: super::check::severity(found.severity),
            message: found.message.clone(),
            file: found.shown_path().map(|p| p.display().to_string()),
            line: place.map(|p| p.line),
            column: place.map(|p| p.column),
            help: found.help.clone(),
        }
    }
}

/// The severity as the format says it.
fn severity(severity: workplan_engine::text::Severity) -> &'static str {
    use workplan_engine::text::Severity;
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn workplan(document: &Document) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("id".into(), document.id.clone().into());
    map.insert("title".into(), document.title.clone().into());
    map.insert("status".into(), document.status.map(|s| s.as_str()).into());
    for entry in document.front.iter().flat_map(|f| &f.map.entries) {
        if !map.contains_key(&entry.key) {
            map.insert(entry.key.clone(), plain(&entry.value));
        }
    }
    map
}

/// YAML as JSON; scalars stay the text that was written, except booleans and whole numbers.
fn plain(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar(s) if s.plain && s.text == "true" => Value::Bool(true),
        yaml::Value::Scalar(s) if s.plain && s.text == "false" => Value::Bool(false),
        yaml::Value::Scalar(s) => match s.text.parse::<i64>() {
            Ok(number) if s.plain => number.into(),
            _ => s.text.clone().into(),
        },
        yaml::Value::Seq(items) => items.iter().map(plain).collect(),
        yaml::Value::Map(map) => {
            Value::Object(map.entries.iter().map(|e| (e.key.clone(), plain(&e.value))).collect())
        }
    }
}

fn tasks(document: &Document, loaded: &Loaded) -> Vec<CheckTask> {
    let line = |file: &SourceFile, offset| file.line_column(offset).line;
    document
        .tasks
        .iter()
        .map(|task| CheckTask {
            id: task.id.clone(),
            title: task.title.clone(),
            status: task.status.as_str(),
            priority: task.priority.clone(),
            needs: task.needs.iter().map(|(id, _)| id.clone()).collect(),
            done_when: task.clauses.iter().map(|c| c.text.clone()).collect(),
            line: line(&document.file, task.heading_span.start),
            steps: loaded
                .plan
                .as_ref()
                .and_then(|p| p.tasks.iter().find(|t| t.id == task.short))
                .map_or(0, |t| t.steps.len()),
        })
        .collect()
}
