//! High availability: is it whole, and does it survive a fault.

mod check;
mod failover;
mod manager;
mod topology;

pub use check::HaCheck;
pub use failover::HaFailover;
pub(crate) use topology::{Topology, inspect};

use workplan_engine::kind::{ParamSpec, ParamType};

/// The part of a release that the PostgreSQL is.
const PART: ParamSpec = ParamSpec {
    name: "part",
    ty: ParamType::String,
    required: false,
    doc: "The subchart, where the PostgreSQL is one of another release.",
};
