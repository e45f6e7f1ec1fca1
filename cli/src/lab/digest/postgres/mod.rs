//! A PostgreSQL server by its content: roles, databases, definitions, rows. Nothing by object id,
//! page or position in the log.

mod catalog;
mod cluster;
mod kept;
mod live;
mod rows;
mod scram;
#[cfg(test)]
mod tests;

pub(super) use kept::kept;
pub(super) use live::live;
