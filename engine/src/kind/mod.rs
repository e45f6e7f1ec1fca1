//! The contract between the engine and a kind of step.
//!
//! Each question is a function of its own, so that the read-only half cannot write: observing and
//! previewing get a [`Look`], acting gets [`Hands`].

mod contract;
mod error;
mod fact;
mod handle;
mod moves;
mod observation;
mod param;
mod place;
mod registry;
mod scratch;
mod secret;
mod with;

pub use contract::{Applied, Change, Class, Kind, Prepared, Resources, Step, UndoPlan, Wait};
pub use error::{ErrorCause, StepError};
pub use fact::{Binding, Fact, Facts, SINCE};
pub use handle::{BaseEnv, CommandOutcome, CommandSpec, Hands, Launcher, Look, Past, ShellScript};
pub use moves::Moves;
pub use observation::{Observation, Seen};
pub use param::{OutputType, ParamProblem, ParamSpec, ParamType};
pub use place::Place;
pub use registry::Registry;
pub use scratch::Scratch;
pub(crate) use secret::place_in_target;
pub use secret::{Secret, SecretError, SecretRef, SecretSource, secret_variables};
pub use with::With;

pub use crate::process::ChildEnd;
