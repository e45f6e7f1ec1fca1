//! Secrets in use: each value is fetched once and never leaves unredacted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::kind::{Secret, SecretError, SecretRef, SecretSource};
use crate::process::Redactor;

/// A source of secrets that remembers what it gave out, so that every sink can redact it.
pub(crate) struct Vault {
    source: Arc<dyn SecretSource>,
    known: Mutex<Known>,
}

struct Known {
    values: BTreeMap<String, Secret>,
    redactor: Arc<Redactor>,
}

impl Known {
    fn keep(&mut self, name: String, secret: Secret) {
        self.values.insert(name, secret);
        self.redactor = Arc::new(Redactor::new(self.values.values().map(Secret::reveal)));
    }
}

impl Vault {
    pub(crate) fn new(source: Arc<dyn SecretSource>) -> Arc<Self> {
        let known = Known { values: BTreeMap::new(), redactor: Arc::new(Redactor::none()) };
        Arc::new(Self { source, known: Mutex::new(known) })
    }

    /// Takes out every value that was given out so far.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner).redactor)
    }

    /// A JSON value with every text redacted.
    pub(crate) fn redact(&self, value: Value) -> Value {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.values.is_empty() {
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

impl SecretSource for Vault {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let name = reference.to_string();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known.values.get(&name) {
            return Ok(secret.clone());
        }
        let secret = self.source.resolve(reference)?;
        known.keep(name, secret.clone());
        Ok(secret)
    }

    fn conceal(&self, secret: &Secret) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.values.values().any(|v| v == secret) {
            let name = format!("concealed:{}", known.values.len());
            known.keep(name, secret.clone());
        }
    }
}
