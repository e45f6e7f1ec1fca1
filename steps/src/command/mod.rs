//! The plain step: a script, optionally with a script that says whether it is done and one that
//! takes it back.
//!
//! - `kind`: parameters and what is wrong with them
//! - `step`: the semantics of check, record and run
//! - `ending`: an ended child in words
//! - `outputs`: values out of standard output

mod ending;
mod kind;
mod outputs;
mod step;

pub use kind::Command;
