//! What each kind promises beyond the contract.

mod backup;
mod command;
mod content;
mod databases;
mod edit;
pub(crate) mod fixture;
mod gate;
mod http;
mod moves;
mod postgres;
