//! The parameters of one step after type checking.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

use super::SecretRef;
use crate::duration;

/// Typed parameters. The engine has checked names and types against the kind's
/// [`super::ParamSpec`]s; durations are kept as their text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct With(pub Map<String, Value>);

impl With {
    /// A text.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// A boolean; `false` where it is not given.
    #[must_use]
    pub fn bool(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A whole number.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i64> {
        self.0.get(key)?.as_i64()
    }

    /// A duration.
    #[must_use]
    pub fn duration(&self, key: &str) -> Option<Duration> {
        duration::parse(self.str(key)?)
    }

    /// A list of texts; empty where it is not given.
    #[must_use]
    pub fn strings(&self, key: &str) -> Vec<String> {
        match self.0.get(key) {
            Some(Value::Array(items)) => {
                items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(one)) => vec![one.clone()],
            _ => Vec::new(),
        }
    }

    /// Names and texts; empty where it is not given.
    #[must_use]
    pub fn map(&self, key: &str) -> BTreeMap<String, String> {
        match self.0.get(key) {
            Some(Value::Object(map)) => map
                .iter()
                .filter_map(|(k, v)| v.as_str().map(|v| (k.clone(), v.to_owned())))
                .collect(),
            _ => BTreeMap::new(),
        }
    }

    /// Names and secret references; empty where it is not given.
    #[must_use]
    pub fn secrets(&self, key: &str) -> BTreeMap<String, SecretRef> {
        self.map(key)
            .into_iter()
            .filter_map(|(k, v)| Some((k, SecretRef::parse(&v).ok()?)))
            .collect()
    }

    /// Whether a key was given.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}
