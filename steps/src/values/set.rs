//! Parameters of `values.set`.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Class, Kind, Look, OutputType, ParamProblem, ParamSpec, ParamType, SecretRef, Step, StepError,
    With,
};
use workplan_platform::values::Values;

use super::file_step::{FileStep, SHA256, Source};
use super::path::{self, Path, show};
use super::text::{Composed, text_leaves};
use super::wanted::Wanted;
use crate::files::{file_and_commit, not_started};

/// Keys of a file of values, plain or of SOPS. Every other byte of a plain file stays.
#[derive(Debug, Clone, Copy)]
pub struct ValuesSet;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "file",
        ty: ParamType::String,
        required: true,
        doc: "The file, YAML or one of SOPS: `REPO:path`, or relative to the workplan's folder. One that is missing is made; a `….sops.yaml` by the rules in `.sops.yaml`.",
    },
    optional(
        "set",
        ParamType::Value,
        "Keys with their values: a mapping, nested, or with dotted keys in its outermost level (`a.b`; `a\\.b` for a dot in a key).",
    ),
    optional(
        "secrets",
        ParamType::Secrets,
        "Dotted keys with secret references. The file has to be one of SOPS, whose rules encrypt these keys.",
    ),
    optional(
        "texts",
        ParamType::Value,
        "Dotted keys with texts that hold secrets: `{text: \"redis://:{password}@host/0\", with: {password: SECRET}}`. The secret is put in as it is; the rules of the file have to encrypt these keys.",
    ),
    optional("remove", ParamType::Strings, "Dotted keys that shall not be there."),
    optional("commit", ParamType::String, "Commits the file, and nothing else, with this message."),
];

pub(super) const fn optional(name: &'static str, ty: ParamType, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc }
}

/// The outputs of a step over a file of values.
pub(super) fn outputs() -> BTreeMap<String, OutputType> {
    [(SHA256.to_owned(), OutputType::String)].into()
}

impl Kind for ValuesSet {
    fn name(&self) -> &'static str {
        "values.set"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes keys of a values file have these values. Comments and every other byte of a plain \
         file stay; a SOPS file is changed by the `sops` program, and what is plain in it stays \
         plain. `undo` restores the bytes."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        outputs()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = file_and_commit(with);
        let set = plain_leaves(with, &mut problems);
        let secrets = secret_leaves(with, &mut problems);
        let texts = text_leaves(with, &mut problems);
        let mut remove = Vec::new();
        for key in with.strings("remove") {
            match path::parse(&key) {
                Ok(path) => remove.push(path),
                Err(why) => problems.push(ParamProblem::new("remove", why)),
            }
        }
        if set.is_empty()
            && secrets.is_empty()
            && texts.is_empty()
            && remove.is_empty()
            && problems.is_empty()
        {
            problems.push(
                ParamProblem::new("", "none of `set`, `secrets`, `texts` and `remove` names a key")
                    .with_help("`set: {a.b: value}`"),
            );
        }
        let all: Vec<&Path> = set
            .iter()
            .map(|(p, _)| p)
            .chain(secrets.iter().map(|(p, _)| p))
            .chain(texts.iter().map(|(p, _)| p))
            .chain(&remove)
            .collect();
        problems.extend(overlaps(&all));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(FileStep {
            file: with.str("file").unwrap_or_default().to_owned(),
            commit: with.str("commit").map(str::to_owned),
            source: Given { set, secrets, texts, remove },
        }))
    }
}

/// The keys of `set`.
pub(super) fn plain_leaves(with: &With, problems: &mut Vec<ParamProblem>) -> Vec<(Path, Value)> {
    match with.0.get("set") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(map)) => path::leaves(map).unwrap_or_else(|why| {
            problems.push(ParamProblem::new("set", why));
            Vec::new()
        }),
        Some(_) => {
            problems.push(
                ParamProblem::new("set", "`set` is not a mapping of keys")
                    .with_help("`set: {a.b: value}`"),
            );
            Vec::new()
        }
    }
}

/// The keys of `secrets`.
pub(super) fn secret_leaves(
    with: &With,
    problems: &mut Vec<ParamProblem>,
) -> Vec<(Path, SecretRef)> {
    let mut found = Vec::new();
    for (key, reference) in with.secrets("secrets") {
        match path::parse(&key) {
            Ok(path) => found.push((path, reference)),
            Err(why) => problems.push(ParamProblem::new("secrets", why)),
        }
    }
    found
}

/// Keys that are named twice, or one inside of another: what would stand there is not said.
pub(super) fn overlaps(all: &[&Path]) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            if one.starts_with(other) || other.starts_with(one) {
                let what = if one == other {
                    format!("`{}` is named twice", show(one))
                } else {
                    format!("`{}` and `{}` are one inside of the other", show(one), show(other))
                };
                problems.push(ParamProblem::new("", what));
            }
        }
    }
    problems
}

/// What the parameters say.
struct Given {
    set: Vec<(Path, Value)>,
    secrets: Vec<(Path, SecretRef)>,
    texts: Vec<(Path, Composed)>,
    remove: Vec<Path>,
}

/// Fetches the values of secrets.
///
/// # Errors
/// When one is not to be had, or is no text.
pub(super) async fn fetch(
    look: &Look,
    secrets: &[(Path, SecretRef)],
) -> Result<Vec<(Path, workplan_engine::kind::Secret)>, StepError> {
    let mut found = Vec::new();
    for (path, reference) in secrets {
        let secret = look.secret(reference).await.map_err(|e| not_started(e.to_string()))?;
        if std::str::from_utf8(secret.reveal()).is_err() {
            let what = format!("the secret `{reference}` is no text, as values are");
            return Err(not_started(what));
        }
        found.push((path.clone(), secret));
    }
    Ok(found)
}

#[async_trait]
impl Source for Given {
    async fn wanted(&self, look: &Look, _now: &Values) -> Result<Wanted, StepError> {
        let mut secret = fetch(look, &self.secrets).await?;
        for (path, text) in &self.texts {
            secret.push((path.clone(), text.compose(look).await?));
        }
        Ok(Wanted {
            plain: self.set.clone(),
            secret,
            absent: self.remove.clone(),
            ..Wanted::default()
        })
    }

    fn encrypts(&self) -> bool {
        false
    }

    fn reads(&self) -> Vec<String> {
        Vec::new()
    }
}
