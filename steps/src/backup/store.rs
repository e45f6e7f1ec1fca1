//! The folder of a layer's backups: `<dir>/<layer>/<time>/`, and `<time>.partial/` while one is
//! made.
//!
//! Who makes or reads a backup holds an advisory lock on its folder itself. It goes with the
//! process, so a partial folder that nobody holds is what a dead process left, and a backup that
//! somebody reads is not removed under his hands. The folder keeps its lock when it is renamed.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use workplan_engine::kind::StepError;

use super::words::io_error;

/// Written last; a folder without it is no backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// What says that nobody exchanged the manifest.
pub(super) const SEAL: &str = "manifest.seal";
/// What a passed verification says; it never changes the manifest.
pub(super) const VERIFIED: &str = "verified.json";
/// Who makes a partial backup.
const OWNER: &str = "owner.json";
const PARTIAL: &str = ".partial";
/// Held while the name of a new backup is chosen; never removed.
const LOCK: &str = ".lock";
/// How long it is waited for.
const CHOOSING: Duration = Duration::from_secs(10);

/// The name of a backup: its time in UTC, `20260315T102030Z`, and a number from 2 where another one
/// was begun in the same second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    time: String,
    number: u32,
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (time, number) = match text.split_once('-') {
            Some((time, number)) => {
                let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
                (time, number.parse().ok().filter(|n| plain && *n >= 2)?)
            }
            None => (text, 1),
        };
        let shape = time.bytes().zip(*b"00000000T000000Z").all(|(have, want)| match want {
            b'0' => have.is_ascii_digit(),
            _ => have == want,
        });
        (shape && time.len() == 16).then(|| Self { time: time.to_owned(), number })
    }

    pub(super) fn of(now: Timestamp, number: u32) -> Self {
        let at = Offset::UTC.to_datetime(now);
        let time = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        Self { time, number }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            1 => f.write_str(&self.time),
            number => write!(f, "{}-{number}", self.time),
        }
    }
}

/// The backups of one layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// `<dir>/<layer>`.
    pub(super) root: PathBuf,
}

/// Who makes a partial backup, as it says itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Owner {
    /// `workplan:<run>:<step>:<attempt>`.
    pub(super) identity: String,
    /// The machine; locks of another one cannot be asked here.
    pub(super) host: String,
    /// The process.
    pub(super) pid: u32,
}

/// What a backup that is not finished looks like.
#[derive(Debug)]
pub(super) struct Leftover {
    pub(super) path: PathBuf,
    pub(super) owner: Option<Owner>,
    pub(super) state: LeftoverState,
}

/// Whether somebody is at it.
#[derive(Debug)]
pub(super) enum LeftoverState {
    /// A process holds it.
    Live,
    /// It was begun on another machine: whether somebody is at it cannot be told here.
    Elsewhere,
    /// Nobody; the lock is ours now.
    Dead {
        /// Kept while it is removed.
        _held: Held,
    },
}

/// A locked folder.
#[derive(Debug)]
pub(super) struct Held {
    folder: File,
}

