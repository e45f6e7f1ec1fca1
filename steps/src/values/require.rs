//! `secret.require`: whether the passwords that a release needs are in its versioned file.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::digest::Digest;
use workplan_engine::kind::{
    Binding, Class, Facts, Kind, Look, ParamProblem, ParamSpec, ParamType, Step, StepError, With,
};
use workplan_platform::values::{self, Values};
use workplan_platform::{ReleaseRef, view};

use super::capture::required;
use super::credential::{Credential, POOLER_FILE, Scope, is_pooler_file};
use super::path::{self, Path, parts, show};
use super::set::optional;
use super::wanted::text;
use crate::files::file_and_commit;
use crate::proof::{Answer, Finding, Proof, Question};

/// Secrets in a versioned file: there, not empty, encrypted, and those that are deployed.
#[derive(Debug, Clone, Copy)]
pub struct SecretRequire;

const PARAMS: &[ParamSpec] = &[
    required("file", "The SOPS file: `REPO:path`, or relative to the workplan's folder."),
    ParamSpec {
        name: "keys",
        ty: ParamType::Strings,
        required: true,
        doc: "Dotted keys that have to be in it, each with a secret.",
    },
    optional(
        "release",
        ParamType::String,
        "The release that is deployed with the file. While it is, the secrets have to be the deployed ones.",
    ),
    optional("namespace", ParamType::String, "Its namespace; `default` where none is given."),
];

