//! The hidden processes: the one that ends what steps leave behind, and those that become servers.

use std::path::PathBuf;
use std::process::ExitCode;

use workplan_engine::process;

/// Runs the supervisor. Called before anything else was done: it takes over the whole process.
pub(crate) fn main(lock: Option<PathBuf>) -> ExitCode {
    match process::socket_from_stdin() {
        Ok(socket) => ExitCode::from(u8::try_from(process::supervise(socket, lock)).unwrap_or(1)),
        Err(_) => ExitCode::from(2),
    }
}

/// Becomes a server of the local platform; returns only when that fails.
pub(crate) fn service() -> ExitCode {
    ExitCode::from(
        u8::try_from(process::become_service(workplan_platform::local::service)).unwrap_or(1),
    )
}
