//! Schemas of what we print.

use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

use super::engine;
use crate::{json, lab};

/// Names, each with a line about it.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("check", "`check --json`"),
    ("plan", "`plan --json` and a saved plan"),
    ("status", "`status --json`"),
    ("runs", "`runs --json`"),
    ("log", "`log STEP --json`"),
    ("explain", "`explain --json`"),
    ("do", "`do --json`, also of `backup create` and `backup verify`"),
    ("backups", "`backup list --json`"),
    ("rollback", "`rollback --dry-run --json`"),
    ("report", "`report --json`"),
    ("lab-status", "`lab status --json`"),
    ("lab-digest", "`lab digest --json`"),
    ("events", "one line of `run --events jsonl` and of `log --json`"),
    ("evidence", "`evidence/RUN.json` beside a workplan"),
];

/// The schema of a name.
pub(super) fn of(name: &str) -> Option<Value> {
    match name {
        "check" => Some(derived::<json::CheckDocument>()),
        "status" => Some(derived::<json::StatusDocument>()),
        "runs" => Some(derived::<json::RunsDocument>()),
        "log" => Some(derived::<json::LogDocument>()),
        "explain" => Some(derived::<json::ExplainDocument>()),
        "backups" => Some(derived::<json::BackupsDocument>()),
        "do" => Some(derived::<json::DoDocument>()),
        "rollback" => Some(derived::<json::RollbackDocument>()),
        "report" => Some(derived::<json::ReportDocument>()),
        "lab-status" => Some(derived::<lab::LabStatusDocument>()),
        "lab-digest" => Some(derived::<lab::DigestDocument<'_>>()),
        "plan" => Some(engine::plan()),
        "events" => Some(events()),
        "evidence" => Some(engine::evidence()),
        _ => None,
    }
}

fn derived<T: JsonSchema>() -> Value {
    schema_for!(T).into()
}

fn events() -> Value {
    let hash = engine::digest("sha256 of the event before it; of nothing, for the first");
    json!({
        "type": "object",
        "properties": {
            "schema": {"const": "workplan/events/v1"},
            "seq": {"type": "integer", "minimum": 1, "description": "Position in the whole journal, from 1, without gaps."},
            "at": {"type": "string", "format": "date-time"},
            "run": {"type": "string"},
            "kind": {"type": "string", "description": "What happened, for example `step.done`."},
            "step": {"type": "string", "description": "The step that it concerns."},
            "data": {"description": "The particulars; they depend on `kind`."},
            "prev": hash,
            "hash": engine::digest("sha256 of this event together with `prev`"),
        },
        "required": ["schema", "seq", "at", "run", "kind", "data", "prev", "hash"],
    })
}
