//! The way back of a move: first the old place, then the new one, so that the content is in a
//! commit at every moment.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

use workplan_engine::kind::StepError;

use super::manifest::{self, Manifest};
use super::move_look::{Seen, Source, read};
use crate::blocking::blocking;
use crate::files::{by_others, not_started, put, remove_empty, temporary};

/// What was there before, for the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Before {
    /// What moves.
    pub(super) manifest: Manifest,
    /// It was committed in its new place already.
    pub(super) target_there: bool,
    /// The tombstone was there already.
    pub(super) grave_there: bool,
    /// Folders of the new place that did not exist, outermost first.
    pub(super) folders: Vec<PathBuf>,
}

/// A move as it is now, against what is known of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// As the step left it, or on the way to or from there.
    AsLeft,
    /// As it was before.
    AsBefore,
    /// Neither; says how.
    Changed(String),
}

/// What is in the old place, against what was moved away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PutBack {
    Whole,
    Part,
    Other,
}

impl Before {
    /// Whether the move is as the step left it, as it was before, or neither.
    pub(super) fn judge(&self, seen: &Seen) -> Back {
        let changed = |path: &Path, how: &str| Back::Changed(by_others(path, how));
        let put_back = self.put_back_so_far(seen);
        if put_back == PutBack::Other
            && matches!(seen.source, Source::Whole(_) | Source::Changed(_))
        {
            return changed(&seen.from.path, "changed");
        }
        let whole = put_back == PutBack::Whole;
        match &seen.target {
            Some(target) if *target == self.manifest => {}
            // On the way back, the new place is emptied last.
            Some(target) if whole && self.has_all_of(target) => {}
            Some(_) => return changed(&seen.to.path, "changed"),
            None if !whole || self.target_there => return changed(&seen.to.path, "removed"),
            None => {}
        }
        let source_is_before = whole && matches!(seen.source, Source::Whole(_));
        let grave_is_before =
            seen.grave_changes.is_empty() && !self.is_recorded(seen.record.as_ref());
        let target_is_before =
            seen.target_changes.is_empty() && seen.target.is_some() == self.target_there;
        if source_is_before && grave_is_before && target_is_before && seen.left_behind.is_none() {
            Back::AsBefore
        } else {
            Back::AsLeft
        }
    }

    fn is_recorded(&self, record: Option<&super::tombstone::Record>) -> bool {
        record.is_some_and(|record| record.sha256 == self.manifest.digest())
    }

    fn has_all_of(&self, target: &Manifest) -> bool {
        target.entries.iter().all(|entry| self.manifest.entries.contains(entry))
    }

    /// How much of it is in its old place. Put back and not yet committed, it is new for git.
    fn put_back_so_far(&self, seen: &Seen) -> PutBack {
        let mut missing = false;
        for entry in &self.manifest.entries {
            if fs::symlink_metadata(manifest::join(&seen.from.path, &entry.path)).is_err() {
                missing = true;
            } else if !Manifest::of_files(&seen.from.path, std::slice::from_ref(&entry.path))
                .is_ok_and(|now| now.entries[..] == [entry.clone()])
            {
                return PutBack::Other;
            }
        }
        if missing { PutBack::Part } else { PutBack::Whole }
    }

    /// Puts what was moved into its old place and takes the tombstone's line out. Gives the paths
    /// to commit.
    pub(super) async fn put_back(
        &self,
        seen: &Seen,
        identity: &str,
    ) -> Result<Vec<PathBuf>, StepError> {
        let mut paths = self.manifest.paths(&seen.from.path);
        paths.push(seen.grave.clone());
        paths.dedup();
        let (from, to) = (seen.from.path.clone(), seen.to.path.clone());
        let (grave, words) = (seen.grave.clone(), seen.words.clone());
        let (before, identity) = (self.clone(), identity.to_owned());
        let put_back = self.put_back_so_far(seen) == PutBack::Whole;
        let stub = grave == from;
        blocking(move || {
            if !put_back {
                for entry in &before.manifest.entries {
                    let (new, old) =
                        (manifest::join(&to, &entry.path), manifest::join(&from, &entry.path));
                    let beside = temporary(&old, &identity);
                    manifest::remove(&beside)?;
                    let one = Manifest {
                        entries: vec![manifest::Entry { path: String::new(), ..entry.clone() }],
                    };
                    manifest::copy(&one, &new, &beside)?;
                    manifest::rename_over(&beside, &old)?;
                }
            }
            if stub {
                return Ok(());
            }
            let Some(text) = read(&grave).map_err(not_started)? else { return Ok(()) };
            let rest = words.take_out(&text, &before.manifest.digest());
            if rest.is_empty() && !before.grave_there {
                manifest::remove(&grave)
            } else if rest == text {
                Ok(())
            } else {
                put(&grave, rest.as_bytes(), &identity)
            }
        })
        .await?;
        Ok(paths)
    }

    /// Takes it away from its new place, unless it was there before. Gives the paths to commit.
    pub(super) async fn take_away(&self, seen: &Seen) -> Result<Vec<PathBuf>, StepError> {
        if self.target_there {
            return Ok(Vec::new());
        }
        let (to, before) = (seen.to.path.clone(), self.clone());
        let paths = self.manifest.paths(&to);
        blocking(move || {
            let files: Vec<String> =
                before.manifest.entries.iter().map(|e| e.path.clone()).collect();
            manifest::remove_files(&to, &files)
        })
        .await?;
        Ok(paths)
    }

    /// Removes what is left of the way: temporary files, and folders that were made.
    pub(super) async fn clear(&self, seen: &Seen, identity: &str) -> Result<(), StepError> {
        let beside = temporary(&seen.to.path, identity);
        let folders = self.folders.clone();
        blocking(move || {
            if fs::symlink_metadata(&beside).is_ok() {
                manifest::remove(&beside)?;
            }
            remove_empty(&folders);
            Ok(())
        })
        .await
    }
}
