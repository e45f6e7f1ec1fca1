//! Bound preconditions: checked before anything starts.

use std::fmt;

use tokio_util::sync::CancellationToken;

use super::perform::Workshop;
use crate::kind::{Class, Hands, Look, Observation, Past, Seen};
use crate::plan::Plan;

/// Why a bound precondition is not known to be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// It is not so, or cannot be told; says why.
    No(String),
    /// Nobody looked: a dry-run may not ask this check.
    NotLooked,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No(why) => f.write_str(why),
            Self::NotLooked => f.write_str("not looked at in a dry-run"),
        }
    }
}

/// Checks every bound line; says why one is not met. In a dry-run nothing but looks is done.
pub(super) async fn check(
    workshop: &Workshop,
    plan: &Plan,
    dry_run: bool,
) -> Vec<(String, Result<(), Unmet>)> {
    let mut out = Vec::new();
    for (ix, precondition) in plan.preconditions.iter().enumerate() {
        let met = match workshop.build(&precondition.kind, &precondition.with, &|_, _| None) {
            Err(why) => Err(Unmet::No(why)),
            Ok(step) => {
                let look = look(workshop, ix, dry_run);
                let class = workshop.registry.get(&precondition.kind).map(|k| k.class());
                let seen = step.observe(&look).await;
                // A proof, or a command without a check, says something only when it is made.
                let must_ask = class == Some(Class::Proof)
                    || (precondition.with.has("run") && !precondition.with.has("check"));
                if seen.is_done() {
                    Ok(())
                } else if must_ask && !dry_run {
                    let hands = Hands::new(look, None);
                    match step.apply(&hands).await {
                        Ok(applied) => met(&step.verify(&hands, &applied).await),
                        Err(error) => Err(Unmet::No(said(&error))),
                    }
                } else if seen.not_looked || (must_ask && seen.seen == Seen::Absent) {
                    Err(Unmet::NotLooked)
                } else {
                    met(&seen)
                }
            }
        };
        out.push((precondition.text.clone(), met));
    }
    out
}

fn said(error: &crate::kind::StepError) -> String {
    match error.said.last() {
        Some(line) => format!("{}: {line}", error.what),
        None => error.what.clone(),
    }
}

fn met(seen: &Observation) -> Result<(), Unmet> {
    match &seen.seen {
        Seen::Done => Ok(()),
        Seen::Absent => Err(Unmet::No("it is not so".to_owned())),
        Seen::Half(what) => Err(Unmet::No(what.clone())),
        Seen::Unknown(why) => Err(Unmet::No(why.clone())),
    }
}

fn look(workshop: &Workshop, ix: usize, dry_run: bool) -> Look {
    let mut look = Look::new(
        &format!("precondition {}", ix + 1),
        &workshop.base,
        workshop.vault.clone(),
        workshop.launcher.clone(),
    );
    look.place = std::sync::Arc::clone(&workshop.place);
    look.moves = std::sync::Arc::clone(&workshop.moves);
    look.past = Past::Never;
    look.dry_run = dry_run;
    look.cancel = CancellationToken::new();
    look
}
