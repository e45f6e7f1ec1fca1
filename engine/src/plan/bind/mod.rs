//! Binds steps to tasks, resolves names, orders, and finds what contradicts itself.
//!
//! - `binder`: what goes in, what comes out, and the passes in their order
//! - `place`: tasks, and which steps are whose
//! - `names`: from a name to a step or a task, and "did you mean"
//! - `needs`: edges of the graph, order of shell blocks, cycles
//! - `build`: typed steps
//! - `outputs`: references to outputs of other steps
//! - `hold`: what must still stand
//! - `races`: who reads and changes what, in which order
//! - `supersede`: which later step stands for an earlier one
//! - `bracket`, `precondition`, `clause`: the rest of a plan file

mod binder;
mod bracket;
mod build;
mod clause;
mod hold;
mod names;
mod needs;
mod outputs;
mod place;
mod precondition;
mod races;
mod supersede;

pub use binder::{Binding, Sources, bind};
