//! The one error type of commands: what happened, why, what to do, and the exit code.

use workplan_engine::journal::{JournalError, LockError};

use workplan_engine::session::SessionError;

use crate::exit::{self, Exit};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened: one sentence without a closing period.
    pub(crate) message: String,
    /// Why, from near to far.
    pub(crate) causes: Vec<String>,
    /// What to do, a line each.
    pub(crate) help: Vec<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), help: Vec::new() }
    }

    /// Something on the command line that does not exist or does not fit.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// From an error of a library, whose Display completes "failed to …".
    pub(crate) fn failed_to(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { exit, message: format!("failed to {error}"), causes, help: Vec::new() }
    }

    /// From an error of the operating system over a path.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let mut failure =
            Self::new(exit::FAILED, format!("failed to {doing} `{}`", path.display()));
        failure.causes.push(error.to_string());
        failure
    }

    /// Adds a line about what to do.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let exit = match error {
            JournalError::NotFound { .. } | JournalError::Ambiguous { .. } => exit::USAGE,
            // The disk or the permissions, not a bug: after they are seen to, a run can be resumed.
            _ => exit::FAILED,
        };
        Self::failed_to(exit, &error).with_help(error.help())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let error = match error {
            SessionError::Journal(inner) => return inner.into(),
            other => other,
        };
        let mut failure = Self::new(Exit::Code(error.exit_code()), error.to_string());
        failure.help.extend(error.help());
        failure
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let exit = match error {
            LockError::Held { .. } | LockError::Unsure { .. } => exit::LOCKED,
            LockError::Io { .. } => exit::FAILED,
        };
        Self::failed_to(exit, &error).with_help(error.help())
    }
}
