//! Policies: rules that a team puts over its workplans, in files of its own.
//!
//! A plan file opts in with `policies: [d3]`; the files are `policies/NAME.yaml`. The engine knows
//! how to hold a workplan to a rule, and none of the rules.
//!
//! ```yaml
//! policy: D3
//! title: HA is not done until it has failed over
//! rules:
//!   - id: failover-before-finished
//!     when: {uses: release.deploy, with: {chart: postgresql-ha}}
//!     finished_needs: {uses: ha.failover, same: [release, namespace]}
//!     message: A database cluster that never failed over is redundant hardware.
//!   - id: boundary
//!     when: {uses: release.deploy, with: {chart: [postgresql-ha, valkey]}}
//!     only_in: {repo: railiance-platform}
//!     message: Shared services belong to the platform layer.
//! ```

mod judge;
mod reader;

pub use judge::{Judgement, PlanDemand, judge};
pub use reader::{Effect, Pattern, Policy, Rule, read};
