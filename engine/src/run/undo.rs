//! Going back: one step after the other is taken back.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::decide::{Machine, Mode};
use super::state::{Direction, StepState};
use super::{Action, Ending, Event, Evidence, Purpose, Sight};
use crate::kind::{ErrorCause, Facts, Observation, Seen, StepError, UndoPlan};
use crate::plan::StepIx;

/// What a rollback or a release still has to take back. A step comes up when nothing that stands, and that
/// comes after it, is in its way any more.
#[derive(Debug, Clone)]
pub(super) struct UndoQueue {
    /// Steps that are to go back.
    candidates: Vec<StepIx>,
    is_candidate: Vec<bool>,
    release: bool,
    /// How many of those that need a step are still in its way.
    in_way: Vec<usize>,
    passed: Vec<bool>,
    /// What can go back now, the last completed first.
    free: BTreeSet<(Reverse<u64>, StepIx)>,
    current: Option<StepIx>,
}

impl UndoQueue {
    /// For a rollback to a step, or to the beginning.
    fn rollback(machine: &Machine) -> Self {
        let state = &machine.state;
        let count = state.steps.len();
        let mut is_candidate = vec![false; count];
        match &state.direction {
            Direction::Back { to: Some(to) } => match state.step(to) {
                Some(to) if state.steps[to].done_order > 0 => {
                    let after = state.steps[to].done_order;
                    for (step, rec) in state.steps.iter().enumerate() {
                        is_candidate[step] = rec.done_order > after;
                    }
                }
                // It was so, or not reached: what comes after it goes back.
                Some(to) => {
                    for step in to + 1..count {
                        let needs = &state.plan.steps[step].needs;
                        is_candidate[step] = needs.iter().any(|n| *n == to || is_candidate[*n]);
                    }
                }
                None => {}
            },
            _ => is_candidate.fill(true),
        }
        Self::new(machine, is_candidate, false)
    }

    /// For the release of a bracket.
    pub(super) fn release(machine: &Machine, bracket: usize) -> Self {
        let spec = &machine.state.plan.brackets[bracket];
        let mut is_candidate = vec![false; machine.state.steps.len()];
        for step in machine.state.relies_on(bracket).into_iter().chain([spec.open]) {
            is_candidate[step] = true;
        }
        // An end that was begun goes back before all: nothing is taken back under a live service.
        let begun = matches!(
            machine.state.steps[spec.close].state,
            StepState::Undoing | StepState::UndoFailed
        );
        is_candidate[spec.close] = begun || machine.is_interrupted(spec.close);
        Self::new(machine, is_candidate, true)
    }

    fn new(machine: &Machine, is_candidate: Vec<bool>, release: bool) -> Self {
        let state = &machine.state;
        let count = state.steps.len();
        let mut in_way = vec![0; count];
        for step in &state.plan.steps {
            for need in &step.needs {
                in_way[*need] += 1;
            }
        }
        let mut this = Self {
            candidates: (0..count).filter(|s| is_candidate[*s]).collect(),
            is_candidate,
            release,
            in_way,
            passed: vec![false; count],
            free: BTreeSet::new(),
            current: None,
        };
        for step in (0..count).rev() {
            this.come_up(machine, step);
        }
        this
    }

    fn come_up(&mut self, machine: &Machine, first: StepIx) {
        let mut stack = vec![first];
        while let Some(step) = stack.pop() {
            if self.in_way[step] > 0 || self.passed[step] {
                continue;
            }
            if self.stands_in_the_way(machine, step) {
                // Whatever an interrupted attempt did, it did last.
                let interrupted = machine.is_interrupted(step);
                let order =
                    if interrupted { u64::MAX } else { machine.state.steps[step].done_order };
                if (self.is_candidate[step] || interrupted) && !machine.undo_tried.contains(&step) {
                    self.free.insert((Reverse(order), step));
                }
                continue;
            }
            self.passed[step] = true;
            for need in &machine.state.plan.steps[step].needs {
                self.in_way[*need] -= 1;
                stack.push(*need);
            }
        }
    }

    fn stands_in_the_way(&self, machine: &Machine, step: StepIx) -> bool {
        if !self.release {
            return machine.stands_in_the_way(step);
        }
        // In a release the service matters most: what has no way back is passed by.
        self.is_candidate[step]
            && machine.state.steps[step].kept.is_none()
            && (machine.stands(step) || machine.is_interrupted(step))
    }

    /// The step that was completed last among those that can go back.
    pub(super) fn next(&mut self, machine: &Machine) -> Option<StepIx> {
        if let Some(last) = self.current.take() {
            self.come_up(machine, last);
        }
        let (_, step) = self.free.pop_first()?;
        self.current = Some(step);
        Some(step)
    }
}

