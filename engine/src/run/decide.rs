//! The decisions: pure, so that every prefix of a run can be tested without input or output.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::order::Order;
use super::resolve::{Knowledge, Mark, Resolver};
use super::state::{Direction, RunState, StepState};
use super::undo::UndoQueue;
use super::{Action, Decision, Ending, Event, Evidence, Input, Purpose, Sight, Timer};
use crate::kind::{Observation, Past, Seen, StepError, Wait};
use crate::plan::{Plan, StepIx};

/// A part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "scope", content = "of")]
pub enum Scope {
    /// One task and what it needs.
    Task(String),
    /// One step, done again with all that comes after it.
    From(String),
    /// One step, done again alone.
    Only(String),
}

/// How a run is to go.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Attempts under way at once; at least 1.
    pub jobs: usize,
    /// Grace for running steps after the first cancel, in milliseconds.
    pub grace_ms: u64,
    /// Records of earlier runs, by step.
    pub past: HashMap<StepIx, Past>,
    /// Steps that were changed or added since the last run of this workplan.
    pub edited: BTreeSet<StepIx>,
    /// Stop after finding out what is due.
    pub resolve_only: bool,
}

/// What the machine is busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Looking at interrupted and unknown steps.
    Triage,
    /// Finding out what is due.
    Resolve,
    /// A resumed run looks again at what due steps hold on to.
    Holds,
    /// Working towards the goals.
    Forward,
    /// Taking back what is inside a bracket, then its opening.
    Release(usize),
    /// Taking all back.
    Undo,
    /// Over.
    Ended,
}

/// The state of a run and all that a process knows about it beyond the journal.
pub struct Machine {
    /// What the journal tells.
    pub state: RunState,
    pub(super) options: Options,
    pub(super) mode: Mode,
    /// Attempts, looks and repairs under way, by step.
    pub(super) busy: HashMap<StepIx, usize>,
    pub(super) in_flight: usize,
    /// Steps whose needs are met, in the plan's order.
    pub(super) ready: BTreeSet<StepIx>,
    /// What comes before what among the steps that are due.
    pub(super) order: Order,
    pub(super) due: Vec<bool>,
    pub(super) resolver: Option<Resolver>,
    /// What steps that were found so give, while it is found out what is due: nothing is on record
    /// before the end of it.
    pub(super) seen_outputs: HashMap<StepIx, BTreeMap<String, serde_json::Value>>,
    /// What was found due, for a preview.
    pub marks: Vec<Mark>,
    pub(super) holds_left: HashMap<StepIx, usize>,
    /// Half done steps whose undo data is captured before they are repaired.
    pub(super) to_repair: HashMap<StepIx, String>,
    pub(super) waiting_retry: BTreeSet<StepIx>,
    /// The number of the first attempt of this process, by step.
    pub(super) first_attempt: HashMap<StepIx, u32>,
    /// Why no new step starts any more.
    pub(super) stop: Option<Stop>,
    pub(super) killed: bool,
    /// A step that was not due has to be done after all: find out again what is due.
    pub(super) again: bool,
    pub(super) undo_tried: BTreeSet<StepIx>,
    pub(super) undo_queue: Option<UndoQueue>,
    pub(super) release_stuck: Option<String>,
    /// Open brackets that were held on the way out, and what is to be said of all of them.
    pub(super) held: BTreeSet<usize>,
    pub(super) notes: Vec<String>,
    pub(super) events: Vec<Event>,
    pub(super) actions: Vec<Action>,
    now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) ending: Ending,
    pub(super) reason: String,
}

pub(super) struct Known<'a>(pub(super) &'a Machine);

impl Knowledge for Known<'_> {
    fn settled(&self, step: StepIx) -> bool {
        let state = self.0.state.steps[step].state;
        state.is_done() || state == StepState::Unknown
    }
    fn forced(&self, step: StepIx) -> bool {
        self.0.is_forced(step)
    }
    fn lookable(&self, step: StepIx) -> bool {
        self.0.outputs_known(step)
    }
    fn done_before(&self, step: StepIx) -> Option<String> {
        match self.0.past(step, &Purpose::Resolve) {
            Past::Succeeded { record, .. } => Some(record),
            _ => None,
        }
    }
    fn edited(&self, step: StepIx) -> bool {
        // What a release took back was wanted; that what comes after it is still so, because it has
        // no undo, does not change that.
        let rec = &self.0.state.steps[step];
        let taken_back = rec.forgotten && rec.done_order > 0;
        self.0.options.edited.contains(&step) || taken_back
    }
    fn bracket_open(&self, bracket: usize) -> bool {
        self.0.state.brackets[bracket].open_since_ms.is_some()
    }
}

