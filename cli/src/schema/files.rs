//! Schemas of what people write.

use serde_json::{Value, json};

use super::kinds::{self, DURATION};
use crate::catalogue;

/// Names, each with a line about it.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("plan-file", "`plans/ID.yaml`: binds steps to the tasks of a workplan"),
    ("target", "`targets/NAME.yaml`: where it happens"),
    ("task", "a ```task block in a workplan"),
    ("steps", "a ```steps block in a workplan"),
    ("step", "one step"),
];

/// The schema of a name.
pub(super) fn of(name: &str) -> Option<Value> {
    match name {
        "plan-file" => Some(plan_file()),
        "target" => Some(target()),
        "task" => Some(task()),
        "steps" => Some(json!({"type": "array", "items": step()})),
        "step" => Some(step()),
        _ => None,
    }
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn duration() -> Value {
    json!({"type": ["string", "integer"], "pattern": DURATION})
}

/// One step; what stands under `with` depends on `uses`.
fn step() -> Value {
    let registry = catalogue::all();
    let names: Vec<&str> = registry.names().collect();
    let cases: Vec<Value> = registry
        .iter()
        .map(|kind| {
            json!({
                "if": {"properties": {"uses": {"const": kind.name()}}},
                "then": {"properties": {"with": kinds::with(kind.as_ref())}},
            })
        })
        .collect();
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The name; with its task's, it is `T02.copy`."},
            "uses": {"enum": names, "description": "The kind."},
            "with": {"type": "object", "description": "The kind's parameters."},
            "needs": {"anyOf": [{"type": "string"}, texts()], "description": "Steps of this task, steps `T01.deploy`, or whole tasks `T01`."},
            "timeout": duration(),
            "retry": {
                "type": "object",
                "properties": {"max": {"type": "integer", "minimum": 0}, "backoff": duration()},
                "additionalProperties": false,
            },
            "holds": {"anyOf": [{"type": "string"}, texts()], "description": "What must still be true when it begins."},
            "done_when": {"anyOf": [{"type": "string"}, texts()], "description": "Acceptance clauses that it proves."},
            "point_of_no_return": {"type": "boolean"},
        },
        "required": ["id", "uses"],
        "additionalProperties": false,
        "allOf": cases,
    })
}

fn plan_file() -> Value {
    json!({
        "type": "object",
        "properties": {
            "workplan": {"type": "string", "description": "The id of the workplan."},
            "target_of_record": {"type": "string"},
            "inputs": {"type": "object", "additionalProperties": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["string", "int", "bool", "duration"]},
                    "default": {},
                    "description": {"type": "string"},
                },
                "additionalProperties": false,
            }},
            "policies": {"type": "array", "items": {"type": "string"}, "description": "Names of files `policies/NAME.yaml`."},
            "preconditions": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "description": "A line of the workplan's own list."},
                    "uses": {"enum": catalogue::all().names().collect::<Vec<_>>()},
                    "with": {"type": "object"},
                },
                "required": ["text", "uses"],
                "additionalProperties": false,
            }},
            "brackets": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "open": {"type": "string"},
                    "close": {"type": "string"},
                    "budget": duration(),
                    "on_failure": {"enum": ["release", "hold"]},
                    "gate": {
                        "type": "object",
                        "properties": {"approve": {"type": "string"}},
                        "required": ["approve"],
                        "additionalProperties": false,
                    },
                },
                "required": ["name", "open", "close"],
                "additionalProperties": false,
            }},
            "tasks": {"type": "object", "additionalProperties": {
                "type": "object",
                "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
                "additionalProperties": false,
            }},
        },
        "additionalProperties": false,
        "$defs": {"step": step()},
    })
}

fn target() -> Value {
    json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["local", "kubernetes"]},
            "context": {"type": "string", "description": "The context of the kubeconfig; else the current one."},
            "kubernetes": {
                "type": "object",
                "description": "What the platform `kubernetes` needs besides.",
                "properties": {
                    "kubeconfig": {"type": "string", "description": "A file; else `KUBECONFIG`, `~/.kube/config`, or the pod's own account."},
                    "helm": {"type": "string", "description": "The program, where it is not on the PATH."},
                    "charts": {"type": "object", "additionalProperties": {"type": "string"}, "description": "By chart, a folder, an archive or an address."},
                },
                "additionalProperties": false,
            },
            "local": {"type": "object", "description": "Where the platform `local` keeps its releases."},
            "namespaces": texts(),
            "repos": {"type": "object", "additionalProperties": {"type": "string"}},
            "databases": {"type": "object", "additionalProperties": {"type": "object"}},
            "live": {"type": "boolean", "description": "People depend on it."},
            "backup": {
                "type": "object",
                "description": "Where backups of this layer are, and what is in them.",
                "properties": {
                    "dir": {"type": "string", "description": "The folder of all layers' backups."},
                    "layer": {"type": "string"},
                    "databases": {"description": "Names of `databases`, or databases as they are described there."},
                    "releases": texts(),
                    "files": texts(),
                    "recipients": texts(),
                    "key": {"type": "string", "description": "A file with a private key of age or SSH."},
                    "keep": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}, "age": duration()}},
                    "scratch": {"type": "string", "description": "Where scratch servers keep their data."},
                    "account": {"type": "string", "description": "Who scratch servers run as, where the engine is root."},
                    "nextcloud": {"type": "object"},
                },
            },
            "ha": {"type": "object"},
            "identity": {"type": "string", "description": "What makes it this one and no other."},
            "sops": {
                "type": "object",
                "properties": {"age_key_file": {"type": "string"}},
                "additionalProperties": false,
            },
            "values": {"type": "object", "description": "Your own."},
        },
        "required": ["kind"],
        "additionalProperties": false,
    })
}

fn task() -> Value {
    json!({
        "type": "object",
        "description": "Unknown keys are kept.",
        "properties": {
            "id": {"type": "string", "description": "`<WORKPLAN>-T01`"},
            "status": {"type": "string", "description": "`todo`, `in_progress`, `blocked`, `done`, `cancelled`; synonyms are read with a warning."},
            "priority": {"type": "string"},
            "state_hub_task_id": {"type": "string"},
            "depends_on": {"anyOf": [{"type": "string"}, texts()]},
        },
        "required": ["id", "status"],
    })
}
