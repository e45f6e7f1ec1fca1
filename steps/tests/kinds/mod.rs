//! What each kind promises beyond the contract.

mod command;
mod content;
mod databases;
pub(crate) mod fixture;
mod gate;
mod http;
mod postgres;
