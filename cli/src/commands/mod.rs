//! One file a command.

mod check;
mod explain;
mod graph;
mod load;
mod log;
mod runs;
mod schema;
mod select;
mod status;

pub(crate) use check::check;
pub(crate) use explain::explain;
pub(crate) use graph::graph;
pub(crate) use log::log;
pub(crate) use runs::runs;
pub(crate) use schema::schema;
pub(crate) use status::status;
