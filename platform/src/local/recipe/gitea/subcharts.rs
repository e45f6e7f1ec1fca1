//! The database and the Valkey that come with the chart, and what they force into `app.ini`.

use serde_json::json;

use super::config::Config;
use crate::PlatformError;
use crate::local::recipe::{self, Context, Keys};
use crate::values::Values;

/// What the chart's own values say of its subcharts.
pub(super) fn defaults() -> Values {
    let defaults = json!({
        "postgresql-ha": {
            "global": {"postgresql": {
                "database": "gitea", "username": "gitea", "password": "gitea",
            }},
            "postgresql": {
                "repmgrPassword": "changeme2",
                "postgresPassword": "changeme1",
                "password": "changeme4",
            },
            "pgpool": {"adminPassword": "changeme3", "srCheckPassword": "changeme4"},
        },
        "postgresql": {"global": {"postgresql": {"auth": {
            "database": "gitea", "username": "gitea", "password": "gitea",
        }}}},
        "valkey-cluster": {"usePassword": false, "usePasswordFiles": false},
        "valkey": {"architecture": "standalone", "global": {"valkey": {"password": "changeme"}}},
    });
    match defaults {
        serde_json::Value::Object(tree) => Values::plain(tree),
        _ => Values::default(),
    }
}

/// Renders the subcharts that are on.
///
/// # Errors
/// Two of a kind, which the chart refuses too; one that has no recipe; and what theirs say.
pub(super) fn render(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    config: &mut Config,
) -> Result<Forced, PlatformError> {
    let one_of = |first: &'static str, second: &'static str, default: bool| {
        let first_is_on = values.flag(&format!("{first}.enabled"), default)?;
        let second_is_on = values.flag(&format!("{second}.enabled"), false)?;
        match (first_is_on, second_is_on) {
            (true, true) => Err(PlatformError::Failed {
                what: format!("`{first}.enabled` and `{second}.enabled` exclude each other"),
                said: Vec::new(),
                help: Some(format!("set one of them to false; `{first}` is on by default")),
            }),
            (true, false) => Ok(Some(first)),
            (false, true) => Ok(Some(second)),
            (false, false) => Ok(None),
        }
    };
    let database = one_of("postgresql-ha", "postgresql", true)?;
    let valkey = one_of("valkey-cluster", "valkey", true)?;
    for part in [database, valkey].into_iter().flatten() {
        let recipe = recipe::of(part).map_err(|error| without_recipe(part, error))?;
        cx.subchart(part, recipe, values)?;
    }
    let forced = match database {
        Some(part) => forced(cx, values, config, part)?,
        None => Forced::default(),
    };
    match valkey {
        Some(part) => queues(cx, values, config, part)?,
        None => {
            let unset = [("session", "PROVIDER"), ("cache", "ADAPTER"), ("queue", "TYPE")];
            for ((section, key), falls_back) in unset.into_iter().zip(["memory", "memory", "level"])
            {
                config.unless_set(section, key, falls_back);
            }
        }
    }
    Ok(forced)
}

fn without_recipe(part: &str, error: PlatformError) -> PlatformError {
    match error {
        PlatformError::Target { what, .. } => PlatformError::Target {
            what,
            help: format!(
                "set `{part}.enabled: false`, and `{}` in its place",
                if part == "valkey-cluster" {
                    "valkey.enabled: true"
                } else {
                    "postgresql-ha.enabled: true"
                }
            ),
        },
        other => other,
    }
}

/// Keys that a subchart forces, whatever `gitea.config` says.
#[derive(Default)]
pub(super) struct Forced(pub(super) Vec<(&'static str, String)>);

fn forced(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    config: &mut Config,
    part: &str,
) -> Result<Forced, PlatformError> {
    let (below, service) = match part {
        "postgresql-ha" => ("postgresql-ha.global.postgresql", "pgpool"),
        _ => ("postgresql.global.postgresql.auth", "primary"),
    };
    let name = cx.fullname(part, &values.below(part))?;
    let port = values.number(&format!("{part}.service.ports.postgresql"), 5432)?;
    let host = match part {
        "postgresql-ha" => format!("{name}-{service}"),
        _ => name,
    };
    let host = format!("{host}.{}.svc.cluster.local:{port}", cx.namespace());
    config.unless_set("database", "HOST", &host);
    let text = |key: &str| {
        let path = format!("{below}.{key}");
        Ok::<_, PlatformError>(values.text(&path)?.unwrap_or_else(|| "gitea".to_owned()))
    };
    Ok(Forced(vec![
        ("NAME", text("database")?),
        ("USER", text("username")?),
        ("PASSWD", text("password")?),
    ]))
}

fn queues(
    cx: &mut Context<'_>,
    values: &Keys<'_>,
    config: &mut Config,
    part: &str,
) -> Result<(), PlatformError> {
    let name = cx.fullname(part, &values.below(part))?;
    // The cluster is one node here, which speaks as a single server does.
    let scheme = "redis";
    let password = values.text(&format!("{part}.global.valkey.password"))?;
    let password = password.unwrap_or_default();
    if password.contains(|c: char| !c.is_ascii_alphanumeric() && !"-._~".contains(c)) {
        cx.note(format!(
            "the password of `{part}` has characters that the chart does not quote in its URL; on \
             Kubernetes Gitea would not start with it"
        ));
    }
    let host = format!("{name}-headless.{}.svc.cluster.local:6379", cx.namespace());
    let url =
        format!("{scheme}://:{}@{host}/0?pool_size=100&idle_timeout=180s&", percent(&password));
    config.unless_set("session", "PROVIDER", "redis");
    config.unless_set("session", "PROVIDER_CONFIG", &url);
    config.unless_set("cache", "ENABLED", "true");
    config.unless_set("cache", "ADAPTER", "redis");
    config.unless_set("cache", "HOST", &url);
    config.unless_set("queue", "TYPE", "redis");
    config.unless_set("queue", "CONN_STR", &url);
    Ok(())
}

/// A text as it stands in a URL.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
