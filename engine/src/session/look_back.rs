//! What a rollback would meet, and what it would lose: looked at before anything is asked or done.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::environment::without_secrets;
use super::launch::Supervised;
use super::perform::{self, Workshop};
use super::vault::Vault;
use super::{SessionError, World};
use crate::kind::{Fact, Facts, Observation, SINCE};
use crate::plan::StepIx;
use crate::run::{Machine, Options, Purpose, RunState};

/// What one step says of the way back: `Done` where the world is as it left it, `Absent` where it is
/// as before already.
#[derive(Debug, Clone, PartialEq)]
pub struct LookedBack {
    /// The step, by its index in the run's plan.
    pub step: StepIx,
    /// What was seen.
    pub seen: Observation,
}

/// Asks steps of a run what is there to be taken back, as a rollback does before each undo. Changes
/// nothing, takes no lock and writes no journal. A command's check is asked only where it is declared
/// to change nothing.
///
/// # Errors
/// When the processes that were asked for it cannot be ended.
pub async fn look_back(
    world: &World,
    state: &RunState,
    steps: &[StepIx],
) -> Result<Vec<LookedBack>, SessionError> {
    let plan = Arc::clone(&state.plan);
    let vault = Vault::new(Arc::clone(&world.secrets));
    let env = without_secrets(&world.env, &plan);
    let launcher = Supervised::new(world, env, Arc::clone(&vault), None, None);
    let registry = world.registry.clone();
    let mut workshop =
        Workshop::new(registry, plan, Arc::clone(&vault), Arc::clone(&launcher), &state.run, true);
    let machine =
        Machine::new(state.clone(), Options { jobs: 1, resolve_only: true, ..Options::default() });
    let mut found = Vec::with_capacity(steps.len());
    for &step in steps {
        let purpose = Purpose::UndoBefore;
        let rec = &state.steps[step];
        let look = workshop.look(
            step,
            machine.past(step, &purpose),
            rec.attempts,
            CancellationToken::new(),
        );
        let mut seen = match workshop.step(&machine, step) {
            Err(why) => perform::blind(&why).observation,
            Ok(built) => {
                // Undo bytes stay where they are: a look asks for no more than a rollback's does.
                let prepared = rec.prepared.clone().unwrap_or_default();
                perform::look(built, look, &purpose, Some(prepared)).await
            }
        };
        seen.facts = redacted(seen.facts, &vault);
        found.push(LookedBack { step, seen });
    }
    launcher.shutdown().await?;
    Ok(found)
}

/// What going back past the point of no return would lose, in the words of the step that is one; `None`
/// where none is passed.
///
/// # Errors
/// As [`look_back`].
pub async fn loss(world: &World, state: &RunState) -> Result<Option<Loss>, SessionError> {
    let Some(step) = state.past_no_return() else { return Ok(None) };
    let mut looked = look_back(world, state, &[step]).await?;
    let facts = looked.pop().map(|one| one.seen.facts).unwrap_or_default();
    Ok(Some(Loss { step: state.plan.steps[step].id.clone(), facts }))
}

/// What going back past a point of no return would lose.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The step that is the point of no return.
    pub step: String,
    /// What it says of what came after it.
    pub facts: Facts,
}

impl Loss {
    /// What came after it, in words: the facts whose names begin with [`SINCE`]. Empty where it knows
    /// none.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let shown = |(name, fact): (&String, &Fact)| match fact.value.as_ref()? {
            _ if !name.starts_with(SINCE) => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        self.facts.0.iter().filter_map(shown).collect()
    }

    /// The words as the end of a sentence, with the colon; nothing where there are none.
    #[must_use]
    pub fn after_a_colon(&self) -> String {
        match &self.words()[..] {
            [] => String::new(),
            words => format!(": {}", words.join("; ")),
        }
    }
}

fn redacted(mut facts: Facts, vault: &Vault) -> Facts {
    for fact in facts.0.values_mut() {
        fact.value = fact.value.take().map(|value| vault.redact(value));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Binding;

    #[test]
    fn a_loss_is_told_in_words() {
        let facts = Facts::default()
            .with("check", Binding::Informative, 0)
            .with("since_opening", Binding::Informative, "2 pushes")
            .with_digest("since_sealed", Binding::Informative, crate::digest::Digest::of(b"x"));
        let mut loss = Loss { step: "T02.open".to_owned(), facts };
        assert_eq!(loss.after_a_colon(), ": 2 pushes");
        loss.facts = Facts::default();
        assert_eq!(loss.after_a_colon(), "");
    }
}
