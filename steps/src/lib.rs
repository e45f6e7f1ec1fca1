//! The catalogue of step kinds.

mod catalogue;
pub mod command;

pub use catalogue::catalogue;
