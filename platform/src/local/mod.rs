//! The platform `local`: releases as real servers on loopback, from the values that Kubernetes
//! would get.
//!
//! A *recipe* says what a chart is here (`recipe`). The *store* keeps what a cluster would keep
//! (`store`): records with revisions, Secrets, volumes, ports. Servers are services of the engine's
//! process layer: they stay when the engine ends, and are known by process number and start time.
//! `run` starts, asks and ends them; `operate` does what Helm does.

#![expect(dead_code, reason = "the recipes that use the rest are on their way")]

pub mod ingress;
mod listening;
mod names;
mod operate;
mod pod;
mod programs;
mod recipe;
mod run;
mod store;
mod view;
mod world;

pub use operate::LocalOperate;
pub use view::LocalView;

/// What this program does as a service of this platform that is no other program. Returns its exit
/// code.
#[must_use]
pub fn service(args: &[String]) -> i32 {
    match args.split_first() {
        Some((name, rest)) if name == ingress::NAME => ingress::run(rest),
        _ => 2,
    }
}
