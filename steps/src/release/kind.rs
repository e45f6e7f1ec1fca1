//! Parameters of `release.deploy`.

use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};
use workplan_platform::ReleaseRef;

use super::deploy::DeployStep;
use super::wanted::{Wanted, path};

/// A release that runs with these values.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseDeploy;

/// How long until the workload is ready.
const TIMEOUT: Duration = Duration::from_secs(600);

const PARAMS: &[ParamSpec] = &[
    param("release", ParamType::String, true, "The release's name."),
    param("namespace", ParamType::String, true, "Its namespace."),
    param(
        "chart",
        ParamType::String,
        true,
        "The chart's name: `postgresql-ha`, `gitea`, `valkey`.",
    ),
    param("version", ParamType::String, false, "The chart's version; any without it."),
    param(
        "values",
        ParamType::Strings,
        false,
        "Values files, plain or of SOPS, the later ones over the earlier ones: `REPO:path`, or relative to the workplan's folder.",
    ),
    param(
        "set",
        ParamType::Map,
        false,
        "Single values over the files, by dotted path (`\\.` for a dot in a name); `true`, `false`, `null` and whole numbers are such, as with `helm --set`.",
    ),
    param(
        "secrets",
        ParamType::Secrets,
        false,
        "Single secret values over the files, by dotted path.",
    ),
    param(
        "quarantine",
        ParamType::Bool,
        false,
        "Deploys it with the outside shut: no ingress, no SSH. `traffic.open` opens it.",
    ),
    param(
        "timeout",
        ParamType::Duration,
        false,
        "How long it may take until its workload is ready; `10m` by default.",
    ),
];

const fn param(name: &'static str, ty: ParamType, required: bool, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required, doc }
}

impl Kind for ReleaseDeploy {
    fn name(&self) -> &'static str {
        "release.deploy"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Installs or upgrades a release. It is done when the release on record has these values and \
         its workload was asked and is ready; the preview compares each object with what is live. \
         An operation that was begun and did not end is settled first. A second release of the same \
         application in another namespace is refused. `undo` goes back to the revision before, or \
         uninstalls what this run installed; volumes stay."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([
            ("changed".to_owned(), OutputType::Bool),
            ("revision".to_owned(), OutputType::Int),
        ])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = names(with, &["release", "namespace", "chart"]);
        let timeout = with.duration("timeout").unwrap_or(TIMEOUT);
        if timeout.is_zero() {
            let what = "`timeout` is zero: nothing can be ready in no time";
            problems.push(ParamProblem::new("timeout", what));
        }
        let (set, secrets) = (with.map("set"), with.secrets("secrets"));
        for (key, name) in
            set.keys().map(|n| ("set", n)).chain(secrets.keys().map(|n| ("secrets", n)))
        {
            if path(name).iter().any(String::is_empty) {
                let what = format!("`{name}` is no dotted path");
                problems.push(
                    ParamProblem::new(key, what).with_help("for example `postgresql.replicaCount`"),
                );
            }
        }
        for name in secrets.keys().filter(|name| set.contains_key(*name)) {
            let what = format!("`{name}` is given under `set` as well");
            problems.push(ParamProblem::new("secrets", what));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = |key: &str| with.str(key).unwrap_or_default().to_owned();
        Ok(Box::new(DeployStep {
            wanted: Wanted {
                at: ReleaseRef { namespace: text("namespace"), name: text("release") },
                chart: text("chart"),
                version: with.str("version").map(str::to_owned),
                files: with.strings("values"),
                set,
                secrets,
                quarantine: with.bool("quarantine"),
                timeout,
            },
        }))
    }
}

/// What is wrong with names, which Kubernetes wants as DNS labels.
pub(super) fn names(with: &With, keys: &[&str]) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    for key in keys {
        let name = with.str(key).unwrap_or_default();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty()
            || name.len() > 63
            || !name.chars().all(fits)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            let what = format!(
                "`{key}` is `{name}`, which is no name: lower-case letters, digits and `-`"
            );
            problems.push(ParamProblem::new(key, what));
        }
    }
    problems
}
