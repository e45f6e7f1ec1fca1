//! A real git, which pushes and clones over HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::{CommandSpec, Hands, Secret, StepError};

use super::miss::Miss;
use super::site::Site;

/// What a git around us may have set: none of it is meant for a repository of ours.
const FOREIGN: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CURL_VERBOSE",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_SSL_NO_VERIFY",
    "GIT_TRACE_CURL",
    "GIT_WORK_TREE",
];

/// A folder with what a check pushes and what it clones.
///
/// The login is in the environment of git alone: in no argument, URL, file or configuration.
pub(super) struct Git<'a> {
    pub(super) hands: &'a Hands,
    /// Ours alone; nothing that a caller keeps.
    pub(super) folder: PathBuf,
    pub(super) site: &'a Site,
    pub(super) basic: &'a Secret,
    /// Deadline of each call.
    pub(super) within: Duration,
}

impl Git<'_> {
    /// Makes a commit with a file and pushes it as `main`; gives its id.
    pub(super) async fn push(&self, full_name: &str, content: &str) -> Result<String, Miss> {
        let work = self.folder.join("push");
        std::fs::create_dir_all(&work)
            .map_err(|e| Miss::new(format!("failed to make `{}`: {e}", work.display())))?;
        self.run(&work, &["init", "--quiet", "--template=", "--initial-branch=main"]).await?;
        std::fs::write(work.join("check"), content)
            .map_err(|e| Miss::new(format!("failed to write into `{}`: {e}", work.display())))?;
        self.run(&work, &["add", "check"]).await?;
        self.run(&work, &["commit", "--quiet", "--message=workplan"]).await?;
        let id = self.run(&work, &["rev-parse", "HEAD"]).await?;
        self.run(&work, &["push", "--quiet", &self.url(full_name), "main"]).await?;
        Ok(id.trim().to_owned())
    }

    /// Clones and gives the id of what is checked out, and the file.
    pub(super) async fn clone(&self, full_name: &str) -> Result<(String, String), Miss> {
        let work = self.folder.join("clone");
        let to = work.to_string_lossy().into_owned();
        let url = self.url(full_name);
        self.run(&self.folder, &["clone", "--quiet", "--template=", &url, &to]).await?;
        let id = self.run(&work, &["rev-parse", "HEAD"]).await?;
        let content = std::fs::read_to_string(work.join("check")).unwrap_or_default();
        Ok((id.trim().to_owned(), content))
    }

    fn url(&self, full_name: &str) -> String {
        format!("{}/{full_name}.git", self.site.base)
    }

    async fn run(&self, cwd: &Path, args: &[&str]) -> Result<String, Miss> {
        let mut argv = vec!["env"];
        argv.extend(FOREIGN.iter().flat_map(|name| ["-u", name]));
        argv.push("git");
        // What git is told besides stands in the environment, where it goes before every file.
        argv.extend(["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false"]);
        argv.extend(["-c", "credential.helper=", "-c", "http.followRedirects=false"]);
        argv.extend(["-c", "http.proxy=", "-c", "gc.auto=0"]);
        argv.extend(args);
        let folder = self.folder.to_string_lossy().into_owned();
        let mut env: Vec<(String, String)> = [
            ("HOME", folder.as_str()),
            ("XDG_CONFIG_HOME", &folder),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "true"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("NO_PROXY", "*"),
            ("no_proxy", "*"),
            ("GIT_AUTHOR_NAME", "workplan"),
            ("GIT_AUTHOR_EMAIL", "workplan@localhost"),
            ("GIT_COMMITTER_NAME", "workplan"),
            ("GIT_COMMITTER_EMAIL", "workplan@localhost"),
            ("GIT_CONFIG_COUNT", if self.site.host.is_some() { "2" } else { "1" }),
            ("GIT_CONFIG_KEY_0", "http.extraHeader"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(host) = &self.site.host {
            env.push(("GIT_CONFIG_KEY_1".to_owned(), "http.extraHeader".to_owned()));
            env.push(("GIT_CONFIG_VALUE_1".to_owned(), format!("Host: {host}")));
        }
        let header = [b"Authorization: ".as_slice(), self.basic.reveal()].concat();
        let spec = CommandSpec {
            env,
            secret_env: vec![("GIT_CONFIG_VALUE_0".to_owned(), Secret::new(header))],
            capture: true,
            ..CommandSpec::new(argv, cwd, self.within)
        };
        let name = args.first().copied().unwrap_or_default();
        let ended = self.hands.run(spec).await.map_err(|error: StepError| Miss::from(error))?;
        if ended.cancelled {
            return Err(Miss::new(format!("`git {name}` was ended because the run was cancelled")));
        }
        if ended.timed_out {
            let within = duration::format(self.within);
            let what = format!("`git {name}` did not end within {within}");
            return Err(Miss { what, said: ended.tail });
        }
        if ended.code != Some(0) {
            return Err(Miss { what: format!("`git {name}` failed"), said: ended.tail });
        }
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    }
}
