//! What the values make.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use workplan_engine::kind::Secret;

use super::config::Config;
use super::{
    Admin, HTTP, Mode, PASSWORD, SERVER, SSH, Settings, VARIABLES, environment, ini, ini_of,
};
use super::{program, subcharts};
use crate::PlatformError;
use crate::local::ingress::{Carries, Route};
use crate::local::pod::{Container, Pod, PodFile, PodPort, Probe, Stop, Text};
use crate::local::recipe::{Context, Keys};

/// Gitea gives its workers a minute to end by themselves.
const PATIENCE: Duration = Duration::from_secs(70);
/// Starts when the subcharts are ready; the way in comes after it.
const WAVE: u32 = 10;

/// The loopback ports of a release.
struct Ports {
    http: u16,
    ssh: u16,
    /// Where users come in; `None` where the values make no way in.
    outside_http: Option<u16>,
    outside_ssh: Option<u16>,
}

pub(super) fn render(cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError> {
    let fullname = cx.fullname("gitea", values)?;
    let pod = format!("{fullname}-0");
    if values.number("replicaCount", 1)? > 1 {
        cx.note("`replicaCount` is more than 1; one Gitea is run here");
    }
    if values.get("externalDatabase").is_some() {
        cx.ignore(
            "externalDatabase",
            "the Gitea chart has no such key; a database of its own is set by \
             `postgresql-ha.enabled: false` and `gitea.config.database`",
        );
    }
    let program = program::find(cx.program("gitea").as_deref())?;
    if let Some(version) = program::version_of(&program) {
        cx.note(format!("this runs Gitea {version}, the chart 1.27.0"));
    }
    let claim = values.text("persistence.claimName")?.unwrap_or("gitea-shared-storage".to_owned());
    values.pass("persistence.create");
    if !values.flag("persistence.enabled", true)? {
        cx.note("`persistence.enabled` is false; the volume is kept here all the same");
    }
    let data = cx.claim(&claim);

    let mut config = Config::default();
    of_the_chart(&mut config, &data);
    of_the_user(values, &mut config)?;
    let forced = subcharts::render(cx, values, &mut config)?;
    for (key, value) in forced.0 {
        config.set("database", key, value);
    }
    of_other_sources(cx, values, &mut config)?;
    let ports = ports(cx, values, &pod, &fullname, &config)?;
    of_this_machine(cx, &mut config, &ports, &program);
    translate(cx, &mut config)?;
    explain(cx, &config)?;
    config.check()?;

    let (admin, password) = admin(cx, values, &fullname)?;
    objects(cx, values, &fullname, &pod, &ports, &config)?;
    let settings = Settings {
        program: program.clone(),
        data: data.clone(),
        concealed: config.concealed(),
        admin: Some(admin),
        outside: ports.outside_http,
    };
    let variables: Vec<Value> =
        config.variables().into_iter().map(|(n, v, secret)| json!([n, v, secret])).collect();
    let port = |name: &str, port: u16, local: u16| PodPort { name: name.to_owned(), port, local };
    let mut served = vec![port("http", HTTP, ports.http)];
    if !config.is_on("server", "DISABLE_SSH") {
        served.push(port("ssh", SSH, ports.ssh));
    }
    let server = Container {
        name: SERVER.to_owned(),
        program: program.clone(),
        args: vec![
            "--config".to_owned(),
            ini_of(&data).to_string_lossy().into_owned(),
            "web".to_owned(),
        ],
        env: environment(&program, &data),
        secret_env: Vec::new(),
        cwd: None,
        ports: served,
        probe: Probe::Http(ports.http, "/api/healthz".to_owned()),
        stop: Stop::by(Signal::SIGTERM, PATIENCE),
    };
    let part = cx.part().map(str::to_owned);
    cx.pod(Pod {
        name: pod,
        workload: fullname.clone(),
        component: SERVER.to_owned(),
        part,
        chart: "gitea".to_owned(),
        ordinal: 0,
        wave: WAVE,
        gate: false,
        claims: vec![claim],
        files: vec![
            sealed(VARIABLES, Secret::new(json!(variables).to_string().into_bytes())),
            sealed(PASSWORD, password),
        ],
        containers: vec![server],
        settings: json!(settings),
    });
    way_in(cx, &fullname, &ports);
    Ok(())
}

fn sealed(path: &str, secret: Secret) -> PodFile {
    PodFile { path: path.to_owned(), text: Text::Sealed(secret) }
}

/// What the chart sets before the user's own.
fn of_the_chart(config: &mut Config, data: &Path) {
    let below = |path: &str| data.join(path).to_string_lossy().into_owned();
    config.set("server", "APP_DATA_PATH", below(""));
    config.set("repository", "ROOT", below("git/gitea-repositories"));
    config.set("log", "ROOT_PATH", below("log"));
    for (section, key, value) in [
        ("security", "INSTALL_LOCK", "true"),
        ("database", "DB_TYPE", "postgres"),
        ("indexer", "ISSUE_INDEXER_TYPE", "db"),
        ("server", "START_SSH_SERVER", "true"),
        ("server", "ENABLE_PPROF", "false"),
        ("server", "LFS_START_SERVER", "true"),
        ("log", "MODE", "console"),
        ("log.console", "COLORIZE", "false"),
        // Nothing of it is to be fetched from elsewhere.
        ("server", "OFFLINE_MODE", "true"),
        ("cron.update_checker", "ENABLED", "false"),
    ] {
        config.set(section, key, value);
    }
}

/// `gitea.config`: sections with their keys, and keys of no section.
fn of_the_user(values: &Keys<'_>, config: &mut Config) -> Result<(), PlatformError> {
    let Some(given) = values.get("gitea.config") else { return Ok(()) };
    let Some(sections) = given.as_object() else {
        return Err(values.wrong("gitea.config", "a mapping of sections"));
    };
    let secret = values.concealed("gitea.config");
    let mut put = |section: &str, key: &str, value: &Value, path: &[&str]| {
        let text = match value {
            Value::Null => return Ok(()),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                let path = format!("gitea.config.{}", path.join("."));
                return Err(values.wrong(&path, "a text, a number or a boolean"));
            }
        };
        if secret.iter().any(|s| s.iter().map(String::as_str).eq(path.iter().copied())) {
            config.conceal(section, key, text);
        } else {
            config.set(section, key, text);
        }
        Ok(())
    };
    for (section, keys) in sections {
        match keys {
            Value::Object(keys) => {
                for (key, value) in keys {
                    put(section, key, value, &[section, key])?;
                }
            }
            value => put(ini::DEFAULT, section, value, &[section])?,
        }
    }
    Ok(())
}

