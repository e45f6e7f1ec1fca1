//! A step over a file of values: what every kind shares that says what shall stand in one.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use workplan_engine::digest::Digest;
use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Past, Prepared, Resources, Seen,
    Step, StepError, UndoPlan,
};
use workplan_platform::values::{self, Values, Written};

use super::edit::{Op, edit};
use super::path::{self, Path, show};
use super::sops;
use super::wanted::{Comparison, Wanted};
use crate::blocking::blocking;
use crate::files::{
    Place, by_others, left_alone, look_at, lost, not_started, plain, put, remove, remove_temporary,
    said, temporary,
};
use crate::git::{self, Repo, Uncommitted};

/// The output of every such step: the file's digest when it was done.
pub(super) const SHA256: &str = "sha256";

/// Who says what shall stand in the file.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    /// What shall stand there, besides whatever else does.
    ///
    /// # Errors
    /// When it cannot be told.
    async fn wanted(&self, look: &Look, now: &Values) -> Result<Wanted, StepError>;

    /// Whether the file has to be one of SOPS.
    fn encrypts(&self) -> bool;

    /// What is read, besides the file.
    fn reads(&self) -> Vec<String>;
}

/// One step over a source.
pub(super) struct FileStep<S> {
    /// The file as the plan names it: `REPO:path`, or relative to the workplan.
    pub(super) file: String,
    /// The message of its commit, where it commits.
    pub(super) commit: Option<String>,
    pub(super) source: S,
}

/// The file, what is in it, what shall be, and where it would be committed.
struct Site {
    place: Place,
    written: Written,
    wanted: Wanted,
    comparison: Comparison,
    repo: Option<Repo>,
}

/// What was there before, for the journal. The bytes are kept beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// The file itself, behind a symbolic link.
    real: PathBuf,
    /// Digest of its content; `None` where there was no file.
    digest: Option<String>,
    /// Digest of what the step leaves alone in it, as it is written.
    rest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Before,
    After,
    Other,
}

impl Before {
    fn is(&self, bytes: Option<&[u8]>) -> bool {
        bytes.map(|b| Digest::of(b).as_str().to_owned()) == self.digest
    }
}

impl Site {
    fn bytes(&self) -> Option<&[u8]> {
        self.place.file.as_ref().map(|f| f.bytes.as_slice())
    }

    fn is_sops(&self) -> bool {
        self.written.encrypted.is_some()
    }

    /// What has to be changed so that all is as wanted.
    fn ops(&self) -> Vec<Op> {
        let wrong = |path: &Path| {
            let key = show(path);
            self.comparison.differences.iter().any(|d| d.key == key)
        };
        let set =
            self.wanted.plain.iter().map(|(path, value)| Op::Set(path.clone(), value.clone()));
        let secret = self.wanted.secret.iter().map(|(path, secret)| {
            let text = String::from_utf8_lossy(secret.reveal()).into_owned();
            Op::Set(path.clone(), Value::from(text))
        });
        let gone = self.wanted.absent.iter().map(|path| Op::Remove(path.clone()));
        set.chain(secret)
            .chain(gone)
            .filter(|op| {
                let (Op::Set(path, _) | Op::Remove(path)) = op;
                wrong(path)
            })
            .collect()
    }
}

/// A digest of what is written in a file besides some keys. Mappings that hold nothing else count
/// as not there. The metadata of SOPS, which change with every write, are left out.
fn rest<'p>(tree: &Map<String, Value>, keys: impl Iterator<Item = &'p Path>) -> String {
    let mut tree = tree.clone();
    for key in keys {
        path::remove(&mut tree, key);
        for depth in (1..key.len()).rev() {
            let above = &key[..depth];
            let holds = match path::get(&tree, above) {
                Some(Value::Object(map)) => !map.is_empty(),
                Some(Value::Array(_)) | None => true,
                // A key below it takes its place.
                Some(_) => false,
            };
            if !holds {
                path::remove(&mut tree, above);
            }
        }
    }
    Digest::of_json(&Value::Object(tree)).as_str().to_owned()
}

impl<S: Source> FileStep<S> {
    async fn site(&self, look: &Look) -> Result<Site, String> {
        let path = look.locate(&self.file).map_err(said)?;
        let place = blocking(move || look_at(&path)).await?;
        let bytes = place.file.as_ref().map(|f| f.bytes.clone()).unwrap_or_default();
        let written = values::written(&place.real, bytes.clone()).map_err(words)?;
        let now = values::parse(look, &place.real, bytes).await.map_err(words)?;
        let wanted = self.source.wanted(look, &now).await.map_err(said)?;
        let comparison = wanted.compare(&now);
        let repo = match &self.commit {
            Some(_) => Some(Repo::required(look, &place.real).await.map_err(said)?),
            None => None,
        };
        Ok(Site { place, written, wanted, comparison, repo })
    }

