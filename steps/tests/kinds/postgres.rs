//! `postgres.*` beyond the contract.

mod faults;
mod fence;
mod moving;
mod mutations;
mod role;

use workplan_engine::kind::{Applied, Hands, Past, Prepared, Seen, Step, StepError};

use crate::support::{PASSWORD, Postgres, World};

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

/// Makes a database that has something of everything; gives the roles that own and read in it.
fn nasty(server: &Postgres, database: &str) -> (String, String) {
    let (owner, reader) = (server.unique("the owner"), server.unique("the reader"));
    let make = format!(
        "create role \"{owner}\"; create role \"{reader}\"; \
         create database \"{database}\" template template0"
    );
    for statement in make.split("; ") {
        server.psql("postgres", statement);
    }
    let set = format!("\\set db '{database}'\n\\set owner '{owner}'\n\\set reader '{reader}'\n");
    server.psql(database, &(set + include_str!("postgres/nasty.sql")));
    (owner, reader)
}
