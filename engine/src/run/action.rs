//! What the machine is told and what it asks for.

use super::Event;
use crate::kind::{Applied, Observation, Prepared, StepError, UndoPlan, Wait};
use crate::plan::StepIx;

/// Why a step is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// To find out what is due.
    Resolve,
    /// An attempt was interrupted, or its state is unknown.
    Triage,
    /// After a repair in triage.
    TriageRepaired,
    /// Another step holds on to it.
    Hold(StepIx),
    /// Directly before an attempt.
    Before,
    /// After a repair before an attempt.
    BeforeRepaired,
    /// After a failed attempt.
    AfterFail(Box<StepError>),
    /// After an attempt that reported success.
    Verify(Box<Applied>),
    /// Directly before an undo.
    UndoBefore,
    /// After a repair before an undo.
    UndoRepaired,
    /// After an undo that reported success.
    UndoAfter,
}

/// What a look brought back.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// What was seen.
    pub observation: Observation,
    /// What the step waits for, for kinds that a person answers.
    pub wait: Option<Wait>,
    /// How it would be taken back.
    pub undo: UndoPlan,
    /// Whether it has undo data to capture.
    pub prepares: bool,
}

/// Something that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The wait before the next attempt of a step.
    Retry(StepIx),
    /// The budget of a bracket.
    Budget(usize),
    /// The grace time after the first cancel.
    Grace,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Begin, or go on.
    Begin,
    /// A look came back.
    Looked {
        /// The step.
        step: StepIx,
        /// Why it was looked at.
        purpose: Purpose,
        /// What was seen.
        sight: Box<Sight>,
    },
    /// Undo data was captured and is safe on disk.
    Prepared {
        /// The step.
        step: StepIx,
        /// The data and the digest of its bytes.
        result: Result<(Prepared, Option<crate::digest::Digest>), Box<StepError>>,
    },
    /// An attempt ended.
    Applied {
        /// The step.
        step: StepIx,
        /// How.
        result: Result<Box<Applied>, Box<StepError>>,
    },
    /// A repair ended.
    Repaired {
        /// The step.
        step: StepIx,
        /// Why it was repaired: the purpose of the look that follows.
        then: Purpose,
        /// How.
        result: Result<(), Box<StepError>>,
    },
    /// An undo ended.
    Undone {
        /// The step.
        step: StepIx,
        /// How.
        result: Result<(), Box<StepError>>,
    },
    /// A timer rang.
    Woke(Timer),
    /// Somebody wants the run to stop: after the current steps, or at once.
    Cancel {
        /// At once.
        kill: bool,
    },
    /// Somebody else appended an answer to the journal.
    Answered(Box<Event>),
}

/// What the machine asks for. Performed only after its events are committed, except for looks
/// that need no input or output.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Look at a step.
    Look {
        /// The step.
        step: StepIx,
        /// Why.
        purpose: Purpose,
    },
    /// Capture undo data.
    Prepare {
        /// The step.
        step: StepIx,
    },
    /// Make an attempt.
    Apply {
        /// The step.
        step: StepIx,
        /// From 1.
        attempt: u32,
    },
    /// Repair what is half done.
    Repair {
        /// The step.
        step: StepIx,
        /// What was found.
        what: String,
        /// The purpose of the look that follows.
        then: Purpose,
    },
    /// Take a step back.
    Undo {
        /// The step.
        step: StepIx,
    },
    /// Ring after so many milliseconds.
    Wake {
        /// What for.
        timer: Timer,
        /// Milliseconds.
        after_ms: u64,
    },
    /// End attempts that are under way: all, or those of the steps named.
    Stop {
        /// The steps; all where it is `None`.
        steps: Option<Vec<StepIx>>,
        /// Without grace.
        kill: bool,
    },
    /// The run is over for this process.
    Finish(Ending),
}

/// How a run ends for this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All goals are reached.
    Succeeded,
    /// A step failed.
    Failed,
    /// A person has to answer.
    Waiting,
    /// Cancelled.
    Interrupted,
    /// All is taken back.
    RolledBack,
    /// Something could not be taken back.
    RollbackIncomplete,
}

impl Ending {
    /// As `status` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Interrupted => "interrupted",
            Self::RolledBack => "rolled_back",
            Self::RollbackIncomplete => "rollback_incomplete",
        }
    }
}

/// Events to commit, then actions to perform.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// To be committed first.
    pub events: Vec<Event>,
    /// To be performed then.
    pub actions: Vec<Action>,
}
