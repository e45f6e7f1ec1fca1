//! What each kind promises beyond the contract.

// `app/` and `support/gitea.rs` join when the kinds of `app` are in the catalogue.

mod command;
mod content;
mod databases;
mod edit;
pub(crate) mod fixture;
mod gate;
mod http;
mod moves;
mod postgres;
mod release;
mod values;
