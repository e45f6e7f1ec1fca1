//! What is there of a move: in the old place, in the new one, in the tombstone.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use workplan_engine::kind::Look;

use super::child;
use super::manifest::{self, Manifest};
use super::move_step::{Grave, MoveStep};
use super::references;
use super::repo::{IGNORED, Repo, Uncommitted};
use super::tombstone::{Record, Words};
use crate::blocking::blocking;
use crate::files::{said, temporary};

/// A path and its repository.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) repo: Repo,
    /// On the disk.
    pub(super) path: PathBuf,
    /// In the repository.
    pub(super) inside: PathBuf,
}

/// What is in the working tree at the old place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// All that is committed of it, without changes.
    Whole(Manifest),
    /// Part of what is committed, the rest is removed.
    Part,
    /// Nothing, or the stub that says where it went.
    Gone,
    /// Something with changes that are not committed; says which.
    Changed(String),
}

/// A move as it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) words: Words,
    /// The file that says where it went.
    pub(super) grave: PathBuf,
    /// The files that the newest commit has in the old place, below it; none where it is a stub.
    pub(super) committed: Vec<String>,
    pub(super) source: Source,
    /// What is in the new place.
    pub(super) target: Option<Manifest>,
    /// Changes in the new place that are not committed.
    pub(super) target_changes: Vec<Uncommitted>,
    /// What the tombstone in the working tree says of this move.
    pub(super) record: Option<Record>,
    /// What the tombstone in the newest commit says of it.
    pub(super) recorded: Option<Record>,
    /// Changes of the tombstone that are not committed.
    pub(super) grave_changes: Vec<Uncommitted>,
    /// What an attempt left behind in the new place's folder.
    pub(super) left_behind: Option<PathBuf>,
}

/// What is to be done of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// All of it is done.
    Done,
    /// It is to be copied or, where it is there already, committed; then the rest.
    Begin,
    /// It is in its new place, and the tombstone says so; the old place is not yet committed.
    Remove,
    /// It cannot be told what is right.
    Unclear(String),
}

impl MoveStep {
    /// Looks at all of it.
    ///
    /// # Errors
    /// A sentence that says what cannot be told.
    pub(super) async fn see(&self, look: &Look) -> Result<Seen, String> {
        let from = side(look, &self.from).await?;
        let to = side(look, &self.to).await?;
        if to.path.starts_with(&from.path) || from.path.starts_with(&to.path) {
            return Err(format!("`{}` and `{}` lie in one another", self.from, self.to));
        }
        let name = from.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = Words { name, to: spoken(&self.to, &to) };
        let grave = match &self.grave {
            Grave::Beside(file) => from.path.parent().unwrap_or(Path::new("/")).join(file),
            Grave::Stub(_) => from.path.clone(),
        };
        let record = read(&grave)?.and_then(|text| words.find(&text));
        let recorded = from
            .repo
            .committed(look, &grave)
            .await
            .map_err(said)?
            .and_then(|bytes| words.find(&String::from_utf8_lossy(&bytes)));
        let stub = matches!(self.grave, Grave::Stub(_));
        let committed =
            if stub && recorded.is_some() { Vec::new() } else { committed(look, &from).await? };
        let grave_changes = from.repo.uncommitted(look, &[&grave]).await.map_err(said)?;
        let source = if stub && record.is_some() {
            Source::Gone
        } else {
            self.source(look, &from, &committed).await?
        };
        let at = to.path.clone();
        let target = blocking(move || Manifest::of(&at)).await?;
        let target_changes = to.repo.uncommitted(look, &[&to.path]).await.map_err(said)?;
        let left = temporary(&to.path, &look.identity);
        let left_behind = fs::symlink_metadata(&left).is_ok().then_some(left);
        Ok(Seen {
            from,
            to,
            words,
            grave,
            committed,
            source,
            target,
            target_changes,
            record,
            recorded,
            grave_changes,
            left_behind,
        })
    }

