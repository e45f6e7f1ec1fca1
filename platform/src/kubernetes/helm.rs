//! The program `helm`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use workplan_engine::kind::{CommandOutcome, CommandSpec, Look, Secret};

use super::cluster::Cluster;
use crate::values::Values;
use crate::{PlatformError, ReleaseSpec};

/// The oldest version whose server-side dry-run and labels are used.
const OLDEST: (u64, u64) = (3, 13);
/// The newest major version that was tried.
const MAJOR: u64 = 3;
/// How long asking it for its version may take.
const VERSION: Duration = Duration::from_secs(20);

impl Cluster {
    /// The program, seen to be new enough.
    ///
    /// # Errors
    /// When it is missing or too old.
    pub(super) async fn helm(&self, look: &Look) -> Result<std::path::PathBuf, PlatformError> {
        let target =
            |what: String, help: &str| PlatformError::Target { what, help: help.to_owned() };
        let Some(program) = self.settings.helm.clone() else {
            return Err(target(
                "there is no `helm` on the PATH".to_owned(),
                "install Helm 3.13 or newer (https://helm.sh/docs/intro/install), or name it as \
                 `kubernetes: {helm: PATH}` in the target file",
            ));
        };
        self.helm_seen
            .get_or_try_init(|| async {
                let argv = [program.clone().into_os_string(), "version".into(), "--short".into()];
                let mut spec = CommandSpec::new(argv, &look.base, VERSION);
                spec.capture = true;
                let outcome = look.check(spec).await?;
                let text = String::from_utf8_lossy(&outcome.stdout).trim().to_owned();
                match version(&text) {
                    Some((MAJOR, minor)) if (MAJOR, minor) >= OLDEST => Ok(()),
                    Some((major, minor)) => Err(target(
                        format!(
                            "`{}` is Helm {major}.{minor}; 3.13 or a later 3 is needed",
                            program.display()
                        ),
                        "install a newer one, or name another as `kubernetes: {helm: PATH}` in the \
                         target file",
                    )),
                    None => Err(target(
                        format!("`{}` does not tell its version: {text}", program.display()),
                        "see what `helm version` says",
                    )),
                }
            })
            .await?;
        Ok(program)
    }

    /// A call of the program: which cluster is meant goes with every one.
    ///
    /// # Errors
    /// As [`Cluster::helm`].
    pub(super) async fn helm_call(
        &self,
        look: &Look,
        args: &[&str],
        timeout: Duration,
    ) -> Result<CommandSpec, PlatformError> {
        let mut argv: Vec<OsString> = vec![self.helm(look).await?.into_os_string()];
        argv.extend(args.iter().map(OsString::from));
        if let Some(context) = &self.settings.context {
            argv.extend(["--kube-context".into(), context.into()]);
        }
        let mut spec = CommandSpec::new(argv, Path::new(&*look.base), timeout);
        if !self.settings.kubeconfig.is_empty()
            && let Ok(list) = std::env::join_paths(&self.settings.kubeconfig)
        {
            spec.env.push(("KUBECONFIG".to_owned(), list.to_string_lossy().into_owned()));
        }
        Ok(spec)
    }

    /// `helm upgrade --install` of a release. The values go through its standard input: they are in
    /// no file and no argument.
    ///
    /// # Errors
    /// When the chart is nowhere, or as [`Cluster::helm`].
    pub(super) async fn helm_upgrade(
        &self,
        look: &Look,
        spec: &ReleaseSpec,
        more: &[&str],
        timeout: Duration,
    ) -> Result<CommandSpec, PlatformError> {
        let chart = self.settings.chart(&spec.chart)?;
        let (name, namespace) = (spec.at.name.as_str(), spec.at.namespace.as_str());
        let mut args = vec!["upgrade", "--install", name, &chart, "--namespace", namespace];
        if let Some(version) = &spec.version {
            args.extend(["--version", version]);
        }
        args.extend(["--values", "-"]);
        args.extend(more);
        let mut call = self.helm_call(look, &args, timeout).await?;
        call.stdin = Some(yaml(&spec.values));
        Ok(call)
    }

    /// What a call failed with.
    pub(super) fn helm_failure(&self, doing: &str, outcome: &CommandOutcome) -> PlatformError {
        if outcome.timed_out {
            return PlatformError::TimedOut(format!("failed to {doing}: helm did not end in time"));
        }
        let last = outcome.tail.iter().rev().find(|l| l.contains("Error:")).or(outcome.tail.last());
        let said = last.map_or("it said nothing", |l| l.trim_start_matches("Error: "));
        let help = help_for(said);
        PlatformError::Failed {
            what: format!("failed to {doing}: {said}"),
            said: outcome.tail.clone(),
            help: help.map(str::to_owned),
        }
    }
}

/// What to do about some of the things that Helm says.
fn help_for(said: &str) -> Option<&'static str> {
    Some(match said {
        s if s.contains("updates to statefulset spec for fields other than") => {
            "fields of a StatefulSet that cannot be changed (its volumes' size, its selector): \
             delete it with `kubectl delete statefulset NAME --cascade=orphan`, then deploy again"
        }
        s if s.contains("field is immutable") => {
            "an object cannot be changed in this field: it has to be deleted first"
        }
        s if s.contains("exceeded quota") => "raise the quota of the namespace, or want less",
        s if s.contains("denied the request") || s.contains("admission webhook") => {
            "a policy of the cluster refuses it: change the values as it says, or the policy"
        }
        s if s.contains("namespaces") && s.contains("not found") => {
            "make the namespace first: `kubectl create namespace NAME`"
        }
        s if s.contains("is forbidden") => "ask for the missing right; helm/rbac has the roles",
        s if s.contains("another operation") => "settle the operation that was begun first",
        _ => return None,
    })
}

/// JSON is YAML.
fn yaml(values: &Values) -> Secret {
    Secret::new(Value::Object(values.reveal().clone()).to_string())
}

/// `v3.22.0+g1234` as major and minor.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("v3.22.0+g1a2b"), Some((3, 22)));
        assert_eq!(version("v2.9.1"), Some((2, 9)));
        assert_eq!(version("command not found"), None);
    }
}