/// Secrets and variables that go before `gitea.config`, and before what the subcharts force.
fn of_other_sources(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    config: &mut Config,
) -> Result<(), PlatformError> {
    let list = |path: &str| values.get(path).and_then(Value::as_array).into_iter().flatten();
    for source in list("gitea.additionalConfigSources") {
        let Some(name) = source.pointer("/secret/secretName").and_then(Value::as_str) else {
            cx.ignore(
                "gitea.additionalConfigSources",
                "of its sources, Secrets are read here; there are no ConfigMaps of others",
            );
            continue;
        };
        let sections = cx.existing_secrets(name)?;
        for (section, text) in sections {
            let text = String::from_utf8_lossy(text.reveal()).into_owned();
            for (key, value) in ini::parse(&text).into_values().flatten() {
                config.conceal(&section, &key, value);
            }
        }
    }
    for variable in list("gitea.additionalConfigFromEnvs") {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some((section, key)) = ini::of_variable(name) else {
            return Err(PlatformError::failed(format!(
                "`gitea.additionalConfigFromEnvs` has a variable `{name}`, which stands for no key: \
                 `GITEA__SECTION__KEY`"
            )));
        };
        if let Some(value) = variable.get("value") {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            config.set(&section, &key, text);
            continue;
        }
        let at = |key: &str| {
            variable.pointer(&format!("/valueFrom/secretKeyRef/{key}")).and_then(Value::as_str)
        };
        let (Some(secret), Some(of)) = (at("name"), at("key")) else {
            return Err(PlatformError::failed(format!(
                "the variable `{name}` of `gitea.additionalConfigFromEnvs` has neither a value nor a \
                 `secretKeyRef` with `name` and `key`"
            )));
        };
        let value = cx.existing_secret(secret, of)?;
        let text = String::from_utf8_lossy(value.reveal()).into_owned();
        config.conceal(&section, &key, text);
    }
    Ok(())
}