    async fn source(
        &self,
        look: &Look,
        from: &Side,
        committed: &[String],
    ) -> Result<Source, String> {
        let mut changes = from.repo.uncommitted(look, &[&from.path]).await.map_err(said)?;
        // What git is told to pass over stays behind; it was never part of the repository.
        changes.retain(|change| change.how != IGNORED);
        let root = from.path.clone();
        let there: Vec<String> = committed
            .iter()
            .filter(|f| fs::symlink_metadata(manifest::join(&root, f)).is_ok())
            .cloned()
            .collect();
        let gone = |change: &Uncommitted| {
            fs::symlink_metadata(from.repo.root().join(&change.path)).is_err()
        };
        if !changes.iter().all(gone) {
            return Ok(Source::Changed(Uncommitted::refusal(&from.repo, &changes)));
        }
        if there.is_empty() {
            return Ok(Source::Gone);
        }
        if !changes.is_empty() || there.len() < committed.len() {
            return Ok(Source::Part);
        }
        blocking(move || Manifest::of_files(&root, &there)).await.map(Source::Whole)
    }

    /// What is to be done, by what was seen.
    ///
    /// # Errors
    /// A sentence that says what cannot be told.
    pub(super) async fn stage(&self, look: &Look, seen: &Seen) -> Result<Stage, String> {
        let unclear = |why: String| Ok(Stage::Unclear(why));
        let (old, new) = (seen.from.path.display(), seen.to.path.display());
        if let Source::Changed(why) = &seen.source {
            return unclear(why.clone());
        }
        if seen.committed.is_empty() {
            return match (&seen.target, &seen.recorded) {
                (Some(_), Some(_)) => {
                    let there =
                        seen.to.repo.is_committed(look, &seen.to.inside).await.map_err(said)?;
                    if there {
                        Ok(Stage::Done)
                    } else {
                        unclear(format!("`{new}` is there, but not committed"))
                    }
                }
                (Some(_), None) => unclear(format!(
                    "`{old}` is not there and `{new}` is, but `{}` does not say that the one \
                     became the other",
                    seen.grave.display()
                )),
                (None, Some(_)) => unclear(format!(
                    "`{}` says that `{old}` was moved to `{new}`, and nothing is there",
                    seen.grave.display()
                )),
                (None, None) => unclear(format!("there is nothing at `{old}`")),
            };
        }
        // A record that is not committed was written by an attempt that was cut off.
        let ours = seen.record.as_ref().filter(|_| seen.recorded.is_none());
        if let Some(record) = ours {
            return match &seen.target {
                Some(target)
                    if target.digest() == record.sha256 && seen.target_changes.is_empty() =>
                {
                    Ok(Stage::Remove)
                }
                _ => unclear(format!(
                    "`{}` says that `{old}` was moved to `{new}`, and what is there is something else",
                    seen.grave.display()
                )),
            };
        }
        let Source::Whole(source) = &seen.source else {
            let list = seen.from.repo.uncommitted(look, &[&seen.from.path]).await.map_err(said)?;
            return unclear(Uncommitted::refusal(&seen.from.repo, &list));
        };
        if !seen.grave_changes.is_empty() {
            return unclear(Uncommitted::refusal(&seen.from.repo, &seen.grave_changes));
        }
        if source.is_folder() && matches!(self.grave, Grave::Stub(_)) {
            return unclear(format!("`{old}` is a folder; a `stub` stands for a file"));
        }
        if seen.committed.iter().any(|f| f.ends_with(".gitignore")) {
            let mut ignored =
                seen.from.repo.uncommitted(look, &[&seen.from.path]).await.map_err(said)?;
            ignored.retain(|change| change.how == IGNORED);
            if let Some(file) = ignored.first() {
                return unclear(format!(
                    "git passes over `{}` by a `.gitignore` that would move away from it; remove \
                     such files first",
                    file.path.display()
                ));
            }
        }
        match &seen.target {
            Some(target) if target != source => {
                return unclear(format!("`{new}` is there already, with another content"));
            }
            Some(_) => {}
            None => {
                if is_ignored(look, &seen.to).await? {
                    return unclear(format!(
                        "git would pass over `{new}`: a `.gitignore` of its repository names it"
                    ));
                }
            }
        }
        let mut references =
            references::find(look, &seen.from.repo, &seen.from.inside).await.map_err(said)?;
        let mut fine = vec![seen.grave.clone()];
        for file in &self.references_ok {
            fine.push(if file.contains(':') {
                look.locate(file).map_err(said)?
            } else {
                seen.from.repo.root().join(file)
            });
        }
        let fine: Vec<PathBuf> =
            fine.iter().filter_map(|f| seen.from.repo.inside(f).ok()).collect();
        references.retain(|reference| !fine.contains(&reference.file));
        if !references.is_empty() {
            let list: Vec<String> = references.iter().take(10).map(|r| format!("`{r}`")).collect();
            let more = match references.len() {
                0..=10 => String::new(),
                n => format!(" and {} more", n - 10),
            };
            return unclear(format!(
                "`{old}` is still named in its repository, and nothing here rewrites that: {}{more}; \
                 change these lines first, or name the files under `references_ok`",
                list.join(", ")
            ));
        }
        Ok(Stage::Begin)
    }
}

