//! High availability: is it whole, and does it survive a fault.

mod check;
mod topology;

pub use check::HaCheck;
pub(crate) use topology::{Topology, inspect};
