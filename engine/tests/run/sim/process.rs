//! A process that commits what the machine decides and performs what it asks for.

use workplan_engine::kind::{ErrorCause, StepError};
use workplan_engine::plan::StepIx;
use workplan_engine::run::{Action, Ending, Event, Input, Machine, Purpose, Timer};

use super::run::{Cut, Leaves, Outcome, Run};
use super::world::{Flavour, Repair, Spec, Val};

/// One process.
pub(crate) struct Process<'r> {
    pub(crate) run: &'r mut Run,
    pub(crate) machine: Machine,
    /// What was asked for and not yet performed.
    pub(crate) queue: Vec<Action>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) ended: Option<Ending>,
    /// Only the journal is kept: the oracle's checks cost more than the decisions.
    pub(crate) quiet: bool,
    killed: bool,
}

impl<'r> Process<'r> {
    pub(crate) fn new(machine: Machine, run: &'r mut Run) -> Self {
        Self {
            run,
            machine,
            queue: Vec::new(),
            timers: Vec::new(),
            ended: None,
            quiet: false,
            killed: false,
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        let decision = self.machine.decide(0, input);
        if self.quiet {
            self.run.journal.extend(decision.events);
            for action in decision.actions {
                match action {
                    Action::Finish(ending) => self.ended = Some(ending),
                    Action::Wake { .. } | Action::Stop { .. } => {}
                    action => self.queue.push(action),
                }
            }
            return;
        }
        for event in decision.events {
            if let Event::BracketReleased { bracket } = &event {
                self.check_released(bracket);
            }
            self.run.commit(event);
        }
        for action in decision.actions {
            match action {
                Action::Finish(ending) => {
                    if self.ended.replace(ending).is_some() {
                        self.run.oracle.violations.push("it ended twice".to_owned());
                    }
                }
                Action::Wake { timer, .. } => self.timers.push(timer),
                Action::Stop { kill, steps: _ } => self.killed |= kill,
                action => self.queue.push(action),
            }
        }
        let busy = self.queue.iter().filter(|a| matches!(a, Action::Apply { .. })).count();
        if busy > self.run.jobs {
            self.run.oracle.violations.push(format!("{busy} attempts at once"));
        }
        if self.ended.is_some() && !self.queue.is_empty() {
            self.run.oracle.violations.push("it ended with work under way".to_owned());
        }
        let cut = Cut {
            events: self.run.journal.len(),
            world: self.run.world.clone(),
            in_flight: self.queue.clone(),
        };
        if let Some(cuts) = &mut self.run.cuts {
            cuts.push(cut);
        }
    }

    /// A released bracket has given the service back.
    fn check_released(&mut self, bracket: &str) {
        let found = self.run.plan.brackets.iter().find(|b| b.name == bracket);
        let open = found.expect("the bracket exists").open;
        let down = self.run.world.vars[self.run.specs[open].var] != Val::Absent;
        if down && !self.run.disturbed {
            self.run.oracle.violations.push(format!("`{bracket}` was released and is down"));
        }
    }

    /// Performs one action and tells the machine.
    pub(crate) fn perform(&mut self, at: usize) {
        let action = self.queue.remove(at);
        let input = self.outcome(action);
        self.input(input);
    }

    /// Ends an action that was told to stop, leaving something.
    pub(crate) fn stop(&mut self, at: usize, leaves: Leaves) {
        let action = self.queue.remove(at);
        self.run.leave(&action, leaves);
        let error = Box::new(StepError::new(ErrorCause::Cancelled, "was told to stop"));
        let input = match action {
            Action::Apply { step, .. } => Input::Applied { step, result: Err(error) },
            Action::Repair { step, then, .. } => Input::Repaired { step, then, result: Err(error) },
            Action::Undo { step } => Input::Undone { step, result: Err(error) },
            other => self.outcome(other),
        };
        self.input(input);
    }

    /// What an action comes to.
    pub(crate) fn outcome(&mut self, action: Action) -> Input {
        let run = &mut *self.run;
        let spec = |step: StepIx| run.specs[step].clone();
        match action {
            Action::Look { step, purpose } => {
                let past = self.machine.past(step, &purpose);
                let sight = run.world.look(&spec(step), &past, &purpose);
                if matches!(purpose, Purpose::Verify(_)) && sight.observation.is_done() {
                    run.oracle.verified(step);
                }
                Input::Looked { step, purpose, sight: Box::new(sight) }
            }
            Action::Prepare { step } => {
                Input::Prepared { step, result: Ok((Default::default(), None)) }
            }
            Action::Apply { step, attempt } => {
                let spec = spec(step);
                Input::Applied { step, result: self.apply(step, attempt, &spec) }
            }
            Action::Repair { step, then, .. } => {
                let spec = spec(step);
                let result = match spec.repair {
                    Repair::Impossible => Err(Box::new(StepError::failed("it has no repair"))),
                    Repair::ToAbsent => {
                        run.world.set(spec.var, spec.unwanted());
                        Ok(())
                    }
                    Repair::ToDone => {
                        run.world.set(spec.var, spec.wants());
                        Ok(())
                    }
                };
                Input::Repaired { step, then, result }
            }
            Action::Undo { step } => {
                let spec = spec(step);
                if let Some(bad) = run.bad_undos.get_mut(&step).filter(|n| **n > 0) {
                    *bad -= 1;
                    let error = StepError::failed("the undo does not want to");
                    return Input::Undone { step, result: Err(Box::new(error)) };
                }
                let result = run.world.undo(&spec);
                if result.is_err() && spec.flavour == Flavour::State && !run.disturbed {
                    run.oracle
                        .violations
                        .push(format!("`{}` was taken back twice", run.plan.steps[step].id));
                }
                Input::Undone { step, result }
            }
            Action::Wake { .. } | Action::Stop { .. } | Action::Finish(_) => {
                unreachable!("never queued")
            }
        }
    }

    fn apply(
        &mut self,
        step: StepIx,
        attempt: u32,
        spec: &Spec,
    ) -> Result<Box<workplan_engine::kind::Applied>, Box<StepError>> {
        let run = &mut *self.run;
        run.applied[step] += 1;
        let name = run.plan.steps[step].id.clone();
        if !spec.acts() {
            if matches!(spec.flavour, Flavour::Gate | Flavour::Manual) {
                run.oracle.violations.push(format!("`{name}` is a person's and was applied"));
            }
        } else if spec.flavour != (Flavour::Command { rerun_safe: true }) && !run.disturbed {
            let there = run.world.vars[spec.var];
            if there == spec.wants() || there == Val::Half && spec.flavour == Flavour::State {
                run.oracle.violations.push(format!("`{name}` was applied over {there:?}"));
            }
        }
        let error = match run.outcomes.get(&(step, attempt)) {
            None => None,
            Some(Outcome::Lies) => return Ok(Box::new(run.world.applied(spec))),
            Some(Outcome::NotStarted) => {
                Some((Val::Absent, StepError::new(ErrorCause::NotStarted, "no such shell")))
            }
            Some(Outcome::Fails(leaves)) => Some((*leaves, StepError::failed("it says no"))),
            Some(Outcome::TimesOut(leaves)) => {
                Some((*leaves, StepError::new(ErrorCause::TimedOut, "it took too long")))
            }
        };
        if let Some((leaves, error)) = error {
            if spec.acts() {
                match leaves {
                    Val::Absent => {}
                    Val::Half => run.world.set(spec.var, Val::Half),
                    Val::Done => run.world.set(spec.var, spec.wants()),
                }
            }
            return Err(Box::new(error));
        }
        if spec.acts() {
            run.world.set(spec.var, spec.wants());
        }
        Ok(Box::new(run.world.applied(spec)))
    }

    /// Lets the first timer ring that a process without work waits for.
    pub(crate) fn ring(&mut self) -> bool {
        let Some(at) = self.timers.iter().position(|t| matches!(t, Timer::Retry(_))) else {
            return false;
        };
        let timer = self.timers.remove(at);
        self.input(Input::Woke(timer));
        true
    }

    /// Whether a kill was asked for.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed
    }

    /// Begins, and performs everything in order until the end.
    pub(crate) fn finish(mut self) -> Ending {
        self.input(Input::Begin);
        loop {
            if let Some(ending) = self.ended {
                self.check_end();
                return ending;
            }
            if !self.queue.is_empty() {
                self.perform(0);
            } else if !self.ring() {
                self.run.oracle.violations.push("it is stuck: no work and no end".to_owned());
                return Ending::Failed;
            }
        }
    }

    /// What must be true at the end of a process.
    pub(crate) fn check_end(&mut self) {
        let silent = self.run.oracle.silently_open(&self.run.plan);
        if !silent.is_empty() {
            let ended = self.run.oracle.ended().cloned();
            self.run.oracle.violations.push(format!("{silent:?} left open silently: {ended:?}"));
        }
        let folded = self.run.fold();
        if folded.steps != self.machine.state.steps
            || folded.brackets != self.machine.state.brackets
        {
            self.run.oracle.violations.push("the fold is not what the machine knows".to_owned());
        }
    }
}
