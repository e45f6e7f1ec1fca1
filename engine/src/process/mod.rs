//! Children and who owns them.

mod identity;

pub use identity::{Liveness, ProcessId};
