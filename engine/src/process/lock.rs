//! The lock file that says whether a supervisor is still at work.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::ProcessError;

const POLL: Duration = Duration::from_millis(5);

/// Waits until no supervisor holds `lock_file`, for at most `deadline`.
///
/// A supervisor holds it from before its first step until every descendant is gone. So after this
/// nothing of a dead engine runs any more, and the world can be observed. A missing file means
/// that there never was one. Blocks the thread.
///
/// # Errors
/// [`ProcessError::SupervisorStays`] after the deadline, [`ProcessError::Lock`] when the file
/// cannot be opened or locked.
pub fn wait_supervisor_gone(lock_file: &Path, deadline: Duration) -> Result<(), ProcessError> {
    let failed = |source| ProcessError::Lock { path: lock_file.to_owned(), source };
    let file = match File::open(lock_file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let waiting = || poll(deadline, || file.try_lock_shared());
    match waiting() {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(ProcessError::SupervisorStays { path: lock_file.to_owned(), waited: deadline })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Takes the lock for a new supervisor. The file is created when missing and never deleted:
/// deleting it would let two holders exist.
pub(super) fn hold(lock_file: &Path, deadline: Duration) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let file = file.open(lock_file)?;
    if poll(deadline, || file.try_lock())? {
        Ok(file)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Polls, because a blocking `flock` has no deadline.
fn poll(
    deadline: Duration,
    mut attempt: impl FnMut() -> Result<(), TryLockError>,
) -> io::Result<bool> {
    let end = Instant::now() + deadline;
    loop {
        match attempt() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_free_lock_does_not_wait_and_a_held_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("supervisor.lock");
        wait_supervisor_gone(&path, Duration::ZERO).unwrap();
        let held = hold(&path, Duration::ZERO).unwrap();
        let error = wait_supervisor_gone(&path, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, ProcessError::SupervisorStays { .. }), "{error}");
        assert!(hold(&path, Duration::ZERO).is_err());
        drop(held);
        wait_supervisor_gone(&path, Duration::from_secs(5)).unwrap();
    }
}
