//! Files of values, whatever sort they are of.

use serde_json::{Map, Value};
use std::path::Path;

use workplan_engine::kind::{Look, Secret};
use workplan_engine::text::{Severity, SourceFile};
use workplan_engine::yaml::{self, Node, Scalar};

use super::Values;
use super::scalar::{Typed, typed};
use super::sops::{self, Opened};
use crate::PlatformError;

/// Shorter texts are not taken out of what is said: they stand in too many other words.
const CONCEALED_FROM: usize = 4;
/// The same for numbers.
const NUMBER_CONCEALED_FROM: usize = 6;

/// Reads a file of values, plain YAML or JSON, or a SOPS file of these.
///
/// The values that were encrypted are secret, and are concealed from now on. Who has no key for a
/// SOPS file gets its plain values, and the others as sealed ([`Values::sealed`]).
///
/// # Errors
/// When the file is not there or may not be read, when it is no mapping that all readers of YAML
/// take for the same, and when a SOPS file is damaged.
pub async fn read(look: &Look, path: &Path) -> Result<Values, PlatformError> {
    let bytes = std::fs::read(path).map_err(|e| PlatformError::io("read", path, &e))?;
    parse(look, path, bytes).await
}

/// Reads values out of bytes that were read from a file, or will be written to it.
///
/// # Errors
/// As [`read`].
pub async fn parse(look: &Look, path: &Path, bytes: Vec<u8>) -> Result<Values, PlatformError> {
    let Some((file, root)) = document(path, bytes)? else { return Ok(Values::default()) };
    let Some(encrypted) = sops::Encrypted::of(&file, &root)? else {
        let Value::Object(tree) = json(&file, &root)? else { return Err(no_mapping(&file, &root)) };
        return Ok(Values::plain(tree));
    };
    let secret = encrypted.secret();
    match sops::open(look, path, &file.text, &encrypted).await? {
        Opened::Sealed(why) => Ok(Values::plain(encrypted.tree()).with_sealed(secret, &why)),
        Opened::Open(tree) => {
            let values = Values::plain(tree).with_secrets(secret);
            for (_, value, _) in values.leaves().into_iter().filter(|(.., secret)| *secret) {
                conceal(look, value);
            }
            Ok(values)
        }
    }
}

/// A file of values as it is written, without any key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// Its values; what is encrypted stands as cipher text. The metadata of SOPS are left out.
    pub tree: Map<String, Value>,
    /// Where it is a SOPS file, the values that are encrypted.
    pub encrypted: Option<Vec<Vec<String>>>,
}

/// Reads a file of values without any key.
///
/// # Errors
/// As [`read`].
pub fn written(path: &Path, bytes: Vec<u8>) -> Result<Written, PlatformError> {
    let Some((file, root)) = document(path, bytes)? else { return Ok(Written::default()) };
    if let Some(encrypted) = sops::Encrypted::of(&file, &root)? {
        let secret = encrypted.secret();
        return Ok(Written { tree: encrypted.tree(), encrypted: Some(secret) });
    }
    match json(&file, &root)? {
        Value::Object(tree) => Ok(Written { tree, encrypted: None }),
        _ => Err(no_mapping(&file, &root)),
    }
}

/// Whether an unquoted text in YAML is that text to all readers, and nothing else.
#[must_use]
pub fn reads_as_text(text: &str) -> bool {
    typed(&Scalar { text: text.to_owned(), plain: true }) == Ok(Typed::Text(text.to_owned()))
}

/// What a `sops:FILE#/path/to/key` reference names.
///
/// # Errors
/// A sentence that says why it is not to be had.
pub async fn reference(look: &Look, file: &Path, path: &str) -> Result<Secret, String> {
    let values = read(look, file).await.map_err(|e| match e {
        PlatformError::Failed { what, help: Some(help), .. } => format!("{what}; {help}"),
        other => other.to_string(),
    })?;
    let parts: Vec<&str> = path.split('/').collect();
    if let Some(why) = values.sealed_at(&parts) {
        return Err(why.to_owned());
    }
    match values.get(&parts) {
        None | Some(Value::Null) => Err(format!("`{}` has no value at `/{path}`", file.display())),
        Some(Value::Object(_) | Value::Array(_)) => {
            Err(format!("`/{path}` of `{}` is not one value", file.display()))
        }
        Some(Value::String(text)) => Ok(Secret::new(text.as_bytes())),
        Some(other) => Ok(Secret::new(other.to_string())),
    }
}

