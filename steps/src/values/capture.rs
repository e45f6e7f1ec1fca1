//! `values.capture`: what is baked into a running release, as a versioned file.

use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Binding, Class, Facts, Kind, Look, OutputType, ParamProblem, ParamSpec, ParamType, Secret,
    SecretRef, Step, StepError, With,
};
use workplan_platform::values::Values;
use workplan_platform::{Release, ReleaseRef, SecretValues, View, view};

use super::credential::{
    Credential, NAMES_OF_SECRETS, POOLER_FILE, Scope, is_pooler_file, sounds_secret,
};
use super::file_step::{FileStep, Source};
use super::path::{Path, parts, show, tree_leaves};
use super::set::{fetch, optional, outputs, overlaps, plain_leaves, secret_leaves};
use super::wanted::{Wanted, text};
use crate::files::{file_and_commit, not_started};

/// The values of a running release, or of one of its subcharts, with every password that it has,
/// in a SOPS file.
#[derive(Debug, Clone, Copy)]
pub struct ValuesCapture;

const PARAMS: &[ParamSpec] = &[
    required("release", "The release."),
    required("namespace", "Its namespace."),
    optional(
        "part",
        ParamType::String,
        "The subchart whose values and passwords are meant; without it, the release's own.",
    ),
    required(
        "into",
        "The SOPS file: `REPO:path`, or relative to the workplan's folder. One that is missing is made by the rules in `.sops.yaml`.",
    ),
    optional(
        "set",
        ParamType::Value,
        "Values that shall stand there besides, or instead of those of the release: as in `values.set`.",
    ),
    optional(
        "secrets",
        ParamType::Secrets,
        "Dotted keys with secret references: besides the passwords that are deployed, or instead of them.",
    ),
    optional("commit", ParamType::String, "Commits the file, and nothing else, with this message."),
];

pub(super) const fn required(name: &'static str, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty: ParamType::String, required: true, doc }
}

impl Kind for ValuesCapture {
    fn name(&self) -> &'static str {
        "values.capture"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a SOPS file hold what is baked into a running release: its user's values, compared \
         key by key, and the deployed passwords, also those that the chart generated. Other keys \
         of the file stay."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        outputs()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut file = With::default();
        for (from, to) in [("into", "file"), ("commit", "commit")] {
            if let Some(value) = with.0.get(from) {
                file.0.insert(to.to_owned(), value.clone());
            }
        }
        let mut problems = file_and_commit(&file);
        for problem in problems.iter_mut().filter(|p| p.key == "file") {
            problem.key = "into".to_owned();
            problem.message = problem.message.replace("`file`", "`into`");
        }
        for key in ["release", "namespace", "part"] {
            if with.str(key).is_some_and(str::is_empty) {
                problems.push(ParamProblem::new(key, format!("`{key}` is empty")));
            }
        }
        let set = plain_leaves(with, &mut problems);
        let secrets = secret_leaves(with, &mut problems);
        let all: Vec<&Path> =
            set.iter().map(|(p, _)| p).chain(secrets.iter().map(|(p, _)| p)).collect();
        problems.extend(overlaps(&all));
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = |key: &str| with.str(key).unwrap_or_default().to_owned();
        Ok(Box::new(FileStep {
            file: text("into"),
            commit: with.str("commit").map(str::to_owned),
            source: Running {
                at: ReleaseRef { namespace: text("namespace"), name: text("release") },
                part: with.str("part").map(str::to_owned),
                set,
                secrets,
            },
        }))
    }
}

/// What runs, and what is said besides.
struct Running {
    at: ReleaseRef,
    part: Option<String>,
    set: Vec<(Path, Value)>,
    secrets: Vec<(Path, SecretRef)>,
}

/// What was found in a release.
#[derive(Debug, Default)]
struct Captured {
    plain: Vec<(Path, Value)>,
    secret: Vec<(Path, Secret)>,
    /// Passwords that the chart needs and that are deployed nowhere.
    missing: Vec<Credential>,
    notes: Vec<String>,
}

impl Running {
    fn name(&self) -> String {
        match &self.part {
            Some(part) => format!("`{part}` of `{}`", self.at),
            None => format!("`{}`", self.at),
        }
    }

