//! Reading values, and knowing afterwards which were not read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;
use workplan_engine::kind::Secret;

use crate::values::Values;
use crate::{IgnoredKey, PlatformError};

/// The values of a chart or subchart. Each key that is asked for counts as used.
pub(crate) struct Keys<'v> {
    values: &'v Values,
    at: Vec<String>,
    used: &'v RefCell<BTreeSet<Vec<String>>>,
}

impl<'v> Keys<'v> {
    pub(super) fn new(values: &'v Values, used: &'v RefCell<BTreeSet<Vec<String>>>) -> Self {
        Self { values, at: Vec::new(), used }
    }

    /// The values below a key, as a subchart sees them; `global` of the parent goes along.
    pub(crate) fn below(&self, key: &str) -> Self {
        let mut at = self.at.clone();
        at.push(key.to_owned());
        Self { values: self.values, at, used: self.used }
    }

    fn path(&self, path: &str) -> Vec<String> {
        // A subchart shares the parent's `global`.
        let at: &[String] = if path.split('.').next() == Some("global") { &[] } else { &self.at };
        at.iter().cloned().chain(path.split('.').map(str::to_owned)).collect()
    }

    /// What is at a dotted path; `None` for nothing and for `null`. All below it counts as used.
    pub(crate) fn get(&self, path: &str) -> Option<&'v Value> {
        let found = self.at(self.path(path));
        if found.is_none() && path.starts_with("global.") && !self.at.is_empty() {
            // A parent may give a subchart a `global` of its own.
            let own = self.at.iter().cloned().chain(path.split('.').map(str::to_owned));
            return self.at(own.collect());
        }
        found
    }

    fn at(&self, full: Vec<String>) -> Option<&'v Value> {
        let parts: Vec<&str> = full.iter().map(String::as_str).collect();
        let found = self.values.get(&parts).filter(|v| !v.is_null());
        self.used.borrow_mut().insert(full);
        found
    }

    /// The leaves below a dotted path that are secret, by the rest of their paths.
    pub(crate) fn concealed(&self, path: &str) -> BTreeSet<Vec<String>> {
        let full = self.path(path);
        let leaves = self.values.leaves().into_iter().filter(|(.., secret)| *secret);
        leaves.filter_map(|(at, ..)| at.strip_prefix(&full[..]).map(<[String]>::to_vec)).collect()
    }

    /// A text, or a number or boolean as one; `None` for nothing and for the empty text, which in
    /// a chart means "not set".
    ///
    /// # Errors
    /// A mapping or list.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, PlatformError> {
        match self.get(path) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(self.wrong(path, "a text")),
        }
    }

    /// The first of several keys that is set: `global.…` before the chart's own.
    ///
    /// # Errors
    /// As [`Keys::text`].
    pub(crate) fn first(&self, paths: &[&str]) -> Result<Option<String>, PlatformError> {
        let mut found = None;
        for path in paths {
            let text = self.text(path)?;
            found = found.or(text);
        }
        Ok(found)
    }

    /// The first of several keys that is set, as a secret.
    ///
    /// # Errors
    /// As [`Keys::text`].
    pub(crate) fn secret(&self, paths: &[&str]) -> Result<Option<Secret>, PlatformError> {
        Ok(self.first(paths)?.map(|text| Secret::new(text.into_bytes())))
    }

    /// A whole number; `default` where nothing is set.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn number(&self, path: &str, default: u32) -> Result<u32, PlatformError> {
        match self.text(path)? {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| self.wrong(path, "a whole number")),
        }
    }

    /// A boolean; `default` where nothing is set.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn flag(&self, path: &str, default: bool) -> Result<bool, PlatformError> {
        match self.get(path) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.is_empty() => Ok(default),
            Some(Value::String(text)) => {
                text.parse().map_err(|_| self.wrong(path, "`true` or `false`"))
            }
            Some(_) => Err(self.wrong(path, "`true` or `false`")),
        }
    }

    /// The name-value pairs of an `extraEnvVars` list. Those with `valueFrom` have no value here
    /// and stay out.
    pub(crate) fn variables(&self, path: &str) -> Vec<(String, String)> {
        let list = self.get(path).and_then(Value::as_array);
        let pair = |entry: &Value| {
            let value = match entry.get("value")? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((entry.get("name")?.as_str()?.to_owned(), value))
        };
        list.into_iter().flatten().filter_map(pair).collect()
    }

    /// Counts a key as used without reading it.
    pub(crate) fn pass(&self, path: &str) {
        self.used.borrow_mut().insert(self.path(path));
    }

    /// An error that names a key by its whole path. It never repeats the value.
    pub(crate) fn wrong(&self, path: &str, wanted: &str) -> PlatformError {
        PlatformError::failed(format!("the value `{}` is not {wanted}", self.path(path).join(".")))
    }
}

/// What of the values nobody asked for.
pub(super) fn ignored(values: &Values, used: &BTreeSet<Vec<String>>) -> Vec<IgnoredKey> {
    let mut found = BTreeSet::new();
    for (path, value, _) in values.leaves() {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if empty || used.iter().any(|u| path.starts_with(u)) {
            continue;
        }
        // An entry of a list is named by its list.
        let named: Vec<&str> =
            path.iter().map(String::as_str).take_while(|p| p.parse::<usize>().is_err()).collect();
        let key = named.join(".");
        let why = why(&key).to_owned();
        found.insert(IgnoredKey { key, why });
    }
    found.into_iter().collect()
}

/// Why a key has no effect here.
fn why(key: &str) -> &'static str {
    const REASONS: &[(&str, &str)] = &[
        ("image", "the servers of this machine are used, not images"),
        ("allowInsecureImages", "the servers of this machine are used, not images"),
        ("resources", "processes of this machine have no limits of their own"),
        ("resourcesPreset", "processes of this machine have no limits of their own"),
        ("livenessProbe", "the platform asks the servers in its own way"),
        ("readinessProbe", "the platform asks the servers in its own way"),
        ("startupProbe", "the platform asks the servers in its own way"),
        ("storageClass", "volumes are folders"),
        ("accessModes", "volumes are folders"),
        ("size", "volumes are folders without a limit"),
        ("affinity", "there is one machine"),
        ("podAffinityPreset", "there is one machine"),
        ("podAntiAffinityPreset", "there is one machine"),
        ("nodeAffinityPreset", "there is one machine"),
        ("nodeSelector", "there is one machine"),
        ("tolerations", "there is one machine"),
        ("topologySpreadConstraints", "there is one machine"),
        ("pdb", "nobody evicts pods here"),
        ("networkPolicy", "everything listens on loopback alone"),
        ("serviceAccount", "there is no API to speak to"),
        ("rbac", "there is no API to speak to"),
        ("podSecurityContext", "servers run as the account of the target"),
        ("containerSecurityContext", "servers run as the account of the target"),
        ("volumePermissions", "volumes are made for the account of the target"),
        ("metrics", "no exporter is run here"),
        ("annotations", "nobody reads annotations here"),
        ("podAnnotations", "nobody reads annotations here"),
        ("podLabels", "nobody reads labels here"),
        ("commonLabels", "nobody reads labels here"),
        ("updateStrategy", "changed pods are restarted one by one, from the last to the first"),
    ];
    let parts: Vec<&str> = key.split('.').collect();
    REASONS
        .iter()
        .find(|(part, _)| parts.contains(part))
        .map_or("the local recipe does not know it", |(_, why)| why)
}
