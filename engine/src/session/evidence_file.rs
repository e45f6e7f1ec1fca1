//! Evidence beside the workplan: what another clone can check. No secrets.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::kind::Facts;
use crate::plan::Plan;
use crate::run::{Person, RunState, StepState, TaskProgress};

/// `evidence/RUN.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// `workplan/evidence/v1`.
    pub schema: String,
    /// The run.
    pub run: String,
    /// The workplan's id.
    pub workplan: String,
    /// Name, kind and identity of the target.
    pub target: Value,
    /// The tasks that the run has brought to an end.
    pub tasks: Vec<TaskEvidence>,
}

/// Proof of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEvidence {
    /// The task's full id.
    pub id: String,
    /// Its clauses and the steps that prove them.
    pub clauses: Vec<Value>,
    /// Its steps.
    pub steps: Vec<StepEvidence>,
}

/// Proof of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEvidence {
    /// The step's full name.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Digest of what it means.
    pub meaning: Digest,
    /// `done`, `adopted`, or `skipped` where it was so already or not needed.
    pub state: String,
    /// Why, for skipped steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It rests on an exit code alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// What was seen.
    #[serde(default)]
    pub facts: Facts,
    /// What it gave.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// A person's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// Milliseconds since the epoch at its first intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// Milliseconds since the epoch when it was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
}

impl EvidenceFile {
    /// The evidence of the given tasks.
    pub(super) fn of(state: &RunState, tasks: &[(usize, TaskProgress)]) -> Self {
        let plan = &state.plan;
        Self {
            schema: "workplan/evidence/v1".to_owned(),
            run: state.run.clone(),
            workplan: plan.workplan.id.clone(),
            target: serde_json::json!({
                "name": plan.target.name,
                "kind": plan.target.kind,
                "identity": plan.target.identity,
            }),
            tasks: tasks.iter().map(|(ix, p)| task(state, *ix, p)).collect(),
        }
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    }
}

fn task(state: &RunState, ix: usize, progress: &TaskProgress) -> TaskEvidence {
    let plan = &state.plan;
    let steps = plan.tasks[ix]
        .steps
        .iter()
        .filter(|s| !plan.steps[**s].retired)
        .map(|s| {
            let (step, rec) = (&plan.steps[*s], &state.steps[*s]);
            let evidence = rec.evidence.clone().unwrap_or_default();
            StepEvidence {
                id: step.id.clone(),
                kind: step.kind.clone(),
                meaning: step.meaning.clone(),
                state: rec.state.as_str().to_owned(),
                reason: rec.reason.clone().filter(|_| rec.state == StepState::Skipped),
                weak: evidence.weak,
                facts: evidence.facts,
                outputs: evidence.outputs,
                person: evidence.person,
                started_ms: rec.started_ms,
                // Looked at again on resume; the evidence is the same as before.
                ended_ms: rec.ended_ms.filter(|_| rec.state.is_done()),
            }
        })
        .collect();
    let clauses = progress
        .clauses
        .iter()
        .map(|c| serde_json::json!({"text": c.text, "proven_by": c.by}))
        .collect();
    TaskEvidence { id: plan.tasks[ix].full_id.clone(), clauses, steps }
}

/// The folder of evidence of a workplan.
pub(super) fn folder(workplan: &Path) -> PathBuf {
    workplan.parent().unwrap_or(Path::new(".")).join("evidence")
}

type Accepted = HashMap<(String, String), (String, BTreeMap<String, Value>)>;

/// Steps that committed evidence of this very target proves, by name and meaning. Files that
/// cannot be read as evidence prove nothing.
pub(super) fn accepted(plan: &Plan) -> Accepted {
    let mut out = Accepted::new();
    let Ok(entries) = std::fs::read_dir(folder(&plan.workplan.path)) else { return out };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    // Run ids sort by time; later evidence replaces earlier.
    paths.sort();
    let workplan = std::fs::read_to_string(&plan.workplan.path).unwrap_or_default();
    for path in paths {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let Ok(file) = serde_json::from_slice::<EvidenceFile>(&bytes) else { continue };
        let here = file.target["identity"].as_str() == Some(plan.target.identity.as_str());
        // The Markdown names the digest of the file: an edited file proves nothing.
        let named = workplan.contains(&format!("(evidence sha256:{})", Digest::of(&bytes)));
        if !here || !named || file.workplan != plan.workplan.id {
            continue;
        }
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        for step in file.tasks.into_iter().flat_map(|t| t.steps) {
            let passed = step.state != "skipped" || !step.facts.0.is_empty() || step.weak;
            if passed {
                out.insert((step.id, step.meaning.to_string()), (name.clone(), step.outputs));
            }
        }
    }
    out
}