    /// Whether a key is said by the parameters.
    fn is_said(&self, path: &Path) -> bool {
        let said = self.set.iter().map(|(p, _)| p).chain(self.secrets.iter().map(|(p, _)| p));
        said.into_iter().any(|p| p.starts_with(path) || path.starts_with(p))
    }

    async fn deployed(
        view: &dyn View,
        namespace: &str,
        credentials: &[Credential],
    ) -> Result<BTreeMap<String, SecretValues>, StepError> {
        let mut found = BTreeMap::new();
        for credential in credentials {
            if !found.contains_key(&credential.secret)
                && let Some(values) = view.secret(namespace, &credential.secret).await?
            {
                found.insert(credential.secret.clone(), values);
            }
        }
        Ok(found)
    }
}

/// The values of a part, and `global`.
fn scope<'v>(
    all: &'v Map<String, Value>,
    part: Option<&str>,
) -> (Map<String, Value>, Option<&'v Map<String, Value>>) {
    let global = all.get("global").and_then(Value::as_object);
    let own = match part {
        Some(part) => all.get(part).and_then(Value::as_object).cloned().unwrap_or_default(),
        None => all
            .iter()
            .filter(|(k, _)| *k != "global")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    };
    (own, global)
}

/// Sorts out what is in the values of a release and in its Secrets.
fn capture(
    at: &ReleaseRef,
    chart: &str,
    part: Option<&str>,
    values: &Values,
    deployed: &BTreeMap<String, SecretValues>,
    is_said: &dyn Fn(&Path) -> bool,
) -> Result<Captured, StepError> {
    let (own, global) = scope(values.reveal(), part);
    let scope = Scope { release: &at.name, chart, own: &own, global };
    let mut found = Captured::default();
    let mut leaves = tree_leaves(&own);
    let below_global = global.map(tree_leaves).unwrap_or_default();
    leaves.extend(below_global.into_iter().map(|(path, value)| {
        (std::iter::once("global".to_owned()).chain(path).collect::<Path>(), value)
    }));
    let credentials = match scope.credentials() {
        Some(all) => all,
        None => {
            found.notes.push(format!(
                "the passwords of the chart `{chart}` are not known here; those in the values of \
                 the release are captured, generated ones are not"
            ));
            Vec::new()
        }
    };
    for (path, value) in leaves {
        let last = path.last().map_or("", String::as_str);
        // The switch of the parent for this part is none of its own values.
        if part.is_some() && path == ["enabled"] || is_said(&path) {
            continue;
        }
        if NAMES_OF_SECRETS.contains(&last) {
            found.notes.push(format!(
                "`{}` is left out: what that Secret holds is captured itself",
                show(&path)
            ));
            continue;
        }
        let full: Path = match part {
            Some(part) if path.first().is_none_or(|p| p != "global") => {
                std::iter::once(part.to_owned()).chain(path.iter().cloned()).collect()
            }
            _ => path.clone(),
        };
        let secret = values.is_secret(&parts(&full)) || sounds_secret(&path);
        match text(&value).filter(|text| !text.is_empty()) {
            Some(text) if secret => found.secret.push((path, Secret::new(text.into_bytes()))),
            _ if secret && value.is_array() => found.notes.push(format!(
                "`{}` is a list with secrets and is left out: give it with `set` and `secrets`",
                show(&path)
            )),
            _ => found.plain.push((path, value)),
        }
    }
    for credential in credentials {
        if is_said(&credential.path) {
            continue;
        }
        let deployed = deployed.get(&credential.secret).and_then(|s| s.get(&credential.key));
        let given = found.secret.iter().position(|(path, _)| *path == credential.path);
        match (deployed, given) {
            (Some(secret), Some(at)) => {
                if found.secret[at].1 != *secret {
                    found.notes.push(format!(
                        "`{}` is another one in the values of the release than in the Secret `{}`; \
                         the deployed one is captured",
                        show(&credential.path),
                        credential.secret
                    ));
                }
                found.secret[at].1 = secret.clone();
            }
            (Some(secret), None) => {
                found.plain.retain(|(path, _)| *path != credential.path);
                found.secret.push((credential.path, secret.clone()));
            }
            (None, Some(_)) => {}
            (None, None) => found.missing.push(credential),
        }
    }
    if deployed.values().flat_map(|s| s.keys()).any(|key| is_pooler_file(key)) {
        found.notes.push(format!("a deployed Secret has a key of that name, but {POOLER_FILE}"));
    }
    Ok(found)
}

