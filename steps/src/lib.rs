//! The catalogue of step kinds.

mod catalogue;
pub mod command;
pub mod files;
pub mod gate;
pub mod ha;
pub mod http;
mod proof;
pub mod smoke;

pub use catalogue::catalogue;
