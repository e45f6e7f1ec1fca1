//! What the API says no to, in words that help.

use kube::config::KubeconfigError;

use super::settings::Settings;
use crate::PlatformError;

/// An error of the API while something was done; `doing` fits "failed to …".
pub(super) fn problem(settings: &Settings, doing: &str, error: &kube::Error) -> PlatformError {
    let context = settings.context_name();
    match error {
        kube::Error::Api(status) => match status.code {
            401 => PlatformError::Failed {
                what: format!("the cluster of context `{context}` does not accept the login"),
                said: Vec::new(),
                help: Some(
                    "the token or certificate in the kubeconfig has expired or is another \
                     cluster's; log in again, then try `kubectl auth whoami`"
                        .to_owned(),
                ),
            },
            403 if status.message.contains("exceeded quota") => PlatformError::Failed {
                what: format!("failed to {doing}: {}", status.message),
                said: Vec::new(),
                help: Some("raise the quota of the namespace, or want less".to_owned()),
            },
            403 => PlatformError::Denied(format!("failed to {doing}: {}", status.message)),
            404 => PlatformError::Missing(format!("failed to {doing}: {}", status.message)),
            _ => PlatformError::failed(format!("failed to {doing}: {}", status.message)),
        },
        kube::Error::Auth(auth) => PlatformError::Failed {
            what: format!(
                "failed to log in to the cluster of context `{context}`: {}",
                chain(auth)
            ),
            said: Vec::new(),
            help: Some("log in again, then try `kubectl auth whoami`".to_owned()),
        },
        error if is_unreachable(error) => PlatformError::Failed {
            what: format!(
                "the API server of context `{context}` is not to be reached: {}",
                chain(error)
            ),
            said: Vec::new(),
            help: Some("see whether it runs and whether the context is the right one".to_owned()),
        },
        error => PlatformError::failed(format!("failed to {doing}: {}", chain(error))),
    }
}

/// Whether nobody answered, so that the same may work a moment later.
pub(super) fn is_unreachable(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
}

/// What is wrong with a kubeconfig.
pub(super) fn kubeconfig_problem(settings: &Settings, error: &KubeconfigError) -> PlatformError {
    let files: Vec<String> =
        settings.kubeconfig.iter().map(|f| format!("`{}`", f.display())).collect();
    let files = files.join(", ");
    let (what, help) = match error {
        KubeconfigError::LoadContext(name) => (
            format!("there is no context `{name}` in {files}"),
            "`kubectl config get-contexts` lists them; the target file names one as `context`",
        ),
        KubeconfigError::CurrentContextNotSet => {
            (format!("{files} has no current context"), "name one as `context` in the target file")
        }
        error => (
            format!("the kubeconfig {files} cannot be used: {}", chain(error)),
            "see whether `kubectl version` works with it",
        ),
    };
    PlatformError::Target { what, help: help.to_owned() }
}

/// An error with its causes; none is said twice, as some of these repeat their source.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = source.source();
    }
    text
}
