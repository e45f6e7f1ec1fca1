//! `postgres.compare`: the proof that two databases are equal.
//!
//! - `kind`: parameters and outputs
//! - `step`: when it compares, and what counts as evidence
//! - `sides`: both databases, frozen, and all that is compared of them
//! - `difference`: what differs, in words
//! - `drill`: from a table that differs to the rows that do
//! - `control`: the proof tried on what is not equal
//! - `proof`: what a proof says of itself, for a later look
//! - `probe`: counters that tell whether somebody wrote since

mod control;
mod difference;
mod drill;
mod kind;
mod probe;
mod proof;
mod sides;
mod step;

pub use kind::Compare;
pub(super) use probe::{Probe, probe};
pub(super) use proof::Proof;
