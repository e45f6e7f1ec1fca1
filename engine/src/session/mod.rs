//! What a command does with a workplan: load, preview, run, resume, roll back, answer.
//!
//! The async half of the engine: it performs what [`crate::run::Machine`] decides.

mod answer;
mod binding;
mod dispatch;
mod driver;
mod environment;
mod error;
mod evidence_file;
mod guard;
mod history;
mod launch;
mod load;
mod look_back;
mod perform;
mod precondition;
mod preview;
mod revise;
mod rollback;
mod run;
mod saved;
mod select;
mod vault;
mod world;
mod writeback;

pub use answer::{answer, signed_text, signers};
pub use error::SessionError;
pub use evidence_file::{EvidenceFile, StepEvidence, TaskEvidence};
pub use guard::{Claim, NotTaken, Remembered, TargetGuard, TargetHold};
pub use load::{Loaded, SourceOptions, load, load_target};
pub use look_back::{LookedBack, Loss, look_back, loss};
pub use precondition::Unmet;
pub use preview::{PlannedAction, Preview, StepPreview, preview};
pub use rollback::{RollbackOptions, rollback, rollback_scope};
pub use run::{Outcome, ResumeOptions, StartOptions, resume, start};
pub use saved::{SavedPlan, SavedSources, SavedStep, SavedTask};
pub use select::{load_run, neighbours, unfinished};
pub use world::{Control, Reporter, World};
