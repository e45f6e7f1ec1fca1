//! Tests of the decision machine in a simulated world: no input or output, no clock, no sleep.

mod edits;
mod every_prefix;
mod model;
mod no_return;
mod progress;
mod sim;
mod size;
