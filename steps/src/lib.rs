//! The catalogue of step kinds.

mod catalogue;
pub mod command;
pub mod files;
pub mod gate;
pub mod http;
pub mod postgres;

pub use catalogue::catalogue;
