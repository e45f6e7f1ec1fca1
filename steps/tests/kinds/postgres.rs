//! `postgres.*` beyond the contract.

mod fence;
mod moving;
mod role;

use workplan_engine::kind::{Applied, Hands, Past, Prepared, Seen, Step, StepError};

use crate::support::{PASSWORD, World};

fn world() -> World {
    World::new().of_new_run().with_secret("env:PGPW", PASSWORD)
}

/// What the engine does with a step that is due.
async fn done(step: &dyn Step, hands: &Hands) -> Result<(Prepared, Applied), StepError> {
    let prepared = step.prepare(hands).await?;
    let applied = step.apply(hands).await?;
    let verdict = step.verify(hands, &applied).await;
    assert!(verdict.is_done(), "{verdict:?}");
    Ok((prepared, applied))
}

/// Takes a step back as the engine does it.
async fn taken_back(step: &dyn Step, hands: &Hands, prepared: &Prepared) {
    assert_eq!(step.look_back(hands, prepared).await.seen, Seen::Done);
    step.undo(hands, prepared).await.unwrap();
    assert_eq!(step.look_back(hands, prepared).await.seen, Seen::Absent);
}

/// What is on record after a success.
fn past(applied: &Applied) -> Past {
    Past::Succeeded { record: "run r1".to_owned(), outputs: applied.outputs.clone() }
}
