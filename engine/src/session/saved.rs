//! The plan as a document: shown, saved, and run again only if it still holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::precondition::Unmet;
use super::preview::{PlannedAction, Preview};
use crate::digest::Digest;
use crate::kind::{Change, UndoPlan};
use crate::plan::Plan;

/// `workplan/plan/v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// `workplan/plan/v1`.
    pub schema: String,
    /// `id`, `path`, `title`, and `sha256` of the file's bytes.
    pub workplan: Value,
    /// `name`, `kind`, `identity`, `of_record`, `live`.
    pub target: Value,
    /// Digest of what the plan means and of the binding facts that it saw.
    pub digest: Digest,
    /// Digest of what the plan means alone.
    pub meaning: Digest,
    /// RFC 3339.
    pub created_at: String,
    /// Version of the program.
    pub version: String,
    /// How the sources are found again.
    pub sources: SavedSources,
    /// The tasks.
    pub tasks: Vec<SavedTask>,
    /// Preconditions and whether they were met.
    #[serde(default)]
    pub preconditions: Vec<Value>,
    /// Brackets.
    #[serde(default)]
    pub brackets: Vec<Value>,
    /// How many steps there are of each action.
    pub summary: BTreeMap<String, usize>,
}

/// How the sources of a plan are found again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSources {
    /// The workplan.
    pub workplan: PathBuf,
    /// The plan file, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<PathBuf>,
    /// The target, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Overrides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// The part that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<crate::run::Scope>,
}

/// A task of a saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedTask {
    /// Its short id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its status in the Markdown.
    pub status: String,
    /// The tasks it comes after.
    pub needs: Vec<String>,
    /// Its steps.
    pub steps: Vec<SavedStep>,
}

/// A step of a saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedStep {
    /// Its full name.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// The steps it comes after.
    pub needs: Vec<String>,
    /// What would be done.
    pub action: PlannedAction,
    /// Why.
    pub reason: String,
    /// What it would change.
    pub changes: Vec<Change>,
    /// What was seen.
    pub facts: BTreeMap<String, Value>,
    /// Digest of the verdict and the binding facts, where the step was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Digest>,
    /// How it would be taken back.
    pub undo: UndoPlan,
    /// What comes after it cannot be taken back without loss.
    pub point_of_no_return: bool,
    /// Seconds that it took last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
}

impl SavedPlan {
    /// The document of a preview.
    #[must_use]
    pub fn new(plan: &Plan, preview: &Preview, sources: SavedSources, version: &str) -> Self {
        let bytes = std::fs::read(&plan.workplan.path).unwrap_or_default();
        let tasks: Vec<SavedTask> = plan
            .tasks
            .iter()
            .map(|task| SavedTask {
                id: task.id.clone(),
                title: task.title.clone(),
                status: task.status.as_str().to_owned(),
                needs: task.needs.iter().map(|t| plan.tasks[*t].id.clone()).collect(),
                steps: task.steps.iter().map(|ix| step(plan, preview, *ix)).collect(),
            })
            .collect();
        let mut summary = BTreeMap::new();
        for action in ["run", "skip", "repair", "blocked", "unknown"] {
            let count = preview.steps.iter().filter(|s| s.action.as_str() == action).count();
            summary.insert(action.to_owned(), count);
        }
        let name = |ix: usize| plan.steps[ix].id.clone();
        let brackets = plan
            .brackets
            .iter()
            .map(|b| {
                json!({
                    "name": b.name,
                    "open": name(b.open),
                    "close": name(b.close),
                    "inside": b.inside.iter().map(|s| name(*s)).collect::<Vec<_>>(),
                    "budget_s": b.budget_ms.map(seconds),
                    "on_failure": b.on_failure,
                    "gate": b.gate,
                })
            })
            .collect();
        let mut this = Self {
            schema: "workplan/plan/v1".to_owned(),
            workplan: json!({
                "id": plan.workplan.id,
                "path": plan.workplan.path,
                "sha256": Digest::of(&bytes),
                "title": plan.workplan.title,
            }),
            target: json!({
                "name": plan.target.name,
                "kind": plan.target.kind,
                "identity": plan.target.identity,
                "of_record": plan.target.of_record,
                "live": plan.target.live,
            }),
            digest: Digest::of(b""),
            meaning: plan.meaning(),
            created_at: jiff::Timestamp::now().to_string(),
            version: version.to_owned(),
            sources,
            tasks,
            preconditions: preview
                .preconditions
                .iter()
                .map(|(text, met)| match met {
                    Ok(()) => json!({"text": text, "met": true}),
                    Err(why) => json!({
                        "text": text,
                        "met": false,
                        "looked": *why != Unmet::NotLooked,
                        "why": why.to_string(),
                    }),
                })
                .collect(),
            brackets,
            summary,
        };
        this.digest = this.computed_digest();
        this
    }

