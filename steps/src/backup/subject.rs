//! What is backed up: as it is written, and as it is found.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

use workplan_engine::digest::Digest;
use workplan_engine::kind::{Look, ParamProblem, StepError, With};
use workplan_engine::text::did_you_mean;
use workplan_platform::Database;

use super::settings::texts;

/// What to back up, as a step says it; what it leaves out, the target says.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    databases: Vec<Value>,
    files: Vec<String>,
}

/// The same with what the target says.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Servers by where they are.
    pub(super) servers: Vec<Source>,
    /// Files as they are written, with where they are.
    pub(super) files: Vec<(String, PathBuf)>,
}

/// A server, and which of its databases are wanted.
#[derive(Debug)]
pub(super) struct Source {
    /// As the target calls it, or its address.
    pub(super) name: String,
    /// How to get there.
    pub(super) at: Database,
    /// The databases; empty for all of them.
    pub(super) databases: Vec<String>,
}

impl Subject {
    pub(super) fn read(with: &With, problems: &mut Vec<ParamProblem>) -> Self {
        let databases = match with.0.get("databases") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
        };
        for value in &databases {
            // A text may be a name of the target file, or a reference that is filled in later.
            if !value.is_string()
                && let Err(problem) = Database::parse(value)
            {
                problems.push(ParamProblem::new("databases", problem.to_string()));
            }
        }
        for release in with.strings("releases") {
            problems.push(ParamProblem::new("releases", unsupported(&release)));
        }
        Self { databases, files: with.strings("files") }
    }

    /// Names of what is read, as far as the step itself says it.
    pub(super) fn reads(&self) -> Vec<String> {
        let databases = self.databases.iter().filter_map(|value| {
            let database = Database::parse(value).ok()?;
            Some(database.resource(database.database.as_deref().unwrap_or("*")))
        });
        let files = self.files.iter().map(|file| format!("file/{file}"));
        databases.chain(files).collect()
    }

    /// Looks up what is meant. Nothing is connected to.
    ///
    /// # Errors
    /// When a name is not known, or nothing at all is named.
    pub(super) fn find(&self, look: &Look) -> Result<Found, StepError> {
        let place = &look.place;
        let or_target = |own: &[String], key: &str| {
            if own.is_empty() { texts(place.value(key)) } else { own.to_vec() }
        };
        if let Some(release) = texts(place.value("backup.releases")).first() {
            return Err(StepError::failed(unsupported(release))
                .with_help("take it out of `backup.releases` of the target file"));
        }
        let mut found = Found::default();
        for text in or_target(&self.files, "backup.files") {
            let path = look.locate(&text)?;
            found.files.push((text, path));
        }
        let known = place.value("databases").and_then(Value::as_object);
        let mut wanted = self.databases.clone();
        if wanted.is_empty() && self.files.is_empty() {
            wanted = match place.value("backup.databases") {
                Some(Value::Array(items)) => items.clone(),
                Some(one) => vec![one.clone()],
                None => known.into_iter().flatten().map(|(name, _)| name.as_str().into()).collect(),
            };
        }
        for value in &wanted {
            let (name, at) = database(value, known)?;
            found.add(name, at);
        }
        if found.servers.is_empty() && found.files.is_empty() {
            return Err(StepError::failed("there is nothing to back up").with_help(
                "name it: `databases` or `files`, in the step or under `backup:` of the \
                 target file",
            ));
        }
        Ok(found)
    }
}

/// A release is more than its databases: what else of it a restore needs is not known here.
fn unsupported(release: &str) -> String {
    format!(
        "the release `{release}` cannot be backed up as a whole yet; name its databases under `databases` \
         and its values under `files`"
    )
}

