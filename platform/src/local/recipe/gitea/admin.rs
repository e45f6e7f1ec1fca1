//! The administrator and its password.
//!
//! Gitea's commands take a password as an argument, which everybody on the machine can read. So
//! an account is made with a password that Gitea makes up, and the wanted one is set through its
//! API. A password that is right already is left alone: the start then changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::http::{Answer, Who, ask};
use super::{Admin, HTTP, Mode, PASSWORD, SERVER, Settings};
use crate::PlatformError;
use crate::local::pod::{Pod, Text};
use crate::local::run::{Act, Program};
use crate::local::store::files;

/// Deadline of one question; checking a password takes a while by design.
const WITHIN: Duration = Duration::from_secs(10);
/// What the tokens are called by which a password is changed, before their number. Each lives for
/// one request.
const TOKEN: &str = "workplan-password-";
/// The most of an answer: what a pipe holds while nobody reads.
const MOST: usize = 64 * 1024;

/// Makes the account where it is missing, and sees to its password.
pub(super) async fn ensure(act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
    let settings = Settings::of(&pod.settings)?;
    let Some(admin) = &settings.admin else { return Ok(()) };
    let ports = pod.containers.iter().flat_map(|c| &c.ports);
    let Some(port) = ports.filter(|p| p.port == HTTP).map(|p| p.local).next() else {
        return Ok(());
    };
    let file = pod.files.iter().find(|file| file.path == PASSWORD);
    let Some(Text::Sealed(password)) = file.map(|file| file.text.clone()) else {
        return Ok(());
    };
    let pod = pod.name.clone();
    act.hands.conceal(&password);
    let this = Ensure { act, pod, settings: &settings, admin, port, password: password.reveal() };
    this.run().await
}

struct Ensure<'a> {
    act: &'a Act<'a>,
    pod: String,
    settings: &'a Settings,
    admin: &'a Admin,
    port: u16,
    password: &'a [u8],
}