/// A path as people say it: the repository's name, then the path in it.
fn spoken(path: &str, side: &Side) -> String {
    let root = side.repo.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let repo = path.split_once(':').map_or(root.as_str(), |(repo, _)| repo);
    format!("{repo}/{}", side.inside.display())
}

async fn side(look: &Look, path: &str) -> Result<Side, String> {
    // It moves what is in the one place to the other one, wherever it is now.
    let path = look.locate_as_written(path).map_err(said)?;
    let repo = Repo::required(look, &path).await.map_err(said)?;
    let inside = repo.inside(&path).map_err(said)?;
    Ok(Side { path: repo.root().join(&inside), repo, inside })
}

/// The files of the newest commit at a path, below it.
async fn committed(look: &Look, side: &Side) -> Result<Vec<String>, String> {
    if side.repo.head(look).await.map_err(said)?.is_none() {
        return Ok(Vec::new());
    }
    let arguments = ["ls-tree", "-r", "-z", "--full-tree", "HEAD", "--"].map(OsStr::new);
    let arguments = [&arguments[..], &[side.inside.as_os_str()]].concat();
    let outcome = side.repo.ask(look, "list committed files", &arguments).await.map_err(said)?;
    let mut files = Vec::new();
    for record in child::records(&outcome.stdout) {
        let Some(tab) = record.iter().position(|b| *b == b'\t') else { continue };
        let path = Path::new(OsStr::from_bytes(&record[tab + 1..]));
        if record.starts_with(b"160000") {
            return Err(format!("`{}` is a submodule; it is moved by hand", path.display()));
        }
        let below = path.strip_prefix(&side.inside).unwrap_or(path).to_str();
        let below =
            below.ok_or_else(|| format!("the file name `{}` is not UTF-8", path.display()))?;
        files.push(below.to_owned());
    }
    Ok(files)
}

async fn is_ignored(look: &Look, side: &Side) -> Result<bool, String> {
    let arguments = [OsStr::new("check-ignore"), OsStr::new("-q"), side.inside.as_os_str()];
    let mut spec = child::reading(look, side.repo.root(), arguments);
    // It takes names, no patterns, and refuses to be told so.
    spec.env.retain(|(name, _)| name != "GIT_LITERAL_PATHSPECS");
    let outcome = look.check(spec).await.map_err(said)?;
    match outcome.code {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(said(child::refused("ask what is ignored", side.repo.root(), &outcome))),
    }
}

/// A text file; `None` where there is none, or a folder is in its place.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(format!("`{}` cannot be read: {e}", path.display())),
    }
}
