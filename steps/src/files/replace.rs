//! Writing so that there is always the old file or the new one, and a crash leaves at most a
//! temporary file that can be recognised.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use workplan_engine::kind::{ErrorCause, StepError};

use super::place;

/// Permissions of a file that was not there.
const NEW: u32 = 0o644;

/// A file as it shall be.
pub(super) struct Whole<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) mode: u32,
    /// User and group; `None` leaves those of this process.
    pub(super) owner: Option<(u32, u32)>,
}

/// Puts a whole file in the place of `real`. The temporary file is gone when this returns.
///
/// # Errors
/// In words, with what to do; `real` is then as it was, unless only the last flush of its folder
/// failed.
pub(super) fn replace(real: &Path, temporary: &Path, new: &Whole<'_>) -> Result<(), StepError> {
    remove_temporary(temporary)?;
    write(temporary, new).and_then(|()| fs::rename(temporary, real)).map_err(|e| {
        // The error that is told is the first one; a temporary file that stays is found again.
        let _ = fs::remove_file(temporary);
        in_words("write", real, &e)
    })?;
    flush_folder(real)
}

/// Puts text into a file; one that is there keeps its permissions and owner.
///
/// # Errors
/// In words.
pub(crate) fn put(path: &Path, bytes: &[u8], identity: &str) -> Result<(), StepError> {
    let place = place::look(path).map_err(StepError::failed)?;
    let (mode, owner) =
        place.file.map_or((NEW, None), |file| (file.mode, Some((file.uid, file.gid))));
    let temporary = place::temporary(&place.real, identity);
    replace(&place.real, &temporary, &Whole { bytes, mode, owner })
}

fn write(temporary: &Path, new: &Whole<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(new.bytes)?;
    set(&file, new.mode, new.owner)?;
    file.sync_all()
}

/// Sets owner and permissions of an open file. The owner comes first: a change of it clears
/// set-user-ID bits.
fn set(file: &File, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(file, Some(uid), Some(gid))?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Sets permissions and owner of a file whose content is right.
///
/// # Errors
/// In words.
pub(super) fn set_attributes(real: &Path, mode: u32, owner: (u32, u32)) -> Result<(), StepError> {
    File::open(real)
        .and_then(|file| {
            set(&file, mode, Some(owner))?;
            file.sync_all()
        })
        .map_err(|e| in_words("change permissions or owner of", real, &e))
}

/// Removes the temporary file of an attempt that was cut off. Anything else of its name stays.
///
/// # Errors
/// When it is not a regular file, or cannot be removed.
pub(crate) fn remove_temporary(temporary: &Path) -> Result<(), StepError> {
    match fs::symlink_metadata(temporary) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(in_words("look at", temporary, &e)),
        Ok(meta) if meta.is_file() => {
            fs::remove_file(temporary).map_err(|e| in_words("remove", temporary, &e))
        }
        Ok(_) => Err(StepError::failed(format!(
            "`{}` has the name of this step's temporary file, but is not a file",
            temporary.display()
        ))),
    }
}

/// Creates folders, outermost first, each one durably.
///
/// # Errors
/// In words.
pub(super) fn create_folders(folders: &[PathBuf]) -> Result<(), StepError> {
    for folder in folders {
        match fs::create_dir(folder) {
            Ok(()) => flush_folder(folder)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(in_words("create", folder, &e)),
        }
    }
    Ok(())
}

/// Removes a file for good.
///
/// # Errors
/// In words.
pub(crate) fn remove(real: &Path) -> Result<(), StepError> {
    match fs::remove_file(real) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(in_words("remove", real, &e)),
        _ => flush_folder(real),
    }
}

/// Removes those of the folders that are empty, innermost first. One that is in use stays.
pub(crate) fn remove_empty(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            // A kill between two of them left the inner one uncreated.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(_) => return,
        }
    }
}

/// Whether the innermost of the folders that are there is empty.
pub(super) fn is_empty_folder(folders: &[PathBuf]) -> bool {
    folders
        .iter()
        .rev()
        .find_map(|folder| fs::read_dir(folder).ok())
        .is_some_and(|mut entries| entries.next().is_none())
}

/// Makes the names in a path's folder durable.
fn flush_folder(path: &Path) -> Result<(), StepError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| in_words("flush", folder, &e))
}

fn in_words(verb: &str, path: &Path, e: &io::Error) -> StepError {
    let path = path.display();
    let (why, help) = match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            "there is no space left on its file system".to_owned(),
            Some("free some space, then go on with `workplan resume`"),
        ),
        // Before the kind, which is the same for EPERM and EACCES.
        _ if e.raw_os_error() == Some(nix::libc::EPERM) => (
            "the operation is not permitted to this user".to_owned(),
            Some(
                "changing the owner of a file is for root; give `owner` as this user, or run as root",
            ),
        ),
        ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            Some(
                "run as a user that may write in this folder and, where `owner` is given or differs, may change owners",
            ),
        ),
        ErrorKind::ReadOnlyFilesystem => ("its file system is read-only".to_owned(), None),
        _ => (e.to_string(), None),
    };
    let error = StepError::new(ErrorCause::Failed, format!("cannot {verb} `{path}`: {why}"));
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}
