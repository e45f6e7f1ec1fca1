//! What every run needs: the target's lock, the journal, and the dispatcher that drives it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dispatch::{Dispatcher, encode, now_ms, projections};
use super::environment::without_secrets;
use super::guard::Guarded;
use super::history::History;
use super::launch::Supervised;
use super::perform::Workshop;
use super::run::make_run_folder;
use super::saved::SavedPlan;
use super::select::load_run;
use super::vault::Vault;
use super::writeback::WriteBack;
use super::{Control, Outcome, Reporter, SessionError, World};
use crate::digest::Digest;
use crate::journal::{Journal, LockError, Mode, Owner, RunLock, StateDir};
use crate::plan::TargetRef;
use crate::process::{ProcessId, wait_supervisor_gone};
use crate::run::{Event, Machine, Options, RunState};

/// How long a dead engine's supervisor may take to end what it ran.
const SUPERVISOR_WAIT: Duration = Duration::from_secs(10);

/// A target that is ours until this is dropped.
pub(super) struct Held {
    /// `None` for proofs: they change nothing and are in nobody's way.
    pub(super) lock: Option<RunLock>,
    /// The same for other state folders of this machine.
    pub(super) _machine: Option<RunLock>,
    pub(super) previous: Option<Owner>,
    pub(super) owner: Owner,
    pub(super) process: ProcessId,
    /// The target's own lock, where it has one.
    pub(super) guarded: Option<Guarded>,
}

/// This process, without a lock.
pub(super) fn unlocked(run: &str) -> Result<Held, SessionError> {
    let owner = Owner::this_process(run, jiff::Timestamp::now())
        .ok_or_else(|| SessionError::Internal("failed to name this process".to_owned()))?;
    let process = ProcessId::current()
        .map_err(|e| SessionError::Internal(format!("failed to name this process: {e}")))?;
    Ok(Held { lock: None, _machine: None, previous: None, owner, process, guarded: None })
}

pub(super) fn hold(
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

pub(super) fn supervisor_lock(state_dir: &StateDir, identity: &str) -> PathBuf {
    state_dir.locks().join(format!("{}.supervisor", Digest::of(identity.as_bytes()).short()))
}

pub(super) fn open(
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

pub(super) struct MachineOptions {
    pub(super) jobs: usize,
    pub(super) grace: Duration,
    pub(super) history: History,
}

/// What a run needs until it is driven.
pub(super) struct Driver<'w> {
    pub(super) world: &'w World,
    pub(super) state_dir: &'w StateDir,
    pub(super) held: Held,
    pub(super) journal: Journal,
    pub(super) vault: Arc<Vault>,
    pub(super) head: u64,
}

impl<'w> Driver<'w> {
    pub(super) fn new(
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

    pub(super) fn commit_first(
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

    pub(super) async fn drive(
        mut self,
        state: RunState,
        machine: MachineOptions,
        saved: Option<SavedPlan>,
        reporter: &mut dyn Reporter,
        mut control: mpsc::UnboundedReceiver<Control>,
    ) -> Result<Outcome, SessionError> {
        let guarded = self.held.guarded.take();
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
        let mut workshop = Workshop::new(
            self.world.registry.clone(),
            plan,
            Arc::clone(&self.vault),
            Arc::clone(&launcher),
            &run,
            false,
        );
        if let Some(guarded) = &guarded {
            workshop.place = Arc::clone(&guarded.place);
            control = guarded.watch(control);
        }
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
        if let Some(guarded) = guarded {
            let unfinished = outcome.as_ref().map_or(true, |o| o.state.is_unfinished());
            guarded.release(unfinished).await;
        }
        drop(self.held);
        outcome
    }
}
