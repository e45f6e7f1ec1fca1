//! What a `file.content` step sees, shows, does and takes back.

use async_trait::async_trait;
use serde_json::Value;
use std::fs;
use std::path::{Component, Path, PathBuf};

use workplan_engine::digest::Digest;
use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Prepared, Resources, SecretRef,
    Seen, Step, StepError, UndoPlan, With,
};

use super::owner;
use super::place::{self, Place, State};
use super::replace::{self, Whole};
use super::undo::{Back, Before, not_started, take_back};
use super::wanted::{Wanted, octal};
use crate::blocking::blocking;

/// The largest content that is shown, in bytes.
const SHOWN: usize = 64 * 1024;
/// Permissions of a sensitive file.
const SENSITIVE: u32 = 0o600;

enum Content {
    Text(String),
    Secret(SecretRef),
}

/// One `file.content` step.
pub(super) struct ContentStep {
    path: PathBuf,
    content: Content,
    mode: Option<u32>,
    owner: Option<String>,
    parents: bool,
    sensitive: bool,
}

impl ContentStep {
    /// Takes parameters that the kind has found to be right.
    pub(super) fn new(with: &With, mode: Option<u32>) -> Self {
        let secret = with.str("content_secret").and_then(|text| SecretRef::parse(text).ok());
        let sensitive = with.bool("sensitive") || secret.is_some();
        Self {
            path: PathBuf::from(with.str("path").unwrap_or_default()),
            content: secret.map_or_else(
                || Content::Text(with.str("content").unwrap_or_default().to_owned()),
                Content::Secret,
            ),
            mode: mode.or(sensitive.then_some(SENSITIVE)),
            owner: with.str("owner").map(str::to_owned),
            parents: with.bool("parents"),
            sensitive,
        }
    }

    async fn bytes(&self, look: &Look) -> Result<Vec<u8>, String> {
        match &self.content {
            Content::Text(text) => Ok(text.clone().into_bytes()),
            Content::Secret(reference) => look
                .secret(reference)
                .await
                .map(|secret| secret.reveal().to_vec())
                .map_err(|e| e.to_string()),
        }
    }

    /// Looks at the disk and resolves what is wanted, off the async threads.
    async fn both(&self, look: &Look) -> Result<(Place, Wanted), String> {
        let path = look.path(&self.path);
        let bytes = self.bytes(look).await?;
        let (mode, owner) = (self.mode, self.owner.clone());
        blocking(move || {
            let owner = owner.as_deref().map(owner::resolve).transpose()?;
            Ok((place::look(&path)?, Wanted { bytes, mode, owner }))
        })
        .await
    }

    fn facts(&self, place: &Place) -> Facts {
        let facts = Facts::default().with("exists", Binding::Binding, place.file.is_some());
        let Some(file) = &place.file else { return facts };
        let facts = facts.with("mode", Binding::Binding, octal(file.mode)).with(
            "owner",
            Binding::Binding,
            format!("{}:{}", file.uid, file.gid),
        );
        if self.sensitive {
            facts.with_digest("version", Binding::Binding, file.version.clone())
        } else {
            facts.with("sha256", Binding::Binding, Digest::of(&file.bytes).as_str()).with(
                "size",
                Binding::Informative,
                file.bytes.len(),
            )
        }
    }

    fn judge(&self, look: &Look, place: &Place, wanted: &Wanted) -> Seen {
        let temporary = place::temporary(&place.real, &look.identity);
        if fs::symlink_metadata(&temporary).is_ok() {
            return Seen::Half(format!(
                "`{}` was left behind by an attempt of this step",
                temporary.display()
            ));
        }
        match &place.file {
            Some(file) if file.bytes == wanted.bytes => {
                let wrong = wanted.differences(file);
                if wrong.is_empty() {
                    return Seen::Done;
                }
                let each = |(what, is, want): &(&str, String, String)| {
                    format!("{what} is {is}, wanted {want}")
                };
                Seen::Half(wrong.iter().map(each).collect::<Vec<_>>().join("; "))
            }
            _ => Seen::Absent,
        }
    }

    /// A content that may be shown.
    fn shown(&self, bytes: &[u8]) -> Option<Value> {
        if self.sensitive || bytes.len() > SHOWN {
            return None;
        }
        std::str::from_utf8(bytes).ok().map(Value::from)
    }
}

