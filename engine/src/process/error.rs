//! What can go wrong around a child process.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use thiserror::Error;

/// Why a child process could not be started or followed.
///
/// A child that ran and failed is not an error here, see [`Finished`](super::Finished).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The supervisor's socket, pipe or process could not be made.
    #[error("start the supervisor `{program}`")]
    SupervisorStart {
        /// The program that was started.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The supervisor started and gave up before it was ready.
    #[error("prepare the supervisor: {what}")]
    SupervisorRefused {
        /// The step of its preparation that failed.
        what: String,
        /// The system's reason.
        source: Errno,
    },
    /// The supervisor did not answer in time.
    #[error("get an answer from the supervisor within {} ms", .0.as_millis())]
    SupervisorSilent(Duration),
    /// The supervisor died. Its descendants have been killed by the time this is returned.
    #[error("keep the supervisor: it ended while the step was running")]
    SupervisorLost,
    /// A supervisor of a dead engine still holds the lock file.
    #[error("see the former supervisor end within {} ms (lock file `{path}`)", waited.as_millis())]
    SupervisorStays {
        /// The lock file that it holds.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The lock file of the supervisor could not be opened or locked.
    #[error("lock `{path}`")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No folder of the child's `PATH` has the program.
    #[error("find the program `{program}` on the PATH `{path}`")]
    ProgramNotFound {
        /// The program's name as given.
        program: String,
        /// The `PATH` of the child's environment; empty when it has none.
        path: String,
    },
    /// The child's working folder is missing or not usable.
    #[error("use the working folder `{cwd}`")]
    Cwd {
        /// The folder as given.
        cwd: PathBuf,
        /// The system's reason.
        source: Errno,
    },
    /// The program is there but cannot be executed.
    #[error("execute `{program}`{}", hint(*source))]
    Spawn {
        /// The program as it was resolved.
        program: PathBuf,
        /// The system's reason.
        source: Errno,
    },
    /// A program, argument, path or variable contains a NUL byte.
    #[error("pass {0} to a process: it contains a NUL byte")]
    Nul(&'static str),
    /// A pipe could not be made or read.
    #[error("read the output of the process")]
    Pipe(#[source] io::Error),
    /// A service could not be started.
    #[error("start the service `{program}`: {why}")]
    Service {
        /// The server's executable.
        program: PathBuf,
        /// Why, in words.
        why: String,
    },
    /// The supervisor could not be spoken to.
    #[error("speak to the supervisor")]
    Socket(#[source] io::Error),
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOEXEC => " (a script needs a `#!` line)",
        Errno::ENOENT => " (it, or the interpreter that its `#!` line names, is missing)",
        Errno::E2BIG => " (arguments and environment are too large)",
        _ => "",
    }
}
