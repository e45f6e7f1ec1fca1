//! PostgreSQL: roles, databases, and the move of a database with its proof.
//!
//! - `site`: a server that was found and reached, and what it says of itself
//! - `names`, `mark`, `scram`: names in SQL, our mark in comments, passwords as the server keeps them
//! - `params`: parameters that several kinds have
//! - `portrait`: a database as it can be compared
//! - `shared`: databases in the server's shared catalog
//! - `guard`: locks while a fenced database is read
//! - `copy`: `postgres.copy`
//! - `compare`: `postgres.compare`
//! - `database`: `postgres.database`
//! - `fence`: `postgres.fence`
//! - `publish`: `postgres.publish`
//! - `role`: `postgres.role`

mod compare;
mod copy;
mod database;
mod fence;
mod guard;
mod mark;
mod names;
mod params;
mod portrait;
mod publish;
mod role;
mod scram;
mod shared;
mod site;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use workplan_engine::digest::hex;
use workplan_engine::kind::StepError;

pub use compare::Compare;
pub use copy::Copy;
pub use database::Database;
pub use fence::Fence;
pub use publish::Publish;
pub use role::Role;

/// A digest that says nothing to who does not have the key.
fn keyed(key: &[u8], bytes: &[u8]) -> String {
    // A key of any length is taken, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(bytes);
    hex(&mac.finalize().into_bytes())
}

/// An error in one sentence, with what to do.
fn in_words(error: &StepError) -> String {
    let mut text = error.what.clone();
    for line in &error.said {
        text = format!("{text}; {line}");
    }
    match &error.help {
        Some(help) => format!("{text}; {help}"),
        None => text,
    }
}