    /// Whether the file is made by SOPS, or would be.
    fn encrypts(&self, site: &Site) -> Result<bool, String> {
        let real = site.place.real.display();
        if site.is_sops() {
            return Ok(true);
        }
        let needed = self.source.encrypts() || !site.wanted.secret.is_empty();
        match site.place.file {
            Some(_) if needed => Err(format!(
                "`{real}` is not encrypted: everybody who reads it could read the secrets that \
                 belong into it; encrypt it first, with `sops encrypt --in-place`"
            )),
            Some(_) => Ok(false),
            None if needed && !sops::by_name(&site.place.real) => Err(format!(
                "`{real}` does not exist, and by its name it would not be a file of SOPS; call it \
                 `….sops.yaml`"
            )),
            None => Ok(needed || sops::by_name(&site.place.real)),
        }
    }

    async fn judge(&self, look: &Look, site: &Site) -> Result<Seen, String> {
        let real = &site.place.real;
        let left = temporary(real, &look.identity);
        if fs::symlink_metadata(&left).is_ok() {
            return Ok(Seen::Half(format!(
                "`{}` was left behind by an attempt of this step",
                left.display()
            )));
        }
        self.encrypts(site)?;
        let seen = if !site.comparison.differences.is_empty() {
            Seen::Absent
        } else if let Some((key, why)) = site.comparison.sealed.first() {
            let more = match site.comparison.sealed.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            Seen::Unknown(format!("`{key}`{more} could not be read: {why}"))
        } else {
            Seen::Done
        };
        let Some(repo) = &site.repo else { return Ok(seen) };
        let dirty = repo.uncommitted(look, &[real]).await.map_err(said)?;
        if dirty.is_empty() || matches!(seen, Seen::Unknown(_)) {
            return Ok(seen);
        }
        if seen == Seen::Done && dirty.iter().all(|d| d.how != git::IGNORED) {
            let committed = repo.committed(look, real).await.map_err(said)?;
            match self.against(look, site, committed).await? {
                Now::Before => {}
                // What is committed is right; what else was changed on top is not ours.
                Now::After => return Ok(Seen::Done),
                Now::Other => return Ok(Seen::Unknown(Uncommitted::refusal(repo, &dirty))),
            }
            return Ok(Seen::Half(format!("`{}` is as wanted, but not committed", real.display())));
        }
        Ok(Seen::Unknown(Uncommitted::refusal(repo, &dirty)))
    }

    /// What is committed, against what is there and as wanted: `After` where it is as wanted
    /// itself, `Before` where the step alone makes the difference.
    async fn against(
        &self,
        look: &Look,
        site: &Site,
        committed: Option<Vec<u8>>,
    ) -> Result<Now, String> {
        let real = &site.place.real;
        let bytes = committed.unwrap_or_default();
        let values = values::parse(look, real, bytes.clone()).await.map_err(words)?;
        if site.wanted.compare(&values).is_done() {
            return Ok(Now::After);
        }
        let old = values::written(real, bytes).map_err(words)?;
        let same =
            rest(&old.tree, site.wanted.keys()) == rest(&site.written.tree, site.wanted.keys());
        Ok(if same { Now::Before } else { Now::Other })
    }

    fn facts(site: &Site) -> Facts {
        let facts = site.wanted.facts.clone();
        let facts = facts.with("exists", Binding::Binding, site.place.file.is_some());
        let facts = match site.bytes() {
            None => facts,
            Some(bytes) => facts.with(SHA256, Binding::Binding, Digest::of(bytes).as_str()),
        };
        if site.wanted.notes.is_empty() {
            return facts;
        }
        facts.with("notes", Binding::Informative, site.wanted.notes.clone())
    }

    /// The file as it shall be.
    async fn make(&self, hands: &Hands, site: &Site) -> Result<Vec<u8>, StepError> {
        let real = &site.place.real;
        let ops = site.ops();
        let encrypts = self.encrypts(site).map_err(not_started)?;
        let now = site.bytes();
        let bytes = match (encrypts, now) {
            (false, now) => {
                let text = std::str::from_utf8(now.unwrap_or_default())
                    .map_err(|_| not_started(format!("`{}` is not UTF-8", real.display())))?;
                edit(real, text, &ops).map_err(not_started)?.into_bytes()
            }
            (true, Some(now)) => sops::change(hands, real, now, &site.written.tree, &ops).await?,
            (true, None) => {
                let tree: Vec<(Path, Value)> = ops
                    .into_iter()
                    .filter_map(|op| match op {
                        Op::Set(path, value) => Some((path, value)),
                        Op::Remove(_) => None,
                    })
                    .collect();
                sops::create(hands, real, &tree).await?
            }
        };
        self.proven(hands, site, &bytes).await?;
        Ok(bytes)
    }

