//! Secrets are references until the one child that needs them starts.

use async_trait::async_trait;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Look;
use super::place::TARGET_FOLDER;

/// Where a secret's value is to be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// `env:NAME`: an environment variable of the engine's own process.
    Env(String),
    /// `file:PATH`: the file's content without its last line end. [`Look::secret`] says where a
    /// relative path starts.
    File(PathBuf),
    /// `sops:FILE#/path/to/key`: one value of a SOPS file.
    Sops {
        /// The file.
        file: PathBuf,
        /// Slash-separated path to the value.
        path: String,
    },
    /// `kube:NAMESPACE/SECRET/KEY`.
    Kube {
        /// The namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The key in it.
        key: String,
    },
    /// `given:N`: what this command was given on its command line, and nobody else has.
    Given(u32),
}

impl SecretRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// A sentence that says what a reference looks like. It never repeats the text: what does not
    /// look like a reference may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "a secret is named, not written: `env:NAME`, `file:PATH`, \
                             `sops:FILE#/path/to/key` or `kube:NAMESPACE/SECRET/KEY`";
        let (scheme, rest) = text.split_once(':').ok_or(SHAPE)?;
        match scheme {
            "env" if is_variable(rest) => Ok(Self::Env(rest.to_owned())),
            "env" => Err("`env:` takes the name of an environment variable"),
            "file" if !rest.is_empty() => Ok(Self::File(PathBuf::from(rest))),
            "sops" => match rest.split_once("#/") {
                Some((file, path)) if !file.is_empty() && !path.is_empty() => {
                    Ok(Self::Sops { file: PathBuf::from(file), path: path.to_owned() })
                }
                _ => Err("`sops:` takes a file and a path in it: `sops:FILE#/path/to/key`"),
            },
            "kube" => match rest.splitn(3, '/').collect::<Vec<_>>()[..] {
                [namespace, name, key] if ![namespace, name, key].contains(&"") => Ok(Self::Kube {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    key: key.to_owned(),
                }),
                _ => Err("`kube:` takes three parts: `kube:NAMESPACE/SECRET/KEY`"),
            },
            "given" => rest.parse().map(Self::Given).map_err(|_| SHAPE),
            _ => Err(SHAPE),
        }
    }
}

impl SecretRef {
    /// The same reference with another path, for those that name a file.
    ///
    /// # Errors
    /// What `place` says.
    pub(crate) fn try_placed<E>(
        &self,
        place: impl FnOnce(&Path) -> Result<PathBuf, E>,
    ) -> Result<Self, E> {
        Ok(match self {
            Self::File(path) => Self::File(place(path)?),
            Self::Sops { file, path } => Self::Sops { file: place(file)?, path: path.clone() },
            other => other.clone(),
        })
    }
}

/// Says of every secret reference in a target's values that its relative path starts at the
/// target's folder: once a value is put into a step's parameters, nothing else tells.
pub(crate) fn place_in_target(value: &mut Value) {
    match value {
        Value::String(text) => {
            let Ok(reference) = SecretRef::parse(text) else { return };
            let placed = reference.try_placed(|path| {
                let named = path.to_str().is_some_and(|p| p.contains(':'));
                Ok::<_, std::convert::Infallible>(if path.is_absolute() || named {
                    path.to_path_buf()
                } else {
                    PathBuf::from(format!("{TARGET_FOLDER}:{}", path.display()))
                })
            });
            if let Ok(placed) = placed
                && placed != reference
            {
                *text = placed.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(place_in_target),
        Value::Object(map) => map.values_mut().for_each(place_in_target),
        _ => {}
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Given(number) => write!(f, "given:{number}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Sops { file, path } => write!(f, "sops:{}#/{path}", file.display()),
            Self::Kube { namespace, name, key } => write!(f, "kube:{namespace}/{name}/{key}"),
        }
    }
}

/// The environment variables that secret references in JSON values name, sorted.
#[must_use]
pub fn secret_variables<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<String> {
    fn collect(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => {
                if let Ok(SecretRef::Env(name)) = SecretRef::parse(text) {
                    names.insert(name);
                }
            }
            Value::Array(items) => items.iter().for_each(|v| collect(v, names)),
            Value::Object(map) => map.values().for_each(|v| collect(v, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    values.into_iter().for_each(|v| collect(v, &mut names));
    names.into_iter().collect()
}

/// Whether a text can be the name of an environment variable.
fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A secret's value. No `Display`; its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The value, for the one place that hands it to a child.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret could not be had. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{reference}` is not to be had: {why}")]
pub struct SecretError {
    /// The reference.
    pub reference: String,
    /// Why.
    pub why: String,
}

/// Where values come from; the command line knows the environment, platforms know Secrets.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The value of a reference. Relative paths in it are resolved already. `look` is the handle of
    /// who asks, for its target and for programs that have to be run; its own secrets may be asked
    /// for, too.
    ///
    /// # Errors
    /// When it is missing or may not be read.
    async fn resolve(&self, reference: &SecretRef, look: &Look) -> Result<Secret, SecretError>;

    /// Takes note of a value that is secret though no reference gave it, for example one that a
    /// release's own Secret holds.
    fn conceal(&self, secret: &Secret) {
        let _ = secret;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn relative_references_in_a_target_say_that_they_start_there() {
        let mut values = json!({
            "databases": {"old": {"password": "file:keys/pw", "port": 5432}},
            "values": ["sops:helm/x.sops.yaml#/a/b", "file:/etc/pw", "file:apps:pw", "env:PW"],
        });
        place_in_target(&mut values);
        assert_eq!(
            values,
            json!({
                "databases": {"old": {"password": "file:@target:keys/pw", "port": 5432}},
                "values": [
                    "sops:@target:helm/x.sops.yaml#/a/b", "file:/etc/pw", "file:apps:pw", "env:PW"
                ],
            })
        );
        let again = values.clone();
        place_in_target(&mut values);
        assert_eq!(values, again);
    }
}
