//! One run at a time for one key, for example the identity of a target.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Owner;
use crate::process::Liveness;

/// How long a lock is waited for whose owner is dead. A child that the owner was just starting has
/// the lock until it execs, which takes a moment on a busy machine.
const HEIR_WAIT: Duration = Duration::from_secs(2);
const HEIR_POLL: Duration = Duration::from_millis(2);

/// A held lock. The kernel frees it when this process ends, however it ends; dropping it frees
/// it at once and removes the owner's record.
///
/// It is a `flock` on a file that is closed on `exec`. A child that is forked and does not exec
/// would go on holding it.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    record: PathBuf,
}

/// A lock that was taken.
#[derive(Debug)]
pub struct Acquired {
    /// The lock; keep it as long as the run lasts.
    pub lock: RunLock,
    /// The owner that died without freeing it, if that is how it came free. The engine journals
    /// the takeover.
    pub previous: Option<Owner>,
}

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A live process has it.
    #[error("take the lock: {}", held_by(.owner.as_ref()))]
    Held {
        /// Who; `None` for one that has not yet written its record.
        owner: Option<Owner>,
    },
    /// The lock is free here, but the record names a process of another machine that left it.
    #[error(
        "take the lock: process {} on `{}` left it with run `{}`, and cannot be looked at from here",
        .owner.pid, .owner.host, .owner.run
    )]
    Unsure {
        /// Who.
        owner: Owner,
    },
    /// The operating system refused.
    #[error("use the lock `{path}`", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn held_by(owner: Option<&Owner>) -> String {
    match owner {
        Some(o) => format!(
            "run `{}` holds it, process {} on `{}` since {:.0}",
            o.run, o.pid, o.host, o.since
        ),
        None => "another process holds it".into(),
    }
}

impl LockError {
    /// What to do, in one or two plain sentences.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Held { .. } => "wait until that run ends, or end it; `workplan status` shows it",
            Self::Unsure { .. } => {
                "make sure that the process is gone on that machine, then `workplan abandon` or \
                 resume that run"
            }
            Self::Io { .. } => "see that the folder may be written and is on a local disk",
        }
    }
}

impl RunLock {
    /// Takes the lock of `key` without waiting. The folder is made when it is missing; the
    /// files in it are named by a digest of the key, and the lock file is never deleted, since
    /// two processes could then lock two files of the same name.
    ///
    /// # Errors
    /// [`LockError::Held`] while a live process has it, [`LockError::Unsure`] when it was left by
    /// a process of another machine, [`LockError::Io`].
    pub fn acquire(locks: &Path, key: &str, owner: &Owner) -> Result<Acquired, LockError> {
        Self::take(locks, key, owner, false)
    }

    /// Like [`RunLock::acquire`], after a person made sure that the process which another
    /// machine's record names is gone.
    ///
    /// # Errors
    /// As [`RunLock::acquire`], without [`LockError::Unsure`].
    pub fn take_over(locks: &Path, key: &str, owner: &Owner) -> Result<Acquired, LockError> {
        Self::take(locks, key, owner, true)
    }

    /// Whose record is there, without taking or writing anything. The owner may be dead: ask
    /// [`Owner::liveness`]. `None` also where the record is torn or unreadable.
    #[must_use]
    pub fn peek(locks: &Path, key: &str) -> Option<Owner> {
        read_record(&paths(locks, key).1)
    }

    fn take(locks: &Path, key: &str, owner: &Owner, sure: bool) -> Result<Acquired, LockError> {
        let (lock, record) = paths(locks, key);
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LockError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(locks).map_err(io(locks))?;
        let since = Instant::now();
        let file = loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&lock)
                .map_err(io(&lock))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let held_by = read_record(&record);
                    let dead = held_by.as_ref().is_some_and(|o| o.liveness() == Liveness::Dead);
                    if dead && since.elapsed() < HEIR_WAIT {
                        std::thread::sleep(HEIR_POLL);
                        continue;
                    }
                    return Err(LockError::Held { owner: held_by });
                }
                Err(TryLockError::Error(source)) => return Err(io(&lock)(source)),
            }
            // Somebody may have deleted the file between opening and locking it.
            let ours = file.metadata().map_err(io(&lock))?;
            if fs::metadata(&lock).is_ok_and(|m| (m.dev(), m.ino()) == (ours.dev(), ours.ino())) {
                break file;
            }
        };
        let previous = read_record(&record);
        if let Some(found) = previous.as_ref().filter(|p| !p.is_same_process(owner)) {
            match found.liveness() {
                // The lock is free and its owner lives: someone deleted the lock file.
                Liveness::Alive => return Err(LockError::Held { owner: previous }),
                Liveness::Unknown if !sure => {
                    return Err(LockError::Unsure { owner: found.clone() });
                }
                Liveness::Unknown | Liveness::Dead => {}
            }
        }
        write_record(locks, &record, owner).map_err(io(&record))?;
        Ok(Acquired { lock: Self { file, record }, previous })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The record goes first, while nobody else can have written theirs. Where it cannot be
        // removed, it names a process that is gone, which the next owner finds out.
        let _ = fs::remove_file(&self.record);
        let _ = self.file.unlock();
    }
}