    /// Reads what was made before it counts: all that is wanted is in it, what is secret is
    /// encrypted, and nothing else moved.
    async fn proven(&self, look: &Look, site: &Site, bytes: &[u8]) -> Result<(), StepError> {
        let real = &site.place.real;
        let written = values::written(real, bytes.to_vec())?;
        if let Some(encrypted) = &written.encrypted {
            let open: Vec<String> = site
                .wanted
                .secret
                .iter()
                .filter(|(path, _)| !encrypted.contains(path))
                .map(|(path, _)| format!("`{}`", show(path)))
                .collect();
            if !open.is_empty() {
                let what = format!(
                    "the rules of `{}` leave {} unencrypted; nothing was written",
                    real.display(),
                    open.join(", ")
                );
                return Err(StepError::failed(what).with_help(
                    "`encrypted_regex` in the file's `sops` part, and in `.sops.yaml` for new \
                     files, has to fit these keys",
                ));
            }
        }
        let made = values::parse(look, real, bytes.to_vec()).await?;
        let comparison = site.wanted.compare(&made);
        let moved =
            rest(&written.tree, site.wanted.keys()) != rest(&site.written.tree, site.wanted.keys());
        if comparison.is_done() && !moved {
            return Ok(());
        }
        let keys: Vec<&str> = comparison.differences.iter().map(|d| d.key.as_str()).collect();
        Err(StepError::failed(format!(
            "what was made of `{}` is not what is wanted{}; nothing was written",
            real.display(),
            if keys.is_empty() { String::new() } else { format!(" (`{}`)", keys.join("`, `")) }
        )))
    }

    /// Makes the file as wanted, and commits it.
    async fn act(&self, hands: &Hands) -> Result<Applied, StepError> {
        let site = self.site(hands).await.map_err(not_started)?;
        let seen = self.judge(hands, &site).await.map_err(not_started)?;
        let mut sha = site.bytes().map(Digest::of);
        let mut notes = site.wanted.notes.clone();
        match seen {
            Seen::Unknown(why) => return Err(not_started(why)),
            Seen::Done => return Ok(applied(sha, notes)),
            Seen::Half(_) | Seen::Absent => {}
        }
        let real = site.place.real.clone();
        if !site.comparison.is_done() {
            let folder = real.parent().unwrap_or(FilePath::new("/"));
            if !folder.is_dir() {
                let what = format!("the folder `{}` does not exist", folder.display());
                return Err(not_started(what));
            }
            let bytes = self.make(hands, &site).await?;
            sha = Some(Digest::of(&bytes));
            let (real, identity) = (real.clone(), hands.identity.clone());
            blocking(move || put(&real, &bytes, &identity)).await?;
        }
        if let Some(message) = &self.commit
            && let Some(made) = git::commit(hands, &[&real], message).await?
        {
            notes.push(format!("committed as {made}"));
        }
        Ok(applied(sha, notes))
    }

    /// Whether there is something to take back.
    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<(Before, Seen), String> {
        let before: Before = prepared.read().map_err(said)?;
        let path = look.locate(&self.file).map_err(said)?;
        let place = blocking(move || look_at(&path)).await?;
        let changed = |how: &str| Seen::Unknown(by_others(&before.real, how));
        if place.real != before.real {
            let seen = changed("linked to another file");
            return Ok((before, seen));
        }
        let bytes = place.file.as_ref().map(|f| f.bytes.as_slice());
        let now = self.now(look, &before, bytes).await?;
        if now == Now::Other {
            let seen = changed(if bytes.is_some() { "changed" } else { "removed" });
            return Ok((before, seen));
        }
        let left = fs::symlink_metadata(temporary(&place.real, &look.identity)).is_ok();
        let mut back = now == Now::After || left;
        if self.commit.is_some() {
            let repo = Repo::required(look, &place.real).await.map_err(said)?;
            let dirty = repo.uncommitted(look, &[&place.real]).await.map_err(said)?;
            if !dirty.is_empty() {
                let committed = repo.committed(look, &place.real).await.map_err(said)?;
                if self.now(look, &before, committed.as_deref()).await? == Now::Other {
                    let seen = changed("changed in a commit");
                    return Ok((before, seen));
                }
                back = true;
            }
        }
        Ok((before, if back { Seen::Done } else { Seen::Absent }))
    }

