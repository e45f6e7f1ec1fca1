//! What can go wrong at a platform, in the words a user needs.

use workplan_engine::kind::{SecretError, StepError};

/// Why a platform could not answer or act.
///
/// A read that gives this is *unknown*, never *absent*: absence is an answer of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The target file does not say enough, or says something that cannot be.
    #[error("{what}")]
    Target {
        /// What is missing or wrong.
        what: String,
        /// What to do.
        help: String,
    },
    /// What the target should have is not there (a file, a server, a release's own Secret).
    #[error("{0}")]
    Missing(String),
    /// It is there, but may not be read or changed.
    #[error("{0}")]
    Denied(String),
    /// It did not answer in time; says what, and after how long.
    #[error("{0}")]
    TimedOut(String),
    /// A secret was not to be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The platform said no, or something broke.
    #[error("{what}")]
    Failed {
        /// What happened: one sentence without a closing period.
        what: String,
        /// The end of what the tool said, redacted.
        said: Vec<String>,
        /// What to do.
        help: Option<String>,
    },
}

impl PlatformError {
    /// A failure without more to say.
    #[must_use]
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), said: Vec::new(), help: None }
    }

    /// A failure of an operation on a file.
    #[must_use]
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let what = format!("failed to {doing} `{}`: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing(what),
            std::io::ErrorKind::PermissionDenied => Self::Denied(what),
            _ => Self::failed(what),
        }
    }
}

impl From<PlatformError> for StepError {
    fn from(error: PlatformError) -> Self {
        let what = error.to_string();
        match error {
            PlatformError::Target { help, .. } => StepError::failed(what).with_help(help),
            PlatformError::Failed { said, help, .. } => {
                let mut error = StepError::failed(what);
                error.said = said;
                error.help = help;
                error
            }
            _ => StepError::failed(what),
        }
    }
}

impl From<StepError> for PlatformError {
    fn from(error: StepError) -> Self {
        Self::Failed { what: error.what, said: error.said, help: error.help }
    }
}
