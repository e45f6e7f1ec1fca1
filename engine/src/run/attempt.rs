//! One attempt at a step: what is looked at before it, how it begins, and what it came to.

use super::decide::{Machine, Mode};
use super::state::{StepState, rejected};
use super::{Action, Ending, Event, Evidence, Purpose, Sight, Timer};
use crate::digest::Digest;
use crate::kind::{Applied, ErrorCause, Observation, Prepared, Seen, StepError, Wait};
use crate::plan::StepIx;

impl Machine {
    pub(super) fn start(&mut self, step: StepIx) {
        let plan = self.plan();
        if let Some(bracket) = plan.brackets.iter().find(|b| b.open == step)
            && let Some(message) = &bracket.gate
            && self.state.steps[step].attempts == 0
        {
            let wait = Wait::Gate { message: message.clone(), signers: None };
            if !self.gate(step, &bracket.name, wait) {
                return;
            }
        }
        let holds = &plan.steps[step].holds;
        if holds.is_empty() {
            return self.look_before(step);
        }
        self.holds_left.insert(step, holds.len());
        for held in holds {
            self.look(*held, Purpose::Hold(step));
        }
    }

    /// Whether a gate is open; where it is not, the step waits or fails.
    fn gate(&mut self, step: StepIx, gate: &str, wait: Wait) -> bool {
        let name = self.name(step);
        match self.state.gates.get(gate) {
            Some((true, _)) => true,
            Some((false, person)) => {
                let what = rejected(gate, person);
                self.fail(step, 0, StepError::new(ErrorCause::NotStarted, what));
                false
            }
            None => {
                self.emit(Event::StepWaiting { step: name, gate: gate.to_owned(), wait });
                false
            }
        }
    }

    pub(super) fn held(&mut self, held: StepIx, holder: StepIx, seen: &Observation) {
        let broken = match &seen.seen {
            Seen::Done => None,
            Seen::Absent => Some("it is not so any more".to_owned()),
            Seen::Half(what) => Some(what.clone()),
            Seen::Unknown(why) => Some(why.clone()),
        };
        let on_resume = self.mode == Mode::Holds;
        if !on_resume {
            let Some(left) = self.holds_left.get_mut(&holder) else { return };
            *left -= 1;
        }
        if let Some(why) = broken {
            self.holds_left.remove(&holder);
            if self.state.steps[holder].state == StepState::Failed {
                // Another hold of it was found broken before.
                return;
            }
            let what = format!(
                "`{}` relies on `{}`, which no longer holds: {why}",
                self.name(holder),
                self.name(held)
            );
            let error = StepError::new(ErrorCause::NotStarted, what)
                .with_help("nothing was started; see what changed it, then resume or roll back");
            return self.fail(holder, 0, error);
        }
        if !on_resume && self.holds_left.get(&holder) == Some(&0) {
            self.holds_left.remove(&holder);
            if self.stop.is_some() {
                return;
            }
            self.look_before(holder);
        }
    }

    fn look_before(&mut self, step: StepIx) {
        self.look(step, Purpose::Before);
    }

    pub(super) fn seen_before(&mut self, step: StepIx, sight: Sight, repaired: bool) {
        if self.stop.is_some() {
            return;
        }
        let forced = self.is_forced(step) || self.state.plan.steps[step].always;
        if let Some(wait) = sight.wait {
            return self.wait_for_person(step, wait, &sight.observation);
        }
        let prepares = sight.prepares && self.state.steps[step].prepared.is_none();
        let seen = sight.observation;
        match seen.seen.clone() {
            Seen::Done if !forced => {
                self.found_so(step, seen);
                self.finish_step(step);
                self.closed(step);
                self.opened(step);
            }
            Seen::Half(what) if !repaired => {
                if prepares {
                    self.to_repair.insert(step, what);
                    self.act(step, Action::Prepare { step });
                } else {
                    self.repair(step, what);
                }
            }
            Seen::Half(what) => {
                self.unknown(step, format!("still half done after a repair: {what}"), seen, None);
            }
            Seen::Unknown(why) if !forced && !self.state.steps[step].told_absent => {
                self.unknown(step, why, seen, None);
            }
            Seen::Done | Seen::Unknown(_) | Seen::Absent => {
                if prepares {
                    self.act(step, Action::Prepare { step });
                } else {
                    self.intend(step);
                }
            }
        }
    }

