//! All kinds that the binary knows.

use workplan_engine::kind::Registry;

use crate::command::Command;

/// The catalogue: every kind that a plan may use.
#[must_use]
pub fn catalogue() -> Registry {
    Registry::new().with(Command)
}
