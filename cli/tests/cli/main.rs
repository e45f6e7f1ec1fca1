//! The binary from outside: stdout, stderr, exit code and files, nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod answers;
mod bad_input;
mod brackets;
mod check;
mod graph;
mod json;
mod moves;
mod plan;
mod policies;
mod report;
mod run;
mod secrets;
mod signals;
mod single;
mod state;
mod support;
mod terminal;
mod usage;
