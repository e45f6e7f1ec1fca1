//! A simulated world, plans for it, and a process that performs what the machine asks for.

mod build;
mod oracle;
mod process;
mod world;

pub use build::{Build, command, gate, manual, proof, state};
pub use oracle::Oracle;
pub use process::{Cut, Leaves, Outcome, Process, Run};
pub use world::{Flavour, Repair, Spec, Val, World};