    fn repair(&mut self, step: StepIx, what: String) {
        let name = self.name(step);
        self.opened(step);
        self.emit(Event::RepairIntent { step: name, what: what.clone() });
        self.act(step, Action::Repair { step, what, then: Purpose::BeforeRepaired });
    }

    fn wait_for_person(&mut self, step: StepIx, wait: Wait, seen: &Observation) {
        let name = self.name(step);
        match &wait {
            Wait::Manual { .. } if seen.is_done() => {
                self.found_so(step, seen.clone());
                self.finish_step(step);
            }
            Wait::Manual { .. } => {
                self.emit(Event::StepWaiting { step: name.clone(), gate: name, wait });
            }
            Wait::Gate { .. } => {
                if self.gate(step, &name, wait)
                    && let Some((_, person)) = self.state.gates.get(&name).cloned()
                {
                    let attempt = self.state.steps[step].attempts.max(1);
                    let evidence = Box::new(Evidence::person(person));
                    self.emit(Event::StepDone { step: name, attempt, evidence });
                    self.finish_step(step);
                }
            }
        }
    }

    pub(super) fn prepared(
        &mut self,
        step: StepIx,
        result: Result<(Prepared, Option<Digest>), Box<StepError>>,
    ) {
        let half = self.to_repair.remove(&step);
        if self.stop.is_some() {
            return;
        }
        match result {
            Ok((prepared, bytes)) => {
                let name = self.name(step);
                self.emit(Event::StepPrepared { step: name, undo: prepared.undo, bytes });
                match half {
                    Some(what) => self.repair(step, what),
                    None => self.intend(step),
                }
            }
            Err(mut error) => {
                error.cause = ErrorCause::NotStarted;
                self.fail(step, 0, *error);
            }
        }
    }

    fn intend(&mut self, step: StepIx) {
        let name = self.name(step);
        let attempt = self.state.steps[step].attempts + 1;
        let forced = self.is_forced(step);
        self.opened(step);
        self.emit(Event::StepIntent { step: name, attempt, forced });
        self.act(step, Action::Apply { step, attempt });
    }

    pub(super) fn applied(&mut self, step: StepIx, result: Result<Box<Applied>, Box<StepError>>) {
        if self.is_killed() {
            let name = self.name(step);
            self.emit(Event::StepInterrupted {
                step: name,
                absent: false,
                reason: "the run was stopped at once".to_owned(),
            });
            return;
        }
        match result {
            Ok(applied) => self.look(step, Purpose::Verify(applied)),
            Err(error) if error.cause == ErrorCause::NotStarted => {
                let attempt = self.state.steps[step].attempts;
                self.fail(step, attempt, *error);
            }
            Err(error) => {
                // What the look may believe of the record depends on how the attempt ended.
                self.note_end(step, &error);
                self.look(step, Purpose::AfterFail(error));
            }
        }
    }

    /// A failed attempt ended by itself; any other is an interruption for the record.
    fn note_end(&mut self, step: StepIx, error: &StepError) {
        let rec = &mut self.state.steps[step];
        if error.cause == ErrorCause::Failed {
            rec.state = StepState::Failed;
        } else {
            rec.interruption = Some(error.what.clone());
        }
    }