#[async_trait]
impl Step for ContentStep {
    fn resources(&self) -> Resources {
        Resources {
            reads: Vec::new(),
            writes: vec![format!("file/{}", plain(&self.path).display())],
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can(format!("restores `{}` as it was before", self.path.display()))
    }

    async fn observe(&self, look: &Look) -> Observation {
        match self.both(look).await {
            Err(why) => Observation::unknown(why),
            Ok((place, wanted)) => {
                Observation::new(self.judge(look, &place, &wanted)).with_facts(self.facts(&place))
            }
        }
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let Ok((place, wanted)) = self.both(look).await else { return Vec::new() };
        let path = if place.linked {
            format!("{} -> {}", look.path(&self.path).display(), place.real.display())
        } else {
            place.real.display().to_string()
        };
        let Some(file) = &place.file else {
            let folders = place::missing_folders(&place.real);
            let folders = folders.iter().filter(|_| self.parents).map(|folder| Change {
                op: "create".to_owned(),
                path: format!("{}/", folder.display()),
                before: None,
                after: None,
            });
            let file = Change {
                op: "create".to_owned(),
                path,
                before: None,
                after: self.shown(&wanted.bytes),
            };
            return folders.chain([file]).collect();
        };
        let update =
            |path: String, before, after| Change { op: "update".to_owned(), path, before, after };
        let mut changes = Vec::new();
        if file.bytes != wanted.bytes {
            let (before, after) = (self.shown(&file.bytes), self.shown(&wanted.bytes));
            changes.push(update(path.clone(), before, after));
        }
        for (what, is, want) in wanted.differences(file) {
            changes.push(update(format!("{path} ({what})"), Some(is.into()), Some(want.into())));
        }
        changes
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let (place, wanted) = self.both(look).await.map_err(not_started)?;
        let sensitive = self.sensitive;
        blocking(move || {
            let before = Before::capture(&place, sensitive.then_some(wanted.bytes.as_slice()))?;
            Ok(Prepared { bytes: place.file.map(|f| f.bytes), ..Prepared::of(&before)? })
        })
        .await
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let (place, wanted) = self.both(hands).await.map_err(not_started)?;
        let temporary = place::temporary(&place.real, &hands.identity);
        let parents = self.parents;
        blocking(move || {
            let missing = place::missing_folders(&place.real);
            match missing.first() {
                Some(folder) if !parents => {
                    let what = format!("the folder `{}` does not exist", folder.display());
                    return Err(not_started(what).with_help("`parents: true` creates it"));
                }
                _ => replace::create_folders(&missing)?,
            }
            let now = place.file.as_ref();
            let same = |f: &State| f.bytes == wanted.bytes && wanted.differences(f).is_empty();
            if now.is_some_and(same) {
                return replace::remove_temporary(&temporary);
            }
            let new =
                Whole { bytes: &wanted.bytes, mode: wanted.mode(now), owner: wanted.owner(now) };
            replace::replace(&place.real, &temporary, &new)
        })
        .await?;
        Ok(Applied::default())
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let (place, wanted) = self.both(hands).await.map_err(not_started)?;
        let temporary = place::temporary(&place.real, &hands.identity);
        blocking(move || {
            replace::remove_temporary(&temporary)?;
            match &place.file {
                Some(file)
                    if file.bytes == wanted.bytes && !wanted.differences(file).is_empty() =>
                {
                    let owner = wanted.owner(Some(file)).unwrap_or((file.uid, file.gid));
                    replace::set_attributes(&place.real, wanted.mode(Some(file)), owner)
                }
                _ => Ok(()),
            }
        })
        .await
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let before = match prepared.read::<Before>() {
            Ok(before) => before,
            Err(e) => return Observation::unknown(e.to_string()),
        };
        let (place, wanted) = match self.both(look).await {
            Ok(both) => both,
            Err(why) => return Observation::unknown(why),
        };
        let facts = self.facts(&place);
        let temporary = place::temporary(&place.real, &look.identity);
        let seen = blocking(move || match before.judge(&place, &wanted) {
            Back::Changed(how) => Seen::Unknown(how),
            Back::AsLeft => Seen::Done,
            Back::AsBefore
                if fs::symlink_metadata(temporary).is_ok()
                    || replace::is_empty_folder(&before.folders) =>
            {
                Seen::Done
            }
            Back::AsBefore => Seen::Absent,
        })
        .await;
        Observation::new(seen).with_facts(facts)
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let before: Before = prepared.read()?;
        let (place, wanted) = self.both(hands).await.map_err(not_started)?;
        let temporary = place::temporary(&place.real, &hands.identity);
        let bytes = prepared.bytes.clone();
        blocking(move || take_back(&place, &wanted, &before, bytes.as_deref(), &temporary)).await
    }
}

/// A path without `.` and doubled slashes, so that one file has one name. `..` stays: what it
/// means is known only where the links are.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|c| *c != Component::CurDir).collect()
}