impl Ensure<'_> {
    async fn run(&self) -> Result<(), PlatformError> {
        // Between making the account and setting its password a kill leaves one that nobody knows.
        let begun = self.settings.data.join("gitea/conf/.admin-begun");
        let who = Who::User(&self.admin.user, self.password);
        let login = self.ask(Method::GET, "/api/v1/user", &who, None).await?;
        if login.status == 200 {
            return files::remove(&begun);
        }
        let must_change = self.admin.mode == Mode::InitialOnlyRequireReset;
        if !self.is_there().await? {
            files::write_for(&begun, b"", files::SEALED, Some(self.act.account))?;
            let made_up = self.create().await?;
            let who = Who::User(&self.admin.user, made_up.as_bytes());
            self.set_password(&who, must_change).await?;
            return files::remove(&begun);
        }
        if self.admin.mode == Mode::KeepUpdated || begun.exists() {
            let token = self.token().await?;
            let must_change = must_change && begun.exists();
            self.set_password(&Who::Token(&token), must_change).await?;
            self.remove_tokens().await?;
        }
        files::remove(&begun)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        who: &Who<'_>,
        body: Option<&Value>,
    ) -> Result<Answer, PlatformError> {
        ask(self.port, method, path, who, body, WITHIN.min(self.act.left()))
            .await
            .map_err(|why| PlatformError::failed(format!("Gitea does not answer: {why}")))
    }

    async fn is_there(&self) -> Result<bool, PlatformError> {
        let list = self.gitea(&["admin", "user", "list"]).await?;
        // ID Username Email …
        let names = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
        Ok(names.into_iter().any(|name| name.eq_ignore_ascii_case(&self.admin.user)))
    }

    /// Makes the account; gives the password that Gitea made up.
    async fn create(&self) -> Result<String, PlatformError> {
        let said = self
            .gitea(&[
                "admin",
                "user",
                "create",
                "--admin",
                "--username",
                &self.admin.user,
                "--email",
                &self.admin.email,
                "--random-password",
                "--random-password-length",
                "40",
                "--must-change-password=false",
            ])
            .await?;
        // generated random password is '…'
        let made_up = said.lines().find_map(|line| {
            line.strip_prefix("generated random password is '")?.strip_suffix('\'')
        });
        made_up.map(str::to_owned).ok_or_else(|| {
            PlatformError::failed("Gitea does not say which password it made up for its account")
        })
    }

    /// A token of the administrator's.
    async fn token(&self) -> Result<String, PlatformError> {
        let mut number = [0; 8];
        getrandom::fill(&mut number)
            .map_err(|e| PlatformError::failed(format!("failed to get random bytes: {e}")))?;
        let name = format!("{TOKEN}{}", u64::from_le_bytes(number));
        let said = self
            .gitea(&[
                "admin",
                "user",
                "generate-access-token",
                "--username",
                &self.admin.user,
                "--token-name",
                &name,
                "--scopes",
                "write:admin,write:user",
                "--raw",
            ])
            .await?;
        Ok(said.trim().to_owned())
    }

    /// Removes the tokens of this start and of those that were killed.
    async fn remove_tokens(&self) -> Result<(), PlatformError> {
        let path = format!("/api/v1/users/{}/tokens", self.admin.user);
        let who = Who::User(&self.admin.user, self.password);
        let all = self.ask(Method::GET, &format!("{path}?limit=50"), &who, None).await?;
        expect(&all, &[200], "list the administrator's tokens")?;
        for token in all.json().as_array().into_iter().flatten() {
            let Some(name) = token["name"].as_str().filter(|name| name.starts_with(TOKEN)) else {
                continue;
            };
            let gone = self.ask(Method::DELETE, &format!("{path}/{name}"), &who, None).await?;
            expect(&gone, &[204, 404], "remove the token by which the password was set")?;
        }
        Ok(())
    }

    async fn set_password(&self, who: &Who<'_>, must_change: bool) -> Result<(), PlatformError> {
        let Ok(password) = std::str::from_utf8(self.password) else {
            return Err(PlatformError::failed("the administrator's password is not text"));
        };
        let path = format!("/api/v1/admin/users/{}", self.admin.user);
        let body = json!({
            "source_id": 0,
            "login_name": self.admin.user,
            "password": password,
            "must_change_password": must_change,
        });
        let set = self.ask(Method::PATCH, &path, who, Some(&body)).await?;
        expect(&set, &[200], "take the administrator's password")
    }

    /// Runs the program and gives what it said. That may be secret: it goes through a pipe that has
    /// a name, not to the log of the attempt and to no disk.
    async fn gitea(&self, args: &[&str]) -> Result<String, PlatformError> {
        let folder = self.act.folder(&self.pod).container(SERVER);
        let pipe = folder.join("answer");
        files::remove(&pipe)?;
        let doing = |e: std::io::Error| PlatformError::io("make the pipe", &pipe, &e);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)
            .map_err(|e| doing(e.into()))?;
        let account = self.act.account;
        std::os::unix::fs::chown(&pipe, Some(account.uid), Some(account.gid)).map_err(doing)?;
        // Open from here on, so that the writer need not wait and what it wrote stays.
        let open = tokio::net::unix::pipe::OpenOptions::new();
        let answer = open.open_receiver(&pipe).map_err(doing)?;
        let shell = PathBuf::from("/bin/sh");
        let mut program = Program::new(&shell, ["-c", "exec \"$@\" >\"$ANSWER\"", "sh"]);
        program.args.push(self.settings.program.clone().into());
        program.args.push("--config".into());
        program.args.push(self.settings.ini().into());
        program.args.extend(args.iter().map(Into::into));
        program.env = self.settings.env();
        program.env.push(("ANSWER".to_owned(), pipe.to_string_lossy().into_owned()));
        program.cwd.clone_from(&self.settings.data);
        let done = self.act.done(program).await;
        let mut said = vec![0; MOST];
        let length = answer.try_read(&mut said).unwrap_or(0);
        said.truncate(length);
        files::remove(&pipe)?;
        done?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

fn expect(answer: &Answer, statuses: &[u16], doing: &str) -> Result<(), PlatformError> {
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    Err(PlatformError::Failed {
        what: format!("Gitea did not {doing}: it says {}", answer.status),
        said: vec![answer.message()],
        help: None,
    })
}
