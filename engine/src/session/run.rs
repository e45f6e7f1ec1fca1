//! Start and resume.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dispatch::encode;
use super::driver::{Driver, MachineOptions, hold, open, unlocked};
use super::guard::guard;
use super::history::{self, History};
use super::preview::{forced, preconditions, preview};
use super::revise::revise;
use super::rollback::finished;
use super::saved::{SavedPlan, SavedSources};
use super::select::{neighbours, unfinished};
use super::vault::Vault;
use super::{Control, Loaded, Reporter, SessionError, World};
use crate::journal::{Journal, Mode, Projection, StateDir};
use crate::kind::Class;
use crate::plan::Plan;
use crate::run::{Direction, Ending, Event, RunStarted, RunState, Scope, StepRevision};

/// How a run is started.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// Attempts under way at once.
    pub jobs: usize,
    /// The part that is asked for.
    pub scope: Option<Scope>,
    /// How the sources are found again on resume.
    pub sources: SavedSources,
    /// The plan that was saved and read before.
    pub saved: Option<SavedPlan>,
    /// What running steps get after the first cancel.
    pub grace: Duration,
    /// A single step without a workplan.
    pub single: bool,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            jobs: 1,
            scope: None,
            sources: SavedSources::default(),
            saved: None,
            grace: Duration::from_secs(10),
            single: false,
        }
    }
}

/// How a run is gone on with.
#[derive(Debug, Clone)]
pub struct ResumeOptions {
    /// Attempts under way at once.
    pub jobs: usize,
    /// What running steps get after the first cancel.
    pub grace: Duration,
}

/// How a run ended for this process.
#[derive(Debug)]
pub struct Outcome {
    /// The run.
    pub run: String,
    /// How.
    pub ending: Ending,
    /// Why, in words.
    pub reason: String,
    /// Its state.
    pub state: RunState,
}

/// Starts a run.
///
/// # Errors
/// When the target is in use or remembers an unfinished run, when preconditions are not met, when
/// the saved plan is stale, or when the journal cannot be written.
pub async fn start(
    world: &World,
    state_dir: &StateDir,
    loaded: &Loaded,
    options: StartOptions,
    reporter: &mut dyn Reporter,
    control: mpsc::UnboundedReceiver<Control>,
) -> Result<Outcome, SessionError> {
    let Some(plan) = loaded.plan.clone() else {
        return Err(SessionError::Invalid(loaded.diagnostics.clone()));
    };
    state_dir.create()?;
    let run = new_run_id();
    let proof = options.single && plan.steps.iter().all(|s| s.class == Class::Proof);
    let mut held =
        if proof { unlocked(&run)? } else { hold(world, state_dir, &plan.target, &run)? };
    let mut journal = Journal::open(state_dir, Mode::ReadWrite)?;
    if !options.single {
        refuse_over_unfinished(&journal, &plan)?;
    }
    let met = before_start(world, &journal, &plan, &options).await?;
    let history =
        if options.single { History::default() } else { history::load(Some(&journal), &plan)? };
    let document = loaded.document.as_ref();
    let started = Event::RunStarted(Box::new(RunStarted {
        run: run.clone(),
        owner: held.process.clone(),
        version: world.version.clone(),
        saved_plan: options.saved.as_ref().map(|s| s.digest.clone()),
        asked: options.scope.clone(),
        forced: forced(&plan, options.scope.as_ref()),
        single: options.single,
        sources: serde_json::to_value(&options.sources).unwrap_or_default(),
        updated: document.and_then(|d| d.updated_written()).map(str::to_owned),
        workplan_status: document.and_then(|d| d.status_written()).map(str::to_owned),
        statuses: document
            .map(|d| {
                d.tasks
                    .iter()
                    .filter_map(|t| Some((t.short.clone(), t.status_written(&d.file)?.to_owned())))
                    .collect()
            })
            .unwrap_or_default(),
        preconditions: met,
        plan: plan.clone(),
    }));
    let vault = Vault::new(Arc::clone(&world.secrets));
    let mut first = vec![
        Projection::RunCreated {
            workplan: plan.workplan.id.clone(),
            path: plan.workplan.path.display().to_string(),
            target: plan.target.identity.clone(),
        },
        Projection::Owner { owner: Some(held.owner.clone()) },
    ];
    if let Some(saved) = &options.saved {
        let key = saved.spent_key();
        first.push(Projection::Kv { key, value: run.clone(), event: 0 });
    }
    if !proof {
        held.guarded = guard(world, &journal, &plan, &held.owner, options.single).await?;
    }
    make_run_folder(state_dir, &run)?;
    let now = jiff::Timestamp::now();
    let stored = journal.append(&run, now, &[encode(&started, &vault)?], &first)?;
    let state = RunState::fold([(now.as_millisecond(), &started)])
        .ok_or_else(|| SessionError::Internal("a run without a beginning".to_owned()))?;
    reporter.committed(&state, &stored, std::slice::from_ref(&started));
    let head = stored.last().map_or(0, |e| e.seq);
    let machine = MachineOptions { jobs: options.jobs, grace: options.grace, history };
    let driver = Driver { world, state_dir, held, journal, vault, head };
    driver.drive(state, machine, options.saved, reporter, control).await
}

