//! From a document, a plan file and a target to typed steps in a dependency graph.

mod bind;
mod coerce;
mod graph;
mod input;
mod model;
mod order;
mod params;
pub mod policy;
mod raw;
mod reader;
mod reference;
mod resolve;
mod shell;
mod target;

pub use bind::{Binding, Sources, bind};
pub use graph::Graph;
pub use input::InputSpec;
pub use model::{
    Bracket, OnFailure, Plan, PlanClause, PlanPrecondition, PlanStep, PlanTask, Retry, StepIx,
    TargetRef, TaskIx, WorkplanRef,
};
pub use policy::PlanDemand;
pub use raw::{PLAN_KEYS, STEP_KEYS};
pub use reference::{Reference, Template};
pub use resolve::{has_references, resolve};
pub use target::{TARGET_KEYS, Target};
