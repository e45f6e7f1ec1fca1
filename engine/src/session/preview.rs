//! A dry-run: what each step would do, and why. Changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use futures_lite_join::join_bounded;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::binding::binding_of;
use super::environment::without_secrets;
use super::history;
use super::launch::Supervised;
use super::perform::{self, Workshop};
use super::precondition::{self, Unmet};
use super::vault::Vault;
use super::{SessionError, World};
use crate::digest::Digest;
use crate::journal::Journal;
use crate::kind::{Change, Facts, Seen, UndoPlan};
use crate::plan::{Plan, StepIx};
use crate::process::ProcessId;
use crate::run::{
    Action, Input, Machine, Mark, Options, Purpose, RunStarted, RunState, Scope, Sight,
};

/// What would be done with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// It would run.
    Run,
    /// It is so, or is not needed.
    Skip,
    /// It is half done and would be repaired.
    Repair,
    /// A status or a person's task is in the way.
    Blocked,
    /// Its state cannot be told.
    Unknown,
}

impl PlannedAction {
    /// As the plan says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Skip => "skip",
            Self::Repair => "repair",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

/// What would be done with one step, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPreview {
    /// What.
    pub action: PlannedAction,
    /// Why, in words.
    pub reason: String,
    /// What it would change.
    pub changes: Vec<Change>,
    /// What was seen.
    pub facts: Facts,
    /// How it would be taken back.
    pub undo: UndoPlan,
    /// Milliseconds that it took last time.
    pub estimate_ms: Option<u64>,
    /// Digest of the verdict and the binding facts, where the step was looked at.
    pub binding: Option<Digest>,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// In the order of the plan's steps.
    pub steps: Vec<StepPreview>,
    /// Bound preconditions: the line, and why it is not met.
    pub preconditions: Vec<(String, Result<(), Unmet>)>,
}

impl Preview {
    /// Whether anything would be done.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.action, PlannedAction::Run | PlannedAction::Repair))
    }
}

/// Looks, and says what a run would do. `journal` is the record of earlier runs, where there is
/// one.
///
/// # Errors
/// When the journal cannot be read.
pub async fn preview(
    world: &World,
    plan: &Plan,
    journal: Option<&Journal>,
    scope: Option<&Scope>,
) -> Result<Preview, SessionError> {
    let plan = Arc::new(plan.clone());
    let (mut workshop, launcher) = workshop(world, &plan, true);
    let history = history::load(journal, &plan)?;
    let preconditions = precondition::check(&workshop, &plan, true).await;
    let took_ms = history.took_ms.clone();
    let mut machine = machine(&plan, scope, history)?;
    let sights = resolve(&mut machine, &mut workshop).await;
    let mut steps = Vec::with_capacity(plan.steps.len());
    for ix in 0..plan.steps.len() {
        let mut shown = step(&machine, &mut workshop, &sights, ix).await;
        shown.estimate_ms = took_ms.get(&ix).copied();
        steps.push(shown);
    }
    launcher.shutdown().await?;
    Ok(Preview { steps, preconditions })
}

/// Checks the bound preconditions as a run does: also by what a dry-run may not ask.
pub(super) async fn preconditions(
    world: &World,
    plan: &Plan,
) -> Result<Vec<(String, Result<(), Unmet>)>, SessionError> {
    if plan.preconditions.is_empty() {
        return Ok(Vec::new());
    }
    let plan = Arc::new(plan.clone());
    let (workshop, launcher) = workshop(world, &plan, false);
    let checked = precondition::check(&workshop, &plan, false).await;
    launcher.shutdown().await?;
    Ok(checked)
}

/// Where steps are built and looked at without a run.
fn workshop(world: &World, plan: &Arc<Plan>, dry_run: bool) -> (Workshop, Arc<Supervised>) {
    let vault = Vault::new(Arc::clone(&world.secrets));
    let env = without_secrets(&world.env, plan);
    let launcher = Supervised::new(world, env, Arc::clone(&vault), None, None);
    let workshop = Workshop::new(
        world.registry.clone(),
        Arc::clone(plan),
        vault,
        Arc::clone(&launcher),
        "-",
        dry_run,
    );
    (workshop, launcher)
}

fn machine(
    plan: &Arc<Plan>,
    scope: Option<&Scope>,
    history: history::History,
) -> Result<Machine, SessionError> {
    let owner = ProcessId::current()
        .map_err(|e| SessionError::Internal(format!("failed to name this process: {e}")))?;
    let started = RunStarted {
        run: "-".to_owned(),
        plan: (**plan).clone(),
        owner,
        version: String::new(),
        saved_plan: None,
        asked: scope.cloned(),
        forced: forced(plan, scope),
        single: false,
        updated: None,
        workplan_status: None,
        statuses: Default::default(),
        sources: serde_json::Value::Null,
        preconditions: Vec::new(),
    };
    let options = Options {
        jobs: 1,
        past: history.past,
        edited: history.edited,
        resolve_only: true,
        ..Options::default()
    };
    Ok(Machine::new(RunState::begin(0, &started), options))
}

