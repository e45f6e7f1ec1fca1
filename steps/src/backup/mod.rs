//! Backups of a layer: made, verified by a restore, restored, and let go in time.
//!
//! - `create`: `backup.create`, with `subject` (what), `dump` (PostgreSQL), `content` (digests)
//! - `verify`: `backup.verify`, with `scratch` (servers to restore into)
//! - `recent`: `backup.recent`
//! - `list`: what is there
//! - `store`: the folders; `manifest`, `seal`: what a backup says of itself, and who says so
//! - `keys`, `cipher`: age
//! - `retention`: which may go
//!
//! A backup is a folder `<dir>/<layer>/<time>/`. Each of its members is an age file that the `age`
//! program opens with the team's key; no other program, service or network is needed for that.

mod cipher;
mod content;
mod create;
mod dump;
mod keys;
mod list;
mod manifest;
mod recent;
mod retention;
mod scratch;
mod seal;
mod settings;
mod shelf;
mod store;
mod subject;
mod tools;
mod verify;
mod words;

pub use create::BackupCreate;
pub use list::{Listed, Listing, Unfinished, list};
pub use recent::BackupRecent;
pub use verify::BackupVerify;
