//! One file a command.

mod abandon;
mod answer;
mod approve;
mod check;
mod explain;
mod go;
mod graph;
mod load;
mod log;
mod plan;
mod report;
mod resume;
mod rollback;
mod run;
mod runs;
mod schema;
mod select;
mod sign;
mod single;
mod status;

pub(crate) use abandon::abandon;
pub(crate) use answer::resolve;
pub(crate) use approve::gate;
pub(crate) use check::check;
pub(crate) use explain::explain;
pub(crate) use graph::graph;
pub(crate) use log::log;
pub(crate) use plan::plan;
pub(crate) use report::report;
pub(crate) use resume::resume;
pub(crate) use rollback::rollback;
pub(crate) use run::run;
pub(crate) use runs::runs;
pub(crate) use schema::schema;
pub(crate) use single::single;
pub(crate) use status::status;