impl Kind for SecretRequire {
    fn name(&self) -> &'static str {
        "secret.require"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Proves that secrets are in a versioned file, not empty and encrypted, and that they are \
         those of the deployed release, which passwords are only at its first start."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = file_and_commit(with);
        let mut keys = Vec::new();
        for key in with.strings("keys") {
            match path::parse(&key) {
                Ok(path) => keys.push(path),
                Err(why) => problems.push(ParamProblem::new("keys", why)),
            }
        }
        if keys.is_empty() && problems.iter().all(|p| p.key != "keys") {
            problems.push(ParamProblem::new("keys", "`keys` names no key"));
        }
        if with.has("namespace") && !with.has("release") {
            problems.push(ParamProblem::new("namespace", "`namespace` is given without `release`"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let release = with.str("release").map(|name| ReleaseRef {
            namespace: with.str("namespace").unwrap_or("default").to_owned(),
            name: name.to_owned(),
        });
        let file = with.str("file").unwrap_or_default().to_owned();
        Ok(Box::new(Proof {
            question: Required { file, keys, release },
            wait: Duration::ZERO,
            every: Duration::from_secs(1),
        }))
    }
}

struct Required {
    file: String,
    keys: Vec<Path>,
    release: Option<ReleaseRef>,
}

/// What a deployed release says of its passwords.
#[derive(Default)]
struct Deployed {
    credentials: Vec<Credential>,
    values: Values,
}

impl Required {
    /// Where a key belongs in the cluster, for a message.
    fn belongs(&self, known: &[Credential], path: &Path) -> Option<String> {
        let found = known.iter().find(|c| c.path == *path)?;
        let namespace = self.release.as_ref().map(|at| format!("{}/", at.namespace));
        Some(format!(
            "it becomes the key `{}` of the Secret `{}{}`",
            found.key,
            namespace.unwrap_or_default(),
            found.secret
        ))
    }

    /// What is wrong with a key in the file itself.
    fn in_file(&self, now: &Values, known: &[Credential], path: &Path) -> Option<Finding> {
        let (key, file, at) = (show(path), &self.file, parts(path));
        if let Some(why) = now.sealed_at(&at) {
            return Some(Finding::lasting(format!("`{key}` could not be read: {why}")));
        }
        let value = now.get(&at).filter(|v| !v.is_null());
        let Some(value) = value else {
            let what = format!("`{key}` is missing in `{file}`");
            let last = path.last().map_or("", String::as_str);
            return Some(if is_pooler_file(last) {
                Finding::lasting(what).with_help(POOLER_FILE)
            } else {
                let belongs = self.belongs(known, path).map_or(String::new(), |b| format!("; {b}"));
                Finding::lasting(format!("{what}{belongs}"))
                    .with_help("`values.set` or `values.capture` puts it there, `sops edit` too")
            });
        };
        match text(value) {
            None => Some(Finding::lasting(format!("`{key}` in `{file}` is not one value"))),
            Some(text) if text.is_empty() => {
                Some(Finding::lasting(format!("`{key}` in `{file}` is empty")))
            }
            Some(_) if !now.is_secret(&at) => {
                Some(Finding::lasting(format!("`{key}` in `{file}` is not encrypted")).with_help(
                    "`encrypted_regex` in `.sops.yaml` has to fit it; change the password, it was \
                     readable",
                ))
            }
            Some(_) => None,
        }
    }

    async fn deployed(&self, look: &Look) -> Result<Option<Deployed>, StepError> {
        let Some(at) = &self.release else { return Ok(None) };
        let view = view(look)?;
        let Some(release) = view.release(at).await? else { return Ok(None) };
        let values = view.release_values(at).await?.unwrap_or_default();
        let (own, global) =
            (values.reveal(), values.reveal().get("global").and_then(Value::as_object));
        let scope = Scope { release: &at.name, chart: &release.chart, own, global };
        let credentials = scope.credentials().unwrap_or_default();
        Ok(Some(Deployed { credentials, values }))
    }

    /// The deployed value of a key, and where it is.
    async fn value(
        &self,
        look: &Look,
        deployed: &Deployed,
        path: &Path,
    ) -> Result<Option<(Vec<u8>, String)>, StepError> {
        let Some(at) = &self.release else { return Ok(None) };
        if let Some(known) = deployed.credentials.iter().find(|c| c.path == *path) {
            let secret = view(look)?.secret(&at.namespace, &known.secret).await?;
            let value = secret.and_then(|values| values.get(&known.key).cloned());
            let place = format!("the Secret `{}/{}` (`{}`)", at.namespace, known.secret, known.key);
            return Ok(Some((value.map_or(Vec::new(), |v| v.reveal().to_vec()), place)));
        }
        let value = deployed.values.get(&parts(path)).and_then(text);
        Ok(value.map(|text| (text.into_bytes(), format!("the values of `{at}`"))))
    }
}

#[async_trait]
impl Question for Required {
    fn about(&self) -> String {
        format!("{} secrets in {}", self.keys.len(), self.file)
    }

    fn reads(&self) -> Vec<String> {
        let file = crate::files::plain(std::path::Path::new(&self.file));
        let release = self.release.iter().map(|at| format!("release/{at}"));
        std::iter::once(format!("file/{}", file.display())).chain(release).collect()
    }

    async fn ask(&self, look: &Look) -> Result<Answer, StepError> {
        let path = look.locate(&self.file)?;
        let bytes = std::fs::read(&path)
            .map_err(|e| StepError::failed(format!("failed to read `{}`: {e}", path.display())))?;
        let mut facts =
            Facts::default().with("sha256", Binding::Binding, Digest::of(&bytes).as_str());
        let now = values::parse(look, &path, bytes).await?;
        let deployed = self.deployed(look).await?;
        let none = Deployed::default();
        let known = &deployed.as_ref().unwrap_or(&none).credentials;
        let mut findings = Vec::new();
        let mut compared = 0_u64;
        for key in &self.keys {
            if let Some(finding) = self.in_file(&now, known, key) {
                findings.push(finding);
                continue;
            }
            let Some(deployed) = &deployed else { continue };
            let ours = now.get(&parts(key)).and_then(text).unwrap_or_default();
            match self.value(look, deployed, key).await? {
                None => {}
                Some((theirs, place)) if theirs.is_empty() => findings.push(Finding::lasting(
                    format!("`{}` is in `{}`, but {place} has none", show(key), self.file),
                )),
                Some((theirs, place)) if theirs != ours.as_bytes() => findings.push(
                    Finding::lasting(format!(
                        "`{}` in `{}` is another one than in {place}",
                        show(key),
                        self.file
                    ))
                    .with_help(
                        "passwords act at the first start of a server only: put the deployed one \
                         into the file (`values.capture`), or change it in the server, too",
                    ),
                ),
                Some(_) => compared += 1,
            }
        }
        facts = facts.with("keys", Binding::Informative, self.keys.len());
        if self.release.is_some() {
            facts = facts.with("deployed", Binding::Informative, deployed.is_some()).with(
                "equal",
                Binding::Informative,
                compared,
            );
        }
        Ok(Answer { outputs: BTreeMap::new(), facts, findings })
    }
}