fn ports(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    pod: &str,
    fullname: &str,
    config: &Config,
) -> Result<Ports, PlatformError> {
    let leads_in = |service: &str| {
        let kind = values.text(&format!("service.{service}.type"))?;
        Ok::<_, PlatformError>(matches!(kind.as_deref(), Some("LoadBalancer" | "NodePort")))
    };
    let by_http = values.flag("ingress.enabled", false)? || leads_in("http")?;
    let by_ssh = leads_in("ssh")? && !config.is_on("server", "DISABLE_SSH");
    let gate = gate(fullname);
    Ok(Ports {
        http: cx.port(pod, "http")?,
        ssh: cx.port(pod, "ssh")?,
        outside_http: by_http.then(|| cx.port(&gate, "http")).transpose()?,
        outside_ssh: by_ssh.then(|| cx.port(&gate, "ssh")).transpose()?,
    })
}

/// The pod that stands for the Ingress.
fn gate(fullname: &str) -> String {
    format!("{fullname}-ingress-0")
}

/// What cannot be as the values have it, since all is on loopback.
fn of_this_machine(cx: &mut Context<'_>, config: &mut Config, ports: &Ports, program: &Path) {
    let root = ports.outside_http.unwrap_or(ports.http);
    let ssh = ports.outside_ssh.unwrap_or(ports.ssh);
    for (key, value) in [
        ("PROTOCOL", "http".to_owned()),
        ("HTTP_ADDR", "127.0.0.1".to_owned()),
        ("HTTP_PORT", ports.http.to_string()),
        ("DOMAIN", "127.0.0.1".to_owned()),
        ("ROOT_URL", format!("http://127.0.0.1:{root}/")),
        ("LOCAL_ROOT_URL", format!("http://127.0.0.1:{}/", ports.http)),
        ("SSH_DOMAIN", "127.0.0.1".to_owned()),
        ("SSH_PORT", ssh.to_string()),
        ("SSH_LISTEN_HOST", "127.0.0.1".to_owned()),
        ("SSH_LISTEN_PORT", ports.ssh.to_string()),
    ] {
        if let Some(given) = config.get("server", key).filter(|given| *given != value) {
            cx.note(format!("`{key}` of Gitea is `{value}` here, `{given}` in the values"));
        }
        config.set("server", key, value);
    }
    if let Some(files) = program::files(program) {
        config.set("server", "STATIC_ROOT_PATH", files.to_string_lossy().into_owned());
    }
}

/// Services of the platform, wherever `app.ini` names them.
fn translate(cx: &mut Context<'_>, config: &mut Config) -> Result<(), PlatformError> {
    if let Some(host) = config.get("database", "HOST").map(str::to_owned)
        && let Some(local) = local(cx, &host, 5432)?
    {
        config.set("database", "HOST", local);
    }
    for (section, key) in config.strings() {
        let Some(text) = config.get(&section, &key).map(str::to_owned) else { continue };
        let Some((before, authority, after)) = authority(&text) else { continue };
        if let Some(local) = local(cx, authority, 6379)? {
            // A cluster is one node here, which speaks as a single server does.
            let before = before.replacen("redis+cluster://", "redis://", 1);
            config.change(&section, &key, format!("{before}{local}{after}"));
        }
    }
    Ok(())
}

/// The loopback address of a `host:port` that names a service of the platform.
fn local(cx: &mut Context<'_>, text: &str, default: u16) -> Result<Option<String>, PlatformError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => return Ok(None),
        },
        None => (text, default),
    };
    Ok(cx.translate(host, port)?.map(|(host, port)| format!("{host}:{port}")))
}

/// The host and port in a connection string, with what is before and after.
fn authority(text: &str) -> Option<(&str, &str, &str)> {
    let at = if let Some(scheme) = text.find("://") {
        let start = scheme + 3;
        let end = text[start..].find(['/', '?']).map_or(text.len(), |i| start + i);
        text[start..end].rfind('@').map_or(start, |i| start + i + 1)..end
    } else {
        let start = text.find("addr=")? + 5;
        start..text[start..].find([',', ' ']).map_or(text.len(), |i| start + i)
    };
    Some((&text[..at.start], &text[at.clone()], &text[at.end..]))
}

/// What a reader of the values may not expect.
fn explain(cx: &mut Context<'_>, config: &Config) -> Result<(), PlatformError> {
    let host = config.get("database", "HOST").unwrap_or_default();
    let kind = config.get("database", "DB_TYPE").unwrap_or_default();
    if kind == "postgres" && host.is_empty() {
        return Err(PlatformError::Failed {
            what: "no subchart makes a database, and `gitea.config.database` names none".to_owned(),
            said: Vec::new(),
            help: Some("set HOST, NAME, USER and PASSWD in `gitea.config.database`".to_owned()),
        });
    }
    if config.get("queue", "TYPE") == Some("level") {
        cx.note(
            "sessions and cache are in memory, the queue is a file: no Valkey is on, and \
             `gitea.config` names none",
        );
    }
    Ok(())
}

