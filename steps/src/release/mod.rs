//! Releases: what Helm calls a chart with values in a namespace.
//!
//! - `kind`: parameters of `release.deploy`
//! - `wanted`: the values of files and parameters, put together
//! - `look`: what is there of a release, against what is wanted
//! - `deploy`: the step
//! - `part`: parameters that name a release or a part of one
//! - `part_gone`: the proof that a subchart runs no more

mod deploy;
mod kind;
mod look;
mod part;
mod part_gone;
mod wanted;

pub use kind::ReleaseDeploy;
pub(crate) use part::{NAMESPACE, RELEASE, part};
pub use part_gone::PartGone;
