//! The target file.

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::kind::{Place, SecretRef, place_in_target};
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{self, Node};

use super::TargetRef;

/// The keys of a target file.
pub const TARGET_KEYS: &[&str] = &[
    "kind",
    "context",
    "kubernetes",
    "local",
    "namespaces",
    "repos",
    "databases",
    "live",
    "backup",
    "ha",
    "identity",
    "sops",
    "values",
];

/// A target with its values.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the plan keeps of it.
    pub reference: TargetRef,
    /// The values that `${{ target.x }}` names.
    pub values: Map<String, Value>,
}

impl Target {
    /// The target that is used where none is given: this machine, known by the state folder.
    #[must_use]
    pub fn implicit(identity: String) -> Self {
        Self {
            reference: TargetRef {
                name: "local".to_owned(),
                kind: "local".to_owned(),
                identity,
                of_record: true,
                live: false,
                implicit: true,
                hides: Vec::new(),
                folder: PathBuf::new(),
                values: Map::new(),
            },
            values: Map::new(),
        }
    }

    /// Reads a target file. `machine` identifies this machine; a local target is this file on it.
    #[must_use]
    pub fn parse(name: &str, file: &Arc<SourceFile>, machine: &str) -> (Option<Self>, Diagnostics) {
        let (node, mut found) = yaml::parse_file(file);
        let Some(node) = node else {
            if !found.has_errors() {
                let nothing = Span::new(0, 0);
                found.push(
                    Diagnostic::error("target-empty", file, nothing, "the target file is empty")
                        .with_help("it says at least `kind: local`"),
                );
            }
            return (None, found);
        };
        let Some(map) = node.as_map() else {
            found.push(
                Diagnostic::error(
                    "wrong-type",
                    file,
                    node.span,
                    format!("a target is a mapping, this is {}", node.type_name()),
                )
                .with_help("it says at least `kind: local`"),
            );
            return (None, found);
        };
        for entry in &map.entries {
            if !TARGET_KEYS.contains(&entry.key.as_str()) {
                found.push(
                    Diagnostic::error(
                        "unknown-key",
                        file,
                        entry.key_span,
                        format!("a target has no key `{}`", entry.key),
                    )
                    .with_help(
                        did_you_mean(&entry.key, TARGET_KEYS.iter().copied()).unwrap_or_else(
                            || {
                                format!(
                                    "its keys are {}; your own go under `values`",
                                    TARGET_KEYS.join(", ")
                                )
                            },
                        ),
                    ),
                );
            }
        }
        let kind = match map.get("kind").map(|n| (n, n.as_str())) {
            Some((_, Some(kind @ ("local" | "kubernetes")))) => kind.to_owned(),
            Some((n, _)) => {
                found.push(
                    Diagnostic::error(
                        "target-kind",
                        file,
                        n.span,
                        "`kind` is `local` or `kubernetes`",
                    )
                    .with_help("write `kind: local`")
                    .with_help_opt(
                        n.as_str().and_then(|k| did_you_mean(k, ["local", "kubernetes"])),
                    ),
                );
                return (None, found);
            }
            None => {
                found.push(
                    Diagnostic::error(
                        "missing-key",
                        file,
                        Span::new(0, 0),
                        "a target says its `kind`",
                    )
                    .with_help("`kind: local` or `kind: kubernetes`"),
                );
                return (None, found);
            }
        };
        let live = match map.get("live") {
            None => false,
            Some(n) => match n.as_str() {
                Some("true") => true,
                Some("false") => false,
                _ => {
                    found.push(
                        Diagnostic::error(
                            "wrong-type",
                            file,
                            n.span,
                            "`live` is `true` or `false`",
                        )
                        .with_help("`live: true` where people depend on it"),
                    );
                    false
                }
            },
        };
        written_passwords(file, map, &mut found);
        let mut values = to_json(&node);
        place_in_target(&mut values);
        let Value::Object(values) = values else { return (None, found) };
        let identity = match map.get("identity").and_then(Node::as_str) {
            Some(own) => own.to_owned(),
            None if kind == "kubernetes" => {
                format!("kubernetes:{}", map.get("context").and_then(Node::as_str).unwrap_or("-"))
            }
            None => {
                // The same file is the same target from whichever folder it is named.
                let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
                format!("local:{machine}:{}", path.display())
            }
        };
        let target = Self {
            reference: TargetRef {
                name: name.to_owned(),
                kind,
                identity,
                of_record: true,
                live,
                implicit: false,
                hides: Vec::new(),
                folder: folder(&file.path),
                values: Map::new(),
            },
            values,
        };
        (Some(target), found)
    }

