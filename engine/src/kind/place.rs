//! Where a step happens, as a kind sees it.

use serde_json::{Map, Value};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::StepError;
use crate::text::did_you_mean;

/// Names the target's own folder where a path may name a repo: `@target:keys/age.txt`.
pub(crate) const TARGET_FOLDER: &str = "@target";

/// The target of a plan: its identity, its values, and what a platform keeps for it.
///
/// One value is shared by all handles of a session, so that a platform connects once.
pub struct Place {
    /// The target's name.
    pub name: String,
    /// `local` or `kubernetes`.
    pub kind: String,
    /// What makes it this target and no other.
    pub identity: String,
    /// Whether people depend on it.
    pub live: bool,
    /// Where relative paths of the target file start.
    pub folder: PathBuf,
    /// The values of the target file; secrets in them are references.
    pub values: Map<String, Value>,
    kept: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Place {
    /// A target.
    #[must_use]
    pub fn new(name: &str, kind: &str, identity: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            identity: identity.to_owned(),
            live: false,
            folder: PathBuf::new(),
            values: Map::new(),
            kept: Mutex::default(),
        }
    }

    /// A value by its dotted path, for example `backup.dir`.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let value = self.values.get(first)?;
        rest.split('.').filter(|p| !p.is_empty()).try_fold(value, |value, part| value.get(part))
    }

    /// A text by its dotted path.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.value(path)?.as_str()
    }

    /// A path as the target file means it.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        tidy(&self.folder.join(path))
    }

    /// The folder of a sibling repo, by its name under `repos`, or the target's own (`@target`).
    ///
    /// # Errors
    /// When the target names no such repo.
    pub fn repo(&self, name: &str) -> Result<PathBuf, StepError> {
        if name == TARGET_FOLDER {
            return Ok(self.path(""));
        }
        if let Some((_, folder)) = self.repos().find(|(named, _)| *named == name) {
            return Ok(folder);
        }
        let error = StepError::failed(format!("the target `{}` names no repo `{name}`", self.name));
        let similar = did_you_mean(name, self.repos().map(|(named, _)| named));
        Err(error.with_help(similar.unwrap_or_else(|| {
            format!("add it to the target file: `repos: {{{name}: ../{name}}}`")
        })))
    }

    /// The sibling repos that the target names under `repos`, and their folders.
    pub fn repos(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        let named = self.value("repos").and_then(Value::as_object);
        named
            .into_iter()
            .flatten()
            .filter_map(|(name, path)| path.as_str().map(|path| (name.as_str(), self.path(path))))
    }

    /// What a platform keeps for this target, one value of each type, made by the first who asks.
    /// `make` must not ask for another one.
    pub fn shared<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(found)) = kept.get(&TypeId::of::<T>()).map(|v| Arc::clone(v).downcast()) {
            return found;
        }
        let made = Arc::new(make());
        kept.insert(TypeId::of::<T>(), Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        made
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("name", &self.name).field("kind", &self.kind).finish()
    }
}

/// A path without `.` and without `..` where that needs no look at the disk.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place() -> Place {
        let mut place = Place::new("lab", "local", "lab-1");
        place.folder = PathBuf::from("/lab/railiance-platform");
        let Value::Object(values) = json!({
            "repos": {"railiance-apps": "../railiance-apps"},
            "backup": {"dir": "../backup"},
        }) else {
            return place;
        };
        place.values = values;
        place
    }

    #[test]
    fn paths_start_at_the_targets_folder() {
        let place = place();
        assert_eq!(place.repo("railiance-apps").unwrap(), Path::new("/lab/railiance-apps"));
        assert_eq!(place.text("backup.dir"), Some("../backup"));
        assert_eq!(place.path("../backup"), Path::new("/lab/backup"));
        assert_eq!(place.path("/elsewhere"), Path::new("/elsewhere"));
    }

    #[test]
    fn a_repo_that_is_not_named_is_guessed() {
        let error = place().repo("railiance-app").unwrap_err();
        assert!(error.help.unwrap().contains("railiance-apps"));
    }

    #[test]
    fn what_a_platform_keeps_is_made_once() {
        let place = place();
        assert_eq!(*place.shared(|| 1_u8), 1);
        assert_eq!(*place.shared(|| 2_u8), 1);
        assert_eq!(*place.shared(|| "another type".to_owned()), "another type");
    }

    #[test]
    fn the_targets_own_folder_is_named_like_a_repo() {
        assert_eq!(place().repo("@target").unwrap(), Path::new("/lab/railiance-platform"));
    }
}
