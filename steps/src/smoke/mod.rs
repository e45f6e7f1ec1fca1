//! `smoke`: the first thing to ask after any change.

mod kind;

pub use kind::Smoke;