    /// The target as kinds see it, for who asks without a plan.
    #[must_use]
    pub fn place(&self) -> Place {
        let mut place = self.reference.place();
        place.values.clone_from(&self.values);
        place
    }

    /// Overrides one value, `key` being a dotted path.
    pub fn set(&mut self, key: &str, value: &str) {
        let mut map = &mut self.values;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                if key == "live" && matches!(value, "true" | "false") {
                    self.reference.live = value == "true";
                }
                let mut value = scalar(value, true);
                place_in_target(&mut value);
                map.insert(part.to_owned(), value);
                return;
            }
            let slot = map.entry(part.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let Value::Object(next) = slot else { return };
            map = next;
        }
    }

    /// The value of a dotted path.
    #[must_use]
    pub fn get(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.values.get(first)?, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    }

    /// The names at the level where a path leaves the known ones, for "did you mean".
    #[must_use]
    pub fn names_near(&self, path: &[String]) -> Vec<String> {
        self.near(path).1
    }

    /// The part of a path that leaves the known names, and the names that are known there.
    pub(super) fn near(&self, path: &[String]) -> (String, Vec<String>) {
        let mut map = &self.values;
        let mut last = "";
        for part in path {
            last = part;
            match map.get(part) {
                Some(Value::Object(next)) => map = next,
                _ => break,
            }
        }
        (last.to_owned(), map.keys().cloned().collect())
    }
}

/// A password is named, not written: what stands in a target file reaches plans and reports.
fn written_passwords(file: &Arc<SourceFile>, map: &yaml::Map, found: &mut Diagnostics) {
    let databases = map.get("databases").and_then(Node::as_map);
    for database in databases.iter().flat_map(|m| &m.entries) {
        let Some(password) = database.value.as_map().and_then(|m| m.get("password")) else {
            continue;
        };
        if password.value != yaml::Value::Null
            && let Err(why) = SecretRef::parse(password.as_str().unwrap_or_default())
        {
            found.push(
                Diagnostic::error("bad-secret-reference", file, password.span, why)
                    .with_help("the text itself is not repeated here, in case it is the secret"),
            );
        }
    }
}

/// Where relative paths in a target file start: beside `targets/`, else beside the file.
fn folder(file: &Path) -> PathBuf {
    let path = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    let folder = path.parent().unwrap_or(Path::new(""));
    match folder.file_name() {
        Some(name) if name == "targets" => folder.parent().unwrap_or(folder).to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

/// A plain scalar's natural type; quoted text stays text.
pub(super) fn scalar(text: &str, plain: bool) -> Value {
    if plain {
        // `0644` and `007` are texts of digits: as numbers they would lose what was written.
        if let Some(number) = text.parse::<i64>().ok().filter(|n| n.to_string() == text) {
            return Value::from(number);
        }
        match text {
            "true" => return Value::Bool(true),
            "false" => return Value::Bool(false),
            _ => {}
        }
    }
    Value::String(text.to_owned())
}

/// A tree without types as JSON.
pub(super) fn to_json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar(s) => scalar(&s.text, s.plain),
        yaml::Value::Seq(items) => Value::Array(items.iter().map(to_json).collect()),
        yaml::Value::Map(map) => {
            Value::Object(map.entries.iter().map(|e| (e.key.clone(), to_json(&e.value))).collect())
        }
    }
}
