//! What each kind promises beyond the contract.

mod backup;
mod command;
mod content;
pub(crate) mod fixture;
mod gate;
mod http;
