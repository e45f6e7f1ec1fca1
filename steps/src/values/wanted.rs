//! What shall stand in a file of values, against what stands there.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use workplan_engine::digest::{canonical, hex};
use workplan_engine::kind::{Change, Secret};
use workplan_platform::values::Values;

use super::path::{Path, parts, show};

/// What shall stand in a file.
#[derive(Default)]
pub(super) struct Wanted {
    /// Values that everybody may read.
    pub(super) plain: Vec<(Path, Value)>,
    /// Values that are encrypted.
    pub(super) secret: Vec<(Path, Secret)>,
    /// Keys that are not there.
    pub(super) absent: Vec<Path>,
    /// Worth saying.
    pub(super) notes: Vec<String>,
}

impl Wanted {
    /// All keys that it speaks of.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Path> {
        let plain = self.plain.iter().map(|(path, _)| path);
        plain.chain(self.secret.iter().map(|(path, _)| path)).chain(&self.absent)
    }

    /// Compares with the values of a file.
    pub(super) fn compare(&self, now: &Values) -> Comparison {
        let mask = Mask::new(now, &self.secret);
        let mut found = Comparison::default();
        let mut differ = |path: &Path, before: Option<Value>, after: Option<Value>| {
            found.differences.push(Difference { key: show(path), before, after });
        };
        let mut sealed = Vec::new();
        for (path, value) in &self.plain {
            let at = parts(path);
            let there = now.get(&at);
            if there == Some(value) {
                continue;
            }
            if let Some(why) = now.sealed_at(&at) {
                sealed.push((show(path), why.to_owned()));
                continue;
            }
            let before = there.map(|v| mask.shown(v, now.is_secret(&at)));
            differ(path, before, Some(value.clone()));
        }
        for (path, secret) in &self.secret {
            let at = parts(path);
            if let Some(why) = now.sealed_at(&at) {
                sealed.push((show(path), why.to_owned()));
                continue;
            }
            let there = now.get(&at).filter(|v| !v.is_null());
            let equal = there.and_then(text).is_some_and(|t| t.as_bytes() == secret.reveal());
            let encrypted = now.is_secret(&at);
            if equal && encrypted {
                continue;
            }
            // A password that everybody can read is shown as one that nobody can.
            let before = there.map(|v| {
                let masked = mask.shown(v, true);
                if encrypted { masked } else { Value::from("not encrypted") }
            });
            differ(path, before, Some(mask.secret(secret.reveal())));
        }
        for path in &self.absent {
            let at = parts(path);
            if let Some(value) = now.get(&at) {
                let hidden = now.is_secret(&at) || now.sealed_at(&at).is_some();
                differ(path, Some(mask.shown(value, hidden)), None);
            }
        }
        found.sealed = sealed;
        found
    }
}

/// What is not as it shall be.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) differences: Vec<Difference>,
    /// Keys that cannot be told, and why.
    pub(super) sealed: Vec<(String, String)>,
}

/// One key.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) key: String,
    /// What is there, where anything is; masked where it is secret.
    pub(super) before: Option<Value>,
    /// What shall be there.
    pub(super) after: Option<Value>,
}

impl Difference {
    /// For a preview.
    pub(super) fn change(self, file: &str) -> Change {
        let op = match (&self.before, &self.after) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        };
        Change {
            op: op.to_owned(),
            path: format!("{file}: {}", self.key),
            before: self.before,
            after: self.after,
        }
    }
}

impl Comparison {
    /// Whether all is as it shall be.
    pub(super) fn is_done(&self) -> bool {
        self.differences.is_empty() && self.sealed.is_empty()
    }
}

/// A secret as text: encrypted numbers and booleans are what they are written as.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Shows that a secret changed, and not what it is: keyed digests. The key is made of all secrets
/// that are compared, so whoever tries a value for one of them has to know the others.
struct Mask(Hmac<Sha256>);

