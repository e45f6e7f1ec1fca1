//! What is to be deployed: the values of files and parameters, put together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use workplan_engine::kind::{Look, SecretRef};
use workplan_platform::values::{Values, read};
use workplan_platform::{PlatformError, ReleaseRef, ReleaseSpec};

use crate::files::said;

/// What a step wants of a release.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) at: ReleaseRef,
    pub(super) chart: String,
    pub(super) version: Option<String>,
    pub(super) files: Vec<String>,
    pub(super) set: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, SecretRef>,
    pub(super) quarantine: bool,
    pub(super) timeout: Duration,
}

/// Why there is nothing to deploy; each a sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSpec {
    /// A file of values is not there. An earlier step may make it.
    #[error("{0}")]
    Missing(String),
    /// Something cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Wanted {
    /// Reads files and secrets, and puts them together.
    ///
    /// # Errors
    /// When something cannot be read, or is sealed for want of a key.
    pub(super) async fn spec(&self, look: &Look) -> Result<ReleaseSpec, NoSpec> {
        let mut values = Values::default();
        for file in &self.files {
            let at = look.locate(file).map_err(|e| NoSpec::Unreadable(said(e)))?;
            let one = read(look, &at).await.map_err(|e| match e {
                PlatformError::Missing(what) => NoSpec::Missing(what),
                other => NoSpec::Unreadable(said(other.into())),
            })?;
            values.merge(&one);
        }
        self.over(look, values).await.map_err(NoSpec::Unreadable)
    }

    async fn over(&self, look: &Look, mut values: Values) -> Result<ReleaseSpec, String> {
        for (name, text) in &self.set {
            set(&mut values, name, scalar(text), false);
        }
        for (name, reference) in &self.secrets {
            let secret = look.secret(reference).await.map_err(|e| e.to_string())?;
            let text = String::from_utf8(secret.reveal().to_vec())
                .map_err(|_| format!("the secret `{reference}` is not UTF-8 text"))?;
            set(&mut values, name, Value::String(text), true);
        }
        if let Some((path, why)) = values.sealed().next() {
            return Err(format!("the value `{path}` of {} cannot be read: {why}", self.at));
        }
        Ok(ReleaseSpec {
            at: self.at.clone(),
            chart: self.chart.clone(),
            version: self.version.clone(),
            values,
            quarantine: self.quarantine,
            timeout: self.timeout,
        })
    }
}

fn set(values: &mut Values, name: &str, value: Value, secret: bool) {
    let parts = path(name);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    values.set(&parts, value, secret);
}

/// The parts of a dotted path; `\.` is a dot in a part.
pub(super) fn path(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            ('.', _) => parts.push(String::new()),
            ('\\', Some(last)) => last.extend(chars.next()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// A value as `helm --set` reads it.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => match text.parse::<i64>() {
            // A number with a leading zero is a name, for example of a commit.
            Ok(number) if number.to_string() == text => Value::from(number),
            _ => Value::from(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_values_are_read_as_helm_reads_them() {
        assert_eq!(path("a.b\\.c.d"), ["a", "b.c", "d"]);
        assert_eq!(path("a..b"), ["a", "", "b"]);
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("3", Value::from(3)),
            ("03", Value::from("03")),
            ("1.5", Value::from("1.5")),
            ("null", Value::Null),
            ("", Value::from("")),
        ] {
            assert_eq!(scalar(text), value, "{text}");
        }
    }
}
