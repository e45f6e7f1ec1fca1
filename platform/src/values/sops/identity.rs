//! The age identities that there are here, where SOPS looks for them.

use std::path::{Path, PathBuf};

use workplan_engine::kind::{Look, Secret};

/// Identities in a variable.
pub(super) const KEY: &str = "SOPS_AGE_KEY";
/// A file with identities, named by a variable.
pub(super) const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";
/// Ways to identities that only the program goes.
const ELSEWHERE: &[&str] =
    &["SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"];

/// Identities, and where they were looked for.
#[derive(Default)]
pub(super) struct Identities {
    pub(super) all: Vec<age::x25519::Identity>,
    /// Each place with what was found there, in words.
    places: Vec<String>,
}

/// A file with identities that the target names (`sops.age_key_file`).
pub(super) fn target_file(look: &Look) -> Option<PathBuf> {
    look.place.text("sops.age_key_file").map(|path| look.place.path(path))
}

impl Identities {
    /// Looks in all places.
    pub(super) fn gather(look: &Look) -> Self {
        let mut found = Self::default();
        if let Some(text) = look.variable(KEY) {
            found.take(look, &text.to_string_lossy(), &format!("`{KEY}`"));
        }
        if let Some(path) = look.variable(KEY_FILE).filter(|path| !path.is_empty()) {
            found.file(look, Path::new(path), true);
        }
        if let Some(path) = target_file(look) {
            found.file(look, &path, true);
        }
        if let Some(folder) = config_folder(look) {
            found.file(look, &folder.join("sops/age/keys.txt"), false);
        }
        for name in ELSEWHERE {
            if look.variable(name).is_some() {
                found.places.push(format!("not in `{name}`, which only the `sops` program reads"));
            }
        }
        found
    }

    /// Where was looked, for a message.
    pub(super) fn places(&self) -> String {
        if self.places.is_empty() {
            return format!("neither `{KEY}` nor `{KEY_FILE}` nor a home folder is known");
        }
        self.places.join("; ")
    }

    fn file(&mut self, look: &Look, path: &Path, named: bool) {
        let shown = format!("`{}`", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => self.take(look, &text, &shown),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.places.push(format!("{shown} is not there"));
            }
            Err(e) if named => self.places.push(format!("{shown} cannot be read: {e}")),
            Err(_) => self.places.push(format!("{shown} cannot be read")),
        }
    }

    fn take(&mut self, look: &Look, text: &str, place: &str) {
        let (mut good, mut post_quantum, mut other) = (0, 0, 0);
        for word in text
            .lines()
            .filter(|l| !l.trim_start().starts_with('#'))
            .flat_map(str::split_whitespace)
        {
            look.conceal(&Secret::new(word));
            match word.parse::<age::x25519::Identity>() {
                Ok(identity) => {
                    self.all.push(identity);
                    good += 1;
                }
                Err(_) if word.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-PQ-") => {
                    post_quantum += 1;
                }
                Err(_) => other += 1,
            }
        }
        let mut words = match good {
            1 => format!("{place} has one identity"),
            n => format!("{place} has {n} identities"),
        };
        if post_quantum > 0 {
            words.push_str(&format!(
                ", and {post_quantum} post-quantum (`AGE-SECRET-KEY-PQ-…`), which only the `sops` \
                 program can use"
            ));
        }
        if other > 0 {
            words.push_str(&format!(", and {other} lines that are none that can be read here"));
        }
        self.places.push(words);
    }
}

/// Where programs keep their settings.
fn config_folder(look: &Look) -> Option<PathBuf> {
    let folder = |name: &str| look.variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
}
