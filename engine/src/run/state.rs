//! The state of a run: a fold over its events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Event, StepRevision};
use super::{Evidence, Person, Scope};
use crate::digest::Digest;
use crate::kind::{Prepared, StepError, Wait};
use crate::plan::{Plan, StepIx};
use crate::process::ProcessId;

/// Where a step is. Each variant names the states it may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun, or to be begun again. -> running, skipped, adopted, waiting, unknown, failed
    Pending,
    /// An attempt or a repair was begun and its end is not recorded. -> done, adopted, failed,
    /// pending, unknown
    Running,
    /// Verified. -> undoing, undone, running (by order), pending (a bracket's end when it opens again)
    Done,
    /// Found done after an attempt that did not say so. -> undoing, undone
    Adopted,
    /// It was so, or was not needed. -> pending (on resume)
    Skipped,
    /// The last attempt failed. -> pending (on resume), adopted, undoing
    Failed,
    /// It cannot be told. -> adopted, pending, undoing
    Unknown,
    /// A person has to answer. -> pending, adopted, failed
    Waiting,
    /// An undo was begun and its end is not recorded. -> undone, undo failed
    Undoing,
    /// Taken back. -> pending (on resume)
    Undone,
    /// Could not be taken back. -> undoing, unknown, adopted
    UndoFailed,
}

impl StepState {
    /// As `status` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running | Self::Undoing => "running",
            Self::Done => "done",
            Self::Adopted => "adopted",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Undone => "undone",
            Self::UndoFailed => "undo_failed",
        }
    }

    /// Whether this run did it.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Adopted)
    }
}

/// What is on record of a step in this run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRec {
    /// Where it is.
    pub state: StepState,
    /// How often it was begun.
    pub attempts: u32,
    /// Undo data, once captured.
    pub prepared: Option<Prepared>,
    /// Digest of the undo bytes beside the journal.
    pub prepared_bytes: Option<Digest>,
    /// The proof.
    pub evidence: Option<Evidence>,
    /// Why it is where it is, in words.
    pub reason: Option<String>,
    /// The last error.
    pub error: Option<StepError>,
    /// What it waits for, and the gate's name.
    pub wait: Option<(String, Wait)>,
    /// It was looked at and is so (only for skipped).
    pub so: bool,
    /// It would be due, but something is in its way (only for skipped).
    pub blocked: bool,
    /// Milliseconds since the epoch at the first intent.
    pub started_ms: Option<i64>,
    /// Milliseconds since the epoch when it came where it is.
    pub ended_ms: Option<i64>,
    /// The place of its completion among all completions of the run; rollback goes backwards.
    pub done_order: u64,
    /// It was taken back or reset in this run: earlier records of it do not count.
    pub forgotten: bool,
    /// A person said that nothing of it is there; believed once, where a look cannot tell.
    pub told_absent: bool,
    /// Undo passed it by: there is nothing or no way.
    pub kept: Option<String>,
    /// Why it is not known what its last attempt did, where it is not.
    pub interruption: Option<String>,
    /// It is to be done again, whatever is so; until it is begun.
    pub forced: bool,
}

impl Default for StepRec {
    fn default() -> Self {
        Self {
            state: StepState::Pending,
            attempts: 0,
            prepared: None,
            prepared_bytes: None,
            evidence: None,
            reason: None,
            error: None,
            wait: None,
            so: false,
            blocked: false,
            started_ms: None,
            ended_ms: None,
            done_order: 0,
            forgotten: false,
            told_absent: false,
            kept: None,
            interruption: None,
            forced: false,
        }
    }
}

impl StepRec {
    /// It had no undo: what it did may not be so any more, or not mean the same.
    fn make_stale(&mut self) {
        if self.state.is_done() {
            self.state = StepState::Undone;
            self.forgotten = true;
            self.prepared = None;
            self.prepared_bytes = None;
        }
    }
}

/// Which way the run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Towards the goals.
    Forward,
    /// Back to a step, or to the beginning.
    Back {
        /// The step that stays.
        to: Option<String>,
    },
}

/// Where a bracket is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BracketState {
    /// Milliseconds since the epoch at which it opened; `None` when it is not open.
    pub open_since_ms: Option<i64>,
    /// It is being released; says why.
    pub releasing: Option<String>,
    /// It is held open for a person; says why.
    pub held: Option<String>,
}