fn paths(locks: &Path, key: &str) -> (PathBuf, PathBuf) {
    let digest = Sha256::digest(key.as_bytes());
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (locks.join(format!("{name}.lock")), locks.join(format!("{name}.owner")))
}

fn read_record(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Written beside and renamed, so that a reader never sees half a record.
fn write_record(locks: &Path, record: &Path, owner: &Owner) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".owner-").tempfile_in(locks)?;
    file.write_all(&serde_json::to_vec(owner)?)?;
    file.as_file().sync_data()?;
    file.persist(record)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::*;

    fn me(run: &str) -> Owner {
        Owner::this_process(run, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn leave_record(locks: &TempDir, owner: &Owner) {
        write_record(locks.path(), &paths(locks.path(), "k").1, owner).unwrap();
    }

    fn take(locks: &TempDir) -> Result<Acquired, LockError> {
        RunLock::acquire(locks.path(), "k", &me("r2"))
    }

    #[test]
    fn it_is_held_once_and_names_its_owner() {
        let locks = TempDir::new().unwrap();
        let first = RunLock::acquire(locks.path(), "k", &me("r1")).unwrap();
        assert_eq!(first.previous, None);
        match take(&locks) {
            Err(e @ LockError::Held { .. }) => {
                let expected = format!("run `r1` holds it, process {}", std::process::id());
                assert!(e.to_string().contains(&expected), "{e}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(RunLock::peek(locks.path(), "k"), Some(me("r1")));
        RunLock::acquire(locks.path(), "another key", &me("r1")).unwrap();
        drop(first);
        assert_eq!(RunLock::peek(locks.path(), "k"), None);
        assert_eq!(take(&locks).unwrap().previous, None);
    }

    #[test]
    fn looking_makes_nothing() {
        let locks = TempDir::new().unwrap();
        assert_eq!(RunLock::peek(&locks.path().join("none"), "k"), None);
        assert_eq!(fs::read_dir(locks.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dead_owner_is_taken_over_and_reported() {
        for dead in [
            Owner { pid: 1, started_ticks: u64::MAX, ..me("r1") },
            Owner { pid: u32::MAX, ..me("r1") },
            Owner { boot_id: "an earlier boot".into(), ..me("r1") },
        ] {
            let locks = TempDir::new().unwrap();
            leave_record(&locks, &dead);
            let taken = take(&locks).unwrap();
            assert_eq!(taken.previous, Some(dead));
            assert_eq!(RunLock::peek(locks.path(), "k"), Some(me("r2")));
        }
    }

    #[test]
    fn what_a_dead_owner_was_starting_is_waited_for() {
        let locks = TempDir::new().unwrap();
        let dead = Owner { pid: u32::MAX, ..me("r1") };
        leave_record(&locks, &dead);
        let heir = File::create(paths(locks.path(), "k").0).unwrap();
        heir.lock().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let taken = std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                begun.send(()).unwrap();
                take(&locks)
            });
            begins.recv().unwrap();
            drop(heir);
            taker.join().unwrap()
        });
        assert_eq!(taken.unwrap().previous, Some(dead));
    }

    #[test]
    fn a_torn_record_is_nobody() {
        let locks = TempDir::new().unwrap();
        fs::write(paths(locks.path(), "k").1, "{\"pid\": 4").unwrap();
        assert_eq!(RunLock::peek(locks.path(), "k"), None);
        assert_eq!(take(&locks).unwrap().previous, None);
    }

    #[test]
    fn a_live_owner_keeps_it_though_the_lock_file_was_deleted() {
        let locks = TempDir::new().unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
        let other = Owner { pid: child.id(), started_ticks: ticks.parse().unwrap(), ..me("r1") };
        leave_record(&locks, &other);
        let refused = take(&locks);
        assert!(matches!(&refused, Err(LockError::Held { owner }) if *owner == Some(other)));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(take(&locks).unwrap().previous.is_some());
    }

    #[test]
    fn another_machines_owner_needs_a_person() {
        let locks = TempDir::new().unwrap();
        let far = Owner { host: "elsewhere.invalid".into(), ..me("r1") };
        leave_record(&locks, &far);
        let refused = take(&locks);
        assert!(matches!(&refused, Err(LockError::Unsure { owner }) if *owner == far));
        let taken = RunLock::take_over(locks.path(), "k", &me("r2")).unwrap();
        assert_eq!(taken.previous, Some(far));
    }
}
