//! What is at a path now.

use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use workplan_engine::digest::Digest;

/// The largest file that is read, in bytes. Its old content must fit beside the journal.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The longest part of a file's name that its temporary file repeats, in bytes: a name has at
/// most 255.
const NAME_PART: usize = 200;

/// A file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) bytes: Vec<u8>,
    /// The permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// A digest of what changes with every write: device, inode, size and change times. It says
    /// that a sensitive file moved without being a digest of its content.
    pub(super) version: Digest,
}

/// A path and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file itself, behind a symbolic link if there is one.
    pub(crate) real: PathBuf,
    /// Whether the path is a symbolic link.
    pub(super) linked: bool,
    /// The file, where there is one.
    pub(crate) file: Option<State>,
}

/// Looks at a path. A symbolic link to a file is followed.
///
/// # Errors
/// A sentence that says why it cannot be told, or why it is no place for a file.
pub(crate) fn look(path: &Path) -> Result<Place, String> {
    let linked = match fs::symlink_metadata(path) {
        Ok(meta) => meta.is_symlink(),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Ok(Place { real: path.to_path_buf(), linked: false, file: None });
        }
        Err(e) => return Err(cannot_see(path, &e)),
    };
    let real = if linked {
        fs::canonicalize(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => {
                let to = fs::read_link(path).unwrap_or_default();
                format!(
                    "`{}` is a symbolic link to `{}`, which does not exist",
                    path.display(),
                    to.display()
                )
            }
            _ => cannot_see(path, &e),
        })?
    } else {
        path.to_path_buf()
    };
    // Looked at before it is opened: opening a device can have effects.
    let kind = fs::metadata(&real).map_err(|e| cannot_see(&real, &e))?.file_type();
    if kind.is_dir() {
        return Err(format!("`{}` is a folder", path.display()));
    }
    if !kind.is_file() {
        return Err(format!("`{}` is not a regular file", path.display()));
    }
    let file = read(&real).map_err(|e| cannot_see(&real, &e))?;
    let file = file.ok_or_else(|| {
        format!("`{}` is larger than 64 MiB; its old content could not be kept", path.display())
    })?;
    Ok(Place { real, linked, file: Some(file) })
}

/// `None` for a file that is too large.
fn read(path: &Path) -> io::Result<Option<State>> {
    // Not blocking: a pipe that took the file's place a moment ago must not hang us.
    let mut file: File = OpenOptions::new()
        .read(true)
        .custom_flags((nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_CLOEXEC).bits())
        .open(path)?;
    let meta = file.metadata()?;
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Ok(None);
    }
    let version = Digest::of_json(&json!([
        meta.dev(),
        meta.ino(),
        meta.size(),
        [meta.mtime(), meta.mtime_nsec()],
        [meta.ctime(), meta.ctime_nsec()]
    ]));
    Ok(Some(State { bytes, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), version }))
}

fn cannot_see(path: &Path, e: &io::Error) -> String {
    let path = path.display();
    match e.kind() {
        ErrorKind::PermissionDenied => format!("`{path}` may not be read by this user"),
        ErrorKind::NotADirectory => format!("a part of `{path}` is a file and not a folder"),
        _ if e.raw_os_error() == Some(nix::libc::ELOOP) => {
            format!("`{path}` is a symbolic link that leads to itself")
        }
        _ => format!("`{path}` cannot be looked at: {e}"),
    }
}

/// The temporary file of a step's run, beside the file. Its name carries who writes it, without
/// the number of the attempt: a later attempt of the same run must find it.
pub(crate) fn temporary(real: &Path, identity: &str) -> PathBuf {
    let run = identity.rsplit_once(':').map_or(identity, |(run, _attempt)| run);
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let part: String = name
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= NAME_PART)
        .map(|(_, c)| c)
        .collect();
    real.with_file_name(format!(".{part}.wp-{}", Digest::of(run.as_bytes()).short()))
}

/// The folders above a file that do not exist, outermost first.
pub(crate) fn missing_folders(real: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = real
        .ancestors()
        .skip(1)
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .map(Path::to_path_buf)
        .collect();
    missing.reverse();
    missing
}
