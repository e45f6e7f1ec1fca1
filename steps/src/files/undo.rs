//! Taking a file back to what it was.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::path::{Path, PathBuf};

use workplan_engine::digest::{Digest, hex};
use workplan_engine::kind::{ErrorCause, StepError};

use super::place::{Place, State, missing_folders};
use super::replace::{self, Whole};
use super::wanted::Wanted;

/// What was there before, for the journal. The bytes are kept beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Before {
    /// The file itself, behind a symbolic link.
    pub(super) real: PathBuf,
    /// The file, where there was one.
    pub(super) file: Option<Old>,
    /// Folders that did not exist, outermost first.
    pub(super) folders: Vec<PathBuf>,
}

/// A file that was there before.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Old {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Of its content; keyed with the new content where the file is sensitive.
    digest: String,
    keyed: bool,
}

/// A file as it is now, against what is known of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// As the step left it, or on the way back from there.
    AsLeft,
    /// As it was before.
    AsBefore,
    /// Neither; says how.
    Changed(String),
}

impl Before {
    /// What is there now. `key` is the new content of a sensitive file: a bare digest of what a
    /// password file held would let anybody with the journal try passwords. Whoever knows the new
    /// content may try; the journal alone does not do.
    ///
    /// # Errors
    /// When no digest can be made.
    pub(super) fn capture(place: &Place, key: Option<&[u8]>) -> Result<Self, StepError> {
        let file = match &place.file {
            None => None,
            Some(now) => Some(Old {
                mode: now.mode,
                uid: now.uid,
                gid: now.gid,
                digest: digest(&now.bytes, key)?,
                keyed: key.is_some(),
            }),
        };
        Ok(Self { file, folders: missing_folders(&place.real), real: place.real.clone() })
    }

    /// Whether the file is as the step left it, as it was before, or neither.
    pub(super) fn judge(&self, place: &Place, wanted: &Wanted) -> Back {
        let changed = |how: &str| Back::Changed(by_others(&place.real, how));
        if place.real != self.real {
            return changed("linked to another file");
        }
        match (&place.file, &self.file) {
            (None, None) => Back::AsBefore,
            (None, Some(_)) => changed("removed"),
            (Some(now), None) => {
                let mode = now.mode == wanted.mode(None);
                let owner = wanted.owner(None).is_none_or(|o| o == (now.uid, now.gid));
                if now.bytes == wanted.bytes && mode && owner {
                    Back::AsLeft
                } else {
                    changed("changed")
                }
            }
            (Some(now), Some(old)) => {
                let before = (old.mode, old.uid, old.gid);
                let is_old = old.is(&now.bytes, wanted);
                if is_old && (now.mode, now.uid, now.gid) == before {
                    return Back::AsBefore;
                }
                // Owner and permissions are set one after the other, so a kill may leave one of
                // each; a third value is somebody else's.
                let as_it_was = State { mode: old.mode, uid: old.uid, gid: old.gid, ..now.clone() };
                let left = wanted.owner(Some(&as_it_was)).unwrap_or((old.uid, old.gid));
                let mode = [old.mode, wanted.mode(Some(&as_it_was))].contains(&now.mode);
                let owner = [(old.uid, old.gid), left].contains(&(now.uid, now.gid));
                if now.bytes == wanted.bytes && mode && owner {
                    Back::AsLeft
                } else {
                    changed("changed")
                }
            }
        }
    }
}

impl Old {
    fn is(&self, bytes: &[u8], wanted: &Wanted) -> bool {
        let key = self.keyed.then_some(wanted.bytes.as_slice());
        digest(bytes, key).is_ok_and(|digest| digest == self.digest)
    }
}

fn digest(bytes: &[u8], key: Option<&[u8]>) -> Result<String, StepError> {
    let Some(key) = key else { return Ok(Digest::of(bytes).as_str().to_owned()) };
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|e| not_started(format!("the old content cannot be digested: {e}")))?;
    mac.update(bytes);
    Ok(hex(&mac.finalize().into_bytes()))
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
    replace::remove_temporary(temporary)?;
    match before.judge(place, wanted) {
        Back::Changed(how) => return Err(left_alone(how)),
        Back::AsBefore => {}
        Back::AsLeft => match &before.file {
            None => replace::remove(&place.real)?,
            Some(old) if old.is(&wanted.bytes, wanted) => {
                replace::set_attributes(&place.real, old.mode, (old.uid, old.gid))?;
            }
            Some(old) => {
                let bytes = bytes.filter(|b| old.is(b, wanted)).ok_or_else(lost)?;
                let whole = Whole { bytes, mode: old.mode, owner: Some((old.uid, old.gid)) };
                replace::replace(&place.real, temporary, &whole)?;
            }
        },
    }
    replace::remove_empty(&before.folders);
    Ok(())
}

/// Why a path is not taken back: how somebody else `changed` it.
pub(crate) fn by_others(path: &Path, how: &str) -> String {
    format!("`{}` was {how} since by somebody else; it is left as it is", path.display())
}

/// What somebody else changed is not undone.
pub(crate) fn left_alone(why: String) -> StepError {
    StepError::failed(why)
        .with_help("restore it by hand where that is wanted, then answer with `workplan resolve`")
}

/// The old content is not what the journal says, or not there.
pub(crate) fn lost() -> StepError {
    not_started("the old content is not to be had".to_owned())
}

/// An error before anything was done.
pub(crate) fn not_started(what: String) -> StepError {
    StepError::new(ErrorCause::NotStarted, what)
}