impl Machine {
    /// One step of a rollback at a time, in reverse order of completion.
    pub(super) fn undo_next(&mut self) {
        if self.in_flight > 0 {
            return;
        }
        if let Some((ending, reason)) = self.stopping() {
            return self.end(ending, reason);
        }
        let mut queue = self.undo_queue.take().unwrap_or_else(|| UndoQueue::rollback(self));
        let next = queue.next(self);
        let candidates = std::mem::take(&mut queue.candidates);
        if let Some(step) = next {
            queue.candidates = candidates;
            self.undo_queue = Some(queue);
            self.undo_tried.insert(step);
            return self.look(step, Purpose::UndoBefore);
        }
        let (mut ending, mut reason) = self.rollback_ending(&candidates);
        for bracket in self.state.open_brackets().collect::<Vec<_>>() {
            let plan = self.plan();
            let spec = &plan.brackets[bracket];
            let open = &self.state.steps[spec.open];
            if !self.stands_in_the_way(spec.open) && !open.state.is_done() {
                // What opened it is gone, or was never this run's.
                self.emit(Event::BracketClosed { bracket: spec.name.clone() });
                continue;
            }
            let why = open.kept.clone().or_else(|| open.reason.clone());
            let why = why.unwrap_or_else(|| "it was not to be taken back".to_owned());
            let why = format!("`{}` still stands: {why}", plan.steps[spec.open].id);
            reason = format!("{reason}; `{}` stays open: {why}", spec.name);
            self.emit(Event::BracketHeld { bracket: spec.name.clone(), why });
            if ending == Ending::RolledBack {
                ending = Ending::RollbackIncomplete;
            }
        }
        self.end(ending, reason);
    }

    /// It is done, or its undo did not come to an end.
    pub(super) fn stands(&self, step: StepIx) -> bool {
        let rec = &self.state.steps[step];
        rec.kept.is_none()
            && (rec.state.is_done()
                || matches!(rec.state, StepState::Undoing | StepState::UndoFailed))
    }

    fn stands_in_the_way(&self, step: StepIx) -> bool {
        let rec = &self.state.steps[step];
        self.stands(step)
            || matches!(rec.state, StepState::Running | StepState::Unknown)
            || self.is_interrupted(step) && rec.kept.is_none()
    }

    fn rollback_ending(&self, candidates: &[StepIx]) -> (Ending, String) {
        let name = |ix: &StepIx| self.state.plan.steps[*ix].id.clone();
        let with = |states: &[StepState]| {
            (0..self.state.steps.len())
                .filter(|ix| states.contains(&self.state.steps[*ix].state))
                .map(|ix| name(&ix))
                .collect::<Vec<_>>()
        };
        let failed = with(&[StepState::UndoFailed]);
        let mut reasons = Vec::new();
        let unknown = with(&[StepState::Unknown, StepState::Running, StepState::Undoing]);
        if let Some(first) = unknown.first() {
            let why = self
                .state
                .step(first)
                .and_then(|ix| self.state.steps[ix].reason.clone())
                .unwrap_or_default();
            reasons.push(format!("`{first}` cannot be told: {why}"));
        }
        if !failed.is_empty() {
            reasons.push(format!("`{}` could not be taken back", failed.join("`, `")));
        }
        // What is unknown may be in the way of the rest: the answer comes first.
        if !unknown.is_empty() {
            return (Ending::Waiting, reasons.join("; "));
        }
        if !failed.is_empty() {
            return (Ending::RollbackIncomplete, reasons.join("; "));
        }
        let kept: Vec<String> = candidates
            .iter()
            .filter(|ix| {
                self.state.steps[**ix].kept.is_some() && self.state.steps[**ix].state.is_done()
            })
            .filter(
                |ix| !matches!(self.state.steps[**ix].kept.as_deref(), Some(why) if why == NOTHING),
            )
            .map(name)
            .collect();
        if kept.is_empty() {
            (Ending::RolledBack, "all is taken back".to_owned())
        } else {
            let reason = format!("taken back; `{}` had no way back and stays", kept.join("`, `"));
            (Ending::RolledBack, reason)
        }
    }

