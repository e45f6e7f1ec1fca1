//! A tree of values with what is secret in it marked.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

type Path = Vec<String>;

/// A tree of values in which some leaves are secret, and some of those may be sealed: who reads has
/// no key for them.
///
/// Its `Debug` shows no secret. Whoever takes a leaf out asks [`Values::is_secret`] first.
#[derive(Clone, Default, PartialEq)]
pub struct Values {
    tree: Map<String, Value>,
    /// Sealed ones included.
    secret: BTreeSet<Path>,
    /// What could not be read, and why. The cipher text stands in the tree.
    sealed: BTreeMap<Path, String>,
}

impl Values {
    /// Values of which none is secret.
    #[must_use]
    pub fn plain(tree: Map<String, Value>) -> Self {
        Self { tree, secret: BTreeSet::new(), sealed: BTreeMap::new() }
    }

    /// The whole tree, secrets included: for the one place that hands it on.
    #[must_use]
    pub fn reveal(&self) -> &Map<String, Value> {
        &self.tree
    }

    /// A value by its path.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.tree.get(*first)?, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    }

    /// Whether the leaf at a path, or anything below it, is secret.
    #[must_use]
    pub fn is_secret(&self, path: &[&str]) -> bool {
        self.secret.iter().any(|s| s.len() >= path.len() && s.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Whether the leaf at a path, or anything below it, could not be read; says why.
    #[must_use]
    pub fn sealed_at(&self, path: &[&str]) -> Option<&str> {
        let below = |s: &Path| s.len() >= path.len() && s.iter().zip(path).all(|(a, b)| a == b);
        self.sealed.iter().find(|(s, _)| below(s)).map(|(_, why)| why.as_str())
    }

    /// What could not be read, as dotted paths, and why.
    pub fn sealed(&self) -> impl Iterator<Item = (String, &str)> {
        self.sealed.iter().map(|(path, why)| (path.join("."), why.as_str()))
    }

    /// Marks what is at a path, and all below it, as secret.
    pub fn conceal(&mut self, path: &[&str]) {
        self.secret.insert(path.iter().map(|&p| p.to_owned()).collect());
    }

    /// Sets a leaf and says whether it is secret. Mappings on the way are made.
    pub fn set(&mut self, path: &[&str], value: Value, secret: bool) {
        let owned: Path = path.iter().map(|&p| p.to_owned()).collect();
        self.unmark(&owned);
        if secret {
            self.secret.insert(owned);
        }
        let Some((last, way)) = path.split_last() else { return };
        let mut map = &mut self.tree;
        for part in way {
            let slot = map.entry(*part).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let Value::Object(next) = slot else { return };
            map = next;
        }
        map.insert((*last).to_owned(), value);
    }

    /// Marks leaves of the tree as secret.
    #[must_use]
    pub fn with_secrets(mut self, paths: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.secret.extend(paths);
        self
    }

    /// Marks leaves of the tree as secret and not readable.
    #[must_use]
    pub fn with_sealed(mut self, paths: impl IntoIterator<Item = Vec<String>>, why: &str) -> Self {
        for path in paths {
            self.secret.insert(path.clone());
            self.sealed.insert(path, why.to_owned());
        }
        self
    }

    fn unmark(&mut self, path: &[String]) {
        self.secret.retain(|s| !s.starts_with(path));
        self.sealed.retain(|s, _| !s.starts_with(path));
    }

    /// The leaves with their paths and whether each is secret, sorted by path. An empty mapping or
    /// list is a leaf.
    #[must_use]
    pub fn leaves(&self) -> Vec<(Vec<String>, &Value, bool)> {
        fn walk<'v>(
            at: &mut Vec<String>,
            value: &'v Value,
            out: &mut Vec<(Vec<String>, &'v Value)>,
        ) {
            let inner: Vec<(String, &Value)> = match value {
                Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
                Value::Array(list) => {
                    list.iter().enumerate().map(|(ix, v)| (ix.to_string(), v)).collect()
                }
                _ => Vec::new(),
            };
            if inner.is_empty() {
                out.push((at.clone(), value));
            }
            for (key, value) in inner {
                at.push(key);
                walk(at, value, out);
                at.pop();
            }
        }
        let mut found = Vec::new();
        for (key, value) in &self.tree {
            walk(&mut vec![key.clone()], value, &mut found);
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
            .into_iter()
            .map(|(path, value)| {
                let secret = self.secret.iter().any(|s| path.starts_with(s));
                (path, value, secret)
            })
            .collect()
    }

    /// Lays other values over these, as Helm does with several files: mappings are merged, all
    /// else is replaced, `null` takes a key away.
    pub fn merge(&mut self, over: &Values) {
        fn lay(
            at: &mut Path,
            into: &mut Map<String, Value>,
            over: &Map<String, Value>,
            replaced: &mut Vec<Path>,
        ) {
            for (key, value) in over {
                at.push(key.clone());
                match (into.get_mut(key), value) {
                    (Some(Value::Object(inner)), Value::Object(over)) => {
                        lay(at, inner, over, replaced);
                    }
                    (_, Value::Null) => {
                        into.remove(key);
                        replaced.push(at.clone());
                    }
                    _ => {
                        into.insert(key.clone(), value.clone());
                        replaced.push(at.clone());
                    }
                }
                at.pop();
            }
        }
        let mut replaced = Vec::new();
        lay(&mut Vec::new(), &mut self.tree, &over.tree, &mut replaced);
        for path in replaced {
            self.unmark(&path);
        }
        self.secret.extend(over.secret.iter().cloned());
        self.sealed.extend(over.sealed.iter().map(|(p, w)| (p.clone(), w.clone())));
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (path, value, secret) in self.leaves() {
            let path = path.join(".");
            if secret {
                map.entry(&path, &"…");
            } else {
                map.entry(&path, value);
            }
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(value: Value) -> Values {
        let Value::Object(tree) = value else { return Values::default() };
        Values::plain(tree)
    }

    #[test]
    fn later_files_win_and_null_takes_away() {
        let mut one = values(json!({"a": {"b": 1, "c": [1, 2]}, "d": 1}));
        one.merge(&values(json!({"a": {"c": [3]}, "d": null, "e": {}})));
        assert_eq!(Value::Object(one.reveal().clone()), json!({"a": {"b": 1, "c": [3]}, "e": {}}));
    }

    #[test]
    fn what_is_secret_stays_marked_and_unsaid() {
        let mut one = values(json!({"db": {"user": "gitea"}}));
        one.set(&["db", "password"], json!("hunter2"), true);
        assert!(one.is_secret(&["db", "password"]) && one.is_secret(&["db"]));
        assert!(!one.is_secret(&["db", "user"]));
        assert!(!format!("{one:?}").contains("hunter2"));
        one.merge(&values(json!({"db": {"password": "public"}})));
        assert!(!one.is_secret(&["db"]));
    }

    #[test]
    fn what_replaces_a_list_or_a_sealed_leaf_takes_its_marks_away() {
        let path = |p: &str| p.split('.').map(str::to_owned).collect::<Vec<_>>();
        let mut one = values(json!({"users": [{"pw": "a"}, {"pw": "b"}], "key": "ENC[…]"}))
            .with_secrets([path("users.0.pw"), path("users.1.pw")])
            .with_sealed([path("key")], "no key");
        assert_eq!(one.sealed().collect::<Vec<_>>(), [("key".to_owned(), "no key")]);
        assert_eq!(one.sealed_at(&["key"]), Some("no key"));
        assert!(one.is_secret(&["key"]));
        one.merge(&values(json!({"users": [{"pw": "c"}], "key": "known"})));
        assert!(!one.is_secret(&["users"]) && !one.is_secret(&["key"]));
        assert_eq!(one.sealed_at(&["key"]), None);
    }
}
