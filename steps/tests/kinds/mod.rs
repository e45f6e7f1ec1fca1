//! What each kind promises beyond the contract.

mod app;
mod backup;
mod captured;
mod command;
mod content;
mod databases;
mod edit;
pub(crate) mod fixture;
mod gate;
mod ha;
mod http;
mod moves;
mod postgres;
mod release;
mod values;
