//! The catalogue of step kinds.

pub mod app;
pub mod backup;
mod blocking;
mod catalogue;
pub mod command;
mod count;
pub mod files;
pub mod gate;
pub mod git;
pub mod ha;
pub mod http;
pub mod postgres;
mod proof;
pub mod release;
pub mod smoke;
pub mod values;

pub use catalogue::catalogue;
