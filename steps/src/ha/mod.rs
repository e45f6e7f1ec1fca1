//! High availability: is it whole, and does it survive a fault.

mod check;
mod failover;
mod manager;
mod topology;

pub use check::HaCheck;
pub use failover::HaFailover;
pub(crate) use topology::{Topology, inspect};
