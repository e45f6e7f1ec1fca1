//! A run as it is now: what the journal says, and whether its engine still lives.

use std::path::PathBuf;

use workplan_engine::journal::{Journal, RunRow, StateDir};
use workplan_engine::kind::Wait;
use workplan_engine::plan::StepIx;
use workplan_engine::process::Liveness;
use workplan_engine::run::{Direction, RunPhase, RunState, StepState};
use workplan_engine::session;

use crate::failure::Failure;
use crate::term::{ago, local_ms};

/// A run as it is now.
pub(crate) struct RunView {
    /// Its row.
    pub(crate) row: RunRow,
    /// What its events tell.
    pub(crate) state: RunState,
    /// Whether its engine lives; `None` where that cannot be told from here.
    pub(crate) alive: Option<bool>,
}

impl RunView {
    /// Reads a run; its chain of events is verified on the way.
    pub(crate) fn load(journal: &Journal, row: RunRow) -> Result<Self, Failure> {
        let state = session::load_run(journal, &row.run)?;
        let alive = match state.owner.liveness() {
            Liveness::Alive => Some(true),
            Liveness::Dead => Some(false),
            Liveness::Unknown => None,
        };
        Ok(Self { row, state, alive })
    }

    /// The run's id.
    pub(crate) fn id(&self) -> &str {
        &self.state.run
    }

    /// Whether a process works on it. One that cannot be looked at from here is believed.
    pub(crate) fn is_live(&self) -> bool {
        self.state.phase == RunPhase::Live && self.alive != Some(false)
    }

    /// The word of the status format. A run whose engine is gone never reads as running.
    pub(crate) fn word(&self) -> &str {
        let back = matches!(self.state.direction, Direction::Back { .. });
        match &self.state.phase {
            RunPhase::Live if back => "rolling_back",
            RunPhase::Live if self.is_live() => "running",
            RunPhase::Live => "interrupted",
            RunPhase::Ended { state, .. } if back && state == "interrupted" => "rolling_back",
            RunPhase::Ended { state, .. } => state,
        }
    }

    /// Why it is where it is, in words.
    pub(crate) fn reason(&self) -> Option<String> {
        match &self.state.phase {
            RunPhase::Ended { reason, .. } => Some(reason.clone()).filter(|r| !r.is_empty()),
            RunPhase::Live if self.is_live() => None,
            RunPhase::Live => Some(format!(
                "its engine (process {} on {}) is gone",
                self.state.owner.pid, self.state.owner.host
            )),
        }
    }

    /// The word for a step. What an engine was doing when it was killed is not known.
    pub(crate) fn step_word(&self, ix: StepIx) -> &'static str {
        match self.state.steps[ix].state {
            StepState::Running | StepState::Undoing if !self.is_live() => "unknown",
            state => state.as_str(),
        }
    }

    /// Why a step is where it is.
    pub(crate) fn step_reason(&self, ix: StepIx) -> Option<String> {
        let rec = &self.state.steps[ix];
        if matches!(rec.state, StepState::Running | StepState::Undoing) && !self.is_live() {
            let what = if rec.state == StepState::Running { "attempt" } else { "undo" };
            return Some(format!(
                "its {what} was under way when the engine ended; a resume looks first"
            ));
        }
        if let Some((_, wait)) = &rec.wait {
            return Some(match wait {
                Wait::Gate { message, .. } => message.clone(),
                Wait::Manual { instructions } => instructions.clone(),
            });
        }
        rec.reason
            .clone()
            .or_else(|| rec.error.as_ref().map(|e| e.what.clone()))
            .or_else(|| rec.kept.clone())
    }

    /// The log of a step's last attempt, where there is one.
    pub(crate) fn log(&self, dir: &StateDir, ix: StepIx) -> Option<PathBuf> {
        let rec = &self.state.steps[ix];
        let step = &self.state.plan.steps[ix].id;
        let known = rec.error.as_ref().and_then(|e| e.log.clone());
        let known = known.or_else(|| rec.evidence.as_ref().and_then(|e| e.log.clone()));
        let known =
            known.map(|path| if path.is_absolute() { path } else { dir.run(self.id()).join(path) });
        [known, Some(dir.log(self.id(), step, rec.attempts.max(1)))]
            .into_iter()
            .flatten()
            .chain([dir.side_log(self.id(), step, "undo")])
            .find(|path| path.is_file())
    }

    /// What is down: `outage is DOWN since … (3 min 2 s)`.
    pub(crate) fn down(&self) -> Vec<String> {
        self.state
            .open_brackets()
            .filter_map(|ix| {
                let since = self.state.brackets[ix].open_since_ms?;
                let bracket = &self.state.plan.brackets[ix];
                let held = self.state.brackets[ix].held.as_ref();
                let budget = bracket.budget_ms.map_or_else(String::new, |ms| {
                    let budget = std::time::Duration::from_millis(ms);
                    format!(", budget {}", workplan_engine::duration::format(budget))
                });
                let held = held.map_or_else(String::new, |why| format!("; held open: {why}"));
                Some(format!(
                    "{} is DOWN since {} ({}{budget}){held}",
                    bracket.name,
                    local_ms(since),
                    ago(since)
                ))
            })
            .collect()
    }

    /// The commands that go on from here, each with what it does.
    pub(crate) fn next(&self) -> Vec<(String, String)> {
        let run = self.id();
        let resume = |what: &str| (format!("workplan resume {run}"), what.to_owned());
        let back = (format!("workplan rollback {run}"), "takes it back".to_owned());
        let mut out = Vec::new();
        match self.word() {
            "running" => {}
            "rolling_back" if self.is_live() => {}
            "succeeded" | "rolled_back" | "abandoned" => {}
            // A single step that failed is over: there is nothing after it to go on to.
            "failed" if self.state.single => {}
            "rolling_back" | "rollback_incomplete" => out.push(resume("goes on taking it back")),
            // What cannot be told may be told by another look, once somebody mended what is in the way.
            "waiting" if self.state.steps.iter().any(|s| s.state == StepState::Unknown) => {
                out.push(resume("looks again, and goes on where it can be told"));
                out.extend(self.answers());
                out.push(back);
            }
            "waiting" => {
                out.extend(self.answers());
                out.push(resume("goes on after the answer"));
                out.push(back);
            }
            _ => {
                out.extend(self.answers());
                out.push(resume("goes on"));
                out.push(back);
            }
        }
        out
    }

    /// The commands that answer what waits for a person.
    pub(crate) fn answers(&self) -> Vec<(String, String)> {
        let run = self.id();
        let mut out = Vec::new();
        let mut gates = Vec::new();
        for (ix, rec) in self.state.steps.iter().enumerate() {
            let step = &self.state.plan.steps[ix].id;
            match (&rec.wait, rec.state) {
                (Some((gate, Wait::Gate { message, signers })), StepState::Waiting) => {
                    if gates.contains(gate) {
                        continue;
                    }
                    gates.push(gate.clone());
                    let sign = if signers.is_some() { " --sign KEY" } else { "" };
                    out.push((
                        format!("workplan approve {run} {gate} --reason …{sign}"),
                        format!("or `reject`: {message}"),
                    ));
                }
                (Some((_, Wait::Manual { instructions })), StepState::Waiting) => out.push((
                    format!("workplan resolve {run} {step} --done --reason …"),
                    format!("or `--not-done`: {instructions}"),
                )),
                (_, StepState::Unknown) => out.push((
                    format!("workplan resolve {run} {step} --done --reason …"),
                    "or `--not-done`, where no look can tell and you have looked yourself"
                        .to_owned(),
                )),
                _ => {}
            }
        }
        out
    }
}