fn conceal(look: &Look, value: &Value) {
    match value {
        Value::String(text) if text.len() >= CONCEALED_FROM => {
            look.conceal(&Secret::new(text.as_bytes()));
        }
        Value::Number(number) => {
            let text = number.to_string();
            if text.len() >= NUMBER_CONCEALED_FROM {
                look.conceal(&Secret::new(text));
            }
        }
        _ => {}
    }
}

/// A file and its YAML; `None` where there is nothing in it.
fn document(
    path: &Path,
    bytes: Vec<u8>,
) -> Result<Option<(std::sync::Arc<SourceFile>, Node)>, PlatformError> {
    let text = String::from_utf8(bytes)
        .map_err(|_| PlatformError::failed(format!("`{}` is not UTF-8", path.display())))?;
    let file = SourceFile::new(path, text);
    let (root, found) = yaml::parse_file(&file);
    if let Some(problem) = found.iter().find(|d| d.severity == Severity::Error) {
        let at = problem.line_column();
        return Err(PlatformError::Failed {
            what: match at {
                Some(at) => format!(
                    "`{}` cannot be read, line {}, column {}: {}",
                    path.display(),
                    at.line,
                    at.column,
                    problem.message
                ),
                None => format!("`{}` cannot be read: {}", path.display(), problem.message),
            },
            said: Vec::new(),
            help: problem.help.clone(),
        });
    }
    Ok(root.filter(|root| root.value != yaml::Value::Null).map(|root| (file, root)))
}

/// A tree with types.
fn json(file: &SourceFile, node: &Node) -> Result<Value, PlatformError> {
    Ok(match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar(scalar) => {
            typed(scalar).map_err(|why| ambiguous(file, node, &why))?.json()
        }
        yaml::Value::Seq(items) => {
            Value::Array(items.iter().map(|item| json(file, item)).collect::<Result<_, _>>()?)
        }
        yaml::Value::Map(map) => {
            let mut object = Map::new();
            for entry in &map.entries {
                object.insert(entry.key.clone(), json(file, &entry.value)?);
            }
            Value::Object(object)
        }
    })
}

/// Reads YAML that a program wrote, as its own reader would: where readers differ, as YAML 1.1.
///
/// # Errors
/// When it is no YAML, or has anchors or tags in it.
pub(crate) fn manifest(name: &Path, text: &str) -> Result<Value, PlatformError> {
    fn tree(node: &Node) -> Value {
        match &node.value {
            yaml::Value::Null => Value::Null,
            yaml::Value::Scalar(scalar) => match typed(scalar) {
                Ok(typed) => typed.json(),
                Err(_) => old_scalar(&scalar.text),
            },
            yaml::Value::Seq(items) => Value::Array(items.iter().map(tree).collect()),
            yaml::Value::Map(map) => {
                Value::Object(map.entries.iter().map(|e| (e.key.clone(), tree(&e.value))).collect())
            }
        }
    }
    Ok(document(name, text.as_bytes().to_vec())?.map_or(Value::Null, |(_, root)| tree(&root)))
}

/// What is one thing in YAML 1.1 and another in 1.2, as the former: Helm reads that.
fn old_scalar(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => return Value::Bool(true),
        "no" | "off" | "n" => return Value::Bool(false),
        _ => {}
    }
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    match octal.and_then(|digits| i64::from_str_radix(digits, 8).ok()) {
        Some(number) => Value::from(number),
        None => Value::from(text),
    }
}

pub(super) fn ambiguous(file: &SourceFile, node: &Node, why: &str) -> PlatformError {
    PlatformError::Failed {
        what: format!(
            "`{}`, line {}: {why}",
            file.path.display(),
            file.line_column(node.span.start).line
        ),
        said: Vec::new(),
        help: Some("put it in quotes if it is text, else write it in the common way".to_owned()),
    }
}

fn no_mapping(file: &SourceFile, node: &Node) -> PlatformError {
    PlatformError::failed(format!(
        "`{}` holds {}; values are a mapping",
        file.path.display(),
        node.type_name()
    ))
}
