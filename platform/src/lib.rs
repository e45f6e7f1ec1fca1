//! Where steps happen: the code behind a target.
//!
//! Kinds speak to a [`View`] when they look and to an [`Operate`] when they act, and know neither
//! `kubectl` nor `pg_ctl`. [`view`] and [`operate`] give them what the target of a handle needs;
//! who has only a [`workplan_engine::kind::Look`] cannot get an [`Operate`].
//!
//! Nothing here decides what a step means or whether it is done; that is the kinds' business.

mod conninfo;
mod database;
mod error;
pub mod kubernetes;
pub mod local;
mod model;
mod network;
mod platform;
pub mod sql;
pub mod values;

pub use conninfo::split_password;
pub use database::{Database, DatabasePlace, DatabaseProblem, Server, deployed};
pub use error::PlatformError;
pub use model::{
    AppView, Endpoint, ExecOutput, Fault, IgnoredKey, Instance, Object, PartRef, PostgresHa,
    PostgresNode, Refused, Release, ReleaseRef, ReleaseSpec, ReleaseStatus, Rendered, SecretKey,
    SecretValues, Traffic, Volume, Workload,
};
pub use network::{Network, address};
pub use platform::{Operate, Reached, View, operate, view};