/// The steps that a scope has done again.
pub(super) fn forced(plan: &Plan, scope: Option<&Scope>) -> Vec<String> {
    match scope {
        Some(Scope::Only(step)) => vec![step.clone()],
        Some(Scope::From(step)) => {
            let Some(from) = plan.step(step) else { return Vec::new() };
            let mut all: Vec<StepIx> = plan.graph().after(from).into_iter().collect();
            all.push(from);
            all.sort_unstable();
            all.into_iter().map(|ix| plan.steps[ix].id.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// Drives the machine until it knows what is due; gives back what was seen.
async fn resolve(machine: &mut Machine, workshop: &mut Workshop) -> HashMap<StepIx, Sight> {
    let mut sights = HashMap::new();
    let mut actions = machine.decide(0, Input::Begin).actions;
    while !actions.is_empty() {
        let mut jobs = Vec::new();
        for action in std::mem::take(&mut actions) {
            let Action::Look { step, purpose } = action else { continue };
            jobs.push(look(machine, workshop, step, purpose));
        }
        for (step, purpose, sight) in join_bounded(jobs, 4).await {
            sights.insert(step, sight.clone());
            let input = Input::Looked { step, purpose, sight: Box::new(sight) };
            actions.extend(machine.decide(0, input).actions);
        }
    }
    sights
}

fn look(
    machine: &Machine,
    workshop: &mut Workshop,
    step: StepIx,
    purpose: Purpose,
) -> impl Future<Output = (StepIx, Purpose, Sight)> + Send + 'static {
    let past = machine.past(step, &purpose);
    let built = workshop.step(machine, step);
    let look = workshop.look(step, past, 0, CancellationToken::new());
    async move {
        let sight = match built {
            Err(why) => perform::blind(&why),
            Ok(built) => {
                let seen = match perform::look_now(built.as_ref(), &look, &purpose) {
                    Some(seen) => seen,
                    None => perform::look(Arc::clone(&built), look, &purpose, None).await,
                };
                perform::sight(built.as_ref(), seen)
            }
        };
        (step, purpose, sight)
    }
}

async fn step(
    machine: &Machine,
    workshop: &mut Workshop,
    sights: &HashMap<StepIx, Sight>,
    ix: StepIx,
) -> StepPreview {
    let plan = machine.plan();
    let mark = machine.marks.get(ix).cloned().unwrap_or(Mark::Settled);
    let seen = sights.get(&ix).map(|s| s.observation.clone());
    let planned = &plan.steps[ix];
    // Before its inputs are known a step is described with their names in their place.
    let built = workshop.step(machine, ix).or_else(|_| {
        workshop.build(&planned.kind, &planned.with, &|step, name| {
            Some(format!("${{{{ steps.{step}.outputs.{name} }}}}").into())
        })
    });
    let undo = match &built {
        Ok(built) => built.undo_plan(),
        // What an earlier step gives is not known yet; the step itself may still be described.
        Err(_) => UndoPlan::Cannot("not known before an earlier step has run".to_owned()),
    };
    let facts = seen.as_ref().map(|s| s.facts.clone()).unwrap_or_default();
    let binding = seen.as_ref().filter(|s| !s.not_looked).map(binding_of);
    let (action, reason) = match &mark {
        Mark::Due(why, seen) => match seen.as_ref().map(|s| &s.seen) {
            Some(Seen::Half(what)) => (PlannedAction::Repair, format!("half done: {what}")),
            Some(Seen::Unknown(why)) if settled(machine, &plan, ix) => {
                (PlannedAction::Unknown, why.clone())
            }
            _ => (PlannedAction::Run, why.clone()),
        },
        Mark::So(seen) => (
            PlannedAction::Skip,
            seen.record
                .as_ref()
                .map_or_else(|| "it is so".to_owned(), |r| format!("done before: {r}")),
        ),
        Mark::NotNeeded(why) => (PlannedAction::Skip, why.clone()),
        Mark::Blocked { why, .. } => (PlannedAction::Blocked, why.clone()),
        Mark::Settled | Mark::Deferred | Mark::Looking | Mark::Awaiting => {
            (PlannedAction::Skip, "not needed".to_owned())
        }
    };
    let acts = matches!(action, PlannedAction::Run | PlannedAction::Repair);
    let changes = match (&built, acts) {
        (Ok(built), true) => {
            let look =
                workshop.look(ix, machine.past(ix, &Purpose::Resolve), 0, CancellationToken::new());
            let seen = seen.unwrap_or_else(crate::kind::Observation::absent);
            built.preview(&look, &seen).await
        }
        (Err(_), true) => vec![unknown_yet(&plan, ix)],
        _ => Vec::new(),
    };
    let reason = match facts.0.get(perform::MOVED).and_then(|fact| fact.value.as_ref()) {
        Some(serde_json::Value::Array(moved)) => {
            let moved = moved.iter().filter_map(|text| text.as_str());
            moved.fold(reason, |all, text| format!("{all}; {text}"))
        }
        _ => reason,
    };
    StepPreview { action, reason, changes, facts, undo, estimate_ms: None, binding }
}

/// Nothing that would run before a step can change what was seen of it.
fn settled(machine: &Machine, plan: &Plan, ix: StepIx) -> bool {
    plan.steps[ix].needs.iter().all(|n| !machine.marks[*n].is_due())
}

/// A step whose parameters are known only after an earlier one.
fn unknown_yet(plan: &Plan, ix: StepIx) -> Change {
    Change {
        op: "run".to_owned(),
        path: plan.steps[ix].id.clone(),
        before: None,
        after: Some(serde_json::json!("known only after an earlier step has run")),
    }
}

/// A small bounded join: a wide level of checks must not start thousands of processes at once.
mod futures_lite_join {
    use tokio::task::JoinSet;

    pub(super) async fn join_bounded<T: Send + 'static>(
        jobs: Vec<impl Future<Output = T> + Send + 'static>,
        at_once: usize,
    ) -> Vec<T> {
        let mut out = Vec::with_capacity(jobs.len());
        let mut running = JoinSet::new();
        for job in jobs {
            if running.len() >= at_once
                && let Some(Ok(done)) = running.join_next().await
            {
                out.push(done);
            }
            running.spawn(job);
        }
        while let Some(done) = running.join_next().await {
            out.extend(done.ok());
        }
        out
    }
}
