//! A step that changes a part of one file: what every kind of edit shares.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

use workplan_engine::digest::Digest;
use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Prepared, Resources, Seen, Step,
    StepError, UndoPlan,
};

use super::place::{self, Place};
use super::replace;
use super::step::plain;
use super::undo::{by_others, left_alone, lost, not_started};
use crate::blocking::blocking;
use crate::git::{self, Repo, Uncommitted};

/// What an edit makes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is so already.
    Done,
    /// This would be in it.
    Becomes(Vec<u8>),
}

/// What is wanted of one file.
pub(super) trait Edit: Send + Sync + 'static {
    /// What it makes of a file with this content; `None` where there is no file. Reads other files
    /// at most.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told what is right.
    fn of(&self, real: &Path, now: Option<&[u8]>) -> Result<Verdict, String>;

    /// What undo does, for the preview.
    fn undo(&self, file: &str) -> String {
        format!("restores `{file}` as it was before")
    }
}

/// One step over an edit.
pub(super) struct EditStep<E> {
    /// The file as the plan names it: `REPO:path`, or relative to the workplan.
    pub(super) file: String,
    /// The message of its commit, where it commits.
    pub(super) commit: Option<String>,
    pub(super) edit: E,
}

/// The file, what the edit makes of it, and where it would be committed.
struct Site {
    place: Place,
    verdict: Verdict,
    repo: Option<Repo>,
}

/// What was there before, for the journal. The bytes are kept beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// The file itself, behind a symbolic link.
    real: PathBuf,
    /// Digest of its content; `None` where there was no file.
    digest: Option<String>,
    /// Digest of what the step makes of it.
    after: String,
}

/// A file as it is now, against what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Before,
    After,
    Other,
}

impl Before {
    fn judge(&self, bytes: Option<&[u8]>) -> Now {
        let digest = bytes.map(|b| Digest::of(b).as_str().to_owned());
        if digest == self.digest {
            Now::Before
        } else if digest.as_deref() == Some(&self.after) {
            Now::After
        } else {
            Now::Other
        }
    }
}

impl<E: Edit> EditStep<E> {
    async fn site(&self, look: &Look) -> Result<Site, String> {
        let path = look.locate(&self.file).map_err(said)?;
        let place = blocking(move || place::look(&path)).await?;
        let now = place.file.as_ref().map(|f| f.bytes.as_slice());
        let verdict = self.edit.of(&place.real, now)?;
        let repo = match &self.commit {
            Some(_) => Some(Repo::required(look, &place.real).await.map_err(said)?),
            None => None,
        };
        Ok(Site { place, verdict, repo })
    }

