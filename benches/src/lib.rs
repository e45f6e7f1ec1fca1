//! What the benchmarks share: inputs of any size, and the engine without a terminal.

mod drive;
mod journals;
mod limit;
mod rivals;
mod workplans;

pub use drive::{Drive, drive, load_only, world};
pub use journals::{chain, fill, outcome_and_intent};
pub use limit::{Shape, limit};
pub use rivals::write_all;
pub use workplans::{runbook, tasks};
