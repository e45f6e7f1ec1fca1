//! Text for people.

mod counts;
mod diagnostic;
mod plan;
mod signs;
mod summary;

pub(crate) use counts::{count, counted};
pub(crate) use diagnostic::Renderer;
pub(crate) use plan::{PlanView, repos};
pub(crate) use signs::{action_sign, state_style};
pub(crate) use summary::{RunSummary, given_back, task_lines, task_name};
