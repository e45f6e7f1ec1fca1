//! What is drawn, whatever the format.

use workplan_engine::plan::{OnFailure, Plan, StepIx};

/// A plan as boxes and lines.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// The workplan's id and title.
    pub(crate) title: String,
    /// Tasks; steps outside of any task belong to one without a title.
    pub(crate) tasks: Vec<TaskBox>,
    /// Steps, each after all that it needs.
    pub(crate) steps: Vec<StepBox>,
    /// Lines from a step to one that needs it; what follows from others is left out.
    pub(crate) lines: Vec<(StepIx, StepIx)>,
    /// Outages.
    pub(crate) brackets: Vec<BracketBox>,
}

/// A task.
#[derive(Debug)]
pub(crate) struct TaskBox {
    /// `T02 — title`, and its status; empty for steps outside of tasks.
    pub(crate) label: String,
    /// Its steps.
    pub(crate) steps: Vec<StepIx>,
}

/// A step.
#[derive(Debug)]
pub(crate) struct StepBox {
    /// The full name.
    pub(crate) id: String,
    /// The kind.
    pub(crate) kind: String,
    /// Its role: in a bracket, a point of no return, a proof.
    pub(crate) notes: Vec<String>,
    /// The bracket that it opens, closes or is inside of.
    pub(crate) bracket: Option<usize>,
    /// Its task.
    pub(crate) task: usize,
}

/// A bracket.
#[derive(Debug)]
pub(crate) struct BracketBox {
    /// `outage: at most 5m, then release`.
    pub(crate) label: String,
    /// All its steps, from open to close.
    pub(crate) steps: Vec<StepIx>,
}

impl Drawing {
    /// What is drawn of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let steps =
            plan.steps.iter().enumerate().map(|(ix, step)| step_box(plan, ix, step)).collect();
        Self {
            title: format!("{} — {}", plan.workplan.id, plan.workplan.title),
            tasks: plan
                .tasks
                .iter()
                .map(|t| TaskBox {
                    label: if t.id.is_empty() {
                        String::new()
                    } else {
                        format!("{} — {} ({})", t.id, t.title, t.status.as_str())
                    },
                    steps: t.steps.clone(),
                })
                .collect(),
            lines: reduced(plan),
            brackets: plan
                .brackets
                .iter()
                .map(|b| BracketBox { label: bracket_label(b), steps: all_steps(b) })
                .collect(),
            steps,
        }
    }
}

fn all_steps(bracket: &workplan_engine::plan::Bracket) -> Vec<StepIx> {
    let mut steps = bracket.inside.clone();
    steps.extend([bracket.open, bracket.close]);
    steps.sort_unstable();
    steps.dedup();
    steps
}

fn bracket_label(bracket: &workplan_engine::plan::Bracket) -> String {
    let budget = bracket.budget_ms.map_or_else(String::new, |ms| {
        let budget = std::time::Duration::from_millis(ms);
        format!(" at most {},", workplan_engine::duration::format(budget))
    });
    let after = match bracket.on_failure {
        OnFailure::Release => "release",
        OnFailure::Hold => "hold",
    };
    format!("bracket {}:{budget} on failure {after}", bracket.name)
}

fn step_box(plan: &Plan, ix: StepIx, step: &workplan_engine::plan::PlanStep) -> StepBox {
    let mut notes = Vec::new();
    let mut mine = None;
    for (number, bracket) in plan.brackets.iter().enumerate() {
        if bracket.open == ix {
            notes.push(format!("opens {}", bracket.name));
        }
        if bracket.close == ix {
            notes.push(format!("closes {}", bracket.name));
        }
        if bracket.open == ix || bracket.close == ix || bracket.inside.contains(&ix) {
            mine = Some(number);
        }
    }
    if step.point_of_no_return {
        notes.push("point of no return".to_owned());
    }
    if step.proves {
        notes.push("proves".to_owned());
    }
    StepBox { id: step.id.clone(), kind: step.kind.clone(), notes, bracket: mine, task: step.task }
}

/// The lines that are not implied by longer ways: `a -> c` is left out where `a -> b -> c` is.
fn reduced(plan: &Plan) -> Vec<(StepIx, StepIx)> {
    let graph = plan.graph();
    let before: Vec<_> = (0..plan.steps.len()).map(|ix| graph.before(ix)).collect();
    let mut lines = Vec::new();
    for (to, step) in plan.steps.iter().enumerate() {
        let direct = &step.needs;
        for from in direct {
            let implied = direct.iter().any(|other| other != from && before[*other].contains(from));
            if !implied {
                lines.push((*from, to));
            }
        }
    }
    lines
}
