//! Start, resume, roll back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dispatch::{Dispatcher, encode, now_ms, projections};
use super::environment::without_secrets;
use super::history::{self, History};
use super::launch::Supervised;
use super::perform::Workshop;
use super::preview::{forced, preconditions, preview};
use super::revise::revise;
use super::saved::{SavedPlan, SavedSources};
use super::select::{load_run, neighbours, unfinished};
use super::vault::Vault;
use super::writeback::WriteBack;
use super::{Control, Loaded, Reporter, SessionError, World};
use crate::digest::Digest;
use crate::journal::{Journal, LockError, Mode, Owner, Projection, RunLock, StateDir};
use crate::kind::Class;
use crate::plan::{Plan, TargetRef};
use crate::process::{ProcessId, wait_supervisor_gone};
use crate::run::{
    Direction, Ending, Event, Machine, Options, RunPhase, RunStarted, RunState, Scope,
    StepRevision, StepState,
};

/// How long a dead engine's supervisor may take to end what it ran.
const SUPERVISOR_WAIT: Duration = Duration::from_secs(10);

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

/// How a run is taken back.
#[derive(Debug, Clone)]
pub struct RollbackOptions {
    /// The step that stays.
    pub to: Option<String>,
    /// What would be lost is accepted.
    pub accept_loss: bool,
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

/// A target that is ours until this is dropped.
struct Held {
    /// `None` for proofs: they change nothing and are in nobody's way.
    lock: Option<RunLock>,
    /// The same for other state folders of this machine.
    _machine: Option<RunLock>,
    previous: Option<Owner>,
    owner: Owner,
    process: ProcessId,
}

/// This process, without a lock.
fn unlocked(run: &str) -> Result<Held, SessionError> {
    let owner = Owner::this_process(run, jiff::Timestamp::now())
        .ok_or_else(|| SessionError::Internal("failed to name this process".to_owned()))?;
    let process = ProcessId::current()
        .map_err(|e| SessionError::Internal(format!("failed to name this process: {e}")))?;
    Ok(Held { lock: None, _machine: None, previous: None, owner, process })
}

fn hold(
    world: &World,
    state_dir: &StateDir,
    target: &TargetRef,
    run: &str,
) -> Result<Held, SessionError> {
    let held = unlocked(run)?;
    let lock = |locks: &Path| {
        RunLock::acquire(locks, &target.identity, &held.owner).map_err(|e| {
            let help = e.help().to_owned();
            match e {
                LockError::Held { owner } => SessionError::Locked { owner, help },
                LockError::Unsure { owner } => SessionError::Locked { owner: Some(owner), help },
                LockError::Io { path, source } => SessionError::File { what: "lock", path, source },
            }
        })
    };
    let acquired = lock(&state_dir.locks())?;
    let machine = match world.machine_locks.as_deref().filter(|_| !target.implicit) {
        Some(locks) => Some(lock(locks)?.lock),
        None => None,
    };
    wait_supervisor_gone(&supervisor_lock(state_dir, &target.identity), SUPERVISOR_WAIT)?;
    Ok(Held { lock: Some(acquired.lock), _machine: machine, previous: acquired.previous, ..held })
}

fn supervisor_lock(state_dir: &StateDir, identity: &str) -> PathBuf {
    state_dir.locks().join(format!("{}.supervisor", Digest::of(identity.as_bytes()).short()))
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
    let held = if proof { unlocked(&run)? } else { hold(world, state_dir, &plan.target, &run)? };
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

fn make_run_folder(state_dir: &StateDir, run: &str) -> Result<(), SessionError> {
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
            unmet.into_iter().map(|(line, why)| (line, why.err().unwrap_or_default())).collect();
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
    let (held, journal, mut state) = open(world, state_dir, run)?;
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

/// Takes a run back.
///
/// # Errors
/// As [`resume`], and when a later run builds on it or a point of no return is passed.
pub async fn rollback(
    world: &World,
    state_dir: &StateDir,
    run: &str,
    options: RollbackOptions,
    reporter: &mut dyn Reporter,
    control: mpsc::UnboundedReceiver<Control>,
) -> Result<Outcome, SessionError> {
    let (held, journal, mut state) = open(world, state_dir, run)?;
    rollback_scope(&journal, &state, options.to.as_deref())?;
    if let Some(ix) = state.past_no_return()
        && !options.accept_loss
        && !state.accept_loss
    {
        return Err(SessionError::PastNoReturn { step: state.plan.steps[ix].id.clone() });
    }
    let event = Event::RollbackStarted {
        owner: held.process.clone(),
        to: options.to.clone(),
        accept_loss: options.accept_loss,
    };
    let mut driver = Driver::new(world, state_dir, held, journal, run)?;
    driver.commit_first(&mut state, event, reporter)?;
    let machine = MachineOptions { jobs: 1, grace: options.grace, history: History::default() };
    driver.drive(state, machine, None, reporter, control).await
}

/// The steps that a rollback would take back, last first.
///
/// # Errors
/// When the run was taken back or given up already, a later run builds on it, or `to` is no step
/// that was done.
pub fn rollback_scope(
    journal: &Journal,
    state: &RunState,
    to: Option<&str>,
) -> Result<Vec<usize>, SessionError> {
    if let RunPhase::Ended { state: ended, .. } = &state.phase
        && matches!(ended.as_str(), "rolled_back" | "abandoned")
    {
        return Err(finished(state));
    }
    let own = journal.run_row(&state.run)?;
    for row in journal.runs(&neighbours(&state.plan))? {
        let later = row.first_seq > own.first_seq
            && !matches!(row.state.as_str(), "rolled_back" | "abandoned")
            && !row.workplan.starts_with("do:");
        if later && did_something(journal, &row.run)? {
            return Err(SessionError::Superseded { run: state.run.clone(), later: row.run });
        }
    }
    let after = match to {
        None => 0,
        Some(name) => match state.step(name).map(|ix| &state.steps[ix]) {
            Some(rec) if rec.state.is_done() => rec.done_order,
            Some(_) => {
                return Err(SessionError::NotNow {
                    what: format!("`{name}` was not done in run {}", state.run),
                    help: "name a step that was done; it stays, and what was done after it is taken back".to_owned(),
                });
            }
            None => {
                let names = state.plan.steps.iter().map(|s| s.id.as_str());
                return Err(SessionError::Unknown {
                    what: format!("run {} has no step `{name}`", state.run),
                    help: crate::text::did_you_mean(name, names),
                });
            }
        },
    };
    let mut steps: Vec<usize> = (0..state.steps.len())
        .filter(|ix| {
            let rec = &state.steps[*ix];
            let stands = rec.state.is_done()
                || matches!(rec.state, StepState::Undoing | StepState::UndoFailed);
            stands && rec.done_order > after
        })
        .collect();
    steps.sort_by_key(|ix| std::cmp::Reverse(state.steps[*ix].done_order));
    Ok(steps)
}

/// A run in which nothing was done is in nobody's way.
fn did_something(journal: &Journal, run: &str) -> Result<bool, SessionError> {
    Ok(load_run(journal, run)?.steps.iter().any(|r| r.state.is_done()))
}

fn finished(state: &RunState) -> SessionError {
    let ended = match &state.phase {
        RunPhase::Ended { state, .. } => state.replace('_', " "),
        RunPhase::Live => "running".to_owned(),
    };
    SessionError::NotNow {
        what: format!("run {} is finished: {ended}", state.run),
        help: "there is nothing to go on with".to_owned(),
    }
}

fn open(
    world: &World,
    state_dir: &StateDir,
    run: &str,
) -> Result<(Held, Journal, RunState), SessionError> {
    let reader = Journal::open(state_dir, Mode::ReadWrite)?;
    let target = load_run(&reader, run)?.plan.target.clone();
    drop(reader);
    let held = hold(world, state_dir, &target, run)?;
    // Read again: the run may have moved until the lock was ours.
    let journal = Journal::open(state_dir, Mode::ReadWrite)?;
    let state = load_run(&journal, run)?;
    Ok((held, journal, state))
}

struct MachineOptions {
    jobs: usize,
    grace: Duration,
    history: History,
}

/// What a run needs until it is driven.
struct Driver<'w> {
    world: &'w World,
    state_dir: &'w StateDir,
    held: Held,
    journal: Journal,
    vault: Arc<Vault>,
    head: u64,
}

impl<'w> Driver<'w> {
    fn new(
        world: &'w World,
        state_dir: &'w StateDir,
        held: Held,
        journal: Journal,
        run: &str,
    ) -> Result<Self, SessionError> {
        make_run_folder(state_dir, run)?;
        let head = journal.head(run)?.seq;
        let vault = Vault::new(Arc::clone(&world.secrets));
        Ok(Self { world, state_dir, held, journal, vault, head })
    }

    fn commit_first(
        &mut self,
        state: &mut RunState,
        event: Event,
        reporter: &mut dyn Reporter,
    ) -> Result<(), SessionError> {
        if let Some(previous) = &self.held.previous {
            reporter.notice(&format!(
                "took over from process {} on {}, which ended without a word",
                previous.pid, previous.host
            ));
        }
        let run = state.run.clone();
        state.apply(now_ms(), &event);
        let new = encode(&event, &self.vault)?;
        let events = [event];
        let derived = projections(state, &events, Some(&self.held.owner));
        let at = jiff::Timestamp::now();
        let stored = self.journal.append_expecting(&run, self.head, at, &[new], &derived)?;
        self.head = stored.last().map_or(self.head, |e| e.seq);
        reporter.committed(state, &stored, &events);
        Ok(())
    }

    async fn drive(
        self,
        state: RunState,
        machine: MachineOptions,
        saved: Option<SavedPlan>,
        reporter: &mut dyn Reporter,
        control: mpsc::UnboundedReceiver<Control>,
    ) -> Result<Outcome, SessionError> {
        let plan = Arc::clone(&state.plan);
        let run = state.run.clone();
        let env = without_secrets(&self.world.env, &plan);
        let (line_sender, lines) = mpsc::channel(256);
        let supervisor = supervisor_lock(self.state_dir, &plan.target.identity);
        let launcher = Supervised::new(
            self.world,
            env,
            Arc::clone(&self.vault),
            self.held.lock.is_some().then_some(supervisor),
            reporter.wants_lines().then_some(line_sender),
        );
        let workshop = Workshop::new(
            self.world.registry.clone(),
            plan,
            Arc::clone(&self.vault),
            Arc::clone(&launcher),
            &run,
            false,
        );
        let options = Options {
            jobs: machine.jobs.max(1),
            grace_ms: u64::try_from(machine.grace.as_millis()).unwrap_or(u64::MAX),
            past: machine.history.past,
            edited: machine.history.edited,
            resolve_only: false,
        };
        let writeback = WriteBack::new(&state, &self.state_dir.run(&run))?;
        let looks = Arc::new(tokio::sync::Semaphore::new(options.jobs.max(4)));
        let outcome = Dispatcher {
            journal: self.journal,
            state_dir: self.state_dir.clone(),
            run,
            machine: Machine::new(state, options.clone()),
            workshop,
            vault: self.vault,
            launcher,
            reporter,
            control,
            lines,
            writeback,
            saved,
            owner: Some(self.held.owner.clone()),
            head: self.head,
            stale: Vec::new(),
            options,
            looks,
            untold: Vec::new(),
        }
        .drive()
        .await;
        drop(self.held);
        outcome
    }
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
