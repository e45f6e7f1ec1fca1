//! What is seen of a Gitea that was started.

use std::fs;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::http::{Who, ask};
use super::{HTTP, SERVER, Settings, config, ini, prepare};
use crate::local::pod::{PodFolder, PodRecord};
use crate::local::run::status;
use crate::local::view::LocalView;
use crate::{AppView, Endpoint, PlatformError, ReleaseRef};

/// How long the health check may take.
const WITHIN: Duration = Duration::from_secs(3);

/// Ready means that Gitea says so itself. It says little (a read-only database passes), but it
/// knows whether there is a database at all.
pub(super) async fn healthy(pod: &PodRecord) -> Result<(), String> {
    let Some(port) = pod.local_port(HTTP) else { return Ok(()) };
    let answer = ask(port, Method::GET, "/api/healthz", &Who::Nobody, None, WITHIN).await?;
    if answer.status == 200 {
        return Ok(());
    }
    let json = answer.json();
    let checks = json["checks"].as_object().into_iter().flatten();
    let failed: Vec<&str> = checks
        .filter(|(_, of)| of.pointer("/0/status").and_then(Value::as_str) != Some("pass"))
        .map(|(name, _)| name.as_str())
        .collect();
    Err(format!("`/api/healthz` says {} ({})", answer.status, failed.join(", ")))
}

pub(super) fn app(view: &LocalView, at: &ReleaseRef) -> Result<AppView, PlatformError> {
    let pods = view.world().store.pods(&at.namespace);
    let found = status(&pods, &at.name)?.into_iter().find(|p| p.record.component == SERVER);
    let Some(pod) = found else {
        return Err(PlatformError::Missing(format!("no Gitea of `{at}` was ever started")));
    };
    let record = &pod.record;
    let settings = Settings::of(&record.settings)?;
    let inside =
        Endpoint::Pod { namespace: at.namespace.clone(), pod: record.name.clone(), port: HTTP };
    let outside =
        settings.outside.map(|port| Endpoint::Address { host: "127.0.0.1".to_owned(), port });
    let admin = settings.admin.as_ref().map(|a| (a.user.clone(), a.key(&at.namespace)));
    Ok(AppView {
        at: at.clone(),
        workload: record.workload.clone(),
        inside,
        outside,
        admin,
        config: config_of(view, &settings, &pod.folder)?,
    })
}

/// `app.ini` as the last start read it. Who may not read the file sees the copy that was made of it
/// then, in which secrets are digests already.
fn config_of(
    view: &LocalView,
    settings: &Settings,
    folder: &PodFolder,
) -> Result<ini::Ini, PlatformError> {
    let key = view.world().store.key()?;
    match (fs::read_to_string(settings.ini()), key) {
        (Ok(text), Some(key)) => {
            Ok(config::shown(ini::parse(&text), &settings.concealed, |s| key.digest(s)))
        }
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => Ok(ini::Ini::new()),
        _ => {
            let path = prepare::snapshot(&folder.0);
            match fs::read(&path) {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                    PlatformError::failed(format!("`{}` is damaged: {e}", path.display()))
                }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ini::Ini::new()),
                Err(error) => Err(PlatformError::io("read", &path, &error)),
            }
        }
    }
}
