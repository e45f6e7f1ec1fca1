//! Why a command could not do what it was asked.

use std::path::PathBuf;

use crate::journal::{JournalError, Owner};

/// A refusal or a failure of a command. Display says what happened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Another live engine works on the target.
    #[error("the target is in use: {}", holder(.owner.as_ref()))]
    Locked {
        /// Who holds it.
        owner: Option<Owner>,
        /// What to do.
        help: String,
    },
    /// The target remembers a run that is not finished.
    #[error("run {run} of `{workplan}` is not finished ({state})")]
    Unfinished {
        /// The run.
        run: String,
        /// Its workplan.
        workplan: String,
        /// Its state.
        state: String,
    },
    /// A saved plan no longer fits.
    #[error("the saved plan is stale: {}", .what.join("; "))]
    Stale {
        /// What moved, each in a sentence.
        what: Vec<String>,
    },
    /// Preconditions are not met.
    #[error("not met: {}", .unmet.iter().map(|(line, why)| format!("{line} ({why})")).collect::<Vec<_>>().join("; "))]
    Preconditions {
        /// The lines and why.
        unmet: Vec<(String, String)>,
    },
    /// Rolling back would lose what was written after the point of no return.
    #[error(
        "`{}` is a point of no return and is done; going back loses what was written since{}",
        .loss.step,
        .loss.after_a_colon()
    )]
    PastNoReturn {
        /// The step, and what would be lost.
        loss: Box<super::Loss>,
    },
    /// A later run builds on this one.
    #[error("run {later} came after {run} on the same target and builds on it")]
    Superseded {
        /// The run that was to be rolled back.
        run: String,
        /// The later one.
        later: String,
    },
    /// The run cannot take this.
    #[error("{what}")]
    NotNow {
        /// What is wrong, in a sentence.
        what: String,
        /// What to do.
        help: String,
    },
    /// A name that the run does not know.
    #[error("{what}")]
    Unknown {
        /// What is wrong, in a sentence.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// The sources have errors; they are in the diagnostics.
    #[error("the workplan has errors")]
    Invalid(crate::text::Diagnostics),
    /// The journal cannot be used.
    #[error("failed to {0}")]
    Journal(#[from] JournalError),
    /// A file of the engine cannot be used.
    #[error("failed to {what} `{}`: {source}", .path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The supervisor of a dead engine is still there.
    #[error("failed to {0}")]
    Process(#[from] crate::process::ProcessError),
    /// A defect of the engine.
    #[error("{0}")]
    Internal(String),
}

fn holder(owner: Option<&Owner>) -> String {
    match owner {
        Some(o) => format!("run {} of process {} on {} since {}", o.run, o.pid, o.host, o.since),
        None => "somebody holds its lock".to_owned(),
    }
}

impl SessionError {
    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Locked { help, .. } => Some(help.clone()),
            Self::Unfinished { run, .. } => Some(format!(
                "`workplan resume {run}` goes on, `workplan rollback {run}` takes it back, `workplan abandon {run} --reason …` gives it up for ever"
            )),
            Self::Stale { .. } => {
                Some("make and read a new plan: `workplan plan FILE -o plan.json`".to_owned())
            }
            Self::Preconditions { .. } => {
                Some("see to them, then run again; nothing was started".to_owned())
            }
            Self::PastNoReturn { .. } => {
                Some("if that loss is accepted: `workplan rollback RUN --accept-loss`".to_owned())
            }
            Self::Superseded { later, .. } => Some(format!("roll back {later} first")),
            Self::NotNow { help, .. } => Some(help.clone()),
            Self::Unknown { help, .. } => help.clone(),
            Self::Invalid(_) | Self::Internal(_) => None,
            Self::Journal(error) => Some(error.help()),
            Self::File { .. } => Some("nothing was started that the journal does not know".to_owned()),
            Self::Process(_) => Some(
                "a process of the former run cannot be ended; see it with `ps`, end it, then try again"
                    .to_owned(),
            ),
        }
    }

    /// The exit code of the table in the documentation.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Locked { .. } => 6,
            Self::Unfinished { .. } | Self::PastNoReturn { .. } | Self::Superseded { .. } => 8,
            Self::Stale { .. } => 7,
            Self::Preconditions { .. } => 9,
            Self::NotNow { .. } | Self::Unknown { .. } => 2,
            Self::Invalid(_) => 3,
            Self::Journal(JournalError::NotFound { .. } | JournalError::Ambiguous { .. }) => 2,
            Self::Journal(_) | Self::File { .. } | Self::Process(_) => 1,
            Self::Internal(_) => 70,
        }
    }
}