impl Machine {
    /// A machine over a state; nothing happens before [`Input::Begin`].
    #[must_use]
    pub fn new(state: RunState, options: Options) -> Self {
        let plan = Arc::clone(&state.plan);
        Self {
            order: Order::new(&plan),
            due: vec![false; plan.steps.len()],
            state,
            options,
            mode: Mode::Triage,
            busy: HashMap::new(),
            in_flight: 0,
            ready: BTreeSet::new(),
            resolver: None,
            seen_outputs: HashMap::new(),
            marks: Vec::new(),
            holds_left: HashMap::new(),
            to_repair: HashMap::new(),
            waiting_retry: BTreeSet::new(),
            first_attempt: HashMap::new(),
            stop: None,
            killed: false,
            again: false,
            undo_tried: BTreeSet::new(),
            undo_queue: None,
            release_stuck: None,
            held: BTreeSet::new(),
            notes: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
            now_ms: 0,
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.state.plan)
    }

    /// Whether the run is over for this process.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.mode == Mode::Ended
    }

    pub(super) fn is_forced(&self, step: StepIx) -> bool {
        self.state.steps[step].forced
    }

    /// Takes an input in. `now_ms` only stamps the state; no decision depends on the clock.
    pub fn decide(&mut self, now_ms: i64, input: Input) -> Decision {
        self.now_ms = now_ms;
        if self.mode == Mode::Ended {
            // A timer or a second Ctrl-C that comes late: all is said already.
            return Decision::default();
        }
        match input {
            Input::Begin => self.begin(),
            Input::Looked { step, purpose, sight } => {
                self.idle(step);
                self.looked(step, purpose, *sight);
            }
            Input::Prepared { step, result } => {
                self.idle(step);
                self.prepared(step, result);
            }
            Input::Applied { step, result } => {
                self.idle(step);
                self.applied(step, result);
            }
            Input::Repaired { step, then, result } => {
                self.idle(step);
                self.repaired(step, then, result);
            }
            Input::Undone { step, result } => {
                self.idle(step);
                self.undone(step, result);
            }
            Input::Woke(timer) => self.woke(timer),
            Input::Cancel { kill } => self.cancel(kill),
            Input::Answered(event) => self.answered(*event),
        }
        if self.mode != Mode::Ended {
            self.advance();
        }
        Decision {
            events: std::mem::take(&mut self.events),
            actions: std::mem::take(&mut self.actions),
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.state.apply(self.now_ms, &event);
        self.events.push(event);
    }

    pub(super) fn act(&mut self, step: StepIx, action: Action) {
        *self.busy.entry(step).or_default() += 1;
        self.in_flight += 1;
        self.actions.push(action);
    }

    fn idle(&mut self, step: StepIx) {
        self.in_flight -= 1;
        if let Some(count) = self.busy.get_mut(&step) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&step);
            }
        }
    }

    pub(super) fn wake(&mut self, timer: Timer, after_ms: u64) {
        self.actions.push(Action::Wake { timer, after_ms });
    }

    /// Ends what is under way, within its grace.
    pub(super) fn stop_all(&mut self) {
        self.actions.push(Action::Stop { steps: None, kill: false });
    }

    pub(super) fn look(&mut self, step: StepIx, purpose: Purpose) {
        self.act(step, Action::Look { step, purpose });
    }

    pub(super) fn name(&self, step: StepIx) -> String {
        self.state.plan.steps[step].id.clone()
    }

    fn begin(&mut self) {
        // On the way back every step is looked at when its turn comes.
        let back = self.state.direction != Direction::Forward;
        let triage: Vec<StepIx> = (0..self.state.steps.len())
            .filter(|ix| {
                let state = self.state.steps[*ix].state;
                !back && matches!(state, StepState::Running | StepState::Unknown)
            })
            .collect();
        // What this run never began is in no rollback's way, whatever can be told of it.
        let untouched: Vec<StepIx> = (0..self.state.steps.len())
            .filter(|ix| {
                let rec = &self.state.steps[*ix];
                back && rec.state == StepState::Unknown && rec.started_ms.is_none()
            })
            .collect();
        for step in untouched {
            let why = "this run never began it".to_owned();
            self.emit(Event::StepReset { step: self.name(step), why });
        }
        self.mode = Mode::Triage;
        for step in triage {
            self.look(step, Purpose::Triage);
        }
    }

    fn looked(&mut self, step: StepIx, purpose: Purpose, sight: Sight) {
        if self.killed {
            return self.looked_while_killed(step, purpose);
        }
        match purpose {
            Purpose::Resolve => {
                let seen = sight.observation.clone();
                let asks = matches!(sight.wait, Some(Wait::Gate { .. }));
                if seen.is_done() && !seen.outputs.is_empty() {
                    self.seen_outputs.insert(step, seen.outputs.clone());
                }
                if let Some(mut resolver) = self.resolver.take() {
                    let plan = self.plan();
                    resolver.looked(&plan, &Known(self), step, seen, asks);
                    self.resolver = Some(resolver);
                }
            }
            Purpose::Triage => self.triaged(step, sight.observation, false),
            Purpose::TriageRepaired => self.triaged(step, sight.observation, true),
            Purpose::Hold(holder) => self.held(step, holder, &sight.observation),
            Purpose::Before => self.seen_before(step, sight, false),
            Purpose::BeforeRepaired => self.seen_before(step, sight, true),
            Purpose::AfterFail(error) => self.seen_after_fail(step, *error, sight.observation),
            Purpose::Verify(applied) => self.verified(step, *applied, sight.observation),
            Purpose::UndoBefore => self.seen_before_undo(step, &sight, false),
            Purpose::UndoRepaired => self.seen_before_undo(step, &sight, true),
            Purpose::UndoAfter => self.seen_after_undo(step, &sight.observation),
        }
    }

    /// After a kill nothing is believed: what was under way is looked at on resume.
    fn looked_while_killed(&mut self, step: StepIx, purpose: Purpose) {
        if matches!(purpose, Purpose::Verify(_) | Purpose::AfterFail(_)) {
            let name = self.name(step);
            self.emit(Event::StepInterrupted {
                step: name,
                absent: false,
                reason: "the run was stopped at once".to_owned(),
            });
        }
    }

    fn triaged(&mut self, step: StepIx, seen: Observation, repaired: bool) {
        let name = self.name(step);
        if !matches!(self.state.steps[step].state, StepState::Running | StepState::Unknown) {
            // A person answered while it was looked at.
            return;
        }
        match seen.seen.clone() {
            Seen::Done => {
                self.emit(Event::StepAdopted {
                    step: name,
                    evidence: Box::new(Evidence::seen(seen)),
                });
            }
            Seen::Absent => self.emit(Event::StepReset {
                step: name,
                why: "the interrupted attempt left nothing".to_owned(),
            }),
            Seen::Half(what) if !repaired => {
                self.emit(Event::RepairIntent { step: name, what: what.clone() });
                self.act(step, Action::Repair { step, what, then: Purpose::TriageRepaired });
            }
            Seen::Half(what) => {
                self.unknown(step, format!("still half done after a repair: {what}"), seen, None)
            }
            Seen::Unknown(why) => self.unknown(step, why, seen, None),
        }
    }

    pub(super) fn unknown(
        &mut self,
        step: StepIx,
        why: String,
        seen: Observation,
        error: Option<StepError>,
    ) {
        let name = self.name(step);
        // Said once: looking again and not knowing again is nothing new.
        let rec = &self.state.steps[step];
        if rec.state == StepState::Unknown && rec.reason.as_deref() == Some(why.as_str()) {
            return;
        }
        self.emit(Event::StepUnknown {
            step: name,
            why,
            facts: seen.facts,
            error: error.map(Box::new),
        });
    }

    fn woke(&mut self, timer: Timer) {
        match timer {
            Timer::Retry(step) => {
                if self.waiting_retry.remove(&step) && self.stop.is_none() {
                    self.ready.insert(step);
                }
            }
            Timer::Budget(bracket) => self.budget_spent(bracket),
            // The grace is the attempts'; an undo of a release has a deadline of its own.
            Timer::Grace if matches!(self.mode, Mode::Release(_)) => {}
            Timer::Grace => self.actions.push(Action::Stop { steps: None, kill: false }),
        }
    }

    fn cancel(&mut self, kill: bool) {
        if kill {
            self.killed = true;
            self.stop =
                Some(Stop { ending: Ending::Interrupted, reason: "stopped at once".to_owned() });
            self.actions.push(Action::Stop { steps: None, kill: true });
            if self.in_flight == 0 {
                self.end(Ending::Interrupted, "stopped at once".to_owned());
            }
            return;
        }
        self.stop = Some(Stop { ending: Ending::Interrupted, reason: "interrupted".to_owned() });
        if self.in_flight > 0 {
            self.actions
                .push(Action::Wake { timer: Timer::Grace, after_ms: self.options.grace_ms });
        }
    }

    /// Somebody answered while the run goes on.
    fn answered(&mut self, event: Event) {
        let waiting: Vec<StepIx> = match &event {
            Event::GateApproved { gate, .. } | Event::GateRejected { gate, .. } => {
                let waits = |ix: &StepIx| {
                    self.state.steps[*ix].wait.as_ref().is_some_and(|(name, _)| name == gate)
                };
                (0..self.state.steps.len()).filter(waits).collect()
            }
            _ => Vec::new(),
        };
        self.state.apply(self.now_ms, &event);
        // A refused gate fails when its step comes up.
        self.ready.extend(waiting.into_iter().filter(|ix| self.due[*ix]));
        let Event::StepResolved { step, done, .. } = &event else { return };
        let Some(ix) = self.state.step(step) else { return };
        self.undo_queue = None;
        if !matches!(self.mode, Mode::Forward | Mode::Holds) {
            // A look under way may have taken the step for unknown; begin anew with it.
            self.again = self.mode == Mode::Resolve;
        } else if *done {
            self.finish_step(ix);
            self.closed(ix);
        } else if self.due[ix] {
            self.ready.insert(ix);
        } else {
            // In the way of what comes after it until it is found out what it needs.
            self.due[ix] = true;
            self.again = true;
        }
    }

    /// Cancelled or failed: no new undo starts.
    pub(super) fn stopping(&self) -> Option<(Ending, String)> {
        self.stop.as_ref().map(|s| (s.ending, s.reason.clone()))
    }

    /// Whether a kill was asked for.
    pub(super) fn is_killed(&self) -> bool {
        self.killed
    }
}
