//! Why SQL could not be had, told apart by what a user would do about it.

use std::time::Duration;

use crate::PlatformError;

/// A failed connection or statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Nothing listens there, or the way is broken.
    #[error("failed to connect to {at}: {why}")]
    Unreachable {
        /// Where.
        at: String,
        /// Why.
        why: String,
    },
    /// The login was refused (SQLSTATE class 28, or a pooler that does not know the user).
    #[error("{at} refused the login of `{user}`: {why}")]
    Refused {
        /// Where.
        at: String,
        /// Who.
        user: String,
        /// In the server's words.
        why: String,
    },
    /// No answer in time. A hang is a failure with a name.
    #[error("{at} did not answer within {}", workplan_engine::duration::format(*.after))]
    Silent {
        /// Where.
        at: String,
        /// The deadline.
        after: Duration,
    },
    /// The server said no.
    #[error("{at} said: {message}")]
    Server {
        /// Where.
        at: String,
        /// The SQLSTATE, for example `42501`.
        code: String,
        /// The message.
        message: String,
    },
    /// The platform could not give a way there.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl SqlError {
    /// The SQLSTATE, where a server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(super) fn of(at: &str, user: &str, error: &tokio_postgres::Error) -> Self {
        let at = at.to_owned();
        let Some(db) = error.as_db_error() else {
            let why = std::error::Error::source(error)
                .map_or_else(|| error.to_string(), |source| source.to_string());
            return Self::Unreachable { at, why };
        };
        let message = db.message().to_owned();
        // A pooler says it without a SQLSTATE of class 28: `authentication failed`, `SCRAM
        // authentication failed`.
        let unknown_to_pooler =
            message.contains("pool_passwd") || message.ends_with("authentication failed");
        if db.code().code().starts_with("28") || unknown_to_pooler {
            return Self::Refused { at, user: user.to_owned(), why: message };
        }
        Self::Server { at, code: db.code().code().to_owned(), message }
    }
}

impl From<SqlError> for PlatformError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Platform(error) => error,
            SqlError::Silent { .. } => Self::TimedOut(error.to_string()),
            SqlError::Refused { .. } => Self::Denied(error.to_string()),
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<SqlError> for workplan_engine::kind::StepError {
    fn from(error: SqlError) -> Self {
        PlatformError::from(error).into()
    }
}
