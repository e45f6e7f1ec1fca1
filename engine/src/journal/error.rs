//! What can go wrong with the journal, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the journal or its folder. Display says what happened, [`JournalError::help`]
/// what to do. After any of these the journal holds what it held before.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk (or quota) is full.
    #[error("write the journal `{path}`: no space left on its disk", path = .path.display())]
    NoSpace {
        /// The file or folder that could not grow.
        path: PathBuf,
    },
    /// The state folder or a file in it may not be written.
    #[error("write to `{path}`: it is read-only for this user", path = .path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// The path of a state folder names something that is not a folder.
    #[error("use `{path}` as the state folder: it is not a folder", path = .path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another process held the journal longer than the busy timeout (10 s).
    #[error("write the journal `{path}`: another process keeps it busy", path = .path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// Content that cannot be what was written.
    #[error("trust the journal `{path}`: {what}", path = .path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// What is wrong, with the run and event where they are known.
        what: String,
        /// The run that is concerned.
        run: Option<String>,
        /// The event that is concerned.
        seq: Option<u64>,
    },
    /// A read-only opening would miss events that only the write-ahead log holds.
    #[error(
        "read the journal `{path}` without writing: its newest events are in `{wal}` and the index beside it is missing",
        path = .path.display(), wal = .wal.display()
    )]
    Unfolded {
        /// The journal.
        path: PathBuf,
        /// The log that holds the newest events.
        wal: PathBuf,
    },
    /// The file has a schema of a later release.
    #[error(
        "read the journal `{path}`: written by a newer workplan (format {found}, this one knows {known})",
        path = .path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The format of the file.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// Somebody else appended to the run since it was read.
    #[error("append to run `{run}`: it moved from event {expected} to {found} meanwhile")]
    Moved {
        /// The run.
        run: String,
        /// The head that the caller had seen; 0 stands for no event.
        expected: u64,
        /// The head that is there.
        found: u64,
    },
    /// No such run.
    #[error("find a run `{run}`")]
    NotFound {
        /// What was asked for.
        run: String,
    },
    /// A prefix fits several runs.
    #[error("tell which run `{prefix}` is: {}", .runs.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// The runs that fit, newest first.
        runs: Vec<String>,
    },
    /// A request that no sound engine makes; nothing was written.
    #[error("append to the journal: {what}")]
    Refused {
        /// What is wrong with the request.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("use `{path}`", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refused, for none of the reasons above.
    #[error("use the journal `{path}`", path = .path.display())]
    Sqlite {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl JournalError {
    /// What to do, in one or two plain sentences.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NoSpace { .. } => "free some space and resume the run; nothing was started \
                 that the journal does not know"
                .into(),
            Self::ReadOnly { .. } => {
                "run as the owner of the state folder, or choose another with `--state DIR`".into()
            }
            Self::NotAFolder { .. } => {
                "choose another state folder with `--state DIR`, or move that file away".into()
            }
            Self::Busy { .. } => {
                "see with `workplan status` which process works here, and try again".into()
            }
            Self::Corrupt { path, .. } => format!(
                "nothing was changed or deleted. Set the journal aside with `mv {0} {0}.damaged` \
                 (and `{0}-wal` and `{0}-shm` with it, if there), restore it from a backup, and \
                 look at the target before anything runs again: what was done there is not undone",
                path.display()
            ),
            Self::Unfolded { .. } => "open it once as a user who may write there, for example \
                 with `workplan resume`, or copy the `-shm` file too"
                .into(),
            Self::Newer { .. } => "use the newer `workplan` that wrote it".into(),
            Self::Moved { .. } => "read the new events and decide again".into(),
            Self::NotFound { .. } => "`workplan runs` lists the runs of this state folder".into(),
            Self::Ambiguous { .. } => "give more letters of the run's id".into(),
            Self::Refused { .. } => "this is a defect of workplan; please report it".into(),
            Self::Io { .. } | Self::Sqlite { .. } => {
                "see that the folder exists, is on a local disk and may be used by this user".into()
            }
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { path, source },
        }
    }

    /// Like [`JournalError::io`], where the denied access was one for writing.
    pub(crate) fn io_write(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::ReadOnly { path: path.to_path_buf() };
        }
        Self::io(path, source)
    }

    pub(crate) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), what: what.into(), run: None, seq: None }
    }

    pub(crate) fn corrupt_at(path: &Path, run: &str, seq: u64, what: &str) -> Self {
        Self::Corrupt {
            path: path.to_path_buf(),
            what: format!("run `{run}`, event {seq}: {what}"),
            run: Some(run.to_owned()),
            seq: Some(seq),
        }
    }

    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let owned = path.to_path_buf();
        let E::SqliteFailure(failure, message) = &source else {
            return match source {
                // The columns have declared types and the text was UTF-8 when it was written.
                E::InvalidColumnType(..)
                | E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::Utf8Error(..)
                | E::InvalidColumnIndex(_)
                | E::InvalidColumnName(_)
                | E::QueryReturnedNoRows => Self::corrupt(path, source.to_string()),
                // Every statement is a constant that fits the schema which opening compared.
                E::SqlInputError { msg, .. } => Self::corrupt(path, msg),
                _ => Self::Sqlite { path: owned, source },
            };
        };
        let text = message.clone().unwrap_or_else(|| failure.to_string());
        match (failure.code, failure.extended_code) {
            (ErrorCode::DiskFull, _) | (_, rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
                Self::NoSpace { path: owned }
            }
            (ErrorCode::ReadOnly, _) => Self::ReadOnly { path: owned },
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy { path: owned },
            (
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch,
                _,
            )
            | (
                _,
                rusqlite::ffi::SQLITE_IOERR_SHORT_READ
                | rusqlite::ffi::SQLITE_IOERR_DATA
                | rusqlite::ffi::SQLITE_IOERR_CORRUPTFS
                | rusqlite::ffi::SQLITE_ERROR,
            ) => Self::corrupt(path, text),
            _ => Self::Sqlite { path: owned, source },
        }
    }
}
