//! The Gitea chart: one Gitea with its volume, its subcharts, and the way in.
//!
//! - `render`: what the values make; `subcharts` are the database and Valkey that come along
//! - `config`: what goes into `app.ini`; `ini` reads and spells that file as Gitea does
//! - `prepare`: the chart's init containers: `app.ini`, `gitea migrate`
//! - `admin`: the administrator and its password
//! - `view`: what is seen of one that was started
//! - `program`: where the program is
//! - `http`: a question to it

mod admin;
mod config;
mod http;
pub(crate) mod ini;
mod prepare;
mod program;
mod render;
mod subcharts;
mod view;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use super::{Chart, Context, Keys, Recipe};
use crate::local::pod::{Container, Pod, PodRecord};
use crate::local::run::Act;
use crate::local::view::LocalView;
use crate::values::Values;
use crate::{AppView, PlatformError, ReleaseRef, SecretKey};

/// The recipe.
pub(crate) struct Gitea;

/// The server in its pod.
const SERVER: &str = "gitea";
/// The port of HTTP in the pod, as the chart has it.
const HTTP: u16 = 3000;
/// The port of SSH in the pod, as the chart's rootless image has it.
const SSH: u16 = 2222;
/// The file with the variables of `app.ini`, in the pod's folder.
const VARIABLES: &str = "inline-config.json";

/// The file with the administrator's password, in the pod's folder. Another password is another
/// pod, as with the chart.
const PASSWORD: &str = "admin-password";

/// What is on record of a pod, to look at it and to start it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settings {
    /// The program.
    program: PathBuf,
    /// The volume.
    data: PathBuf,
    /// Keys of `app.ini` that are secret though they are not called so.
    concealed: Vec<(String, String)>,
    admin: Option<Admin>,
    /// The port that users come in by.
    outside: Option<u16>,
}

/// The administrator, as the values want it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Admin {
    user: String,
    email: String,
    mode: Mode,
    /// The Secret with the password, and its key.
    secret: (String, String),
}

/// What becomes of the password when the account is there already: the chart's `passwordMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    /// It is set at each start.
    KeepUpdated,
    /// It is set once.
    InitialOnlyNoReset,
    /// It is set once, and has to be changed at the first login.
    InitialOnlyRequireReset,
}

impl Settings {
    fn of(settings: &serde_json::Value) -> Result<Self, PlatformError> {
        serde_json::from_value(settings.clone()).map_err(|e| {
            PlatformError::failed(format!("what is on record of a Gitea is damaged: {e}"))
        })
    }

    /// Where `app.ini` is, as the chart has it below `/data`.
    fn ini(&self) -> PathBuf {
        ini_of(&self.data)
    }

    /// What every call of the program gets.
    fn env(&self) -> Vec<(String, String)> {
        environment(&self.program, &self.data)
    }
}

fn ini_of(data: &Path) -> PathBuf {
    data.join("gitea/conf/app.ini")
}

/// Enough for `gitea` to be found and to find its files, also by an exec.
fn environment(program: &Path, data: &Path) -> Vec<(String, String)> {
    let data = data.to_string_lossy();
    let folder = program.parent().unwrap_or(Path::new("/usr/bin")).to_string_lossy();
    [
        ("GITEA_WORK_DIR", data.clone().into_owned()),
        ("GITEA_CUSTOM", format!("{data}/gitea")),
        ("HOME", data.into_owned()),
        ("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin")),
        ("LC_ALL", "C.UTF-8".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[async_trait]
impl Recipe for Gitea {
    fn chart(&self) -> Chart {
        Chart { name: "gitea", version: "12.7.0", app_version: "1.27.0" }
    }

    fn defaults(&self) -> Values {
        subcharts::defaults()
    }

    fn render(&self, cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError> {
        render::render(cx, values)
    }

    async fn prepare(&self, act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
        if pod.component != SERVER {
            return Ok(());
        }
        prepare::prepare(act, pod).await
    }

    async fn after(
        &self,
        act: &Act<'_>,
        pod: &Pod,
        container: &Container,
    ) -> Result<(), PlatformError> {
        if container.name != SERVER {
            return Ok(());
        }
        admin::ensure(act, pod).await
    }

    async fn ready(&self, _view: &LocalView, pod: &PodRecord) -> Result<(), String> {
        if pod.component != SERVER {
            return Ok(());
        }
        view::healthy(pod).await
    }

    async fn app(&self, view: &LocalView, at: &ReleaseRef) -> Result<AppView, PlatformError> {
        view::app(view, at)
    }
}

impl Admin {
    fn key(&self, namespace: &str) -> SecretKey {
        SecretKey {
            namespace: namespace.to_owned(),
            secret: self.secret.0.clone(),
            key: self.secret.1.clone(),
        }
    }
}