pub(super) fn make_run_folder(state_dir: &StateDir, run: &str) -> Result<(), SessionError> {
    let logs = state_dir.log(run, "x", 1);
    let folder = logs.parent().unwrap_or(state_dir.root()).to_path_buf();
    std::fs::create_dir_all(&folder).map_err(|source| SessionError::File {
        what: "make",
        path: folder,
        source,
    })
}

/// The target remembers what is not finished.
fn refuse_over_unfinished(journal: &Journal, plan: &Plan) -> Result<(), SessionError> {
    match unfinished(journal, &neighbours(plan))?.into_iter().next() {
        None => Ok(()),
        Some(row) => Err(SessionError::Unfinished {
            run: row.run,
            workplan: row.workplan,
            state: if row.state == "running" { "interrupted".to_owned() } else { row.state },
        }),
    }
}

/// Preconditions and a saved plan, looked at before there is a run.
async fn before_start(
    world: &World,
    journal: &Journal,
    plan: &Plan,
    options: &StartOptions,
) -> Result<Vec<String>, SessionError> {
    if let Some(saved) = &options.saved
        && let Some(spent) = journal.kv(&saved.spent_key())?
    {
        let what = vec![format!("it was spent by run {}; a plan is run once", spent.value)];
        return Err(SessionError::Stale { what });
    }
    if let Some(saved) = &options.saved {
        // What the plan was bound to was seen in a dry-run; it is looked at in the same way.
        let now = preview(world, plan, Some(journal), options.scope.as_ref()).await?;
        let sources = SavedSources { scope: options.scope.clone(), ..saved.sources.clone() };
        let fresh = SavedPlan::new(plan, &now, sources, &world.version);
        let moved = saved.moved(&fresh);
        if !moved.is_empty() {
            return Err(SessionError::Stale { what: moved });
        }
    }
    let checked = preconditions(world, plan).await?;
    let (met, unmet): (Vec<_>, Vec<_>) = checked.into_iter().partition(|(_, met)| met.is_ok());
    if !unmet.is_empty() {
        let unmet =
            unmet.into_iter().filter_map(|(line, met)| Some((line, met.err()?.to_string())));
        let unmet = unmet.collect();
        return Err(SessionError::Preconditions { unmet });
    }
    Ok(met.into_iter().map(|(line, _)| line).collect())
}

/// Goes on with a run: forward, or backward where it was rolling back.
///
/// # Errors
/// When the target is in use, the run is finished, or the journal cannot be written.
pub async fn resume(
    world: &World,
    state_dir: &StateDir,
    run: &str,
    loaded: Option<&Loaded>,
    options: ResumeOptions,
    reporter: &mut dyn Reporter,
    control: mpsc::UnboundedReceiver<Control>,
) -> Result<Outcome, SessionError> {
    let (mut held, journal, mut state) = open(world, state_dir, run)?;
    if !state.is_unfinished() {
        return Err(finished(&state));
    }
    let fresh =
        loaded.and_then(|l| l.plan.as_ref()).filter(|_| state.direction == Direction::Forward);
    let revision = fresh.and_then(|plan| revise(&state, plan));
    let forced = state
        .forced
        .iter()
        .filter(|f| state.step(f).is_some_and(|ix| state.steps[ix].attempts == 0))
        .cloned()
        .collect();
    let (plan, revisions) = match revision {
        Some((plan, revisions)) => (Some(Box::new(plan)), revisions),
        None => (None, Vec::new()),
    };
    if let Some(plan) = &plan {
        refuse_without_bracket(&state, plan)?;
    }
    let edited: Vec<String> = revisions
        .iter()
        .filter_map(|r| match r {
            StepRevision::Added { step } | StepRevision::Changed { step, .. } => Some(step.clone()),
            _ => None,
        })
        .collect();
    held.guarded = guard(world, &journal, &state.plan, &held.owner, state.single).await?;
    let event = Event::RunResumed { owner: held.process.clone(), plan, revisions, forced };
    let mut driver = Driver::new(world, state_dir, held, journal, run)?;
    driver.commit_first(&mut state, event, reporter)?;
    let mut history = history::load(Some(&driver.journal), &state.plan)?;
    // What was edited is wanted, also where all that comes after it is done.
    history.edited.extend(edited.iter().filter_map(|step| state.step(step)));
    let machine = MachineOptions { jobs: options.jobs, grace: options.grace, history };
    driver.drive(state, machine, None, reporter, control).await
}

/// An edit must not take away what would close an open bracket.
fn refuse_without_bracket(state: &RunState, plan: &Plan) -> Result<(), SessionError> {
    for open in state.open_brackets() {
        let name = &state.plan.brackets[open].name;
        if !plan.brackets.iter().any(|b| b.name == *name) {
            return Err(SessionError::NotNow {
                what: format!("`{name}` is open, and the edited plan has no such bracket"),
                help: format!(
                    "put it back and resume, or take the run back: `workplan rollback {}`",
                    state.run
                ),
            });
        }
    }
    Ok(())
}

/// Thirteen letters and digits: the first nine sort by time, the rest are random.
fn new_run_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let mut random = [0_u8; 4];
    if getrandom::fill(&mut random).is_err() {
        // Without randomness the process still tells runs of the same millisecond apart.
        random = std::process::id().to_le_bytes();
    }
    let time = (0..9).rev().map(|i| DIGITS[(ms >> (5 * i)) as usize % 32] as char);
    let rest = random.iter().map(|b| DIGITS[usize::from(*b) % 32] as char);
    time.chain(rest).collect()
}
