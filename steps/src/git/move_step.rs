//! What a `git.move` step sees, shows and does.
//!
//! The order: copied beside the new place, compared, renamed into it, committed there; then the
//! tombstone is written, the old files are removed, and both are committed together. So the content
//! is in a commit at every moment, and the tombstone tells a removal of ours from anybody else's.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Prepared, Resources,
    Seen as Verdict, Step, StepError, UndoPlan,
};

use super::commit::{commit, commit_back};
use super::manifest::{self, Manifest};
use super::move_look::{Seen, Source, Stage, read};
use super::move_undo::{Back, Before};
use super::tombstone::{Record, Words};
use crate::blocking::blocking;
use crate::files::{missing_folders, not_started, plain, put, temporary};

/// Where it says where something went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grave {
    /// A line in this file, relative to the old folder.
    Beside(PathBuf),
    /// A file with this text in the old place.
    Stub(String),
}

/// One `git.move` step.
#[derive(Debug)]
pub(super) struct MoveStep {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) grave: Grave,
    pub(super) note: Option<String>,
    pub(super) references_ok: Vec<String>,
    pub(super) commit: Option<String>,
}

impl MoveStep {
    fn message(&self, seen: &Seen) -> String {
        self.commit
            .clone()
            .unwrap_or_else(|| format!("Move {} to {}", seen.from.inside.display(), seen.words.to))
    }

    fn facts(seen: &Seen) -> Facts {
        let mut facts = Facts::default();
        if let Source::Whole(source) = &seen.source {
            facts = facts.with("source_sha256", Binding::Binding, source.digest()).with(
                "files",
                Binding::Informative,
                source.entries.len(),
            );
        }
        if let Some(target) = &seen.target {
            facts = facts.with("target_sha256", Binding::Informative, target.digest());
        }
        if let Some(record) = seen.recorded.as_ref().or(seen.record.as_ref()) {
            facts = facts.with("commit", Binding::Informative, record.commit.clone());
        }
        facts
    }

    async fn verdict(&self, look: &Look, seen: &Seen) -> Verdict {
        if let Some(left) = &seen.left_behind {
            return Verdict::Half(format!(
                "`{}` was left behind by an attempt of this step",
                left.display()
            ));
        }
        match self.stage(look, seen).await {
            Err(why) | Ok(Stage::Unclear(why)) => Verdict::Unknown(why),
            Ok(Stage::Done) => Verdict::Done,
            Ok(Stage::Begin) => Verdict::Absent,
            Ok(Stage::Remove) => Verdict::Half(format!(
                "`{}` is in its new place, its removal from the old one is not committed",
                seen.to.path.display()
            )),
        }
    }

    async fn act(&self, hands: &Hands) -> Result<Applied, StepError> {
        let seen = self.see(hands).await.map_err(not_started)?;
        let message = self.message(&seen);
        let (record, notes) = match self.stage(hands, &seen).await.map_err(not_started)? {
            Stage::Unclear(why) => return Err(not_started(why)),
            Stage::Done => return Ok(Applied::default()),
            Stage::Remove => (seen.record.clone(), Vec::new()),
            Stage::Begin => {
                let record = self.bring(hands, &seen, &message).await?;
                let note = format!("committed in the new place as {}", record.commit);
                (Some(record), vec![note])
            }
        };
        let Some(record) = record else { return Ok(Applied::default()) };
        let mut notes = notes;
        if let Some(made) = self.leave(hands, &seen, &record, &message).await? {
            notes.push(format!("removed from the old place as {made}"));
        }
        Ok(Applied { notes, ..Applied::default() })
    }

    /// Copies, compares and commits it in its new place.
    async fn bring(&self, hands: &Hands, seen: &Seen, message: &str) -> Result<Record, StepError> {
        let Source::Whole(source) = seen.source.clone() else {
            return Err(not_started(format!("`{}` is not whole", seen.from.path.display())));
        };
        let digest = source.digest();
        let (from, to) = (seen.from.path.clone(), seen.to.path.clone());
        let files = source.paths(&to);
        if seen.target.is_none() {
            let beside = temporary(&to, &hands.identity);
            blocking(move || bring(&source, &from, &to, &beside)).await?;
        }
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        commit(hands, &files, message).await?;
        let made = seen.to.repo.last_commit_of(hands, &seen.to.inside).await?;
        let made = made.ok_or_else(|| {
            StepError::failed(format!("no commit has `{}`", seen.to.path.display()))
        })?;
        Ok(Record { commit: made, sha256: digest })
    }

    /// Says where it went, removes it, commits both.
    async fn leave(
        &self,
        hands: &Hands,
        seen: &Seen,
        record: &Record,
        message: &str,
    ) -> Result<Option<String>, StepError> {
        let line = || {
            let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
            seen.words.line(&date, self.note.as_deref().unwrap_or(&hands.step), record)
        };
        let mut paths: Vec<PathBuf> =
            seen.committed.iter().map(|f| manifest::join(&seen.from.path, f)).collect();
        let (grave, root) = (seen.grave.clone(), seen.from.path.clone());
        let identity = hands.identity.clone();
        let is_new = seen.record.is_none() || seen.recorded.is_some();
        match &self.grave {
            Grave::Stub(text) => {
                if is_new {
                    let text = Words::add(text, &format!("# {}", line()));
                    blocking(move || put(&grave, text.as_bytes(), &identity)).await?;
                }
            }
            Grave::Beside(_) => {
                paths.push(grave.clone());
                let line = is_new.then(line);
                let files = seen.committed.clone();
                blocking(move || {
                    if let Some(line) = line {
                        let old = read(&grave).map_err(not_started)?.unwrap_or_default();
                        put(&grave, Words::add(&old, &line).as_bytes(), &identity)?;
                    }
                    manifest::remove_files(&root, &files)
                })
                .await?;
            }
        }
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        commit(hands, &paths, message).await
    }
}