    pub(super) fn verified(&mut self, step: StepIx, applied: Applied, seen: Observation) {
        let attempt = self.state.steps[step].attempts;
        let name = self.name(step);
        let log = applied.log.clone();
        let facts: Vec<String> = seen
            .facts
            .0
            .iter()
            .filter_map(|(name, fact)| Some(format!("{name}: {}", fact.value.as_ref()?)))
            .collect();
        let fail = |what: String| {
            let mut error = StepError::failed(what);
            error.said.clone_from(&facts);
            error.log = log.clone();
            error
        };
        match seen.seen.clone() {
            Seen::Done => {
                let evidence = Box::new(Evidence::verified(applied, seen));
                self.emit(Event::StepDone { step: name, attempt, evidence });
                self.finish_step(step);
                self.closed(step);
            }
            Seen::Absent => self.fail(
                step,
                attempt,
                fail(format!("`{name}` ran without an error, but what it should make is not there"))
                    .with_help("its check still says \"not done\"; correct the step or its check, then `workplan resume`"),
            ),
            Seen::Half(what) => self.fail(
                step,
                attempt,
                fail(format!("`{name}` ran without an error, but is only half done: {what}")),
            ),
            Seen::Unknown(why) => self.unknown(step, why, seen, None),
        }
    }

    pub(super) fn seen_after_fail(
        &mut self,
        step: StepIx,
        mut error: StepError,
        seen: Observation,
    ) {
        let name = self.name(step);
        let attempt = self.state.steps[step].attempts;
        match seen.seen.clone() {
            Seen::Done => {
                let mut evidence = Evidence::seen(seen);
                evidence.notes.push(format!("the attempt said otherwise: {}", error.what));
                evidence.log = error.log;
                self.emit(Event::StepAdopted { step: name, evidence: Box::new(evidence) });
                self.finish_step(step);
                self.closed(step);
            }
            Seen::Unknown(why) => {
                let why = if why.starts_with(&error.what) || error.cause == ErrorCause::Failed {
                    why
                } else {
                    format!("{}; {why}", error.what)
                };
                self.unknown(step, why, seen, Some(error));
            }
            Seen::Absent if error.cause == ErrorCause::Cancelled => {
                self.emit(Event::StepInterrupted {
                    step: name,
                    absent: true,
                    reason: "interrupted; nothing of it is there".to_owned(),
                });
            }
            Seen::Half(what) if error.cause == ErrorCause::Cancelled => {
                let reason = format!("interrupted half done: {what}");
                self.emit(Event::StepInterrupted { step: name, absent: false, reason });
            }
            Seen::Half(what) => {
                error.what = format!("{}; it is half done: {what}", error.what);
                self.fail(step, attempt, error);
            }
            Seen::Absent => self.fail(step, attempt, error),
        }
    }

    fn fail(&mut self, step: StepIx, attempt: u32, error: StepError) {
        let name = self.name(step);
        let retry = self.state.plan.steps[step].retry;
        let tried = self.tries(step, attempt);
        let again = retry.filter(|r| {
            attempt > 0
                && tried <= r.max
                && self.stop.is_none()
                && error.cause != ErrorCause::Cancelled
        });
        let retry_in_ms = again.map(|r| {
            let doubled = r.backoff_ms.saturating_mul(1_u64 << (tried - 1).min(30));
            doubled.min(r.backoff_ms.max(300_000))
        });
        let reason = error.what.clone();
        self.emit(Event::StepFailed { step: name, attempt, error: Box::new(error), retry_in_ms });
        match retry_in_ms {
            Some(after_ms) => {
                self.waiting_retry.insert(step);
                self.wake(Timer::Retry(step), after_ms);
            }
            None => self.stop_with(Ending::Failed, reason),
        }
    }

    /// Attempts of this process: a resume gives the full number again.
    fn tries(&mut self, step: StepIx, attempt: u32) -> u32 {
        let first = *self.first_attempt.entry(step).or_insert(attempt);
        attempt.saturating_sub(first) + 1
    }

    pub(super) fn repaired(
        &mut self,
        step: StepIx,
        then: Purpose,
        result: Result<(), Box<StepError>>,
    ) {
        if self.is_killed() {
            return;
        }
        match result {
            Ok(()) => self.look(step, then),
            Err(error) => {
                let why = format!("its repair failed: {}", error.what);
                if matches!(self.mode, Mode::Release(_)) {
                    self.release_stuck = Some(format!("`{}`: {why}", self.name(step)));
                }
                self.unknown(step, why, Observation::absent(), Some(*error));
            }
        }
    }
}