impl Held {
    /// Lets go at once. Without this the lock lasts until the last copy of the descriptor is closed,
    /// and a child that another thread is just starting has one until it runs its program.
    fn release(&self) {
        drop(self.folder.unlock());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

impl Layer {
    pub(super) fn path(&self, id: &Id) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// The finished backups, newest first. None where there is no folder yet.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn finished(&self) -> io::Result<Vec<Id>> {
        let mut ids = Vec::new();
        for (name, path) in self.entries()? {
            if let Some(id) = Id::parse(&name)
                && path.join(MANIFEST).try_exists()?
            {
                ids.push(id);
            }
        }
        ids.sort_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// Backups that were begun and not finished.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn leftovers(&self) -> io::Result<Vec<Leftover>> {
        let mut found = Vec::new();
        for (name, path) in self.entries()? {
            let Some(stem) = name.strip_suffix(PARTIAL) else { continue };
            if Id::parse(stem).is_none() {
                continue;
            }
            let owner = fs::read(path.join(OWNER))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok());
            let state = match lock(&path, true) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
                Ok(None) => LeftoverState::Live,
                Ok(Some(_)) if owner.as_ref().is_some_and(|o| o.host != host()) => {
                    LeftoverState::Elsewhere
                }
                Ok(Some(held)) => LeftoverState::Dead { _held: held },
            };
            found.push(Leftover { path, owner, state });
        }
        Ok(found)
    }

    /// Holds a finished backup for reading: nobody removes it meanwhile.
    ///
    /// # Errors
    /// When it is not there, or is being removed.
    pub(super) fn hold(&self, id: &Id) -> io::Result<Held> {
        let held = lock(&self.path(id), false)?;
        held.ok_or_else(|| io::Error::other("it is being removed"))
    }

    /// Removes a finished backup; `false` where somebody reads it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(&self, id: &Id) -> io::Result<bool> {
        let path = self.path(id);
        let Some(held) = lock(&path, true)? else { return Ok(false) };
        // Without its manifest it is no backup any more, whatever interrupts the rest.
        fs::remove_file(path.join(MANIFEST))?;
        fs::remove_dir_all(&path)?;
        drop(held);
        Ok(true)
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub(super) fn begin(&self, identity: &str, now: Timestamp) -> Result<Partial, StepError> {
        let mut make = DirBuilder::new();
        make.recursive(true).mode(0o700);
        make.create(&self.root).map_err(|e| io_error("make the folder", &self.root, &e))?;
        let choosing = self.choosing().map_err(|e| io_error("lock", &self.root, &e))?;
        let id = self.next(now).map_err(|e| io_error("look at", &self.root, &e))?;
        let path = self.root.join(format!("{id}{PARTIAL}"));
        let failed = |e: io::Error| io_error("make", &path, &e);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let held = lock(&path, true).map_err(failed)?;
        let held = held.ok_or_else(|| failed(io::Error::other("somebody else locked it")))?;
        let owner = Owner { identity: identity.to_owned(), host: host(), pid: std::process::id() };
        let partial = Partial { layer: self.clone(), id, path: path.clone(), held, ended: false };
        partial.write(OWNER, &serde_json::to_vec(&owner).unwrap_or_default())?;
        drop(choosing);
        Ok(partial)
    }

    /// A name after all that there are, also where the clock was set back.
    fn next(&self, now: Timestamp) -> io::Result<Id> {
        let first = Id::of(now, 1);
        let names = self.entries()?.into_iter();
        let newest =
            names.filter_map(|(name, _)| Id::parse(name.strip_suffix(PARTIAL).unwrap_or(&name)));
        Ok(match newest.max() {
            Some(newest) if newest >= first => Id { number: newest.number + 1, ..newest },
            _ => first,
        })
    }

    /// So that two who begin in the same second do not choose one name.
    fn choosing(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(self.root.join(LOCK))?;
        let end = Instant::now() + CHOOSING;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process does not let go of it",
                    ));
                }
                // It is held for a few system calls.
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn entries(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_dir()
            {
                found.push((name, entry.path()));
            }
        }
        Ok(found)
    }
}

