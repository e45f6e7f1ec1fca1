//! Schemas of what the engine writes itself, as it must read it back: saved plans and evidence.

use serde_json::{Value, json};

/// A sha256 in hexadecimal digits.
pub(super) fn digest(of: &str) -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": of})
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn texts(about: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": about})
}

fn flag(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

/// An object of these fields; those that may be missing are named.
fn object(about: &str, properties: Value, missing: &[&str]) -> Value {
    let keys = properties.as_object().into_iter().flat_map(serde_json::Map::keys);
    let required: Vec<&String> = keys.filter(|key| !missing.contains(&key.as_str())).collect();
    json!({"type": "object", "description": about, "required": required, "properties": properties})
}

fn list(about: &str, item: Value) -> Value {
    json!({"type": "array", "description": about, "items": item})
}

fn facts() -> Value {
    let fact = object(
        "One observed value.",
        json!({
            "class": {"enum": ["binding", "informative", "produced"], "description": "`binding`: a saved plan is stale when it moves; `informative`: shown only; `produced`: what an earlier step of the plan will make."},
            "value": {"description": "The value, where it may be shown."},
            "digest": digest("Of the value; keyed where the value is secret."),
        }),
        &["value"],
    );
    json!({"type": "object", "description": "What was seen, by name.", "additionalProperties": fact})
}

fn target(more: &[&str]) -> Value {
    let mut fields = json!({
        "name": text("The name."),
        "kind": text("`local` or `kubernetes`."),
        "identity": text("What makes it this one and no other."),
    });
    for name in more {
        let about = match *name {
            "of_record" => "It is the one that statuses in the Markdown speak of.",
            _ => "People depend on it.",
        };
        fields[*name] = flag(about);
    }
    object("Where it happens.", fields, &[])
}

fn sources() -> Value {
    object(
        "How the sources of the plan are found again.",
        json!({
            "workplan": text("The path of the workplan."),
            "steps": text("The path of the plan file, where one was named."),
            "target": text("The target, where one was named."),
            "set": list("Overrides and inputs, each a name with its value.", texts("Name, value.")),
            "scope": object(
                "The part that was asked for, where it was not all.",
                json!({
                    "scope": {"enum": ["task", "from", "only"]},
                    "of": text("The task or the step."),
                }),
                &[],
            ),
        }),
        &["steps", "target", "set", "scope"],
    )
}

fn step() -> Value {
    let change = object(
        "One thing that the step would change.",
        json!({
            "op": text("`create`, `update`, `delete`, `run` or `ask`."),
            "path": text("What it is about."),
            "before": {"description": "What is there, where it may be shown; else `null`."},
            "after": {"description": "What would be there, where it may be shown; else `null`."},
        }),
        &[],
    );
    object(
        "A step.",
        json!({
            "id": text("The full name, for example `T02.copy`."),
            "kind": text("The kind."),
            "needs": texts("The steps that it comes after."),
            "action": {"enum": ["run", "skip", "repair", "blocked", "unknown"], "description": "What would be done."},
            "reason": text("Why."),
            "changes": list("What it would change.", change),
            "facts": facts(),
            "binding": digest("Of the verdict and the binding facts: what the saved plan holds on to. Not there for a step that was not looked at."),
            "undo": object(
                "How it would be taken back.",
                json!({
                    "is": {"enum": ["can", "notneeded", "cannot"]},
                    "text": text("How, or why not."),
                }),
                &["text"],
            ),
            "point_of_no_return": flag("What comes after it cannot be taken back without loss."),
            "estimate_s": {"type": "number", "description": "Seconds that it took last time."},
        }),
        &["binding", "estimate_s"],
    )
}

fn bracket() -> Value {
    object(
        "An outage: something is away between the end of `open` and the end of `close`.",
        json!({
            "name": text("The name."),
            "open": text("The step that opens it."),
            "close": text("The step that closes it."),
            "inside": texts("The steps in between."),
            "budget_s": {"type": ["number", "null"], "description": "Seconds that it may take."},
            "on_failure": {"enum": ["release", "hold"], "description": "Whether it is taken back at once after a failure, or held open for a person."},
            "gate": {"type": ["string", "null"], "description": "What a person is asked before it opens."},
        }),
        &[],
    )
}

/// `plan --json` and a saved plan.
pub(super) fn plan() -> Value {
    let precondition = object(
        "A line of the workplan's own list that is bound to a check.",
        json!({
            "text": text("The line."),
            "met": flag("Whether it was met."),
            "looked": flag("`false`: nobody looked, for a dry-run may not ask this check. Not there for one that is met."),
            "why": text("Why not."),
        }),
        &["looked", "why"],
    );
    let task = object(
        "A task.",
        json!({
            "id": text("The short id, for example `T02`; empty for steps outside of tasks."),
            "title": text("The title."),
            "status": text("The status in the Markdown."),
            "needs": texts("The tasks that it comes after."),
            "steps": list("Its steps.", step()),
        }),
        &[],
    );
    object(
        "What a run would do, and what was seen.",
        json!({
            "schema": {"const": "workplan/plan/v1"},
            "workplan": object(
                "The workplan.",
                json!({
                    "id": text("The id."),
                    "title": text("The title."),
                    "path": text("The path."),
                    "sha256": digest("Of the file's bytes."),
                }),
                &[],
            ),
            "target": target(&["of_record", "live"]),
            "digest": digest("Of what the plan means, the target, the scope, and what was seen of each step."),
            "meaning": digest("Of what the plan means alone."),
            "created_at": {"type": "string", "format": "date-time"},
            "version": text("The version of the program; another one does not run the plan."),
            "sources": sources(),
            "tasks": list("The tasks in the order of the workplan.", task),
            "preconditions": list("Preconditions that were checked.", precondition),
            "brackets": list("The outages.", bracket()),
            "summary": {"type": "object", "description": "How many steps there are of each action.", "additionalProperties": {"type": "integer", "minimum": 0}},
        }),
        &["preconditions", "brackets"],
    )
}

/// `evidence/RUN.json`.
pub(super) fn evidence() -> Value {
    let step = object(
        "The proof of one step.",
        json!({
            "id": text("The full name."),
            "kind": text("The kind."),
            "meaning": digest("Of what the step means; an edited step is not proven by it."),
            "state": {"enum": ["done", "adopted", "skipped", "failed", "pending", "running", "unknown", "waiting", "undoing", "undone", "undo_failed"], "description": "`done`, `adopted`, or `skipped` where it was so already or not needed; the others prove nothing."},
            "reason": text("Why it was skipped."),
            "weak": flag("It rests on an exit code alone; it proves no clause."),
            "facts": facts(),
            "outputs": {"type": "object", "description": "What it gave, by name; no secrets."},
            "person": object(
                "A person's word.",
                json!({
                    "who": text("The signature's principal, else the account."),
                    "reason": text("The reason given."),
                    "signature": text("An SSH signature over the decision, where one was demanded."),
                }),
                &["signature"],
            ),
            "started_ms": {"type": "integer", "description": "Milliseconds since 1970 in UTC, at its first attempt."},
            "ended_ms": {"type": "integer", "description": "Milliseconds since 1970 in UTC, when it was proven."},
        }),
        &["reason", "weak", "outputs", "person", "started_ms", "ended_ms"],
    );
    let clause = object(
        "A clause of `Done when`.",
        json!({
            "text": text("The clause."),
            "proven_by": texts("The steps that prove it."),
        }),
        &[],
    );
    let task = object(
        "The proof of one task.",
        json!({
            "id": text("The full id, for example `WP-1-T02`."),
            "clauses": list("Its clauses.", clause),
            "steps": list("Its steps.", step),
        }),
        &[],
    );
    object(
        "What proves the tasks that a run brought to an end. The Markdown names the digest of this file: an edited one proves nothing.",
        json!({
            "schema": {"const": "workplan/evidence/v1"},
            "run": text("The run."),
            "workplan": text("The workplan's id."),
            "target": target(&[]),
            "tasks": list("The tasks.", task),
        }),
        &[],
    )
}
