//! Files of the store: written whole or not at all, read with an answer for "not there".

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use workplan_engine::process::Account;

use crate::PlatformError;

/// For what everybody may read.
pub(crate) const OPEN: u32 = 0o644;
/// For what only its owner may read.
pub(crate) const SEALED: u32 = 0o600;

/// A file's text; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, PlatformError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PlatformError::io("read", path, &error)),
    }
}

/// A file's JSON; `None` where there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PlatformError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    // The parser's words could repeat a secret.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| {
        PlatformError::failed(format!("`{}` is damaged: no such JSON", path.display()))
    })
}

/// Replaces a file: written beside it, synced, renamed. Its folder is made where it is missing.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PlatformError> {
    write_for(path, bytes, mode, None)
}

/// The same for an account, where this process may give files away.
pub(crate) fn write_for(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    account: Option<Account>,
) -> Result<(), PlatformError> {
    let failed = |error: io::Error| PlatformError::io("write", path, &error);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(PlatformError::failed(format!("`{}` is no path of a file", path.display())));
    };
    make_folder(folder)?;
    let temporary = folder.join(format!(".{}.new", name.to_string_lossy()));
    // What a killed writer left may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    // The process's umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Some(account) = account.filter(|_| Account::current().is_root()) {
        chown(&temporary, Some(account.uid), Some(account.gid)).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Puts a file that somebody else wrote in the place of another; on disk before it is seen.
pub(crate) fn replace(new: &Path, old: &Path) -> Result<(), PlatformError> {
    let failed = |error: io::Error| PlatformError::io("replace", old, &error);
    File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(new, old).map_err(failed)?;
    let Some(folder) = old.parent() else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Replaces a file with JSON.
pub(crate) fn write_json<T: Serialize>(
    path: &Path,
    value: &T,
    mode: u32,
) -> Result<(), PlatformError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| PlatformError::failed(format!("failed to write `{}`: {e}", path.display())))?;
    bytes.push(b'\n');
    write(path, &bytes, mode)
}

/// Makes a folder that everybody may look into, with those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), PlatformError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(PlatformError::io("make the folder", path, &error)),
    }
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(|error| PlatformError::io("make the folder", path, &error))
}

/// Makes a folder for an account alone, or with other bits.
pub(crate) fn make_folder_for(
    path: &Path,
    mode: u32,
    account: Account,
) -> Result<(), PlatformError> {
    let failed = |error: io::Error| PlatformError::io("make the folder", path, &error);
    if let Some(above) = path.parent() {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    if Account::current().is_root() {
        chown(path, Some(account.uid), Some(account.gid)).map_err(failed)?;
    }
    Ok(())
}

/// Takes a file or a folder with all in it away; nothing to take away is no error.
pub(crate) fn remove(path: &Path) -> Result<(), PlatformError> {
    let gone = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PlatformError::io("take away", path, &error))
        }
        _ => Ok(()),
    }
}

/// The names in a folder, sorted; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, PlatformError> {
    let failed = |error: io::Error| PlatformError::io("read the folder", folder, &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        // A file that is being written, or that a killed writer left.
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
