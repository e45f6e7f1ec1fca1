//! The catalogue of step kinds.

mod blocking;
mod catalogue;
pub mod command;
pub mod files;
pub mod gate;
pub mod git;
pub mod http;

pub use catalogue::catalogue;
