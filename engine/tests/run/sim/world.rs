//! Effects, and what the steps of each flavour see and do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use workplan_engine::kind::{Applied, Observation, Past, StepError, UndoPlan, Wait};
use workplan_engine::run::{Purpose, Sight};

/// An effect in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Val {
    Absent,
    Half,
    Done,
}

/// What a step is, as far as the machine can tell the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Its effect can be looked at. Making it twice is an error.
    State,
    /// A command without a check: only the record is known.
    Command { rerun_safe: bool },
    /// Evidence about other effects, valid until one of them changes.
    Proof { subject: Vec<usize> },
    /// A person decides.
    Gate,
    /// A person does it.
    Manual,
}

/// What a repair comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    ToAbsent,
    ToDone,
    Impossible,
}

/// One step as the world knows it.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) flavour: Flavour,
    /// The effect that it makes.
    pub(crate) var: usize,
    /// It takes the effect away: what closes a bracket undoes what opened it.
    pub(crate) inverse: bool,
    pub(crate) undo: bool,
    pub(crate) repair: Repair,
    pub(crate) prepares: bool,
}

impl Spec {
    pub(crate) fn wants(&self) -> Val {
        if self.inverse { Val::Absent } else { Val::Done }
    }

    pub(crate) fn unwanted(&self) -> Val {
        if self.inverse { Val::Done } else { Val::Absent }
    }

    /// Whether it has an effect of its own.
    pub(crate) fn acts(&self) -> bool {
        matches!(self.flavour, Flavour::State | Flavour::Command { .. })
    }
}

/// All effects, each with a count of its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) vars: Vec<Val>,
    pub(crate) revisions: Vec<u32>,
}

impl World {
    pub(crate) fn new(size: usize) -> Self {
        Self { vars: vec![Val::Absent; size], revisions: vec![0; size] }
    }

    /// Makes room for the effects of more steps.
    pub(crate) fn grow(&mut self, size: usize) {
        self.vars.resize(size, Val::Absent);
        self.revisions.resize(size, 0);
    }

    pub(crate) fn set(&mut self, var: usize, val: Val) {
        if self.vars[var] != val {
            self.vars[var] = val;
            self.revisions[var] += 1;
        }
    }

    pub(crate) fn is_done(&self, spec: &Spec) -> bool {
        self.vars[spec.var] == spec.wants()
    }

    fn subject(&self, subject: &[usize]) -> Value {
        json!(subject.iter().map(|v| (self.revisions[*v], self.vars[*v] as u8)).collect::<Vec<_>>())
    }

    /// What a look says, as the contract of each flavour has it.
    pub(crate) fn look(&self, spec: &Spec, past: &Past, purpose: &Purpose) -> Sight {
        let observation = match &spec.flavour {
            Flavour::State => match self.vars[spec.var] {
                Val::Half => Observation::half("a part of it is there"),
                val if val == spec.wants() => Observation::done(),
                _ => Observation::absent(),
            },
            Flavour::Command { rerun_safe } => match (purpose, past) {
                (Purpose::Verify(_), _) => {
                    let mut seen = Observation::done();
                    seen.weak = true;
                    seen
                }
                (_, Past::Never | Past::Failed) => Observation::absent(),
                (_, Past::Succeeded { record, .. }) => Observation::done().from_record(record),
                // That it may be run again does not say that there is nothing to take back.
                (Purpose::UndoBefore | Purpose::UndoRepaired, Past::Interrupted(why)) => {
                    Observation::unknown(format!("{why}; it has no check"))
                }
                (_, Past::Interrupted(_)) if *rerun_safe => Observation::absent(),
                (_, Past::Interrupted(why)) => {
                    Observation::unknown(format!("{why}; it has no check"))
                }
                (_, Past::Claimed) => Observation::unknown("claimed"),
            },
            Flavour::Proof { subject } => {
                let now = self.subject(subject);
                match (purpose, past) {
                    (Purpose::Verify(applied), _) => {
                        if applied.outputs.get("subject") == Some(&now) {
                            Observation::done()
                        } else {
                            Observation::absent()
                        }
                    }
                    (_, Past::Succeeded { record, outputs })
                        if outputs.get("subject") == Some(&now) =>
                    {
                        let mut seen = Observation::done();
                        seen.record = Some(record.clone());
                        seen.outputs.clone_from(outputs);
                        seen
                    }
                    _ => Observation::absent(),
                }
            }
            Flavour::Gate => Observation::absent(),
            Flavour::Manual => match past {
                Past::Succeeded { record, .. } => {
                    let mut seen = Observation::done();
                    seen.record = Some(record.clone());
                    seen
                }
                _ => Observation::absent(),
            },
        };
        let wait = match spec.flavour {
            Flavour::Gate => Some(Wait::Gate { message: "may it?".to_owned(), signers: None }),
            Flavour::Manual => Some(Wait::Manual { instructions: "turn the key".to_owned() }),
            _ => None,
        };
        let undo = match (spec.acts(), spec.undo) {
            (false, _) => UndoPlan::NotNeeded,
            (true, true) => UndoPlan::Can("takes it away".to_owned()),
            (true, false) => UndoPlan::Cannot("it declares no undo".to_owned()),
        };
        Sight { observation, wait, undo, prepares: spec.prepares }
    }

    /// What an attempt gives that went well.
    pub(crate) fn applied(&self, spec: &Spec) -> Applied {
        let outputs = match &spec.flavour {
            Flavour::Proof { subject } => {
                BTreeMap::from([("subject".to_owned(), self.subject(subject))])
            }
            _ => BTreeMap::new(),
        };
        Applied { outputs, ..Applied::default() }
    }

    /// Takes an effect back, as `rm` would: what is not there is an error.
    pub(crate) fn undo(&mut self, spec: &Spec) -> Result<(), Box<StepError>> {
        if self.vars[spec.var] == spec.unwanted() {
            return Err(Box::new(StepError::failed("there is nothing to take away")));
        }
        self.set(spec.var, spec.unwanted());
        Ok(())
    }
}
