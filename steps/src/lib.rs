//! The catalogue of step kinds.

pub mod app;
mod catalogue;
pub mod command;
pub mod files;
pub mod gate;
pub mod http;

pub use catalogue::catalogue;
