//! Running: events, the state that they make, and the pure decisions between them.

mod action;
mod attempt;
mod bracket;
mod decide;
mod event;
mod evidence;
mod fold;
mod order;
mod phases;
mod progress;
mod record;
mod replan;
mod resolve;
mod state;
mod undo;

pub use action::{Action, Decision, Ending, Input, Purpose, Sight, Timer};
pub use decide::{Machine, Options, Scope};
pub use event::{Event, RunStarted, StepRevision};
pub use evidence::{Evidence, Person};
pub use progress::{ClauseProof, TaskProgress, task_progress};
pub use resolve::{Mark, Resolver};
pub use state::{BracketState, Direction, RunPhase, RunState, StepRec, StepState};
