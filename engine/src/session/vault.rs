//! Secrets in use: no value leaves unredacted.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::kind::{Look, Secret, SecretError, SecretRef, SecretSource};
use crate::process::Redactor;

/// A source of secrets that remembers what it gave out, so that every sink can redact it.
pub(crate) struct Vault {
    source: Arc<dyn SecretSource>,
    known: Mutex<Known>,
}

struct Known {
    /// What cannot change while this process lives, by its reference.
    values: BTreeMap<String, Secret>,
    /// All that was given out or made known, each once.
    all: Vec<Secret>,
    redactor: Arc<Redactor>,
    /// What was read and is too short to be looked for, and whether it was told of.
    short: BTreeMap<String, bool>,
}

impl Known {
    fn conceal(&mut self, name: &str, secret: &Secret) {
        if !secret.reveal().is_empty() && !Redactor::finds(secret.reveal()) {
            self.short.entry(name.to_owned()).or_default();
        }
        if !self.all.contains(secret) {
            self.all.push(secret.clone());
            self.redactor = Arc::new(Redactor::new(self.all.iter().map(Secret::reveal)));
        }
    }
}

impl Vault {
    pub(crate) fn new(source: Arc<dyn SecretSource>) -> Arc<Self> {
        let known = Known {
            values: BTreeMap::new(),
            all: Vec::new(),
            redactor: Arc::new(Redactor::none()),
            short: BTreeMap::new(),
        };
        Arc::new(Self { source, known: Mutex::new(known) })
    }

    /// Takes out every value that was given out so far.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.known().redactor)
    }

    /// Secrets that nothing takes out of what is shown, as sentences; each is told once.
    pub(crate) fn too_short(&self) -> Vec<String> {
        let mut known = self.known();
        let new = known.short.iter_mut().filter_map(|(name, told)| {
            let known = std::mem::replace(told, true);
            (!known).then(|| {
                format!(
                    "{name} is shorter than 4 characters: it is not taken out of what is shown \
                     and kept, for it would take other text with it; choose a longer one"
                )
            })
        });
        new.collect()
    }

    /// A JSON value with every text redacted.
    pub(crate) fn redact(&self, value: Value) -> Value {
        let known = self.known();
        if known.all.is_empty() {
            return value;
        }
        let redactor = Arc::clone(&known.redactor);
        drop(known);
        redact_json(value, &redactor)
    }
}

fn redact_json(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(redactor.redact_str(&text)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|v| redact_json(v, redactor)).collect())
        }
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(k, v)| (k, redact_json(v, redactor))).collect())
        }
        other => other,
    }
}

impl Vault {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SecretSource for Vault {
    async fn resolve(&self, reference: &SecretRef, look: &Look) -> Result<Secret, SecretError> {
        // A step may write the file or the Secret that a later one refers to.
        let fixed = matches!(reference, SecretRef::Env(_) | SecretRef::Given(_));
        let name = reference.to_string();
        if fixed && let Some(secret) = self.known().values.get(&name) {
            return Ok(secret.clone());
        }
        let secret = self.source.resolve(reference, look).await?;
        let mut known = self.known();
        known.conceal(&format!("the secret `{name}`"), &secret);
        if fixed {
            known.values.insert(name, secret.clone());
        }
        Ok(secret)
    }

    fn conceal(&self, secret: &Secret) {
        self.known().conceal("a secret of a release, a file or an address", secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    #[async_trait]
    impl SecretSource for Nothing {
        async fn resolve(
            &self,
            reference: &SecretRef,
            _look: &Look,
        ) -> Result<Secret, SecretError> {
            Err(SecretError { reference: reference.to_string(), why: "none is here".to_owned() })
        }
    }

    #[test]
    fn a_short_secret_is_told_of_once_and_spoils_no_output() {
        let vault = Vault::new(Arc::new(Nothing));
        vault.conceal(&Secret::new(""));
        vault.conceal(&Secret::new("long enough"));
        assert_eq!(vault.too_short(), Vec::<String>::new());
        vault.conceal(&Secret::new("a"));
        vault.conceal(&Secret::new("b"));
        let told = vault.too_short();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("shorter than 4 characters"), "{told:?}");
        assert_eq!(vault.too_short(), Vec::<String>::new());
        let output = serde_json::json!({"database": "a long enough database"});
        let shown = serde_json::json!({"database": "a *** database"});
        assert_eq!(vault.redact(output), shown);
    }
}