    pub(super) fn seen_before_undo(&mut self, step: StepIx, sight: &Sight, repaired: bool) {
        // A cancel ends a rollback after the current step, but it is what a release is for.
        let cancelled = self.stopping().is_some_and(|(e, _)| e == Ending::Interrupted);
        if cancelled && !matches!(self.mode, Mode::Release(_)) {
            return;
        }
        let name = self.name(step);
        let begun = self.is_interrupted(step);
        let kept = match &sight.undo {
            UndoPlan::Can(_) => None,
            UndoPlan::NotNeeded => Some(NOTHING.to_owned()),
            UndoPlan::Cannot(why) => Some(why.clone()),
        };
        if let Some(why) = kept.clone().filter(|_| !begun) {
            return self.emit(Event::UndoSkipped { step: name, why });
        }
        let seen = sight.observation.clone();
        match (seen.seen.clone(), kept) {
            // A failed attempt stays failed: `status` has to say what went wrong.
            (Seen::Absent, _) if self.state.steps[step].state == StepState::Failed => {
                self.emit(Event::UndoSkipped { step: name, why: NOTHING.to_owned() });
            }
            (Seen::Absent, _) if begun => self.emit(Event::StepReset {
                step: name,
                why: "the interrupted attempt left nothing".to_owned(),
            }),
            (Seen::Absent, _) => {
                let why = "nothing of it was there any more".to_owned();
                self.emit(Event::UndoDone { step: name, why });
                self.bracket_undone(step);
            }
            (Seen::Done, Some(why)) => {
                let evidence = Box::new(Evidence::seen(seen));
                self.emit(Event::StepAdopted { step: name.clone(), evidence });
                self.emit(Event::UndoSkipped { step: name, why });
            }
            (Seen::Done, None) => self.undo_now(step),
            (Seen::Half(what), kept) if !repaired => {
                match kept {
                    Some(_) => self.emit(Event::RepairIntent { step: name, what: what.clone() }),
                    None => self.emit(Event::UndoIntent { step: name }),
                }
                self.act(step, Action::Repair { step, what, then: Purpose::UndoRepaired });
            }
            (Seen::Half(what), _) => {
                self.undo_unknown(step, format!("still half done after a repair: {what}"), seen);
            }
            // In a release the service matters most, and an undo may be repeated by contract.
            (Seen::Unknown(why), None) if self.releases_interrupted(step) => {
                self.unknown(step, why, seen, None);
                self.undo_now(step);
            }
            (Seen::Unknown(_), Some(why)) if self.releases_interrupted(step) => {
                self.emit(Event::UndoSkipped { step: name, why });
            }
            (Seen::Unknown(why), _) => self.undo_unknown(step, why, seen),
        }
    }

    /// An attempt was begun, and how it ended is not known or not well: a part may be there.
    pub(super) fn is_interrupted(&self, step: StepIx) -> bool {
        let rec = &self.state.steps[step];
        match rec.state {
            StepState::Running | StepState::Unknown => true,
            StepState::Failed | StepState::Pending | StepState::Skipped | StepState::Waiting => {
                rec.attempts > 0 && !rec.forgotten
            }
            _ => false,
        }
    }

    fn releases_interrupted(&self, step: StepIx) -> bool {
        matches!(self.mode, Mode::Release(_))
            && (self.is_interrupted(step) || self.state.steps[step].state == StepState::Undoing)
    }

    fn undo_now(&mut self, step: StepIx) {
        let name = self.name(step);
        let plan = self.plan();
        // Taking back what closed a bracket opens it again.
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if bracket.close == step && self.state.brackets[ix].open_since_ms.is_none() {
                self.emit(Event::BracketOpened { bracket: bracket.name.clone(), budget_ms: None });
            }
        }
        self.emit(Event::UndoIntent { step: name });
        self.act(step, Action::Undo { step });
    }

    fn undo_unknown(&mut self, step: StepIx, why: String, seen: Observation) {
        let name = self.name(step);
        if matches!(self.mode, Mode::Release(_)) {
            self.release_stuck = Some(format!("`{name}` cannot be told: {why}"));
        }
        self.unknown(step, why, seen, None);
    }

    pub(super) fn undone(&mut self, step: StepIx, result: Result<(), Box<StepError>>) {
        if self.is_killed() {
            return;
        }
        match result {
            Ok(()) => self.look(step, Purpose::UndoAfter),
            // It may have been taken back or not: looked at when the rollback goes on.
            Err(error)
                if error.cause == ErrorCause::Cancelled
                    && !matches!(self.mode, Mode::Release(_)) => {}
            Err(error) => self.undo_failed(step, *error),
        }
    }

    fn undo_failed(&mut self, step: StepIx, error: StepError) {
        let name = self.name(step);
        if matches!(self.mode, Mode::Release(_)) {
            self.release_stuck = Some(format!("the undo of `{name}` failed: {}", error.what));
        }
        if self.state.steps[step].interruption.is_some() {
            // Nobody knows whether there was anything to take back: a person has to say.
            let why = format!("its undo failed after an interrupted attempt: {}", error.what);
            self.emit(Event::StepUnknown {
                step: name,
                why,
                facts: Facts::default(),
                error: Some(Box::new(error)),
            });
            return;
        }
        self.emit(Event::UndoFailed { step: name, error: Box::new(error) });
    }

    pub(super) fn seen_after_undo(&mut self, step: StepIx, seen: &Observation) {
        let name = self.name(step);
        let what = match &seen.seen {
            Seen::Absent => {
                self.emit(Event::UndoDone { step: name, why: "taken back".to_owned() });
                return self.bracket_undone(step);
            }
            Seen::Done => format!("the undo of `{name}` ran without an error, but it is still so"),
            Seen::Half(what) => format!("the undo of `{name}` left it half done: {what}"),
            Seen::Unknown(why) => {
                format!("after the undo of `{name}` its state cannot be told: {why}")
            }
        };
        self.undo_failed(step, StepError::failed(what));
    }
}

/// Why undo passed a step by that has nothing to take back.
pub(super) const NOTHING: &str = "there is nothing to take back";
