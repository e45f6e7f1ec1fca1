//! Steps that a person answers. The engine asks what they wait for and never applies them.
//!
//! - `approve`: a decision, given anew in each run
//! - `manual`: work that a person does and vouches for

mod approve;
mod manual;

pub use approve::Approve;
pub use manual::Manual;

use workplan_engine::kind::{ErrorCause, StepError};

/// The answer of a waiting step that is told to act: nothing but a person can.
fn waits_for_a_person(step: &str) -> StepError {
    StepError::new(
        ErrorCause::NotStarted,
        format!("`{step}` waits for a person; it does nothing itself"),
    )
}
