//! Binding of workplan, plan file and target with the real catalogue: text in, text out.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod brackets;
mod graph;
mod large;
mod meaning;
mod names;
mod races;
mod references;
mod shapes;
mod supersede;
mod support;
