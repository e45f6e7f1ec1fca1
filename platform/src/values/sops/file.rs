//! What stands in a SOPS file.

use serde_json::{Map, Value};

use workplan_engine::text::{SourceFile, did_you_mean};
use workplan_engine::yaml::{self, Node};

use super::cipher::is_encrypted;
use crate::PlatformError;
use crate::values::read::ambiguous;
use crate::values::scalar::{Typed, typed};

/// The key of the metadata.
const METADATA: &str = "sops";

/// Ways to the data key that only the program knows, by their keys in the metadata.
const SERVICES: &[(&str, &str)] = &[
    ("kms", "AWS KMS"),
    ("gcp_kms", "Google Cloud KMS"),
    ("hckms", "Huawei Cloud KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "HashiCorp Vault"),
    ("pgp", "PGP"),
];

/// What says which values are encrypted. The values themselves say it, too.
const SELECTIONS: &[&str] = &[
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

/// A SOPS file as it is written.
pub(in crate::values) struct Encrypted {
    /// The values, in the order of the file.
    pub(super) leaves: Vec<Leaf>,
    tree: Map<String, Value>,
    pub(super) metadata: Metadata,
}

/// One value.
pub(super) struct Leaf {
    /// Keys and list indices.
    pub(super) path: Vec<String>,
    /// The keys alone, as SOPS binds them to the value.
    pub(super) bound: String,
    pub(super) value: Typed,
    /// The line that it is on.
    pub(super) line: usize,
}

impl Leaf {
    pub(super) fn cipher_text(&self) -> Option<&str> {
        match &self.value {
            Typed::Text(text) if is_encrypted(text) => Some(text),
            _ => None,
        }
    }
}

/// How the file is encrypted.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// Recipient and encrypted data key, for age.
    pub(super) age: Vec<(String, String)>,
    /// Other ways to the data key, in words.
    pub(super) services: Vec<&'static str>,
    /// The data key is in parts.
    pub(super) key_groups: bool,
    /// When, as text: the digest of all values is bound to it.
    pub(super) last_modified: String,
    /// The digest of all values, encrypted.
    pub(super) mac: String,
    /// It covers the encrypted values alone.
    pub(super) mac_only_encrypted: bool,
    /// Keys that this version does not know.
    pub(super) unknown: Vec<String>,
}

impl Encrypted {
    /// Reads the file; `None` where it is not one of SOPS.
    ///
    /// # Errors
    /// When the metadata are not whole, or a plain value is ambiguous.
    pub(in crate::values) fn of(
        file: &SourceFile,
        root: &Node,
    ) -> Result<Option<Self>, PlatformError> {
        let Some(map) = root.as_map() else { return Ok(None) };
        let Some(metadata) = map.get(METADATA) else { return Ok(None) };
        let metadata = Metadata::read(file, metadata)?;
        let mut reader = Leaves { file, path: Vec::new(), keys: Vec::new(), found: Vec::new() };
        let mut tree = Map::new();
        for entry in map.entries.iter().filter(|e| e.key != METADATA) {
            tree.insert(entry.key.clone(), reader.entry(&entry.key, &entry.value)?);
        }
        Ok(Some(Self { leaves: reader.found, tree, metadata }))
    }

    /// The values as they are written: what is encrypted stands as cipher text.
    pub(in crate::values) fn tree(&self) -> Map<String, Value> {
        self.tree.clone()
    }

    /// Where the encrypted values are.
    pub(in crate::values) fn secret(&self) -> Vec<Vec<String>> {
        self.leaves.iter().filter(|l| l.cipher_text().is_some()).map(|l| l.path.clone()).collect()
    }
}

struct Leaves<'f> {
    file: &'f SourceFile,
    path: Vec<String>,
    keys: Vec<String>,
    found: Vec<Leaf>,
}

impl Leaves<'_> {
    fn entry(&mut self, key: &str, node: &Node) -> Result<Value, PlatformError> {
        self.path.push(key.to_owned());
        self.keys.push(key.to_owned());
        let value = self.node(node);
        self.path.pop();
        self.keys.pop();
        value
    }

    fn node(&mut self, node: &Node) -> Result<Value, PlatformError> {
        Ok(match &node.value {
            yaml::Value::Null => Value::Null,
            yaml::Value::Seq(items) => {
                let mut list = Vec::new();
                for (number, item) in items.iter().enumerate() {
                    self.path.push(number.to_string());
                    let value = self.node(item);
                    self.path.pop();
                    list.push(value?);
                }
                Value::Array(list)
            }
            yaml::Value::Map(map) => {
                let mut object = Map::new();
                for entry in &map.entries {
                    object.insert(entry.key.clone(), self.entry(&entry.key, &entry.value)?);
                }
                Value::Object(object)
            }
            yaml::Value::Scalar(scalar) => {
                let value = typed(scalar).map_err(|why| ambiguous(self.file, node, &why))?;
                let json = value.json();
                self.found.push(Leaf {
                    path: self.path.clone(),
                    bound: self.keys.iter().map(|key| format!("{key}:")).collect(),
                    value,
                    line: self.file.line_column(node.span.start).line,
                });
                json
            }
        })
    }
}

impl Metadata {
    fn read(file: &SourceFile, node: &Node) -> Result<Self, PlatformError> {
        let broken = |what: &str| {
            let line = file.line_column(node.span.start).line;
            PlatformError::Failed {
                what: format!(
                    "the SOPS metadata of `{}` (line {line}) are damaged: {what}",
                    file.path.display()
                ),
                said: Vec::new(),
                help: Some("restore the file from its repository".to_owned()),
            }
        };
        let map = node.as_map().ok_or_else(|| broken("`sops` is no mapping"))?;
        let mut found = Self::default();
        for entry in &map.entries {
            let text = || entry.value.as_str().map(str::to_owned);
            let empty = match &entry.value.value {
                yaml::Value::Null => true,
                yaml::Value::Seq(items) => items.is_empty(),
                _ => false,
            };
            match entry.key.as_str() {
                _ if empty => {}
                "age" => found.age = recipients(&entry.value).map_err(broken)?,
                "key_groups" => found.key_groups = true,
                "lastmodified" => {
                    found.last_modified =
                        text().ok_or_else(|| broken("`lastmodified` is no text"))?;
                }
                "mac" => found.mac = text().ok_or_else(|| broken("`mac` is no text"))?,
                "mac_only_encrypted" => {
                    found.mac_only_encrypted = text().as_deref() == Some("true")
                }
                "version" | "shamir_threshold" => {}
                key if SELECTIONS.contains(&key) => {}
                key => match SERVICES.iter().find(|(service, _)| *service == key) {
                    Some((_, words)) => found.services.push(words),
                    None => found.unknown.push(key.to_owned()),
                },
            }
        }
        if found.mac.is_empty() || found.last_modified.is_empty() {
            let near = found.unknown.iter().find_map(|key| {
                did_you_mean(key, ["mac", "lastmodified"]).map(|_| format!("; it has `{key}`"))
            });
            return Err(broken(&format!(
                "`mac` or `lastmodified` is missing{}",
                near.unwrap_or_default()
            )));
        }
        Ok(found)
    }
}

fn recipients(node: &Node) -> Result<Vec<(String, String)>, &'static str> {
    let items = node.as_seq().ok_or("`age` is no list")?;
    items
        .iter()
        .map(|item| {
            let map = item.as_map()?;
            Some((map.get("recipient")?.as_str()?.to_owned(), map.get("enc")?.as_str()?.to_owned()))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or("an entry of `age` has no `recipient` or no `enc`")
}