fn admin(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    fullname: &str,
) -> Result<(Admin, Secret), PlatformError> {
    let mode = match values.text("gitea.admin.passwordMode")?.as_deref() {
        None | Some("keepUpdated") => Mode::KeepUpdated,
        Some("initialOnlyNoReset") => Mode::InitialOnlyNoReset,
        Some("initialOnlyRequireReset") => Mode::InitialOnlyRequireReset,
        Some(_) => {
            return Err(values.wrong(
                "gitea.admin.passwordMode",
                "`keepUpdated`, `initialOnlyNoReset` or `initialOnlyRequireReset`",
            ));
        }
    };
    let email = values.text("gitea.admin.email")?.unwrap_or("gitea@local.domain".to_owned());
    let user = values.text("gitea.admin.username")?.unwrap_or("gitea_admin".to_owned());
    let password = values.secret(&["gitea.admin.password"])?;
    if let Some(secret) = values.text("gitea.admin.existingSecret")? {
        let user = cx.existing_secret(&secret, "username")?;
        let password = cx.existing_secret(&secret, "password")?;
        let user = String::from_utf8_lossy(user.reveal()).into_owned();
        let secret = (secret, "password".to_owned());
        return Ok((Admin { user, email, mode, secret }, password));
    }
    let password = password.unwrap_or_else(|| Secret::new(*b"r8sA8CPHD9!bt6d"));
    // The chart has it in the Deployment itself; here it lies where a password belongs.
    let secret = format!("{fullname}-admin");
    cx.own_secret(&secret, "username", Some(Secret::new(user.as_bytes())))?;
    let password = cx.own_secret(&secret, "password", Some(password))?;
    Ok((Admin { user, email, mode, secret: (secret, "password".to_owned()) }, password))
}

fn objects(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    fullname: &str,
    pod: &str,
    ports: &Ports,
    config: &Config,
) -> Result<(), PlatformError> {
    let number = |path: &str, default: u16| {
        let port = values.number(path, u32::from(default))?;
        u16::try_from(port).map_err(|_| values.wrong(path, "a port"))
    };
    let pods = [pod.to_owned()];
    cx.service(&format!("{fullname}-http"), &[(number("service.http.port", HTTP)?, HTTP)], &pods);
    cx.service(&format!("{fullname}-ssh"), &[(number("service.ssh.port", 22)?, SSH)], &pods);
    let hosts: Vec<&str> = values
        .get("ingress.hosts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|host| host.get("host").and_then(Value::as_str).or(host.as_str()))
        .collect();
    values.pass("ingress.tls");
    if let Some(port) = ports.outside_http {
        for host in &hosts {
            cx.note(format!("`{host}` is 127.0.0.1:{port} here"));
        }
        let body = json!({"hosts": hosts, "address": format!("127.0.0.1:{port}")});
        cx.object("Ingress", fullname, body);
    }
    for secret in config.secrets() {
        cx.keep_out(&secret);
    }
    let shown = config.shown(|secret| cx.digest(secret));
    cx.object("ConfigMap", &format!("{fullname}-inline-config"), json!(shown));
    Ok(())
}

/// The process that stands for the Ingress and for a LoadBalancer.
fn way_in(cx: &mut Context<'_>, fullname: &str, ports: &Ports) {
    let loopback = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut routes = Vec::new();
    let mut listens = Vec::new();
    for (carries, name, number, listen, target) in [
        (Carries::Http, "http", HTTP, ports.outside_http, ports.http),
        (Carries::Tcp, "ssh", SSH, ports.outside_ssh, ports.ssh),
    ] {
        let Some(listen) = listen else { continue };
        routes.push(Route { carries, listen: loopback(listen), target: loopback(target) });
        listens.push(PodPort { name: name.to_owned(), port: number, local: listen });
    }
    let Some(first) = listens.first() else { return };
    let probe = Probe::Tcp(first.local);
    let part = cx.part().map(str::to_owned);
    let container = crate::local::ingress::container(&routes, listens, probe);
    cx.pod(Pod {
        name: gate(fullname),
        workload: format!("{fullname}-ingress"),
        component: "ingress".to_owned(),
        part,
        chart: "gitea".to_owned(),
        ordinal: 0,
        wave: WAVE + 1,
        gate: true,
        claims: Vec::new(),
        files: Vec::new(),
        containers: vec![container],
        settings: Value::Null,
    });
}