/// Takes the lock of a folder, alone or with other readers; `None` where others hold it.
fn lock(path: &Path, alone: bool) -> io::Result<Option<Held>> {
    let folder = File::open(path)?;
    let locked = if alone { folder.try_lock() } else { folder.try_lock_shared() };
    match locked {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
        Ok(()) => {}
    }
    // It may have been removed or renamed between the two calls.
    let (ours, there) = (folder.metadata()?, fs::metadata(path)?);
    if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
        Ok(Some(Held { folder }))
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// This machine's name.
pub(super) fn host() -> String {
    nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A backup while it is made. Dropped before [`Partial::finish`], it is removed.
#[derive(Debug)]
pub(super) struct Partial {
    layer: Layer,
    pub(super) id: Id,
    pub(super) path: PathBuf,
    held: Held,
    ended: bool,
}

impl Partial {
    /// Makes a file of it.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    pub(super) fn create(&self, name: &str) -> Result<(PathBuf, File), StepError> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(file) => Ok((path, file)),
            Err(e) => Err(io_error("make", &path, &e)),
        }
    }

    /// Writes a small file of it, safe on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StepError> {
        let (path, mut file) = self.create(name)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|e| io_error("write", &path, &e))
    }

    /// Makes a backup of it, in one step, safe on disk when this returns. Its manifest is there.
    ///
    /// # Errors
    /// When it cannot be renamed or flushed; it is then removed.
    pub(super) fn finish(mut self) -> Result<PathBuf, StepError> {
        let to = self.layer.path(&self.id);
        fs::remove_file(self.path.join(OWNER))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .and_then(|()| fs::rename(&self.path, &to))
            .map_err(|e| io_error("finish", &self.path, &e))?;
        self.ended = true;
        // From its name on it may be read, and by nobody be taken for a leftover.
        self.held.release();
        File::open(&self.layer.root)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| io_error("flush", &self.layer.root, &e))?;
        Ok(to)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.ended {
            // What stays is found by its name and its owner.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Replaces a small file beside a backup's members, safe on disk when this returns.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> (tempfile::TempDir, Layer) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dir/platform");
        (folder, Layer { root })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_773_570_030 + second).unwrap()
    }

    #[test]
    fn names_sort_by_time() {
        for text in ["20260315T102030Z", "20260315T102030Z-2", "20260315T102030Z-12"] {
            assert_eq!(Id::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "x",
            "20260315T102030",
            "20260315T102030Z-1",
            "20260315T102030Z-02",
            "20260315T102030Z.partial",
            "2026-315T102030Z",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
        assert!(Id::parse("20260315T102030Z-12") > Id::parse("20260315T102030Z-2"));
        assert!(Id::parse("20260315T102031Z") > Id::parse("20260315T102030Z-2"));
    }

    #[test]
    fn it_is_a_backup_when_it_is_finished_and_not_before() {
        let (_folder, layer) = layer();
        assert!(layer.finished().unwrap().is_empty());
        let one = layer.begin("workplan:r1:T.x:1", at(0)).unwrap();
        let two = layer.begin("workplan:r1:T.x:1", at(0)).unwrap();
        assert_eq!(two.id.to_string(), format!("{}-2", one.id));
        assert!(layer.finished().unwrap().is_empty());
        assert!(matches!(layer.leftovers().unwrap()[0].state, LeftoverState::Live));
        for partial in [one, two] {
            partial.write(MANIFEST, b"{}").unwrap();
            partial.finish().unwrap();
        }
        let three = layer.begin("workplan:r1:T.x:1", at(0)).unwrap();
        assert!(three.id.to_string().ends_with("-3"));
        let names: Vec<String> = layer.finished().unwrap().iter().map(Id::to_string).collect();
        assert_eq!(names, ["20260315T102030Z-2", "20260315T102030Z"]);
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing_and_a_dead_one_is_told_from_a_live_one() {
        let (_folder, layer) = layer();
        drop(layer.begin("workplan:r1:T.x:1", at(0)).unwrap());
        assert!(layer.leftovers().unwrap().is_empty());
        let mut dead = layer.begin("workplan:r1:T.x:1", at(1)).unwrap();
        dead.ended = true;
        drop(dead);
        let live = layer.begin("workplan:r2:T.x:1", at(2)).unwrap();
        let mut found = layer.leftovers().unwrap();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(matches!(found[0].state, LeftoverState::Dead { .. }));
        assert_eq!(found[0].owner.as_ref().unwrap().identity, "workplan:r1:T.x:1");
        assert!(matches!(found[1].state, LeftoverState::Live));
        drop(live);
    }

    #[test]
    fn what_is_read_is_not_removed() {
        let (_folder, layer) = layer();
        let partial = layer.begin("x", at(0)).unwrap();
        let id = partial.id.clone();
        partial.write(MANIFEST, b"{}").unwrap();
        partial.finish().unwrap();
        let (one, two) = (layer.hold(&id).unwrap(), layer.hold(&id).unwrap());
        assert!(!layer.remove(&id).unwrap());
        // As a child has it that is just being started.
        let copy = two.folder.try_clone().unwrap();
        drop((one, two));
        assert!(layer.remove(&id).unwrap());
        drop(copy);
        assert!(layer.finished().unwrap().is_empty());
    }
}