impl Running {
    /// What is wanted where nothing of the part is left to look at.
    fn gone(
        &self,
        chart: &str,
        now: &Values,
        facts: Facts,
        given: Vec<(Path, Secret)>,
    ) -> Result<Wanted, StepError> {
        let (own, global) = (now.reveal(), now.reveal().get("global").and_then(Value::as_object));
        let scope = Scope { release: &self.at.name, chart, own, global };
        let lacking: Vec<String> = scope
            .credentials()
            .unwrap_or_default()
            .into_iter()
            .filter(|c| !self.is_said(&c.path))
            .filter(|c| now.get(&parts(&c.path)).and_then(text).is_none_or(|t| t.is_empty()))
            .map(|c| format!("`{}`", show(&c.path)))
            .collect();
        if !lacking.is_empty() || own.is_empty() {
            let lacks = if own.is_empty() { "any values".to_owned() } else { lacking.join(", ") };
            let what = format!(
                "{} is not there any more, so nothing can be captured, and the file lacks {lacks}",
                self.name()
            );
            return Err(not_started(what).with_help(
                "restore the file from its repository or a backup, or give the values with `set` \
                 and `secrets`",
            ));
        }
        Ok(Wanted {
            plain: self.set.clone(),
            secret: given,
            notes: vec![format!(
                "{} is not there any more: the file stands as what was captured",
                self.name()
            )],
            facts,
            ..Wanted::default()
        })
    }
}

#[async_trait]
impl Source for Running {
    async fn wanted(&self, look: &Look, now: &Values) -> Result<Wanted, StepError> {
        let view = view(look)?;
        let given = fetch(look, &self.secrets).await?;
        let release: Option<Release> = view.release(&self.at).await?;
        let part = self.part.as_deref();
        let chart = match (&self.part, &release) {
            (Some(part), _) => part.clone(),
            (None, Some(release)) => release.chart.clone(),
            (None, None) => String::new(),
        };
        let Some(release) = release else {
            return self.gone(&chart, now, Facts::default(), given);
        };
        let values = view.release_values(&self.at).await?.unwrap_or_default();
        let (own, global) = scope(values.reveal(), part);
        let known = Scope { release: &self.at.name, chart: &chart, own: &own, global };
        let credentials = known.credentials();
        let deployed =
            Self::deployed(&*view, &self.at.namespace, credentials.as_deref().unwrap_or_default())
                .await?;
        let facts = Facts::default().with("revision", Binding::Binding, release.revision).with(
            "values",
            Binding::Binding,
            release.values_digest.clone(),
        );
        let off = part.is_some() && own.get("enabled") == Some(&Value::Bool(false));
        let nothing = own.is_empty() || credentials.as_ref().is_some_and(|all| !all.is_empty());
        if part.is_some() && deployed.is_empty() && (off || nothing) {
            return self.gone(&chart, now, facts, given);
        }
        let mut found =
            capture(&self.at, &chart, part, &values, &deployed, &|path| self.is_said(path))?;
        for (_, secret) in &found.secret {
            look.conceal(secret);
        }
        if let Some(first) = found.missing.first() {
            let all: Vec<String> =
                found.missing.iter().map(|c| format!("`{}`", show(&c.path))).collect();
            let what = format!(
                "{} has no {}: neither its values nor the Secret `{}/{}` (key `{}`) have it",
                self.name(),
                all.join(", "),
                self.at.namespace,
                first.secret,
                first.key
            );
            return Err(not_started(what).with_help("give it under `secrets`"));
        }
        found.plain.extend(self.set.clone());
        found.secret.extend(given);
        let mut wanted = Wanted {
            plain: found.plain,
            secret: found.secret,
            notes: found.notes,
            ..Wanted::default()
        };
        let keys: Vec<String> = wanted.keys().map(|path| show(path)).collect();
        wanted.facts = facts.with("captured", Binding::Informative, keys);
        Ok(wanted)
    }

    fn encrypts(&self) -> bool {
        true
    }

