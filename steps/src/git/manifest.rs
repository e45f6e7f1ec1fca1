//! What a moved file or folder consists of.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use workplan_engine::digest::{Digest, hex};
use workplan_engine::kind::StepError;

/// The files of a path, sorted; folders are there through the files in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) entries: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the path; empty for the path itself.
    pub(super) path: String,
    pub(super) is: FileKind,
    /// Of the content; of the text of a link.
    pub(super) sha256: String,
}

/// What git keeps of a file's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileKind {
    File,
    Executable,
    Link,
}

impl FileKind {
    fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
        }
    }
}

impl Manifest {
    /// What is at a path: all files, whether git knows them or not. `None` where nothing is.
    ///
    /// # Errors
    /// A sentence that names what cannot be read, or is neither file nor link nor folder.
    pub(super) fn of(root: &Path) -> Result<Option<Self>, String> {
        fn walk(root: &Path, below: &str, out: &mut Vec<Entry>) -> Result<(), String> {
            let at = join(root, below);
            let meta = fs::symlink_metadata(&at).map_err(|e| unreadable(&at, &e))?;
            if !meta.is_dir() {
                out.push(Entry::read(root, below)?);
                return Ok(());
            }
            for entry in fs::read_dir(&at).map_err(|e| unreadable(&at, &e))? {
                let name = entry.map_err(|e| unreadable(&at, &e))?.file_name();
                let name = name
                    .to_str()
                    .ok_or_else(|| format!("a file name in `{}` is not UTF-8", at.display()))?;
                let below =
                    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
                walk(root, &below, out)?;
            }
            Ok(())
        }
        match fs::symlink_metadata(root) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreadable(root, &e)),
            Ok(_) => {}
        }
        let mut entries = Vec::new();
        walk(root, "", &mut entries)?;
        entries.sort();
        Ok(Some(Self { entries }))
    }

    /// The named files below a path.
    ///
    /// # Errors
    /// As [`Manifest::of`]; also where one is missing.
    pub(super) fn of_files(root: &Path, files: &[String]) -> Result<Self, String> {
        let mut entries =
            files.iter().map(|f| Entry::read(root, f)).collect::<Result<Vec<_>, _>>()?;
        entries.sort();
        Ok(Self { entries })
    }

    /// SHA-256: of a single file, of its content; else of a line `MODE SHA256 PATH` for each file.
    pub(super) fn digest(&self) -> String {
        match self.entries.as_slice() {
            [one] if one.path.is_empty() && one.is != FileKind::Link => one.sha256.clone(),
            entries => {
                let line = |e: &Entry| format!("{} {} {}\n", e.is.mode(), e.sha256, e.path);
                let text: String = entries.iter().map(line).collect();
                Digest::of(text.as_bytes()).as_str().to_owned()
            }
        }
    }

    /// Whether it is a folder's.
    pub(super) fn is_folder(&self) -> bool {
        self.entries.iter().any(|e| !e.path.is_empty())
    }

    /// The files' paths, below a root.
    pub(super) fn paths(&self, root: &Path) -> Vec<PathBuf> {
        self.entries.iter().map(|e| join(root, &e.path)).collect()
    }
}

impl Entry {
    fn read(root: &Path, below: &str) -> Result<Self, String> {
        let at = join(root, below);
        let meta = fs::symlink_metadata(&at).map_err(|e| unreadable(&at, &e))?;
        let (is, sha256) = if meta.is_symlink() {
            let text = fs::read_link(&at).map_err(|e| unreadable(&at, &e))?;
            let digest = Digest::of(text.as_os_str().as_bytes());
            (FileKind::Link, digest.as_str().to_owned())
        } else if meta.is_file() {
            let executable = meta.permissions().mode() & 0o100 != 0;
            let kind = if executable { FileKind::Executable } else { FileKind::File };
            (kind, sha256(&at).map_err(|e| unreadable(&at, &e))?)
        } else {
            return Err(format!("`{}` is neither a file nor a link", at.display()));
        };
        Ok(Self { path: below.to_owned(), is, sha256 })
    }
}

/// A path below another one; the other one itself for an empty text.
pub(super) fn join(root: &Path, below: &str) -> PathBuf {
    if below.is_empty() { root.to_path_buf() } else { root.join(below) }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Copies the files to a path where nothing is yet, durably: content, permissions, links.
///
/// # Errors
/// In words.
pub(super) fn copy(manifest: &Manifest, from: &Path, to: &Path) -> Result<(), StepError> {
    for entry in &manifest.entries {
        let (from, to) = (join(from, &entry.path), join(to, &entry.path));
        copy_one(&from, &to).map_err(|e| {
            let (from, to) = (from.display(), to.display());
            StepError::failed(format!("failed to copy `{from}` to `{to}`: {e}"))
        })?;
    }
    Ok(())
}

fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut File::open(from)?, &mut new)?;
        new.set_permissions(Permissions::from_mode(meta.permissions().mode() & 0o7777))?;
        new.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// Removes a file, a link, or a folder with all in it; nothing there is fine.
///
/// # Errors
/// In words.
pub(super) fn remove(path: &Path) -> Result<(), StepError> {
    let removed = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|e| StepError::failed(format!("failed to remove `{}`: {e}", path.display())))
}

/// Removes files below a path, and the folders at and below it that are empty then.
///
/// # Errors
/// In words.
pub(super) fn remove_files(root: &Path, files: &[String]) -> Result<(), StepError> {
    for path in files.iter().map(|file| join(root, file)) {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                let what = format!("failed to remove `{}`: {e}", path.display());
                return Err(StepError::failed(what));
            }
            _ => {}
        }
        let mut folder = path.parent();
        while let Some(at) = folder.filter(|f| f.starts_with(root)) {
            if fs::remove_dir(at).is_err() {
                break;
            }
            folder = at.parent();
        }
    }
    Ok(())
}

/// Renames to a path where nothing is yet, and makes that durable. Its folder is made.
///
/// # Errors
/// In words.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StepError> {
    if fs::symlink_metadata(to).is_ok() {
        let what = format!("`{}` was put there by somebody else meanwhile", to.display());
        return Err(StepError::failed(what));
    }
    rename_over(from, to)
}

/// Renames to a path, in the place of a file that is there.
///
/// # Errors
/// In words.
pub(super) fn rename_over(from: &Path, to: &Path) -> Result<(), StepError> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|e| StepError::failed(format!("failed to write `{}`: {e}", to.display())))
}

fn unreadable(path: &Path, e: &io::Error) -> String {
    format!("`{}` cannot be read: {e}", path.display())
}
