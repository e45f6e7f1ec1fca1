//! Taking a file back to what it was.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use workplan_engine::kind::{ErrorCause, StepError};

use super::place::Place;
use super::replace::{self, Whole};
use super::wanted::Wanted;

/// What was there before, for the journal. The bytes are kept beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Before {
    /// The file itself, behind a symbolic link.
    pub(super) real: PathBuf,
    /// Mode, user and group of the file, where there was one.
    pub(super) file: Option<(u32, u32, u32)>,
    /// Folders that did not exist, outermost first.
    pub(super) folders: Vec<PathBuf>,
}

/// Restores what was there before, if the file is still as the step left it. What is already
/// restored stays; what somebody else changed stays and is an error.
///
/// # Errors
/// When somebody else changed it, the old content is lost, or the disk refuses.
pub(super) fn take_back(
    place: &Place,
    wanted: &Wanted,
    before: &Before,
    bytes: Option<&[u8]>,
    temporary: &Path,
) -> Result<(), StepError> {
    let changed = |how: &str| {
        StepError::failed(format!(
            "`{}` was {how} since by somebody else; it is left as it is",
            place.real.display()
        ))
        .with_help("restore it by hand where that is wanted, then answer with `workplan resolve`")
    };
    if place.real != before.real {
        return Err(changed("linked to another file"));
    }
    match (&place.file, before.file) {
        (None, None) => {
            replace::remove_empty(&before.folders);
            Ok(())
        }
        (None, Some(_)) => Err(changed("removed")),
        (Some(now), None) if now.bytes == wanted.bytes => {
            replace::remove(&place.real)?;
            replace::remove_empty(&before.folders);
            Ok(())
        }
        (Some(now), Some((mode, uid, gid))) => {
            let old =
                bytes.ok_or_else(|| not_started("the old content is not to be had".to_owned()))?;
            match (now.bytes == wanted.bytes, now.bytes == old) {
                (true, true) if (now.mode, now.uid, now.gid) == (mode, uid, gid) => Ok(()),
                (true, true) => replace::set_attributes(&place.real, mode, (uid, gid)),
                (true, false) => {
                    let whole = Whole { bytes: old, mode, owner: Some((uid, gid)) };
                    replace::replace(&place.real, temporary, &whole)
                }
                (false, true) => Ok(()),
                (false, false) => Err(changed("changed")),
            }
        }
        (Some(_), None) => Err(changed("changed")),
    }
}

/// An error before anything was done.
pub(super) fn not_started(what: String) -> StepError {
    StepError::new(ErrorCause::NotStarted, what)
}
