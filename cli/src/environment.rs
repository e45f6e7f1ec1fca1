//! The only place that reads environment variables.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Variables that change what `workplan` does, each with its effect, as Markdown.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("`WORKPLAN_STATE`", "the state folder, where `--state` is not given"),
    ("`NO_COLOR`", "no colour, when not empty"),
    (
        "`FORCE_COLOR`, `CLICOLOR_FORCE`",
        "colour also without a terminal, when neither empty nor `0` nor `false`",
    ),
    ("`TERM=dumb`", "no colour and no moving progress"),
    ("`CI`", "no moving progress, when neither empty nor `0` nor `false`"),
    ("`COLUMNS`", "width of the screen, from 20 to 1000, where there is no terminal to ask"),
    ("`USER`, else `LOGNAME`", "who approves, rejects, resolves and abandons"),
    (
        "`WORKPLAN_CACHE`, else `XDG_CACHE_HOME/workplan`, else `~/.cache/workplan`",
        "in its `bin` programs are looked for that the `PATH` does not have: what the set-up has built",
    ),
    (
        "any other",
        "passed on to the programs that steps run; one that is an `env:` secret only to the \
         steps that name it",
    ),
];

/// The environment, read once at the start; [`VARIABLES`] says what it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// All variables, for children and for `env:` secrets.
    pub(crate) all: Vec<(OsString, OsString)>,
    /// `WORKPLAN_STATE`, when not empty.
    pub(crate) state: Option<PathBuf>,
    /// `NO_COLOR`.
    pub(crate) no_color: bool,
    /// `FORCE_COLOR` or `CLICOLOR_FORCE`.
    pub(crate) force_color: bool,
    /// `TERM=dumb`.
    pub(crate) dumb: bool,
    /// `CI`.
    pub(crate) ci: bool,
    /// `COLUMNS`, from 20 to 1000.
    pub(crate) columns: Option<usize>,
    /// `USER`, else `LOGNAME`.
    pub(crate) user: Option<String>,
}

impl Environment {
    /// Reads the process's own.
    pub(crate) fn read() -> Self {
        Self::from_variables(std::env::vars_os().collect())
    }

    fn from_variables(all: Vec<(OsString, OsString)>) -> Self {
        let get = |name: &str| {
            all.iter()
                .find(|(key, _)| key.as_os_str() == OsStr::new(name))
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        let on = |name: &str| get(name).is_some_and(|v| v != "0" && v != "false");
        let text = |name: &str| get(name).and_then(|v| v.into_string().ok());
        let cache = get("WORKPLAN_CACHE").map(PathBuf::from).or_else(|| {
            let caches = get("XDG_CACHE_HOME").map(PathBuf::from);
            let caches = caches.or_else(|| Some(PathBuf::from(get("HOME")?).join(".cache")));
            Some(caches?.join("workplan"))
        });
        Self {
            state: get("WORKPLAN_STATE").map(PathBuf::from),
            no_color: get("NO_COLOR").is_some(),
            force_color: on("FORCE_COLOR") || on("CLICOLOR_FORCE"),
            dumb: text("TERM").is_some_and(|t| t == "dumb"),
            ci: on("CI"),
            columns: text("COLUMNS")
                .and_then(|c| c.parse().ok())
                .filter(|c| (20..=1000).contains(c)),
            user: text("USER").or_else(|| text("LOGNAME")),
            all: match cache {
                Some(cache) => with_programs(all, &cache.join("bin")),
                None => all,
            },
        }
    }

    /// Where a program is, as a child would find it on the `PATH`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        std::env::split_paths(self.get("PATH")?)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| {
                std::fs::metadata(path)
                    .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            })
    }

    /// The value of any variable, for `env:` secrets.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.all
            .iter()
            .find(|(key, _)| key.as_os_str() == OsStr::new(name))
            .map(|(_, v)| v.as_os_str())
    }
}

/// The variables with a folder at the end of the `PATH`, where it is there and not in it.
fn with_programs(mut all: Vec<(OsString, OsString)>, folder: &Path) -> Vec<(OsString, OsString)> {
    if !folder.is_absolute() || !folder.is_dir() {
        return all;
    }
    if let Some((_, path)) = all.iter_mut().find(|(key, _)| key == "PATH") {
        let mut folders: Vec<PathBuf> = std::env::split_paths(path).collect();
        if !folders.iter().any(|f| f == folder) {
            folders.push(folder.to_path_buf());
        }
        // A folder with a colon in its name cannot be in a `PATH`.
        if let Ok(joined) = std::env::join_paths(folders) {
            *path = joined;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_set_up_has_built_is_found_last() {
        let cache = tempfile::tempdir().unwrap();
        let bin = cache.path().join("bin");
        let variables =
            [("PATH", "/usr/bin:/bin"), ("WORKPLAN_CACHE", cache.path().to_str().unwrap())];
        assert_eq!(read(&variables).get("PATH"), Some(OsStr::new("/usr/bin:/bin")));
        std::fs::create_dir(&bin).unwrap();
        let expected = format!("/usr/bin:/bin:{}", bin.display());
        assert_eq!(read(&variables).get("PATH"), Some(OsStr::new(&expected)));
    }

    fn read(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_variables(pairs.iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    #[test]
    fn empty_and_off_values_do_not_count() {
        let none = read(&[
            ("NO_COLOR", ""),
            ("FORCE_COLOR", "0"),
            ("CI", "false"),
            ("WORKPLAN_STATE", ""),
        ]);
        assert!(!none.no_color && !none.force_color && !none.ci && none.state.is_none());
        let all =
            read(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("CI", "true"), ("LOGNAME", "ann")]);
        assert!(all.no_color && all.force_color && all.ci);
        assert_eq!(all.user.as_deref(), Some("ann"));
    }

    #[test]
    fn a_width_that_no_screen_has_is_passed_over() {
        assert_eq!(read(&[("COLUMNS", "80")]).columns, Some(80));
        assert_eq!(read(&[("COLUMNS", "3")]).columns, None);
        assert_eq!(read(&[("COLUMNS", "wide")]).columns, None);
    }
}