    async fn judge(&self, look: &Look, site: &Site) -> Result<Seen, String> {
        let temporary = place::temporary(&site.place.real, &look.identity);
        if fs::symlink_metadata(&temporary).is_ok() {
            return Ok(Seen::Half(format!(
                "`{}` was left behind by an attempt of this step",
                temporary.display()
            )));
        }
        let plain = if site.verdict == Verdict::Done { Seen::Done } else { Seen::Absent };
        let Some(repo) = &site.repo else { return Ok(plain) };
        let real = &site.place.real;
        let dirty = repo.uncommitted(look, &[real]).await.map_err(said)?;
        if dirty.is_empty() {
            return Ok(plain);
        }
        if plain == Seen::Done && dirty.iter().all(|d| d.how != git::IGNORED) {
            let committed = repo.committed(look, real).await.map_err(said)?;
            let now = site.place.file.as_ref().map(|f| &f.bytes);
            match self.edit.of(real, committed.as_deref()) {
                // What is committed is right; what else was changed on top is not ours.
                Ok(Verdict::Done) => return Ok(Seen::Done),
                // Exactly what this step makes of what is committed: the write without its commit.
                Ok(Verdict::Becomes(bytes)) if Some(&bytes) == now => {
                    return Ok(Seen::Half(format!(
                        "`{}` is as wanted, but not committed",
                        real.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(Seen::Unknown(Uncommitted::refusal(repo, &dirty)))
    }

    fn facts(place: &Place) -> Facts {
        let facts = Facts::default().with("exists", Binding::Binding, place.file.is_some());
        match &place.file {
            None => facts,
            Some(file) => facts.with("sha256", Binding::Binding, Digest::of(&file.bytes).as_str()),
        }
    }

    /// Writes what the edit makes of the file as it is now, and commits it.
    async fn act(&self, hands: &Hands) -> Result<Applied, StepError> {
        let site = self.site(hands).await.map_err(not_started)?;
        match self.judge(hands, &site).await.map_err(not_started)? {
            Seen::Unknown(why) => return Err(not_started(why)),
            // What else is in the tree then is not ours to commit.
            Seen::Done => return Ok(Applied::default()),
            Seen::Half(_) | Seen::Absent => {}
        }
        let real = site.place.real.clone();
        if let Verdict::Becomes(bytes) = site.verdict {
            write(hands, site.place, bytes).await?;
        }
        let mut notes = Vec::new();
        if let (Some(message), Some(_)) = (&self.commit, &site.repo)
            && let Some(made) = git::commit(hands, &[&real], message).await?
        {
            notes.push(format!("committed as {made}"));
        }
        Ok(Applied { notes, ..Applied::default() })
    }
}

#[async_trait]
impl<E: Edit> Step for EditStep<E> {
    fn resources(&self) -> Resources {
        Resources {
            reads: Vec::new(),
            writes: vec![format!("file/{}", plain(Path::new(&self.file)).display())],
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        let how = self.edit.undo(&self.file);
        UndoPlan::Can(match self.commit {
            Some(_) => format!("{how}, with an inverse commit"),
            None => how,
        })
    }

    async fn observe(&self, look: &Look) -> Observation {
        let site = match self.site(look).await {
            Ok(site) => site,
            Err(why) => return Observation::unknown(why),
        };
        match self.judge(look, &site).await {
            Ok(seen) => Observation::new(seen).with_facts(Self::facts(&site.place)),
            Err(why) => Observation::unknown(why),
        }
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let Ok(site) = self.site(look).await else { return Vec::new() };
        let mut changes = Vec::new();
        if let Verdict::Becomes(bytes) = &site.verdict {
            let shown = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Value::from);
            changes.push(Change {
                op: if site.place.file.is_some() { "update" } else { "create" }.to_owned(),
                path: site.place.real.display().to_string(),
                before: site.place.file.as_ref().and_then(|f| shown(&f.bytes)),
                after: shown(bytes),
            });
        }
        if let (Some(repo), Some(message)) = (&site.repo, &self.commit) {
            changes.push(repo.commit_change(message));
        }
        changes
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let site = self.site(look).await.map_err(not_started)?;
        let now = site.place.file.map(|f| f.bytes);
        let after = match &site.verdict {
            Verdict::Becomes(bytes) => Digest::of(bytes),
            Verdict::Done => Digest::of(now.as_deref().unwrap_or_default()),
        };
        let before = Before {
            real: site.place.real,
            digest: now.as_deref().map(|b| Digest::of(b).as_str().to_owned()),
            after: after.as_str().to_owned(),
        };
        Ok(Prepared { bytes: now, ..Prepared::of(&before)? })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        self.act(hands).await
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let path = hands.locate(&self.file)?;
        let identity = hands.identity.clone();
        blocking(move || {
            let place = place::look(&path).map_err(not_started)?;
            replace::remove_temporary(&place::temporary(&place.real, &identity))
        })
        .await?;
        // What is left is the write without its commit, or nothing at all.
        let site = self.site(hands).await.map_err(not_started)?;
        match self.judge(hands, &site).await.map_err(not_started)? {
            Seen::Half(_) => self.act(hands).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        match self.back(look, prepared).await {
            Ok(seen) => Observation::new(seen),
            Err(why) => Observation::unknown(why),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        match self.back(hands, prepared).await.map_err(not_started)? {
            Seen::Unknown(why) => return Err(left_alone(why)),
            Seen::Absent => return Ok(()),
            Seen::Done | Seen::Half(_) => {}
        }
        let before: Before = prepared.read()?;
        let path = hands.locate(&self.file)?;
        let place = blocking(move || place::look(&path)).await.map_err(not_started)?;
        let temporary = place::temporary(&place.real, &hands.identity);
        let real = place.real.clone();
        blocking(move || replace::remove_temporary(&temporary)).await?;
        let now = place.file.as_ref().map(|f| f.bytes.as_slice());
        if before.judge(now) == Now::After {
            match &before.digest {
                None => {
                    let real = real.clone();
                    blocking(move || replace::remove(&real)).await?;
                }
                Some(digest) => {
                    let bytes = prepared
                        .bytes
                        .clone()
                        .filter(|b| Digest::of(b).as_str() == digest)
                        .ok_or_else(lost)?;
                    write(hands, place, bytes).await?;
                }
            }
        }
        if let Some(message) = &self.commit {
            git::commit_back(hands, &[&real], message).await?;
        }
        Ok(())
    }
}

impl<E: Edit> EditStep<E> {
    /// Whether there is something to take back.
    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<Seen, String> {
        let before: Before = prepared.read().map_err(said)?;
        let path = look.locate(&self.file).map_err(said)?;
        let place = blocking(move || place::look(&path)).await?;
        let changed = |how: &str| Seen::Unknown(by_others(&before.real, how));
        if place.real != before.real {
            return Ok(changed("linked to another file"));
        }
        let now = before.judge(place.file.as_ref().map(|f| f.bytes.as_slice()));
        if now == Now::Other {
            return Ok(changed(if place.file.is_some() { "changed" } else { "removed" }));
        }
        let mut back = now == Now::After && before.digest.as_deref() != Some(&before.after)
            || fs::symlink_metadata(place::temporary(&place.real, &look.identity)).is_ok();
        if self.commit.is_some() {
            let repo = Repo::required(look, &place.real).await.map_err(said)?;
            let dirty = repo.uncommitted(look, &[&place.real]).await.map_err(said)?;
            if !dirty.is_empty() {
                let committed = repo.committed(look, &place.real).await.map_err(said)?;
                if before.judge(committed.as_deref()) == Now::Other {
                    return Ok(changed("changed in a commit"));
                }
                back = true;
            }
        }
        Ok(if back { Seen::Done } else { Seen::Absent })
    }
}

/// Puts a content in the file's place; permissions and owner of an old file are kept.
async fn write(hands: &Hands, place: Place, bytes: Vec<u8>) -> Result<(), StepError> {
    let identity = hands.identity.clone();
    blocking(move || {
        let folder = place.real.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            let what = format!("the folder `{}` does not exist", folder.display());
            return Err(not_started(what));
        }
        replace::put(&place.real, &bytes, &identity)
    })
    .await
}

/// An error in one sentence, what to do included.
pub(crate) fn said(error: StepError) -> String {
    match error.help {
        Some(help) => format!("{}: {help}", error.what),
        None => error.what,
    }
}
