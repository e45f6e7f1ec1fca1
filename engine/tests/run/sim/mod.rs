//! A simulated world, plans for it, and a process that performs what the machine asks for.

mod build;
mod oracle;
mod process;
mod run;
mod world;

pub(crate) use build::{Build, command, gate, manual, proof, state};
pub(crate) use process::Process;
pub(crate) use run::{Cut, Leaves, Outcome, Run, somebody};
pub(crate) use world::{Flavour, Repair, Spec, Val};