/// A database by its name in the target file, or as it is described.
fn database(
    value: &Value,
    known: Option<&Map<String, Value>>,
) -> Result<(Option<String>, Database), StepError> {
    let parse =
        |value: &Value| Database::parse(value).map_err(|p| StepError::failed(p.to_string()));
    match value {
        Value::String(name) if !name.contains("://") && !name.trim_start().starts_with('{') => {
            match known.and_then(|known| known.get(name)) {
                Some(value) => Ok((Some(name.clone()), parse(value)?)),
                None => {
                    let names: Vec<&str> =
                        known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                    let error = StepError::failed(format!("the target names no database `{name}`"));
                    Err(error.with_help(did_you_mean(name, names.iter().copied()).unwrap_or_else(
                        || "its databases are under `databases:` of the target file".to_owned(),
                    )))
                }
            }
        }
        other => Ok((None, parse(other)?)),
    }
}

impl Found {
    /// Databases of one server go together: they share its roles.
    fn add(&mut self, name: Option<String>, at: Database) {
        let place = at.resource("");
        let wanted = at.database.clone();
        match self.servers.iter_mut().find(|s| s.at.resource("") == place && s.at.user == at.user) {
            Some(server) => match wanted {
                None => server.databases.clear(),
                Some(_) if server.databases.is_empty() => {}
                Some(database) if server.databases.contains(&database) => {}
                Some(database) => server.databases.push(database),
            },
            None => {
                let name = name.unwrap_or_else(|| address(&place).to_owned());
                self.servers.push(Source { name, at, databases: wanted.into_iter().collect() });
            }
        }
    }

    /// A digest of what is meant, by which a backup of the same things is known.
    pub(super) fn digest(&self) -> Digest {
        let servers: BTreeMap<String, Vec<&String>> = self
            .servers
            .iter()
            .map(|server| {
                let mut databases: Vec<&String> = server.databases.iter().collect();
                databases.sort();
                (server.at.resource(""), databases)
            })
            .collect();
        let mut files: Vec<&String> = self.files.iter().map(|(text, _)| text).collect();
        files.sort();
        Digest::of_json(&json!({"servers": servers, "releases": [], "files": files}))
    }

    /// What is in it, a line each, for a preview.
    pub(super) fn describe(&self) -> Vec<String> {
        let servers = self.servers.iter().map(|server| match server.databases.as_slice() {
            [] => format!("all databases and roles of {}", server.name),
            some => format!("{} and the roles of {}", some.join(", "), server.name),
        });
        let files = self.files.iter().map(|(text, _)| text.clone());
        servers.chain(files).collect()
    }
}

/// `database/HOST:PORT/` is `HOST:PORT`.
fn address(resource: &str) -> &str {
    let text = resource.strip_prefix("database/").unwrap_or(resource);
    text.strip_suffix('/').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[Value]) -> Found {
        let known = json!({"old": {"host": "h", "port": 1, "database": "d"}});
        let mut found = Found::default();
        for value in values {
            let (name, at) = database(value, known.as_object()).unwrap();
            found.add(name, at);
        }
        found
    }

    #[test]
    fn databases_of_one_server_go_together() {
        let found = found(&[
            json!("old"),
            json!({"host": "h", "port": 1, "database": "e"}),
            json!("postgresql://h:2"),
        ]);
        let named: Vec<(&str, &[String])> =
            found.servers.iter().map(|s| (s.name.as_str(), s.databases.as_slice())).collect();
        assert_eq!(named, [("old", &["d".to_owned(), "e".to_owned()][..]), ("h:2", &[])]);
    }

    #[test]
    fn the_same_things_in_another_order_are_the_same() {
        let (one, two) = (json!("postgresql://h:1/d"), json!("postgresql://h:1/e"));
        assert_eq!(
            found(&[one.clone(), two.clone()]).digest(),
            found(&[two.clone(), one]).digest()
        );
        let more = found(&[json!("old"), two.clone()]);
        assert_ne!(found(&[two]).digest(), more.digest());
    }

    #[test]
    fn a_name_that_is_not_known_is_guessed() {
        let known = json!({"gitea": {"host": "h"}});
        let error = database(&json!("gitae"), known.as_object()).unwrap_err();
        assert!(error.what.contains("`gitae`") && error.help.unwrap().contains("gitea"));
    }
}
