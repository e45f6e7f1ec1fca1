//! Writing files so that a reader never sees half of one.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::failure::Failure;

/// Replaces a file's content at once, and waits until it is on the disk. Readable by others, as
/// a file that was made by redirection would be.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |e: &std::io::Error| Failure::io("write", path, e);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = std::fs::Permissions::from_mode(0o644);
    let mut file =
        tempfile::Builder::new().permissions(mode).tempfile_in(folder).map_err(|e| fail(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| fail(&e))?;
    file.as_file().sync_all().map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    Ok(())
}
