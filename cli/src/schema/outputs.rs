//! Schemas of what we print.

use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

use crate::json;

/// Names, each with a line about it.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("check", "`check --json`"),
    ("plan", "`plan --json` and a saved plan"),
    ("status", "`status --json`"),
    ("runs", "`runs --json`"),
    ("log", "`log STEP --json`"),
    ("explain", "`explain --json`"),
    ("do", "`do --json`"),
    ("report", "`report --json`"),
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
        "do" => Some(derived::<json::DoDocument>()),
        "report" => Some(derived::<json::ReportDocument>()),
        "plan" => Some(plan()),
        "events" => Some(events()),
        "evidence" => Some(evidence()),
        _ => None,
    }
}

fn derived<T: JsonSchema>() -> Value {
    schema_for!(T).into()
}

fn facts() -> Value {
    json!({"type": "object", "additionalProperties": {
        "type": "object",
        "properties": {"class": {"enum": ["binding", "informative", "produced"]}, "value": {}, "digest": {"type": "string"}},
        "required": ["digest"],
    }})
}

/// The engine prints plans itself, as it must read them back.
fn plan() -> Value {
    let names = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "type": "object",
        "properties": {
            "schema": {"const": "workplan/plan/v1"},
            "workplan": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "title": {"type": "string"}, "path": {"type": "string"}, "sha256": {"type": "string"}},
                "required": ["id", "path", "sha256"],
            },
            "target": {},
            "digest": {"type": "string"},
            "created_at": {"type": "string", "format": "date-time"},
            "tasks": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "string"},
                    "needs": names,
                    "steps": {"type": "array", "items": {
                        "type": "object",
                        "properties": {
                            "id": {"type": "string"},
                            "kind": {"type": "string"},
                            "needs": names,
                            "action": {"enum": ["run", "skip", "repair", "blocked", "unknown"]},
                            "reason": {"type": "string"},
                            "changes": {"type": "array", "items": {
                                "type": "object",
                                "properties": {"op": {"type": "string"}, "path": {"type": "string"}, "before": {}, "after": {}},
                                "required": ["op", "path"],
                            }},
                            "facts": facts(),
                            "undo": {},
                            "point_of_no_return": {"type": "boolean"},
                            "estimate_s": {"type": ["number", "null"]},
                        },
                        "required": ["id", "kind", "needs", "action", "reason", "changes", "facts", "undo", "point_of_no_return"],
                    }},
                },
                "required": ["id", "title", "status", "needs", "steps"],
            }},
            "summary": {},
        },
        "required": ["schema", "workplan", "target", "digest", "created_at", "tasks", "summary"],
    })
}

fn events() -> Value {
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
    json!({
        "type": "object",
        "properties": {
            "schema": {"const": "workplan/events/v1"},
            "seq": {"type": "integer", "minimum": 1},
            "at": {"type": "string", "format": "date-time"},
            "run": {"type": "string"},
            "kind": {"type": "string"},
            "step": {"type": "string"},
            "data": {},
            "prev": hash,
            "hash": hash,
        },
        "required": ["schema", "seq", "at", "run", "kind", "data", "prev", "hash"],
    })
}

fn evidence() -> Value {
    json!({
        "type": "object",
        "properties": {"schema": {"const": "workplan/evidence/v1"}, "run": {}},
        "required": ["schema"],
    })
}