    /// The digest that the document's own content gives.
    #[must_use]
    pub fn computed_digest(&self) -> Digest {
        // What a person read is a part of it: an edited file is not what was approved.
        let steps: Vec<Value> =
            self.steps().map(|s| json!([s.id, s.action, s.binding, s.changes, s.undo])).collect();
        Digest::of_json(&json!([self.meaning, self.target["identity"], self.sources.scope, steps]))
    }

    /// Under what the journal remembers that it was run. Two plans that say the same are two.
    pub(super) fn spent_key(&self) -> String {
        format!("plan_spent/{}/{}", self.digest, self.created_at)
    }

    /// All steps.
    pub fn steps(&self) -> impl Iterator<Item = &SavedStep> {
        self.tasks.iter().flat_map(|t| &t.steps)
    }

    /// The step of a name.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&SavedStep> {
        self.steps().find(|s| s.id == id)
    }

    /// Whether anything would be done.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.steps().any(|s| matches!(s.action, PlannedAction::Run | PlannedAction::Repair))
    }

    /// What moved between this plan and one made now, each in a sentence.
    #[must_use]
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let mut out = Vec::new();
        if self.computed_digest() != self.digest {
            out.push(
                "the file was changed after it was saved: its digest is another one".to_owned(),
            );
        }
        if self.version != now.version {
            out.push(format!("it was made by version {}, this is {}", self.version, now.version));
        }
        if self.target["identity"] != now.target["identity"] {
            out.push(format!(
                "the target is {}, it was {}",
                now.target["identity"], self.target["identity"]
            ));
        }
        if self.meaning != now.meaning {
            out.push("the workplan or its plan file means something else now".to_owned());
        }
        for step in self.steps() {
            let Some(other) = now.step(&step.id) else {
                out.push(format!("step `{}` is gone", step.id));
                continue;
            };
            if step.action != other.action {
                out.push(format!(
                    "`{}` was to {}, now it is to {} ({})",
                    step.id,
                    step.action.as_str(),
                    other.action.as_str(),
                    other.reason
                ));
            } else if step.binding != other.binding {
                let facts: Vec<String> = step
                    .facts
                    .iter()
                    .filter(|(name, value)| other.facts.get(*name) != Some(value))
                    .map(|(name, _)| format!("`{name}`"))
                    .collect();
                out.push(format!("{} of `{}` moved", facts.join(", "), step.id));
            }
        }
        for step in now.steps().filter(|s| self.step(&s.id).is_none()) {
            out.push(format!("step `{}` is new", step.id));
        }
        out
    }
}

fn step(plan: &Plan, preview: &Preview, ix: usize) -> SavedStep {
    let (planned, shown) = (&plan.steps[ix], &preview.steps[ix]);
    SavedStep {
        id: planned.id.clone(),
        kind: planned.kind.clone(),
        needs: planned.needs.iter().map(|n| plan.steps[*n].id.clone()).collect(),
        action: shown.action,
        reason: shown.reason.clone(),
        changes: shown.changes.clone(),
        facts: shown
            .facts
            .0
            .iter()
            .map(|(name, fact)| {
                let mut shown = json!({"digest": fact.digest, "class": fact.class});
                if let Some(value) = &fact.value {
                    shown["value"] = value.clone();
                }
                (name.clone(), shown)
            })
            .collect(),
        binding: shown.binding.clone(),
        undo: shown.undo.clone(),
        point_of_no_return: planned.point_of_no_return,
        estimate_s: shown.estimate_ms.map(seconds),
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations of this size are shown, not counted")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
