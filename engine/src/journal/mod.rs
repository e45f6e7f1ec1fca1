//! The journal: the append-only, hash-chained record of every run, and the locks beside it.
//!
//! One SQLite file holds two sorts of rows. *Events* are the truth: they are only ever inserted,
//! and each carries the hash of the one before it in its run. *Projections* (`runs`, `history`,
//! `kv`) answer questions without reading whole runs; they change in the transaction of the
//! events they are derived from, every row is sealed by a digest, and what a row claims is
//! compared with the event that it names.
//!
//! Nothing in here repairs or deletes: damage is an error that says what is damaged, and the
//! files stay as they are for whoever looks into it.

mod access;
mod end;
mod error;
mod event;
mod lock;
mod open;
mod owner;
mod process;
mod projection;
mod read;
mod runs;
mod schema;
mod state_dir;
mod store;
mod table;
mod wal;

#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use event::{EventHash, NewEvent, StoredEvent};
pub use lock::{Acquired, LockError, RunLock};
pub use open::Mode;
pub use owner::Owner;
pub use projection::{HistoryRow, KvRow, Projection, RunRow};
pub use read::EventPages;
pub use runs::RunFilter;
pub use state_dir::StateDir;
pub use store::{Head, Journal};