/// Where the whole run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunPhase {
    /// Some process should be working on it.
    Live,
    /// It stopped, finished or not: a state of `status`, and why.
    Ended {
        /// `succeeded`, `failed`, `waiting`, `interrupted`, `rolled_back`, `rollback_incomplete`,
        /// `abandoned`.
        state: String,
        /// In words.
        reason: String,
    },
}

/// A run, as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// The run's id.
    pub run: String,
    /// The plan, with retired steps.
    pub plan: Arc<Plan>,
    /// Records by step, in the plan's order.
    pub steps: Vec<StepRec>,
    /// Answers to gates, by name: approved or not, and by whom.
    pub gates: BTreeMap<String, (bool, Person)>,
    /// Brackets in the plan's order.
    pub brackets: Vec<BracketState>,
    /// Which way it goes.
    pub direction: Direction,
    /// Where it is.
    pub phase: RunPhase,
    /// Who ran it last.
    pub owner: ProcessId,
    /// How the sources are found again.
    pub sources: serde_json::Value,
    /// What was asked for, where it was not all.
    pub asked: Option<Scope>,
    /// Steps that were last ordered to be done again; [`StepRec::forced`] says which still are.
    pub forced: Vec<String>,
    /// `updated` and status of the workplan before the run.
    pub before: (Option<String>, Option<String>),
    /// Statuses of tasks as written before the run, by short id.
    pub statuses_before: BTreeMap<String, String>,
    /// Statuses of tasks that this run wrote, by short id.
    pub written: BTreeMap<String, String>,
    /// Digest of the evidence file that this run wrote last.
    pub evidence_written: Option<Digest>,
    /// Milliseconds since the epoch.
    pub started_ms: i64,
    /// Milliseconds since the epoch.
    pub ended_ms: Option<i64>,
    /// A single step without a workplan.
    pub single: bool,
    /// Its loss was accepted.
    pub accept_loss: bool,
    completions: u64,
    pub(super) index: HashMap<String, StepIx>,
}

impl RunState {
    /// The state after the first event.
    #[must_use]
    pub fn begin(at_ms: i64, started: &super::RunStarted) -> Self {
        let plan = Arc::new(started.plan.clone());
        let mut this = Self {
            run: started.run.clone(),
            steps: vec![StepRec::default(); plan.steps.len()],
            brackets: vec![BracketState::default(); plan.brackets.len()],
            index: index(&plan),
            plan,
            gates: BTreeMap::new(),
            direction: Direction::Forward,
            phase: RunPhase::Live,
            owner: started.owner.clone(),
            sources: started.sources.clone(),
            asked: started.asked.clone(),
            forced: started.forced.clone(),
            before: (started.updated.clone(), started.workplan_status.clone()),
            statuses_before: started.statuses.clone(),
            written: BTreeMap::new(),
            evidence_written: None,
            started_ms: at_ms,
            ended_ms: None,
            single: started.single,
            accept_loss: false,
            completions: 0,
        };
        this.force(&started.forced);
        this
    }

    fn force(&mut self, names: &[String]) {
        for name in names {
            if let Some(ix) = self.step(name) {
                self.steps[ix].forced = true;
            }
        }
    }