    /// A content, against what was there before and what the step made of it.
    async fn now(&self, look: &Look, before: &Before, bytes: Option<&[u8]>) -> Result<Now, String> {
        if before.is(bytes) {
            return Ok(Now::Before);
        }
        let Some(bytes) = bytes else { return Ok(Now::Other) };
        if let Past::Succeeded { outputs, .. } = &look.past
            && let Some(sha) = outputs.get(SHA256).and_then(Value::as_str)
        {
            let ours = Digest::of(bytes).as_str() == sha;
            return Ok(if ours { Now::After } else { Now::Other });
        }
        // An attempt that was cut off told no digest, and SOPS makes another file each time.
        let values = values::parse(look, &before.real, bytes.to_vec()).await.map_err(words)?;
        let wanted = self.source.wanted(look, &values).await.map_err(said)?;
        let comparison = wanted.compare(&values);
        if comparison.differences.is_empty()
            && let Some((key, why)) = comparison.sealed.first()
        {
            return Err(format!("`{key}` could not be read: {why}"));
        }
        let written = values::written(&before.real, bytes.to_vec()).map_err(words)?;
        let ours = comparison.is_done() && rest(&written.tree, wanted.keys()) == before.rest;
        Ok(if ours { Now::After } else { Now::Other })
    }
}

fn applied(sha: Option<Digest>, notes: Vec<String>) -> Applied {
    let sha = sha.map(|sha| Value::from(sha.as_str())).unwrap_or_default();
    let outputs = [(SHA256.to_owned(), sha)].into();
    Applied { outputs, notes, ..Applied::default() }
}

fn words(error: workplan_platform::PlatformError) -> String {
    said(error.into())
}

#[async_trait]
impl<S: Source> Step for FileStep<S> {
    fn resources(&self) -> Resources {
        Resources {
            reads: self.source.reads(),
            writes: vec![format!("file/{}", plain(FilePath::new(&self.file)).display())],
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        let how = format!("restores `{}` as it was before", self.file);
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
        let seen = self.judge(look, &site).await.unwrap_or_else(Seen::Unknown);
        let mut seen = Observation::new(seen).with_facts(Self::facts(&site));
        if seen.is_done() {
            let sha = site.bytes().map(|b| Value::from(Digest::of(b).as_str()));
            seen.outputs.insert(SHA256.to_owned(), sha.unwrap_or_default());
        }
        seen
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let Ok(site) = self.site(look).await else { return Vec::new() };
        let file = site.place.real.display().to_string();
        let mut changes = Vec::new();
        if site.place.file.is_none() && !site.comparison.is_done() {
            let made =
                Change { op: "create".to_owned(), path: file.clone(), before: None, after: None };
            changes.push(made);
        }
        changes.extend(site.comparison.differences.into_iter().map(|d| d.change(&file)));
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
        let before = Before {
            real: site.place.real.clone(),
            digest: site.bytes().map(|b| Digest::of(b).as_str().to_owned()),
            rest: rest(&site.written.tree, site.wanted.keys()),
        };
        Ok(Prepared { bytes: site.place.file.map(|f| f.bytes), ..Prepared::of(&before)? })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        self.act(hands).await
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let path = hands.locate(&self.file)?;
        let identity = hands.identity.clone();
        blocking(move || {
            let place = look_at(&path).map_err(not_started)?;
            remove_temporary(&temporary(&place.real, &identity))
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
            Ok((_, seen)) => Observation::new(seen),
            Err(why) => Observation::unknown(why),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let before = match self.back(hands, prepared).await.map_err(not_started)? {
            (_, Seen::Unknown(why)) => return Err(left_alone(why)),
            (_, Seen::Absent) => return Ok(()),
            (before, Seen::Done | Seen::Half(_)) => before,
        };
        let real = before.real.clone();
        let identity = hands.identity.clone();
        let bytes = prepared.bytes.clone();
        {
            let real = real.clone();
            blocking(move || {
                remove_temporary(&temporary(&real, &identity))?;
                let now = look_at(&real).map_err(not_started)?.file.map(|f| f.bytes);
                if before.is(now.as_deref()) {
                    return Ok(());
                }
                match &before.digest {
                    None => remove(&real),
                    Some(_) => match bytes.filter(|b| before.is(Some(b))) {
                        Some(bytes) => put(&real, &bytes, &identity),
                        None => Err(lost()),
                    },
                }
            })
            .await?;
        }
        if let Some(message) = &self.commit {
            git::commit_back(hands, &[&real], message).await?;
        }
        Ok(())
    }
}
