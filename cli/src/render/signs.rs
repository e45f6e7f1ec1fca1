//! Signs and colours of actions and states. The sign alone must say it.

use workplan_engine::run::StepState;

use crate::term::Style;

/// The sign of an action of a plan, and its colour.
pub(crate) fn action_sign(action: &str) -> (&'static str, Style) {
    match action {
        "run" => ("+", Style::Green),
        "skip" => ("=", Style::Dim),
        "repair" => ("~", Style::Yellow),
        "blocked" => ("!", Style::Red),
        _ => ("?", Style::Yellow),
    }
}

/// The colour of a step's state.
pub(crate) fn state_style(state: StepState) -> Style {
    match state {
        StepState::Done | StepState::Adopted => Style::Green,
        StepState::Failed | StepState::UndoFailed => Style::Red,
        StepState::Unknown | StepState::Waiting => Style::Yellow,
        StepState::Running | StepState::Undoing => Style::Bold,
        StepState::Pending | StepState::Skipped | StepState::Undone => Style::Dim,
    }
}
