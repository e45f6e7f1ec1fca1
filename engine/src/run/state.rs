//! The state of a run: a fold over its events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Event;
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
    /// What its last attempt failed with. Taking it back leaves that: it is why the run failed.
    pub failure: Option<StepError>,
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
            failure: None,
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
    /// The last error, also of an attempt that was taken back since.
    #[must_use]
    pub fn last_error(&self) -> Option<&StepError> {
        self.error.as_ref().or(self.failure.as_ref())
    }

    /// It had no undo: what it did may not be so any more, or not mean the same.
    pub(super) fn make_stale(&mut self) {
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
    /// Whether this run wrote anything into the Markdown that a way back has not taken out again: a
    /// status, lines of evidence, or that the workplan is not finished any more.
    pub is_written: bool,
    /// Digest of the evidence file that this run wrote last.
    pub evidence_written: Option<Digest>,
    /// Milliseconds since the epoch.
    pub started_ms: i64,
    /// Since when it goes backwards, milliseconds since the epoch.
    pub back_since_ms: Option<i64>,
    /// Milliseconds since the epoch.
    pub ended_ms: Option<i64>,
    /// A single step without a workplan.
    pub single: bool,
    /// Its loss was accepted.
    pub accept_loss: bool,
    pub(super) completions: u64,
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
            is_written: false,
            evidence_written: None,
            started_ms: at_ms,
            back_since_ms: None,
            ended_ms: None,
            single: started.single,
            accept_loss: false,
            completions: 0,
        };
        this.force(&started.forced);
        this
    }

    pub(super) fn force(&mut self, names: &[String]) {
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

    /// Declared points of no return that were passed and not taken back.
    fn passed(&self) -> impl Iterator<Item = StepIx> + '_ {
        (0..self.steps.len())
            .filter(|ix| self.plan.steps[*ix].point_of_no_return && self.steps[*ix].state.is_done())
    }

    /// Whether a declared point of no return was passed and not taken back.
    #[must_use]
    pub fn past_no_return(&self) -> Option<StepIx> {
        self.passed().next()
    }

    /// Whether a declared point of no return was passed that a release of this bracket might go back
    /// behind. One that its opening comes after is none: a release goes back to the opening.
    #[must_use]
    pub fn is_past_no_return_of(&self, bracket: usize) -> bool {
        let before = self.plan.graph().before(self.plan.brackets[bracket].open);
        self.passed().any(|point| !before.contains(&point))
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
