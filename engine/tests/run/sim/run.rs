//! A run over any number of processes: its journal, its world, and what people do in between.

use std::collections::HashMap;
use std::sync::Arc;

use workplan_engine::kind::Past;
use workplan_engine::plan::{Plan, StepIx};
use workplan_engine::process::ProcessId;
use workplan_engine::run::{
    Action, Ending, Event, Machine, Options, Person, RunStarted, RunState, Scope, StepRevision,
    StepState,
};

use super::build::Build;
use super::oracle::Oracle;
use super::process::Process;
use super::world::{Flavour, Repair, Spec, Val, World};

/// How an attempt is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Fails(Val),
    TimesOut(Val),
    NotStarted,
    /// It reports success without having done anything.
    Lies,
}

/// What a cut leaves of an action that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Nothing,
    Half,
    All,
}

/// A point at which a process may die: the journal's length, the world, what was under way.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) events: usize,
    pub(crate) world: World,
    pub(crate) in_flight: Vec<Action>,
}

/// A run in a simulated world, over any number of processes.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) plan: Arc<Plan>,
    pub(crate) specs: Arc<Vec<Spec>>,
    pub(crate) world: World,
    pub(crate) journal: Vec<Event>,
    pub(crate) oracle: Oracle,
    pub(crate) jobs: usize,
    /// How attempts go, by step and attempt; well where nothing is said.
    pub(crate) outcomes: HashMap<(StepIx, u32), Outcome>,
    /// How many undos of a step fail before one goes well.
    pub(crate) bad_undos: HashMap<StepIx, u32>,
    pub(crate) past: HashMap<StepIx, Past>,
    /// Others changed the world: an effect that is there already is then nobody's fault.
    pub(crate) disturbed: bool,
    /// Points of death of all processes so far, where they are wanted.
    pub(crate) cuts: Option<Vec<Cut>>,
    pub(crate) applied: Vec<u32>,
}

fn owner() -> ProcessId {
    ProcessId {
        pid: 1,
        started_ticks: 1,
        boot_id: "boot".to_owned(),
        host: "host".to_owned(),
        pid_namespace: 1,
    }
}

pub(crate) fn somebody() -> Person {
    Person { who: "ops".to_owned(), reason: "looked at it".to_owned(), signature: None }
}

impl Run {
    pub(crate) fn new(build: &Build, jobs: usize) -> Self {
        let started = RunStarted {
            run: "r1".to_owned(),
            plan: build.plan.clone(),
            owner: owner(),
            version: "0".to_owned(),
            saved_plan: None,
            asked: None,
            forced: Vec::new(),
            single: false,
            updated: None,
            workplan_status: None,
            sources: serde_json::Value::Null,
            statuses: Default::default(),
            preconditions: Vec::new(),
        };
        let plan = build.plan();
        Self {
            oracle: Oracle::new(&plan),
            applied: vec![0; plan.steps.len()],
            plan,
            specs: Arc::new(build.specs.clone()),
            world: build.world(),
            journal: vec![Event::RunStarted(Box::new(started))],
            jobs,
            outcomes: HashMap::new(),
            bad_undos: HashMap::new(),
            past: HashMap::new(),
            disturbed: false,
            cuts: None,
        }
    }

    /// Only a part is asked for; to be said before anything happens.
    pub(crate) fn ask(&mut self, scope: Scope) {
        if let [Event::RunStarted(started)] = self.journal.as_mut_slice() {
            started.asked = Some(scope);
        }
    }

    pub(crate) fn commit(&mut self, event: Event) {
        self.oracle.event(&self.plan, &self.specs, &event);
        self.journal.push(event);
    }

    pub(crate) fn fold(&self) -> RunState {
        RunState::fold(self.journal.iter().map(|e| (0, e))).expect("a journal begins with a start")
    }

    /// Another process goes on.
    pub(crate) fn resume(&mut self) {
        self.commit(Event::RunResumed {
            owner: owner(),
            plan: None,
            revisions: Vec::new(),
            forced: Vec::new(),
        });
    }

    /// Another process goes on with an edited plan, or does steps again.
    pub(crate) fn edit(
        &mut self,
        build: &Build,
        revisions: Vec<StepRevision>,
        forced: Vec<String>,
    ) {
        let plan = build.plan();
        self.oracle = self.oracle.revised(&self.plan, &plan, &revisions);
        self.plan = plan;
        self.specs = Arc::new(build.specs.clone());
        let size = build.specs.len().max(self.world.vars.len());
        self.world.grow(size);
        self.applied.resize(size, 0);
        self.outcomes.clear();
        let plan = Some(Box::new(build.plan.clone()));
        self.commit(Event::RunResumed { owner: owner(), plan, revisions, forced });
    }

    /// Another process goes back.
    pub(crate) fn roll_back(&mut self) {
        self.commit(Event::RollbackStarted {
            owner: owner(),
            to: None,
            accept_loss: false,
            loss: Vec::new(),
        });
    }

    /// Another process goes back to a step.
    pub(crate) fn roll_back_to(&mut self, step: &str) {
        let to = Some(step.to_owned());
        self.commit(Event::RollbackStarted {
            owner: owner(),
            to,
            accept_loss: false,
            loss: Vec::new(),
        });
    }

    /// The same, unseen by the oracle.
    pub(crate) fn roll_back_quietly(&mut self) {
        let owner = owner();
        self.journal.push(Event::RollbackStarted {
            owner,
            to: None,
            accept_loss: false,
            loss: Vec::new(),
        });
    }

