//! What each event does to the state of a run.

use std::sync::Arc;

use super::Evidence;
use super::event::{Event, StepRevision};
use super::state::{
    BracketState, Direction, INTERRUPTED, RunPhase, RunState, StepRec, StepState, UNDO_INTERRUPTED,
    rejected,
};
use crate::kind::Prepared;
use crate::plan::{Plan, StepIx};
use crate::process::ProcessId;

impl RunState {
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
            Event::RollbackStarted { owner, to, accept_loss, .. } => {
                self.owner = owner.clone();
                self.direction = Direction::Back { to: to.clone() };
                self.phase = RunPhase::Live;
                self.back_since_ms.get_or_insert(at_ms);
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
                self.is_written = self.direction == Direction::Forward;
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
                rec.failure = None;
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
                rec.failure = None;
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
                rec.failure = None;
            }
            Event::StepFailed { error, retry_in_ms, attempt, .. } => {
                let state =
                    if retry_in_ms.is_some() { StepState::Pending } else { StepState::Failed };
                enter(rec, state, Some(error.what.clone()));
                rec.attempts = rec.attempts.max(*attempt);
                rec.interruption = None;
                rec.error = Some((**error).clone());
                rec.failure.clone_from(&rec.error);
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
                if rec.error.is_some() {
                    rec.failure.clone_from(&rec.error);
                }
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
                rec.failure = None;
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
                rec.failure = None;
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
