//! Locks between processes. The kernel lets go of them when their holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::files;
use crate::PlatformError;

/// How long the tables of a store may be locked by somebody else. Nothing slow is done under it.
pub(super) const TABLES: Duration = Duration::from_secs(30);
/// How long an operation of somebody else on the same release is waited for.
pub(super) const RELEASE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// A lock that is held while this value lives. The file stays.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a lock, or says after `patience` who has it.
    pub(crate) async fn take(
        path: &Path,
        patience: Duration,
        what: &str,
    ) -> Result<Self, PlatformError> {
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let failed = |error: std::io::Error| PlatformError::io("lock", path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    let holder = holder.trim();
                    let holder = if holder.is_empty() { "another process" } else { holder };
                    return Err(PlatformError::Failed {
                        what: format!("{what} is being worked on by {holder}"),
                        said: Vec::new(),
                        help: Some("wait for its end".to_owned()),
                    });
                }
            }
        }
        // Only for the words above; the lock itself is the kernel's.
        let _ = file.set_len(0);
        let _ = file.seek(SeekFrom::Start(0));
        let _ = write!(file, "process {}", std::process::id());
        Ok(Self { _file: file })
    }
}
