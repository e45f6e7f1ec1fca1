//! `postgres.copy`: a database, whole, on another server or beside the source.
//!
//! - `kind`: parameters and outputs
//! - `step`: what the engine asks for, and the copying
//! - `state`: what is there of a copy
//! - `back`: how it is taken back, whole or in part
//! - `plan`: where to copy to, and what our mark on it says
//! - `ready`: whether both servers have what the copy needs, before anything is made
//! - `tools`: PostgreSQL's own programs
//! - `schema`: definitions, through `pg_dump` and `pg_restore`
//! - `script`: names of roles in a restore script
//! - `data`: rows, by parallel streams from server to server
//! - `large`: large objects
//! - `finish`: what no dump has: positions of sequences, views that are filled, statistics, and what
//!   belongs to the database itself
//!
//! All reading sessions see one snapshot of the source. Definitions go first, then rows, then
//! indexes and constraints, several at a time. Nothing is written to a disk of this machine: what
//! `pg_dump` gives is kept in memory that goes with the engine, and rows go from one connection to
//! the other.

mod back;
mod data;
mod finish;
mod kind;
mod large;
mod plan;
mod ready;
mod schema;
mod script;
mod state;
mod step;
mod tools;

pub use kind::Copy;
pub(super) use plan::{Copied, MARK};
