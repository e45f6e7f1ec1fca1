//! PostgreSQL's own programs: which ones there are, and how they are called.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use workplan_engine::kind::{CommandOutcome, CommandSpec, ErrorCause, Hands, Look, StepError};
use workplan_platform::Reached;

use crate::postgres::site::{SHORT, Site, not_started};

/// A set of programs of one version.
pub(super) struct Tools {
    folder: PathBuf,
}

/// Folders that hold one folder a version, and what is below it.
const VERSIONED: &[(&str, &str)] =
    &[("/usr/lib/postgresql", "bin"), ("/usr/pgsql-*", "bin"), ("/opt/homebrew/opt", "bin")];

/// What all programs must be there.
const PROGRAMS: &[&str] = &["pg_dump", "pg_restore", "psql"];

impl Tools {
    /// The oldest programs that know both servers: newer ones may say what an older server does not
    /// understand, older ones cannot read a newer server.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn find(look: &Look, major: i32) -> Result<Self, StepError> {
        let mut found = Vec::new();
        for folder in folders(look) {
            if let Some(version) = version(look, &folder).await
                && !found.iter().any(|(known, _)| *known == version)
            {
                found.push((version, folder));
            }
        }
        found.sort();
        let have: Vec<String> = found.iter().map(|(version, _)| version.to_string()).collect();
        match found.into_iter().find(|(version, _)| *version >= major) {
            Some((_, folder)) => Ok(Self { folder }),
            None => Err(not_started(match have.as_slice() {
                [] => "`pg_dump`, `pg_restore` and `psql` are not on this machine".to_owned(),
                have => format!(
                    "`pg_dump` of version {major} or later is needed for these servers; here are {}",
                    have.join(", ")
                ),
            })
            .with_help(format!("install the client programs of PostgreSQL {major}"))),
        }
    }

    /// One of the programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A call of one of the programs, with the way to a server in its environment and arguments;
    /// the password is in the environment of this one child.
    pub(super) fn call(
        &self,
        look: &Look,
        program: &str,
        way: &Way,
        left: Duration,
    ) -> CommandSpec {
        let mut spec = CommandSpec::new([self.program(program)], &look.base, left);
        spec.env = vec![
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ("PGAPPNAME".to_owned(), look.identity.to_string()),
            ("PGCONNECT_TIMEOUT".to_owned(), SHORT.as_secs().to_string()),
            ("PGOPTIONS".to_owned(), way.options.clone()),
        ];
        if let Some(password) = &way.password {
            spec.secret_env.push(("PGPASSWORD".to_owned(), password.clone()));
        }
        spec.argv.push("-d".into());
        spec.argv.push(way.conninfo.clone().into());
        spec
    }
}

/// A way to a database for a program; it is open while this lives.
pub(super) struct Way {
    conninfo: String,
    options: String,
    password: Option<workplan_engine::kind::Secret>,
    _guard: Option<Reached>,
}

impl Way {
    /// Opens a way.
    ///
    /// # Errors
    /// When the platform gives none.
    pub(super) async fn to(site: &Site, database: &str, version: i32) -> Result<Self, StepError> {
        let endpoint = &site.server.primary;
        let (host, port, guard) = match endpoint.socket() {
            Some((folder, port)) => (folder.to_owned(), port, None),
            None => {
                let reached = site.view.reach(endpoint).await?;
                let address = reached.address;
                (address.ip().to_string(), address.port(), Some(reached))
            }
        };
        let value = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let conninfo = format!(
            "host={} port={port} user={} dbname={}",
            value(&host),
            value(&site.server.user),
            value(database)
        );
        // Rows go in the way they came; a client that is gone is noticed.
        let mut options = "-c statement_timeout=0 -c lock_timeout=0".to_owned();
        if version >= 140_000 {
            options.push_str(" -c client_connection_check_interval=2s");
        }
        Ok(Self { conninfo, options, password: site.server.password.clone(), _guard: guard })
    }

    /// With one more setting.
    #[must_use]
    pub(super) fn set(mut self, setting: &str) -> Self {
        self.options.push_str(" -c ");
        self.options.push_str(setting);
        self
    }
}

/// Where programs may be, without doubles.
fn folders(look: &Look) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for (root, below) in VERSIONED {
        let (parent, prefix) = match root.strip_suffix('*') {
            Some(stem) => {
                let stem = Path::new(stem);
                let prefix = stem.file_name().map(|n| n.to_string_lossy().into_owned());
                (stem.parent().unwrap_or(Path::new("/")), prefix.unwrap_or_default())
            }
            None => (Path::new(root), String::new()),
        };
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        out.extend(
            entries
                .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
                .map(|e| e.path().join(below)),
        );
    }
    out.extend(look.program("pg_dump").and_then(|path| path.parent().map(Path::to_path_buf)));
    out.retain(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()));
    out
}

/// The major version of the programs in a folder, as they say it themselves.
async fn version(look: &Look, folder: &Path) -> Option<i32> {
    let argv: [OsString; 2] = [folder.join("pg_dump").into(), "--version".into()];
    let mut spec = CommandSpec::new(argv, &look.base, SHORT);
    spec.capture = true;
    let outcome = look.check(spec).await.ok().filter(|outcome| outcome.code == Some(0))?;
    let said = String::from_utf8(outcome.stdout).ok()?;
    // `pg_dump (PostgreSQL) 15.18 (Debian …)`.
    let number = said.split(") ").nth(1)?.split(['.', ' ', '\n']).next()?;
    number.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Runs a program; what it says is in the attempt's log.
///
/// # Errors
/// When it did not end well, with the end of what it said.
pub(super) async fn run(hands: &Hands, what: &str, spec: CommandSpec) -> Result<(), StepError> {
    let outcome = hands.run(spec).await?;
    ended(what, outcome)
}

fn ended(what: &str, outcome: CommandOutcome) -> Result<(), StepError> {
    let mut error = match (outcome.code, outcome.signal) {
        (Some(0), _) => return Ok(()),
        _ if outcome.cancelled => {
            StepError::new(ErrorCause::Cancelled, format!("{what} was ended"))
        }
        _ if outcome.timed_out => {
            StepError::new(ErrorCause::TimedOut, format!("{what} was ended at its deadline"))
        }
        (Some(_), _) => StepError::failed(format!("{what} failed{}", first(&outcome.tail))),
        (None, Some(signal)) => StepError::failed(format!("{what} was ended by signal {signal}")),
        (None, None) => StepError::failed(format!("{what} failed")),
    };
    error.said = outcome.tail;
    error.log = outcome.log;
    Err(error)
}

/// The first error that a program told, as the end of a sentence.
fn first(tail: &[String]) -> String {
    let line = tail.iter().find_map(|line| {
        let (_, words) = line.split_once("error: ").or_else(|| line.split_once("ERROR:  "))?;
        let words = words.split_once("ERROR:  ").map_or(words, |(_, inner)| inner);
        Some(words.trim().to_owned())
    });
    line.map_or_else(String::new, |line| format!(": {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_the_reason() {
        let tail = [
            "pg_restore: while PROCESSING TOC:".to_owned(),
            "pg_restore: error: could not execute query: ERROR:  type \"x\" does not exist"
                .to_owned(),
        ];
        assert_eq!(first(&tail), ": type \"x\" does not exist");
        assert_eq!(first(&["pg_dump: error: connection failed".to_owned()]), ": connection failed");
        assert_eq!(first(&[]), "");
    }
}
