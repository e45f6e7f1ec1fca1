//! The kinds of steps that this binary knows.

use workplan_engine::kind::Registry;

/// All of them.
pub(crate) fn all() -> Registry {
    workplan_steps::catalogue()
}
