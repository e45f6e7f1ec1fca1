//! Texts that hold secrets: a connection string with its password.

use std::collections::BTreeMap;

use serde_json::Value;
use workplan_engine::kind::{Look, ParamProblem, Secret, SecretRef, StepError, With};

use super::path::{self, Path};
use crate::files::not_started;

/// A text and the secrets that belong into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Composed {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Secret(SecretRef),
}

impl Composed {
    /// Cuts a text at its `{NAME}`.
    ///
    /// # Errors
    /// A sentence: a name that no secret has, a secret that the text does not name.
    fn read(text: &str, secrets: &BTreeMap<String, SecretRef>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut used = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| "a `{` has no `}`".to_owned())?;
            let secret = secrets
                .get(name)
                .ok_or_else(|| format!("`{{{name}}}` names none of the secrets under `with`"))?;
            parts.push(Part::Plain(before.to_owned()));
            parts.push(Part::Secret(secret.clone()));
            used.push(name);
            rest = after;
        }
        parts.push(Part::Plain(rest.to_owned()));
        match secrets.keys().find(|name| !used.contains(&name.as_str())) {
            Some(name) => Err(format!("the text does not name `{{{name}}}`")),
            None if used.is_empty() => {
                Err("the text names no secret; it belongs under `set`".to_owned())
            }
            None => Ok(Self { parts }),
        }
    }

    /// The whole text, itself a secret that every sink redacts.
    ///
    /// # Errors
    /// When a secret is not to be had, or is no text.
    pub(super) async fn compose(&self, look: &Look) -> Result<Secret, StepError> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Secret(reference) => {
                    let secret =
                        look.secret(reference).await.map_err(|e| not_started(e.to_string()))?;
                    if std::str::from_utf8(secret.reveal()).is_err() {
                        let what = format!("the secret `{reference}` is no text, as values are");
                        return Err(not_started(what));
                    }
                    bytes.extend_from_slice(secret.reveal());
                }
            }
        }
        let whole = Secret::new(bytes);
        look.conceal(&whole);
        Ok(whole)
    }
}

/// The keys of `texts`.
pub(super) fn text_leaves(with: &With, problems: &mut Vec<ParamProblem>) -> Vec<(Path, Composed)> {
    const SHAPE: &str =
        "`texts: {a.b: {text: \"redis://:{password}@host/0\", with: {password: SECRET}}}`";
    let entries = match with.0.get("texts") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            let problem = ParamProblem::new("texts", "`texts` is not a mapping of keys");
            problems.push(problem.with_help(SHAPE));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (key, entry) in entries {
        match path::parse(key).and_then(|path| Ok((path, read(entry)?))) {
            Ok(leaf) => found.push(leaf),
            Err(why) => problems
                .push(ParamProblem::new("texts", format!("`{key}`: {why}")).with_help(SHAPE)),
        }
    }
    found
}

fn read(entry: &Value) -> Result<Composed, String> {
    let map = entry.as_object().ok_or("it is not a mapping with `text` and `with`")?;
    if let Some(key) = map.keys().find(|key| !matches!(key.as_str(), "text" | "with")) {
        return Err(format!("there is no `{key}` in it, only `text` and `with`"));
    }
    let text = map.get("text").and_then(Value::as_str).ok_or("`text` is missing")?;
    let with = map.get("with").and_then(Value::as_object).ok_or("`with` is missing")?;
    let mut secrets = BTreeMap::new();
    for (name, reference) in with {
        let reference = reference.as_str().ok_or_else(|| format!("`{name}` is no text"))?;
        secrets.insert(name.clone(), SecretRef::parse(reference)?);
    }
    Composed::read(text, &secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(texts: Value) -> Vec<String> {
        let mut problems = Vec::new();
        let with = With([("texts".to_owned(), texts)].into_iter().collect());
        text_leaves(&with, &mut problems);
        problems.into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn a_text_names_each_of_its_secrets() {
        let of = |text: &str| json!({"a.b": {"text": text, "with": {"p": "env:P"}}});
        assert_eq!(problems(of("redis://:{p}@host")), [""; 0]);
        for (text, why) in [
            ("redis://host", "does not name `{p}`"),
            ("redis://:{q}{p}@host", "`{q}` names none"),
            ("redis://:{p", "has no `}`"),
        ] {
            let found = problems(of(text));
            assert!(found.len() == 1 && found[0].contains(why), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_secret_that_is_written_out_is_refused_and_not_repeated() {
        let found = problems(json!({"a": {"text": "{p}", "with": {"p": "hunter2hunter2"}}}));
        assert!(found.len() == 1 && !found[0].contains("hunter2"), "{found:?}");
        assert!(found[0].contains("a secret is named"), "{found:?}");
        for entry in [json!("x"), json!({"text": "{p}"}), json!({"with": {}, "text": "x", "y": 1})]
        {
            assert_eq!(problems(json!({"a": entry})).len(), 1, "{entry}");
        }
    }
}