    pub(crate) fn process(&mut self) -> Process<'_> {
        let options = Options {
            jobs: self.jobs,
            grace_ms: 1000,
            past: self.past.clone(),
            ..Options::default()
        };
        Process::new(Machine::new(self.fold(), options), self)
    }

    /// A person answers all that waits, truthfully; whether there was anything.
    pub(crate) fn answer(&mut self) -> bool {
        let state = self.fold();
        let mut any = false;
        for (ix, rec) in state.steps.iter().enumerate() {
            let step = self.plan.steps[ix].id.clone();
            let spec = self.specs[ix].clone();
            let event = match (rec.state, &rec.wait) {
                (StepState::Waiting, Some((gate, _))) if spec.flavour != Flavour::Manual => {
                    Event::GateApproved { gate: gate.clone(), person: somebody() }
                }
                (StepState::Waiting, _) => {
                    Event::StepResolved { step, done: true, person: somebody() }
                }
                (StepState::Unknown, _) => {
                    if self.world.vars[spec.var] == Val::Half {
                        self.world.set(spec.var, spec.unwanted());
                    }
                    let done = self.world.is_done(&spec);
                    Event::StepResolved { step, done, person: somebody() }
                }
                _ => continue,
            };
            any = true;
            self.commit(event);
        }
        any
    }

    /// Goes on until it ends with something else than waiting, answering in between.
    pub(crate) fn settle(&mut self) -> Ending {
        for _ in 0..20 {
            let ending = self.process().finish();
            if ending == Ending::Failed && !self.plan.brackets.is_empty() {
                // It was released or held; a person looks at it and goes on.
                self.resume();
                continue;
            }
            if ending != Ending::Waiting {
                return ending;
            }
            if !self.answer() {
                self.oracle.violations.push("it waits for nothing that has a name".to_owned());
                return ending;
            }
            self.resume();
        }
        if !self.disturbed {
            self.oracle.violations.push("it waits for ever".to_owned());
        }
        Ending::Waiting
    }

    /// Settles, and tries again after every failure, as a patient operator would.
    pub(crate) fn settle_whatever(&mut self) -> Ending {
        let mut ending = Ending::Failed;
        for _ in 0..20 {
            ending = self.settle();
            match ending {
                Ending::Failed | Ending::RollbackIncomplete | Ending::Interrupted => self.resume(),
                _ => break,
            }
        }
        ending
    }

    /// Whoever refused a gate comes round.
    pub(crate) fn reopen_gates(&mut self) {
        let gates = self.fold().gates;
        for (gate, _) in gates.into_iter().filter(|(_, (approved, _))| !approved) {
            self.commit(Event::GateApproved { gate, person: somebody() });
        }
    }

    /// The plan, for a message.
    pub(crate) fn plan_text(&self) -> String {
        let mut out = String::new();
        for (step, spec) in self.plan.steps.iter().zip(self.specs.iter()) {
            out.push_str(&format!(
                "{} needs {:?} holds {:?} {:?} undo {} {:?}{}\n",
                step.id,
                step.needs,
                step.holds,
                spec.flavour,
                spec.undo,
                spec.repair,
                if step.point_of_no_return { " NO RETURN" } else { "" }
            ));
        }
        for b in &self.plan.brackets {
            out.push_str(&format!(
                "{} {}..{} inside {:?} {:?} {:?}\n",
                b.name, b.open, b.close, b.inside, b.on_failure, b.gate
            ));
        }
        format!("{out}{:?} {:?}", self.outcomes, self.bad_undos)
    }

    /// The run as the next process finds it after a death at `cut`, where what was under way left
    /// what `leaves` says.
    pub(crate) fn died(&self, cut: &Cut, leaves: &[Leaves]) -> Self {
        let mut next = self.clone();
        next.cuts = None;
        next.world = cut.world.clone();
        next.journal.truncate(cut.events);
        next.oracle = Oracle::new(&self.plan);
        let journal = std::mem::take(&mut next.journal);
        for event in journal {
            if let Event::StepDone { step, .. } = &event {
                next.oracle.verified(self.plan.step(step).expect("the step exists"));
            }
            next.commit(event);
        }
        next.oracle.violations.clear();
        for (action, leaves) in cut.acting().zip(leaves) {
            next.leave(action, *leaves);
        }
        next
    }

    /// An action is cut short.
    pub(crate) fn leave(&mut self, action: &Action, leaves: Leaves) {
        let (step, all) = match action {
            Action::Apply { step, .. } => (*step, self.specs[*step].wants()),
            Action::Undo { step } => (*step, self.specs[*step].unwanted()),
            Action::Repair { step, .. } => {
                let spec = &self.specs[*step];
                match spec.repair {
                    Repair::ToAbsent => (*step, spec.unwanted()),
                    Repair::ToDone => (*step, spec.wants()),
                    Repair::Impossible => return,
                }
            }
            _ => return,
        };
        if !self.specs[step].acts() {
            return;
        }
        match leaves {
            Leaves::Nothing => {}
            Leaves::Half => self.world.set(self.specs[step].var, Val::Half),
            Leaves::All => self.world.set(self.specs[step].var, all),
        }
    }

    /// All that was said and done, for a message.
    pub(crate) fn story(&self) -> String {
        let mut out = String::new();
        for event in &self.journal {
            match event {
                Event::RunStarted(_) => out.push_str("run.started\n"),
                event => {
                    let text = serde_json::to_string(event).unwrap_or_default();
                    out.push_str(&text.chars().take(200).collect::<String>());
                    out.push('\n');
                }
            }
        }
        format!("{out}{:?}", self.world.vars)
    }
}

impl Cut {
    /// What may have changed the world when the process died.
    pub(crate) fn acting(&self) -> impl Iterator<Item = &Action> {
        self.in_flight.iter().filter(|a| {
            matches!(a, Action::Apply { .. } | Action::Undo { .. } | Action::Repair { .. })
        })
    }
}
