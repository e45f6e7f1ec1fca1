//! What a target file says of a cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use workplan_engine::kind::Look;

use crate::PlatformError;

/// Where charts are that a target does not say more about. Source: their projects' own documents.
const CHARTS: &[(&str, &str)] = &[
    ("gitea", "oci://docker.gitea.com/charts/gitea"),
    ("postgresql-ha", "oci://registry-1.docker.io/bitnamicharts/postgresql-ha"),
    ("valkey", "oci://registry-1.docker.io/bitnamicharts/valkey"),
];

/// A target of the kind `kubernetes`.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The target's name, for messages.
    pub(super) target: String,
    /// The context of the kubeconfig; `None` for the current one.
    pub(super) context: Option<String>,
    /// The namespaces that are the target's; nothing else is looked at.
    pub(super) namespaces: Vec<String>,
    /// The files that are put together to one kubeconfig; none where the pod's own account is used.
    pub(super) kubeconfig: Vec<PathBuf>,
    /// The program, as found on the `PATH` or named.
    pub(super) helm: Option<PathBuf>,
    charts: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Settings {
    /// Reads the target of a look.
    ///
    /// # Errors
    /// When something is missing or cannot be.
    pub(super) fn of(look: &Look) -> Result<Self, PlatformError> {
        let place = &look.place;
        let wrong =
            |what: String, help: &str| PlatformError::Target { what, help: help.to_owned() };
        let namespaces: Vec<String> = match place.value("namespaces") {
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        if namespaces.is_empty() {
            return Err(wrong(
                format!("the target `{}` names no namespaces", place.name),
                "add `namespaces: [platform]` to the target file: what is not in the list is left \
                 alone",
            ));
        }
        const KEYS: &[&str] = &["charts", "helm", "kubeconfig"];
        let own = place.value("kubernetes").and_then(Value::as_object);
        if let Some(key) =
            own.into_iter().flatten().map(|(k, _)| k).find(|k| !KEYS.contains(&k.as_str()))
        {
            return Err(wrong(
                format!("`kubernetes` of the target `{}` has no key `{key}`", place.name),
                "its keys are `charts`, `helm` and `kubeconfig`; `context` and `namespaces` stand \
                 beside it",
            ));
        }
        let charts = place.value("kubernetes.charts").and_then(Value::as_object);
        let text = |(k, v): (&String, &Value)| Some((k.clone(), v.as_str()?.to_owned()));
        Ok(Self {
            target: place.name.clone(),
            context: place.text("context").map(str::to_owned),
            namespaces,
            kubeconfig: kubeconfig(look),
            helm: match place.text("kubernetes.helm") {
                Some(path) => Some(place.path(path)),
                None => look.program("helm"),
            },
            charts: charts.into_iter().flatten().filter_map(text).collect(),
            folder: place.path(""),
        })
    }

    /// Refuses a namespace that is not the target's.
    ///
    /// # Errors
    /// When it is not one of them.
    pub(super) fn check_namespace(&self, namespace: &str) -> Result<(), PlatformError> {
        if self.namespaces.iter().any(|n| n == namespace) {
            return Ok(());
        }
        Err(PlatformError::Target {
            what: format!(
                "the namespace `{namespace}` is none of the target `{}` ({})",
                self.target,
                self.namespaces.join(", ")
            ),
            help: "use one of these, or add it to `namespaces` of the target file".to_owned(),
        })
    }

    /// What `helm` gets for a chart: a folder, an archive or an address.
    ///
    /// # Errors
    /// When nobody says where the chart is.
    pub(super) fn chart(&self, name: &str) -> Result<String, PlatformError> {
        match self.charts.get(name) {
            Some(text) if text.contains("://") => Ok(text.clone()),
            Some(path) => {
                let path = self.folder.join(path);
                if path.exists() {
                    return Ok(path.display().to_string());
                }
                Err(PlatformError::Target {
                    what: format!("the chart `{name}` is not at `{}`", path.display()),
                    help: format!(
                        "`kubernetes.charts.{name}` of the target `{}` is a folder or archive \
                         relative to the target's folder, or an address",
                        self.target
                    ),
                })
            }
            None => match CHARTS.iter().find(|(known, _)| *known == name) {
                Some((_, address)) => Ok((*address).to_owned()),
                None => Err(PlatformError::Target {
                    what: format!("nobody says where the chart `{name}` is"),
                    help: format!(
                        "add `kubernetes: {{charts: {{{name}: oci://…}}}}` to the target file"
                    ),
                }),
            },
        }
    }

    /// For messages: the context by name.
    pub(super) fn context_name(&self) -> &str {
        self.context.as_deref().unwrap_or("the current one")
    }
}

/// The files of the kubeconfig as kubectl finds them: the target's word, `KUBECONFIG`,
/// `~/.kube/config`. None where no such file is there.
fn kubeconfig(look: &Look) -> Vec<PathBuf> {
    if let Some(path) = look.place.text("kubernetes.kubeconfig") {
        return vec![look.place.path(path)];
    }
    if let Some(list) = look.variable("KUBECONFIG").filter(|l| !l.is_empty()) {
        // As kubectl: those of the list that are not there are passed over, unless it is all of them.
        let all: Vec<PathBuf> =
            std::env::split_paths(list).filter(|p| p != Path::new("")).collect();
        let there: Vec<PathBuf> = all.iter().filter(|p| p.exists()).cloned().collect();
        return if there.is_empty() { all } else { there };
    }
    let home = look.variable("HOME").map(|home| Path::new(home).join(".kube/config"));
    home.into_iter().filter(|path| path.exists()).collect()
}
