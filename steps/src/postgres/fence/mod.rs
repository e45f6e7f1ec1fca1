//! `postgres.fence`: nobody but us writes.
//!
//! - `kind`: parameters and outputs
//! - `step`: what is there, how it is closed, and how it is opened again
//! - `mark`: what the fence changed, in the database's own comment
//! - `obstacles`: what a fence could not keep out
//! - `sessions`: who is connected, and how they are ended
//!
//! In one transaction the roles lose their login, the database takes no connection any more, and our
//! mark says what was before. Then whoever is connected is ended. A superuser is let in all the same:
//! the copy and the comparison are superusers, and lock the tables against other ones (`guard`).

mod kind;
mod mark;
mod obstacles;
mod sessions;
mod step;

pub use kind::Fence;
pub(super) use mark::{Fenced, MARK};
