//! Recipe `valkey`: one server, by `valkey-server` or, where there is none, `redis-server`.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use workplan_engine::kind::Secret;

use super::{Chart, Context, Keys, Recipe};
use crate::PlatformError;
use crate::local::pod::{Container, Pod, PodFile, PodPort, Probe, Stop, Text};
use crate::local::programs;

/// What a server in a container listens on.
const PORT: u16 = 6379;

/// The chart `valkey`, and as one node `valkey-cluster`.
pub(crate) struct Valkey {
    pub(crate) cluster: bool,
}

#[async_trait::async_trait]
impl Recipe for Valkey {
    fn chart(&self) -> Chart {
        if self.cluster {
            return Chart { name: "valkey-cluster", version: "3.0.25", app_version: "8.1.3" };
        }
        Chart { name: "valkey", version: "4.0.2", app_version: "8.1.3" }
    }

    fn render(&self, cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError> {
        let chart = self.chart();
        let fullname = cx.fullname(chart.name, values)?;
        let program = programs::find(
            &["valkey-server", "redis-server"],
            None,
            "valkey-server` or `redis-server",
        )?;
        if program.ends_with("redis-server") {
            cx.note(
                "there is no `valkey-server` on this machine: `redis-server` runs in its place",
            );
        }
        let workload = self.one_node(cx, values, &fullname)?;
        let pod = format!("{workload}-0");
        let password = self.password(cx, values, &fullname)?;
        let keep = match self.cluster {
            true => values.flag("persistence.enabled", true)?,
            false => values.flag("primary.persistence.enabled", true)?,
        };
        let claim = format!("valkey-data-{pod}");
        let folder = cx.pod_folder(&pod);
        let data = if keep { cx.claim(&claim) } else { folder.join("valkey") };
        let port = cx.port(&pod, "tcp-redis")?;
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("port {port}"),
            "daemonize no".to_owned(),
            format!("dir {}", quoted(&data.display().to_string())),
            "unixsocket \"\"".to_owned(),
            format!("appendonly {}", if keep { "yes" } else { "no" }),
            "save \"\"".to_owned(),
        ];
        for section in ["commonConfiguration", "primary.configuration"] {
            let text = values.text(section)?.unwrap_or_default();
            lines.extend(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        }
        if let Some(commands) = values.get("primary.disableCommands").and_then(|v| v.as_array()) {
            let commands = commands.iter().filter_map(|c| c.as_str());
            lines.extend(commands.map(|c| format!("rename-command {} \"\"", quoted(c))));
        } else if !self.cluster {
            lines.extend(["FLUSHDB", "FLUSHALL"].map(|c| format!("rename-command {c} \"\"")));
        }
        let open = lines.join("\n");
        cx.object("ConfigMap", &format!("{fullname}-configuration"), json!({"valkey.conf": open}));
        let mut sealed = open.into_bytes();
        sealed.push(b'\n');
        if let Some(password) = &password {
            sealed.extend_from_slice(b"requirepass ");
            sealed.extend_from_slice(quoted_bytes(password.reveal()).as_bytes());
            sealed.push(b'\n');
        }
        let services = match self.cluster {
            true => vec![fullname.clone(), format!("{fullname}-headless")],
            false => vec![format!("{fullname}-primary"), format!("{fullname}-headless")],
        };
        for service in services {
            cx.service(&service, &[(PORT, PORT)], std::slice::from_ref(&pod));
        }
        cx.pod(Pod {
            workload,
            component: "valkey".to_owned(),
            part: cx.part().map(str::to_owned),
            chart: chart.name.to_owned(),
            ordinal: 0,
            wave: 0,
            gate: false,
            claims: if keep { vec![claim] } else { Vec::new() },
            files: vec![PodFile {
                path: "valkey.conf".to_owned(),
                text: Text::Sealed(Secret::new(sealed)),
            }],
            containers: vec![Container {
                name: "valkey".to_owned(),
                program,
                args: vec![folder.join("valkey.conf").display().to_string()],
                env: vec![("LC_ALL".to_owned(), "C".to_owned())],
                secret_env: Vec::new(),
                cwd: None,
                ports: vec![PodPort { name: "tcp-redis".to_owned(), port: PORT, local: port }],
                probe: Probe::Redis(port),
                stop: Stop::by(Signal::SIGTERM, Duration::from_secs(30)),
            }],
            settings: json!({}),
            name: pod,
        });
        Ok(())
    }
}

impl Valkey {
    /// The workload's name; more nodes than one are refused or said.
    fn one_node(
        &self,
        cx: &mut Context<'_>,
        values: &Keys<'_>,
        fullname: &str,
    ) -> Result<String, PlatformError> {
        if self.cluster {
            let nodes = values.number("cluster.nodes", 6)?;
            values.pass("cluster");
            if nodes > 1 {
                cx.note(format!("`{fullname}` is run as one node, not as a cluster of {nodes}"));
            }
            return Ok(fullname.to_owned());
        }
        let architecture = values.text("architecture")?;
        match architecture.as_deref() {
            Some("standalone") => {}
            None | Some("replication") => {
                let replicas = values.number("replica.replicaCount", 3)?;
                cx.note(format!(
                    "`architecture` is `replication`, the chart's default: its {replicas} replicas \
                     are not run here, the primary is"
                ));
            }
            Some(_) => return Err(values.wrong("architecture", "`standalone` or `replication`")),
        }
        if values.flag("sentinel.enabled", false)? {
            cx.note("sentinel is not run here");
        }
        values.pass("replica");
        Ok(format!("{fullname}-primary"))
    }

    /// The password, from the Secret that the values name or the chart's own.
    fn password(
        &self,
        cx: &mut Context<'_>,
        values: &Keys<'_>,
        fullname: &str,
    ) -> Result<Option<Secret>, PlatformError> {
        let (enabled, existing, key, given) = if self.cluster {
            (
                values.flag("usePassword", true)?,
                values.text("existingSecret")?,
                values.text("existingSecretPasswordKey")?,
                values.secret(&["global.valkey.password", "password"])?,
            )
        } else {
            (
                values.flag("auth.enabled", true)?,
                values.text("auth.existingSecret")?,
                values.text("auth.existingSecretPasswordKey")?,
                values.secret(&["global.valkey.password", "auth.password"])?,
            )
        };
        if !enabled {
            return Ok(None);
        }
        let key = key.unwrap_or_else(|| "valkey-password".to_owned());
        match existing {
            Some(name) => cx.existing_secret(&name, &key).map(Some),
            None => cx.own_secret(fullname, &key, given).map(Some),
        }
    }
}

/// A text as the configuration file takes it.
fn quoted(text: &str) -> String {
    quoted_bytes(text.as_bytes())
}

/// Bytes in double quotes; what is not plain is written as `\xNN`.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}
