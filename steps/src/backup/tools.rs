//! PostgreSQL's own programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use workplan_engine::kind::{CommandSpec, Look, StepError};

use super::words::ended_well;

/// Where packages put the programs of a major version: Debian and its kin, then Red Hat's.
const ROOTS: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];
const VERSION_WAIT: Duration = Duration::from_secs(10);

/// The programs of one version.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    bin: PathBuf,
    /// As they say it: `15.18`.
    pub(super) version: String,
}

impl Tools {
    /// The oldest programs here that can read a server of this major version, all of `needed` among
    /// them. Older ones refuse; newer ones write what older servers may not read.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn find(look: &Look, major: u32, needed: &[&str]) -> Result<Self, StepError> {
        let whole = |bin: &Path| needed.iter().all(|name| bin.join(name).is_file());
        let mut found: Vec<(u32, PathBuf)> = Vec::new();
        for (root, bin) in ROOTS {
            for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let version = name.strip_prefix("pgsql-").unwrap_or(&name).parse::<u32>();
                let bin = entry.path().join(bin);
                if let Ok(version) = version
                    && whole(&bin)
                {
                    found.push((version, bin));
                }
            }
        }
        found.sort();
        if let Some((_, bin)) = found.iter().find(|(version, _)| *version >= major) {
            let version = version(look, &bin.join(needed[0])).await?;
            return Ok(Self { bin: bin.clone(), version });
        }
        if let Some(bin) = look.program(needed[0]).as_deref().and_then(Path::parent)
            && whole(bin)
        {
            let version = version(look, &bin.join(needed[0])).await?;
            if self::major(&version).is_some_and(|have| have >= major) {
                return Ok(Self { bin: bin.to_owned(), version });
            }
        }
        let newest = found.last().map_or_else(
            || "there are none here".to_owned(),
            |(version, _)| format!("the newest here are of {version}"),
        );
        let what = format!(
            "PostgreSQL's programs (`{}`) of version {major} or newer are needed, and {newest}",
            needed.join("`, `")
        );
        Err(StepError::failed(what)
            .with_help(format!("install the package `postgresql-{major}` or newer")))
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }
}

/// What a program says of its version.
async fn version(look: &Look, program: &Path) -> Result<String, StepError> {
    let argv = [program.as_os_str(), "--version".as_ref()];
    let mut spec = CommandSpec::new(argv, Path::new("/"), VERSION_WAIT);
    spec.capture = true;
    let outcome = look.check(spec).await?;
    let who = format!("`{} --version`", program.display());
    ended_well(&who, &outcome, VERSION_WAIT)?;
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    number(&said)
        .ok_or_else(|| StepError::failed(format!("{who} said no version: {}", said.trim())))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is `15.18`.
fn number(said: &str) -> Option<String> {
    let word = said.split_once(") ")?.1.split_whitespace().next()?;
    major(word).is_some().then(|| word.to_owned())
}

/// `15.18` is of 15, `17beta1` of 17.
pub(super) fn major(version: &str) -> Option<u32> {
    let digits = version.len() - version.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    version[..digits].parse().ok()
}

/// The conninfo text for one database, whatever its name. A plain name with `=` in it, or one that
/// begins as a URL, would be read as connection settings.
pub(super) fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A name as SQL reads it back.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_said() {
        let said = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(number(said).as_deref(), Some("15.18"));
        assert_eq!(number("postgres (PostgreSQL) 19devel\n").as_deref(), Some("19devel"));
        assert_eq!(number("pg_dump 15"), None);
        assert_eq!((major("15.18"), major("17beta1"), major("x")), (Some(15), Some(17), None));
    }

    #[test]
    fn any_name_is_one_name() {
        assert_eq!(conninfo(r"a='b' \c"), r"dbname='a=\'b\' \\c'");
        assert_eq!(quoted(r#"we"ird"#), r#""we""ird""#);
    }
}
