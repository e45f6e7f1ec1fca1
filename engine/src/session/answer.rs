//! Answers of people: approvals, resolutions, giving up.

use crate::journal::{Journal, Mode, Owner, Projection, RunLock, StateDir};
use crate::kind::Wait;
use crate::process::Liveness;
use crate::run::{Event, RunPhase, StepState};

use super::dispatch::{encode, projections};
use super::vault::Vault;
use super::{SessionError, load_run};

/// Appends an answer to a run, whether somebody works on it or not.
///
/// # Errors
/// When the run does not wait for it, or the journal cannot be written.
pub fn answer(state_dir: &StateDir, run: &str, event: &Event) -> Result<(), SessionError> {
    let mut journal = Journal::open(state_dir, Mode::ReadWrite)?;
    let head = journal.head(run)?.seq;
    let mut state = load_run(&journal, run)?;
    check(state_dir, &state, event)?;
    let now = jiff::Timestamp::now();
    state.apply(now.as_millisecond(), event);
    let vault = Vault::new(std::sync::Arc::new(NoSecrets));
    let new = encode(event, &vault)?;
    let projections: Vec<Projection> = projections(&state, std::slice::from_ref(event), None);
    journal.append_expecting(run, head, now, &[new], &projections)?;
    Ok(())
}

struct NoSecrets;

#[async_trait::async_trait]
impl crate::kind::SecretSource for NoSecrets {
    async fn resolve(
        &self,
        reference: &crate::kind::SecretRef,
        _look: &crate::kind::Look,
    ) -> Result<crate::kind::Secret, crate::kind::SecretError> {
        Err(crate::kind::SecretError {
            reference: reference.to_string(),
            why: "an answer needs none".to_owned(),
        })
    }
}

fn check(
    state_dir: &StateDir,
    state: &crate::run::RunState,
    event: &Event,
) -> Result<(), SessionError> {
    let not_now = |what: String, help: String| Err(SessionError::NotNow { what, help });
    let run = &state.run;
    if !state.is_unfinished() {
        let ended = match &state.phase {
            RunPhase::Ended { state, .. } => state.clone(),
            RunPhase::Live => String::new(),
        };
        return not_now(
            format!("run {run} is over ({ended})"),
            "an answer is taken only by a run that is not finished".to_owned(),
        );
    }
    match event {
        Event::GateApproved { gate, .. } | Event::GateRejected { gate, .. } => {
            let gates: Vec<String> = gates(state);
            if !gates.contains(gate) {
                let help = crate::text::did_you_mean(gate, gates.iter().map(String::as_str))
                    .unwrap_or_else(|| match &gates[..] {
                        [] => "the run has no gates".to_owned(),
                        _ => format!("its gates are {}", gates.join(", ")),
                    });
                return Err(SessionError::Unknown {
                    what: format!("run {run} has no gate `{gate}`"),
                    help: Some(help),
                });
            }
            if let Event::GateApproved { person, .. } = event
                && signers(state, gate).is_some()
                && person.signature.is_none()
            {
                return not_now(
                    format!("gate `{gate}` opens only by a signature"),
                    format!("`workplan approve {run} {gate} --reason … --sign KEY`"),
                );
            }
            // A rejection may be thought over; an approval has been acted on.
            if let Some((approved, person)) = state.gates.get(gate)
                && (*approved || matches!(event, Event::GateRejected { .. }))
            {
                let word = if *approved { "approved" } else { "rejected" };
                return not_now(
                    format!("gate `{gate}` was {word} already by {}", person.who),
                    format!("`workplan resume {run}` goes on"),
                );
            }
            Ok(())
        }
        Event::StepResolved { step, .. } => match state.step(step) {
            None => {
                let names: Vec<&str> = state.plan.steps.iter().map(|s| s.id.as_str()).collect();
                Err(SessionError::Unknown {
                    what: format!("run {run} has no step `{step}`"),
                    help: crate::text::did_you_mean(step, names),
                })
            }
            Some(ix) => {
                let rec = &state.steps[ix];
                let gate = matches!(&rec.wait, Some((_, Wait::Gate { .. })));
                let may = matches!(
                    rec.state,
                    StepState::Unknown
                        | StepState::Waiting
                        | StepState::Running
                        | StepState::Undoing
                );
                if gate {
                    return not_now(
                        format!("`{step}` is a gate"),
                        format!("`workplan approve {run} {step} --reason …` or `reject`"),
                    );
                }
                // What a dead engine was at is a person's to tell; what a live one is at will tell itself.
                let under_way = matches!(rec.state, StepState::Running | StepState::Undoing);
                if let Some(owner) = at_work(state_dir, state).filter(|_| under_way) {
                    return not_now(
                        format!("`{step}` is {} (process {})", rec.state.as_str(), owner.pid),
                        format!("wait until it ends; `workplan status {run}` shows it"),
                    );
                }
                if !may {
                    return not_now(
                        format!("`{step}` is {}, not unknown or waiting", rec.state.as_str()),
                        format!("`workplan status {run}` shows what waits"),
                    );
                }
                Ok(())
            }
        },
        Event::RunAbandoned { .. } => match at_work(state_dir, state) {
            Some(owner) => not_now(
                format!("run {run} is at work (process {})", owner.pid),
                "stop it first, then give it up".to_owned(),
            ),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The live process that works on the run.
fn at_work(state_dir: &StateDir, state: &crate::run::RunState) -> Option<Owner> {
    RunLock::peek(&state_dir.locks(), &state.plan.target.identity)
        .filter(|owner| owner.run == state.run && owner.liveness() == Liveness::Alive)
}

/// The `allowed_signers` file that a gate demands a signature by, resolved from the workplan's
/// folder.
#[must_use]
pub fn signers(state: &crate::run::RunState, gate: &str) -> Option<std::path::PathBuf> {
    let step = &state.plan.steps[state.step(gate)?];
    let file = step.with.str("allowed_signers")?;
    Some(state.plan.workplan.path.parent()?.join(file))
}

/// What an approval signs: one line that names the run, the gate, the plan, who and why.
#[must_use]
pub fn signed_text(state: &crate::run::RunState, gate: &str, who: &str, reason: &str) -> String {
    let plan = state.plan.meaning();
    serde_json::json!({
        "schema": "workplan/approval/v1",
        "run": state.run,
        "gate": gate,
        "plan": plan,
        "who": who,
        "reason": reason,
    })
    .to_string()
}

/// Names of all gates: of gate steps and of brackets.
fn gates(state: &crate::run::RunState) -> Vec<String> {
    let plan = &state.plan;
    let steps =
        plan.steps.iter().filter(|s| s.kind == "gate.approve" && !s.retired).map(|s| s.id.clone());
    let brackets = plan.brackets.iter().filter(|b| b.gate.is_some()).map(|b| b.name.clone());
    steps.chain(brackets).collect()
}
