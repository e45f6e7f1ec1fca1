//! The catalogue of step kinds.

pub mod app;
pub mod backup;
mod blocking;
mod catalogue;
pub mod command;
pub mod files;
pub mod gate;
#[expect(dead_code, unused_imports, reason = "the kinds that commit come next")]
pub mod git;
pub mod ha;
pub mod http;
mod proof;
pub mod smoke;

pub use catalogue::catalogue;