    fn reads(&self) -> Vec<String> {
        vec![format!("release/{}", self.at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::path::parse;
    use serde_json::json;

    fn at() -> ReleaseRef {
        ReleaseRef { namespace: "default".to_owned(), name: "gitea".to_owned() }
    }

    fn secrets(json: Value) -> BTreeMap<String, SecretValues> {
        let text = |v: &Value| Secret::new(v.as_str().unwrap().as_bytes());
        let all = json.as_object().unwrap();
        all.iter()
            .map(|(name, keys)| {
                let keys = keys.as_object().unwrap();
                (name.clone(), keys.iter().map(|(k, v)| (k.clone(), text(v))).collect())
            })
            .collect()
    }

    fn captured(values: Value, deployed: Value, said: &[&str]) -> Captured {
        let said: Vec<Path> = said.iter().map(|s| parse(s).unwrap()).collect();
        let values = Values::plain(values.as_object().cloned().unwrap());
        capture(&at(), "postgresql-ha", Some("postgresql-ha"), &values, &secrets(deployed), &|p| {
            said.iter().any(|s| s.starts_with(p) || p.starts_with(s))
        })
        .unwrap()
    }

    fn shown(found: &Captured) -> Vec<String> {
        let plain = found.plain.iter().map(|(p, v)| format!("{} {v}", show(p)));
        let secret = found.secret.iter().map(|(p, s)| {
            format!("{} = {}", show(p), String::from_utf8(s.reveal().to_vec()).unwrap())
        });
        plain.chain(secret).collect()
    }

    #[test]
    fn values_of_the_part_and_generated_passwords_are_captured() {
        let found = captured(
            json!({
                "gitea": {"admin": {"password": "not ours"}},
                "global": {"storageClass": "fast", "postgresql": {"username": "gitea"}},
                "postgresql-ha": {
                    "enabled": true,
                    "postgresql": {
                        "password": "old", "replicaCount": 3, "existingSecret": "",
                        "extraEnvVars": [{"name": "A", "value": "b"}],
                    },
                    "pgpool": {"customUsers": {"usernames": "gitea"}, "tls": {}},
                },
            }),
            json!({
                "gitea-postgresql-ha-postgresql": {
                    "password": "new", "postgres-password": "p", "repmgr-password": "r",
                },
                "gitea-postgresql-ha-pgpool": {
                    "admin-password": "a", "sr-check-password": "s", "pgpool-password": "x",
                },
                "gitea-postgresql-ha-pgpool-custom-users": {"usernames": "gitea", "passwords": "c"},
            }),
            &["pgpool.tls"],
        );
        assert_eq!(
            shown(&found),
            [
                "postgresql.replicaCount 3",
                "postgresql.extraEnvVars [{\"name\":\"A\",\"value\":\"b\"}]",
                "pgpool.customUsers.usernames \"gitea\"",
                "global.storageClass \"fast\"",
                "global.postgresql.username \"gitea\"",
                "postgresql.password = new",
                "postgresql.postgresPassword = p",
                "postgresql.repmgrPassword = r",
                "pgpool.adminPassword = a",
                "pgpool.srCheckPassword = s",
                "pgpool.customUsers.passwords = c",
            ]
        );
        assert!(found.missing.is_empty());
        let notes = found.notes.join("\n");
        assert!(notes.contains("`postgresql.password` is another one"), "{notes}");
        assert!(notes.contains("`pgpool-password` is no key of the chart"), "{notes}");
        assert!(notes.contains("`postgresql.existingSecret` is left out"), "{notes}");
    }

    #[test]
    fn what_is_deployed_nowhere_is_missing_unless_it_is_given() {
        let deployed = json!({
            "gitea-postgresql-ha-postgresql": {"password": "p", "repmgr-password": "r"},
            "gitea-postgresql-ha-pgpool": {"admin-password": "a"},
        });
        let found = captured(json!({}), deployed.clone(), &[]);
        assert_eq!(found.missing.len(), 1);
        assert_eq!(show(&found.missing[0].path), "pgpool.srCheckPassword");
        let found = captured(json!({}), deployed, &["pgpool.srCheckPassword"]);
        assert!(found.missing.is_empty());
        assert_eq!(found.secret.len(), 3);
    }
}
