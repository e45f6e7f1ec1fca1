//! Running pods: starting them, asking them, ending them.

mod act;
mod leave;
mod probe;
pub(crate) mod reconcile;
mod start;
mod status;

pub(crate) use act::{Act, Program};
pub(crate) use probe::ask_within;
pub(crate) use start::NoStart;
pub(crate) use status::{PodStatus, status};