/// Copies beside the new place, compares, and renames into it.
fn bring(source: &Manifest, from: &Path, to: &Path, beside: &Path) -> Result<(), StepError> {
    manifest::remove(beside)?;
    let copied = manifest::copy(source, from, beside).and_then(|()| {
        let copy = Manifest::of(beside).map_err(StepError::failed)?;
        if copy.as_ref() != Some(source) {
            let what = format!("`{}` changed while it was copied", from.display());
            return Err(StepError::failed(what));
        }
        manifest::rename(beside, to)
    });
    if copied.is_err() {
        // The error that is told is the first one; a copy that stays is found again.
        let _ = manifest::remove(beside);
    }
    copied
}

#[async_trait]
impl Step for MoveStep {
    fn resources(&self) -> Resources {
        let name = |path: &str| format!("file/{}", plain(Path::new(path)).display());
        let mut writes = vec![name(&self.from), name(&self.to)];
        if let Grave::Beside(file) = &self.grave {
            let folder = self.from.rfind(['/', ':']).map_or("", |at| &self.from[..=at]);
            writes.push(name(&format!("{folder}{}", file.display())));
        }
        Resources { reads: Vec::new(), writes, claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can(format!(
            "moves `{}` back to `{}`, with inverse commits in both repositories",
            self.to, self.from
        ))
    }

    async fn observe(&self, look: &Look) -> Observation {
        match self.see(look).await {
            Err(why) => Observation::unknown(why),
            Ok(seen) => {
                Observation::new(self.verdict(look, &seen).await).with_facts(Self::facts(&seen))
            }
        }
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let Ok(seen) = self.see(look).await else { return Vec::new() };
        let change = |op: &str, path: String, after: Option<Value>| Change {
            op: op.to_owned(),
            path,
            before: None,
            after,
        };
        let message = self.message(&seen);
        let mut changes = Vec::new();
        if let (None, Source::Whole(source)) = (&seen.target, &seen.source) {
            let each = source.entries.iter().zip(source.paths(&seen.to.path));
            changes.extend(each.map(|(entry, path)| {
                let after = json!({"sha256": entry.sha256, "is": entry.is});
                change("create", path.display().to_string(), Some(after))
            }));
        }
        let commit = |side: &super::move_look::Side| side.repo.commit_change(&message);
        changes.push(commit(&seen.to));
        let (op, words) = match &self.grave {
            Grave::Stub(text) => ("update", text.clone()),
            Grave::Beside(_) => {
                let gone = seen.committed.iter().map(|file| {
                    let path = manifest::join(&seen.from.path, file);
                    change("delete", path.display().to_string(), None)
                });
                changes.extend(gone);
                let op =
                    if fs::symlink_metadata(&seen.grave).is_ok() { "update" } else { "create" };
                (op, format!("{} moved to {}", seen.words.name, seen.words.to))
            }
        };
        changes.push(change(op, seen.grave.display().to_string(), Some(Value::from(words))));
        changes.push(commit(&seen.from));
        changes
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let seen = self.see(look).await.map_err(not_started)?;
        let manifest = match (&seen.source, &seen.target) {
            (Source::Whole(manifest), _) => manifest.clone(),
            (_, Some(manifest)) => manifest.clone(),
            _ => return Err(not_started(format!("there is nothing at `{}`", self.from))),
        };
        let there = seen.to.repo.is_committed(look, &seen.to.inside).await?;
        let before = Before {
            manifest,
            target_there: there && seen.record.is_none(),
            grave_there: seen.record.is_none() && fs::symlink_metadata(&seen.grave).is_ok(),
            folders: missing_folders(&seen.to.path),
        };
        Prepared::of(&before)
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        self.act(hands).await
    }

    async fn repair(&self, hands: &Hands, _half: &Verdict) -> Result<(), StepError> {
        let seen = self.see(hands).await.map_err(not_started)?;
        if let Some(left) = seen.left_behind.clone() {
            blocking(move || manifest::remove(&left)).await?;
        }
        match self.stage(hands, &seen).await.map_err(not_started)? {
            Stage::Remove => self.act(hands).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let back = async {
            let before: Before = prepared.read().map_err(|e| e.what)?;
            let seen = self.see(look).await?;
            Ok::<_, String>(before.judge(&seen))
        };
        match back.await {
            Err(why) | Ok(Back::Changed(why)) => Observation::unknown(why),
            Ok(Back::AsLeft) => Observation::done(),
            Ok(Back::AsBefore) => Observation::absent(),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let before: Before = prepared.read()?;
        let seen = self.see(hands).await.map_err(not_started)?;
        match before.judge(&seen) {
            Back::Changed(why) => {
                return Err(StepError::failed(why).with_help(
                    "move it back by hand where that is wanted, then answer with `workplan resolve`",
                ));
            }
            Back::AsBefore => return Ok(()),
            Back::AsLeft => {}
        }
        let message = self.message(&seen);
        let old = before.put_back(&seen, &hands.identity).await?;
        let old: Vec<&Path> = old.iter().map(PathBuf::as_path).collect();
        commit_back(hands, &old, &message).await?;
        let new = before.take_away(&seen).await?;
        let new: Vec<&Path> = new.iter().map(PathBuf::as_path).collect();
        commit_back(hands, &new, &message).await?;
        before.clear(&seen, &hands.identity).await
    }
}