    /// The state after all events; `None` when the first is not [`Event::RunStarted`].
    #[must_use]
    pub fn fold<'e>(events: impl IntoIterator<Item = (i64, &'e Event)>) -> Option<Self> {
        let mut events = events.into_iter();
        let (at, first) = events.next()?;
        let Event::RunStarted(started) = first else { return None };
        let mut state = Self::begin(at, started);
        for (at, event) in events {
            state.apply(at, event);
        }
        Some(state)
    }

    /// The step of a name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<StepIx> {
        self.index.get(name).copied()
    }

    /// The bracket of a name.
    #[must_use]
    pub fn bracket(&self, name: &str) -> Option<usize> {
        self.plan.brackets.iter().position(|b| b.name == name)
    }

    /// Brackets that are open now.
    pub fn open_brackets(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.brackets.len()).filter(|b| self.brackets[*b].open_since_ms.is_some())
    }

    /// What is inside a bracket, and what was built on that without being needed by its end. A
    /// release takes all of it back: it would stand on nothing.
    #[must_use]
    pub fn relies_on(&self, bracket: usize) -> Vec<StepIx> {
        let bracket = &self.plan.brackets[bracket];
        let mut relies = vec![false; self.plan.steps.len()];
        relies[bracket.open] = true;
        // The plan's order is the order of needs.
        for (step, planned) in self.plan.steps.iter().enumerate().skip(bracket.open + 1) {
            relies[step] = step != bracket.close && planned.needs.iter().any(|n| relies[*n]);
        }
        relies[bracket.open] = false;
        (0..relies.len()).filter(|s| relies[*s]).collect()
    }

    /// Whether a declared point of no return was passed and not taken back.
    #[must_use]
    pub fn past_no_return(&self) -> Option<StepIx> {
        (0..self.steps.len())
            .find(|ix| self.plan.steps[*ix].point_of_no_return && self.steps[*ix].state.is_done())
    }

    /// Whether it can be gone on with.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match &self.phase {
            RunPhase::Live => true,
            RunPhase::Ended { state, .. } => {
                !matches!(state.as_str(), "succeeded" | "rolled_back" | "abandoned")
            }
        }
    }

    /// Takes one event in. Events about steps that the plan does not have are passed over: they
    /// can only come from a journal that a newer version wrote.
    pub fn apply(&mut self, at_ms: i64, event: &Event) {
        if let Some(name) = event.step() {
            if let Some(ix) = self.step(name) {
                self.apply_step(at_ms, ix, event);
            }
            return;
        }
        match event {
            Event::RunResumed { owner, plan, revisions, forced } => {
                self.resume(owner, plan.as_deref(), revisions);
                self.forced = forced.clone();
                self.force(forced);
            }
            Event::RollbackStarted { owner, to, accept_loss } => {
                self.owner = owner.clone();
                self.direction = Direction::Back { to: to.clone() };
                self.phase = RunPhase::Live;
                self.ended_ms = None;
                self.accept_loss |= accept_loss;
                for rec in &mut self.steps {
                    rec.kept = None;
                }
            }
            Event::GateApproved { gate, person } => {
                self.gates.insert(gate.clone(), (true, person.clone()));
                for rec in &mut self.steps {
                    if rec.wait.as_ref().is_some_and(|(name, _)| name == gate) {
                        rec.state = StepState::Pending;
                        rec.wait = None;
                    }
                }
            }
            Event::GateRejected { gate, person } => {
                self.gates.insert(gate.clone(), (false, person.clone()));
                for rec in &mut self.steps {
                    if rec.wait.as_ref().is_some_and(|(name, _)| name == gate) {
                        rec.state = StepState::Failed;
                        rec.reason = Some(rejected(gate, person));
                        rec.wait = None;
                    }
                }
            }
            Event::BracketOpened { bracket, .. } => {
                if let Some(ix) = self.bracket(bracket) {
                    self.brackets[ix] =
                        BracketState { open_since_ms: Some(at_ms), ..BracketState::default() };
                    // What closed it before is not so any more.
                    let close = &mut self.steps[self.plan.brackets[ix].close];
                    if self.direction == Direction::Forward && close.state.is_done() {
                        close.state = StepState::Pending;
                    }
                }
            }
            Event::BracketClosed { bracket } => {
                if let Some(ix) = self.bracket(bracket) {
                    self.brackets[ix] = BracketState::default();
                }
            }
            Event::BracketReleasing { bracket, why } => {
                if let Some(ix) = self.bracket(bracket) {
                    self.brackets[ix].releasing = Some(why.clone());
                    self.brackets[ix].held = None;
                    for step in self.relies_on(ix).into_iter().chain([self.plan.brackets[ix].open])
                    {
                        self.steps[step].kept = None;
                    }
                }
            }
            Event::BracketReleased { bracket } => self.released(bracket),
            Event::BracketHeld { bracket, why } => {
                if let Some(ix) = self.bracket(bracket) {
                    if self.brackets[ix].releasing.is_some() {
                        self.stale(ix);
                    }
                    self.brackets[ix].held = Some(why.clone());
                    self.brackets[ix].releasing = None;
                }
            }
            Event::RunEnded { state, reason } => {
                self.phase = RunPhase::Ended { state: state.clone(), reason: reason.clone() };
                self.ended_ms = Some(at_ms);
            }
            Event::RunAbandoned { person } => {
                self.phase = RunPhase::Ended {
                    state: "abandoned".to_owned(),
                    reason: format!("{}: {}", person.who, person.reason),
                };
                self.ended_ms = Some(at_ms);
            }
            Event::WorkplanWritten { tasks, evidence, .. } => {
                self.written.extend(tasks.iter().cloned());
                self.evidence_written = evidence.clone().or(self.evidence_written.take());
            }
            _ => {}
        }
    }

    fn apply_step(&mut self, at_ms: i64, ix: StepIx, event: &Event) {
        self.completions += 1;
        let order = self.completions;
        let rec = &mut self.steps[ix];
        let enter = |rec: &mut StepRec, state: StepState, reason: Option<String>| {
            rec.state = state;
            rec.reason = reason;
            rec.wait = None;
            rec.ended_ms = Some(at_ms);
        };
        match event {
            Event::StepSkipped { reason, so, blocked, evidence, .. } => {
                enter(rec, StepState::Skipped, Some(reason.clone()));
                rec.so = *so;
                rec.blocked = *blocked;
                rec.evidence = evidence.as_deref().cloned();
            }
            Event::StepPrepared { undo, bytes, .. } => {
                rec.prepared = Some(Prepared { undo: undo.clone(), bytes: None });
                rec.prepared_bytes = bytes.clone();
            }
            Event::StepIntent { attempt, forced, .. } => {
                enter(rec, StepState::Running, forced.then(|| "done again by order".to_owned()));
                rec.attempts = *attempt;
                rec.forced = false;
                rec.forgotten = false;
                rec.told_absent = false;
                rec.kept = None;
                rec.interruption = None;
                rec.started_ms.get_or_insert(at_ms);
                rec.ended_ms = None;
                rec.error = None;
            }
            Event::RepairIntent { what, .. } => {
                enter(rec, StepState::Running, Some(format!("repairing: {what}")));
                rec.started_ms.get_or_insert(at_ms);
                rec.ended_ms = None;
            }
            Event::StepDone { evidence, .. } => {
                enter(rec, StepState::Done, None);
                rec.evidence = Some((**evidence).clone());
                rec.done_order = order;
                rec.interruption = None;
                rec.forced = false;
                rec.forgotten = false;
                rec.error = None;
            }
            Event::StepAdopted { evidence, .. } => {
                enter(
                    rec,
                    StepState::Adopted,
                    Some("found done after an attempt that did not say so".to_owned()),
                );
                rec.evidence = Some((**evidence).clone());
                rec.done_order = order;
                rec.interruption = None;
                rec.forced = false;
                rec.forgotten = false;
                rec.error = None;
            }
            Event::StepFailed { error, retry_in_ms, attempt, .. } => {
                let state =
                    if retry_in_ms.is_some() { StepState::Pending } else { StepState::Failed };
                enter(rec, state, Some(error.what.clone()));
                rec.attempts = rec.attempts.max(*attempt);
                rec.interruption = None;
                rec.error = Some((**error).clone());
            }
            Event::StepInterrupted { absent, reason, .. } => {
                let state = if *absent { StepState::Pending } else { StepState::Running };
                enter(rec, state, Some(reason.clone()));
                rec.forgotten |= *absent;
                rec.interruption = (!absent).then(|| reason.clone());
            }
            Event::StepUnknown { why, error, .. } => {
                if let Some(error) = error {
                    rec.interruption = Some(error.what.clone());
                } else if rec.state == StepState::Undoing {
                    rec.interruption = Some(UNDO_INTERRUPTED.to_owned());
                } else if rec.interruption.is_none() {
                    let said = rec.error.as_ref().map(|e| e.what.clone());
                    rec.interruption = Some(said.unwrap_or_else(|| INTERRUPTED.to_owned()));
                }
                enter(rec, StepState::Unknown, Some(why.clone()));
                rec.error = error.as_deref().cloned();
            }
            Event::StepReset { why, .. } => {
                enter(rec, StepState::Pending, Some(why.clone()));
                rec.forgotten = true;
                rec.interruption = None;
            }
            Event::StepWaiting { gate, wait, .. } => {
                enter(rec, StepState::Waiting, None);
                rec.wait = Some((gate.clone(), wait.clone()));
            }
            Event::StepResolved { done: true, person, .. } => {
                enter(
                    rec,
                    StepState::Adopted,
                    Some(format!("{} says it is done: {}", person.who, person.reason)),
                );
                rec.evidence = Some(Evidence::person(person.clone()));
                rec.done_order = order;
                rec.interruption = None;
                rec.forced = false;
                rec.forgotten = false;
                rec.error = None;
            }
            Event::StepResolved { done: false, person, .. } => {
                enter(
                    rec,
                    StepState::Pending,
                    Some(format!("{} says it is not done: {}", person.who, person.reason)),
                );
                rec.forgotten = true;
                rec.told_absent = true;
                rec.interruption = None;
                rec.error = None;
            }
            Event::UndoIntent { .. } => {
                if matches!(rec.state, StepState::Running | StepState::Unknown) {
                    rec.interruption.get_or_insert_with(|| INTERRUPTED.to_owned());
                }
                enter(rec, StepState::Undoing, None);
                rec.ended_ms = None;
            }
            Event::UndoDone { why, .. } => {
                enter(rec, StepState::Undone, Some(why.clone()));
                // The next attempt captures its own undo data: the world is another one now.
                rec.prepared = None;
                rec.prepared_bytes = None;
                rec.forgotten = true;
                rec.interruption = None;
                rec.error = None;
            }
            Event::UndoFailed { error, .. } => {
                enter(rec, StepState::UndoFailed, Some(error.what.clone()));
                rec.error = Some((**error).clone());
            }
            Event::UndoSkipped { why, .. } => {
                rec.kept = Some(why.clone());
                if rec.state.is_done() {
                    rec.reason = Some(why.clone());
                }
            }
            _ => {}
        }
    }

    /// The bracket is closed again by taking it back: what is inside must be done anew.
    fn released(&mut self, bracket: &str) {
        let Some(ix) = self.bracket(bracket) else { return };
        self.brackets[ix] = BracketState::default();
        let plan = Arc::clone(&self.plan);
        let bracket = &plan.brackets[ix];
        for step in self.relies_on(ix).into_iter().chain([bracket.open, bracket.close]) {
            self.steps[step].make_stale();
        }
        // The service is there because `open` was taken back: that is not what `close` did.
        self.steps[bracket.close].forgotten = true;
    }

    /// A release came to no end: what it passed by rests on what it took back.
    fn stale(&mut self, bracket: usize) {
        for step in self.relies_on(bracket) {
            if self.steps[step].kept.is_some() {
                self.steps[step].make_stale();
            }
        }
    }

    fn resume(&mut self, owner: &ProcessId, plan: Option<&Plan>, revisions: &[StepRevision]) {
        self.owner = owner.clone();
        self.phase = RunPhase::Live;
        self.ended_ms = None;
        if let Some(plan) = plan {
            self.replan(plan, revisions);
        }
        for bracket in &mut self.brackets {
            bracket.held = None;
        }
        if self.direction != Direction::Forward {
            return;
        }
        for rec in &mut self.steps {
            if matches!(
                rec.state,
                StepState::Failed | StepState::Skipped | StepState::Waiting | StepState::Undone
            ) {
                rec.state = StepState::Pending;
                rec.wait = None;
                rec.so = false;
                rec.blocked = false;
            }
        }
    }
}

/// Why it is not known what an attempt did whose process ended.
pub(super) const INTERRUPTED: &str = "the attempt was interrupted";
/// The same of an undo.
pub(super) const UNDO_INTERRUPTED: &str = "its undo was interrupted";

/// How a refused gate is told.
pub(super) fn rejected(gate: &str, person: &Person) -> String {
    format!("gate `{gate}` was rejected by {}: {}", person.who, person.reason)
}

pub(super) fn index(plan: &Plan) -> HashMap<String, StepIx> {
    plan.steps.iter().enumerate().map(|(ix, s)| (s.id.clone(), ix)).collect()
}