impl Mask {
    fn new(now: &Values, wanted: &[(Path, Secret)]) -> Self {
        let mut mac = keyed(b"workplan values");
        for (path, value, _) in now.leaves().into_iter().filter(|(.., secret)| *secret) {
            mac.update(canonical(&Value::from(show(&path))).as_bytes());
            mac.update(canonical(value).as_bytes());
        }
        for (path, secret) in wanted {
            mac.update(canonical(&Value::from(show(path))).as_bytes());
            mac.update(&(secret.reveal().len() as u64).to_be_bytes());
            mac.update(secret.reveal());
        }
        Self(keyed(&mac.finalize().into_bytes()))
    }

    fn secret(&self, bytes: &[u8]) -> Value {
        let mut mac = self.0.clone();
        mac.update(bytes);
        Value::from(format!("(secret, hmac:{})", &hex(&mac.finalize().into_bytes())[..12]))
    }

    fn shown(&self, value: &Value, secret: bool) -> Value {
        match value {
            value if !secret => value.clone(),
            Value::Null => Value::Null,
            value => match text(value) {
                Some(text) => self.secret(text.as_bytes()),
                None => Value::from("(has secrets)"),
            },
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::path::parse;
    use serde_json::json;

    fn now(tree: Value, secret: &[&str]) -> Values {
        Values::plain(tree.as_object().cloned().unwrap())
            .with_secrets(secret.iter().map(|p| parse(p).unwrap()))
    }

    fn wanted(secret: &[(&str, &str)]) -> Wanted {
        Wanted {
            secret: secret
                .iter()
                .map(|(p, s)| (parse(p).unwrap(), Secret::new(s.as_bytes())))
                .collect(),
            ..Wanted::default()
        }
    }

    #[test]
    fn plain_values_are_compared_with_their_types() {
        let mut wanted = wanted(&[]);
        wanted.plain = vec![
            (parse("a").unwrap(), json!(1)),
            (parse("b").unwrap(), json!("1")),
            (parse("c").unwrap(), json!(null)),
        ];
        wanted.absent = vec![parse("d.e").unwrap(), parse("x").unwrap()];
        let found = wanted.compare(&now(json!({"a": 1, "b": 1, "d": {"e": 2}}), &[]));
        let changes: Vec<Change> =
            found.differences.into_iter().map(|d| d.change("v.yaml")).collect();
        let shown: Vec<(&str, &str)> =
            changes.iter().map(|c| (c.op.as_str(), c.path.as_str())).collect();
        assert_eq!(
            shown,
            [("update", "v.yaml: b"), ("create", "v.yaml: c"), ("delete", "v.yaml: d.e")]
        );
        assert_eq!((&changes[0].before, &changes[0].after), (&Some(json!(1)), &Some(json!("1"))));
    }

    #[test]
    fn a_secret_is_equal_as_text_and_has_to_be_encrypted() {
        let wanted = wanted(&[("pw", "12345678"), ("other", "new")]);
        let tree = json!({"pw": 12345678, "other": "old"});
        let found = wanted.compare(&now(tree.clone(), &["pw", "other"]));
        let [one] = &found.differences[..] else { panic!("{found:?}") };
        assert_eq!(one.key, "other");
        let shown = format!("{one:?}");
        assert!(!shown.contains("old") && !shown.contains("new") && shown.contains("hmac:"));
        assert_ne!(one.before, one.after);
        assert_eq!(found, wanted.compare(&now(tree.clone(), &["pw", "other"])));

        let found = wanted.compare(&now(tree, &[]));
        assert_eq!(found.differences.len(), 2);
        assert_eq!(found.differences[0].before, Some(json!("not encrypted")));
    }

    #[test]
    fn what_is_sealed_is_not_known() {
        let wanted = wanted(&[("pw", "x")]);
        let sealed =
            now(json!({"pw": "ENC[…]"}), &[]).with_sealed([parse("pw").unwrap()], "no key");
        let found = wanted.compare(&sealed);
        assert!(found.differences.is_empty() && !found.is_done());
        assert_eq!(found.sealed, [("pw".to_owned(), "no key".to_owned())]);
    }
}
