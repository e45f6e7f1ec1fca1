//! Getting a history into Gitea by git itself.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::client::Gitea;
use super::history::History;
use crate::exit;
use crate::failure::Failure;

/// How long until a queue worker must have registered a push.
const REGISTERED: Duration = Duration::from_secs(60);

/// Pushes a history into an empty repository and waits until Gitea knows of it.
pub(super) async fn push(
    gitea: &Gitea,
    full_name: &str,
    history: &History,
    login: &str,
) -> Result<(), Failure> {
    let url = format!("{}/{full_name}.git", gitea.url());
    let (stream, login) = (history.stream.clone(), login.to_owned());
    let pushed = tokio::task::spawn_blocking(move || by_git(&url, stream, &login)).await;
    pushed.map_err(|e| Failure::new(exit::FAILED, format!("git was not run to its end: {e}")))??;
    registered(gitea, full_name, history.branches.len() + 1).await
}

fn by_git(url: &str, stream: Vec<u8>, login: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", Path::new("a folder"), &e))?;
    let git = |args: &[&str], stdin: Vec<u8>| {
        let mut all = vec!["-C"];
        let path = folder.path().to_string_lossy().into_owned();
        all.push(&path);
        all.extend_from_slice(args);
        let output = duct::cmd("git", &all)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_PUSH", "1")
            .env("LC_ALL", "C")
            // By the environment: everybody can read command lines.
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: {login}"))
            .env("GIT_CONFIG_KEY_1", "http.proxy")
            .env("GIT_CONFIG_VALUE_1", "")
            .env_remove("GIT_DIR")
            .stdin_bytes(stdin)
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(|e| Failure::new(exit::FAILED, format!("failed to start `git`: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let mut failure = Failure::new(exit::FAILED, format!("`git {}` failed", args.join(" ")));
        failure.causes.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        Err(failure)
    };
    git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], Vec::new())?;
    git(&["fast-import", "--quiet"], stream)?;
    git(&["push", "--quiet", url, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"], Vec::new())
}

/// Waits for the queue worker. Until it has run, the API says that the repository is empty, or
/// breaks.
async fn registered(gitea: &Gitea, full_name: &str, branches: usize) -> Result<(), Failure> {
    let path = format!("/api/v1/repos/{full_name}/branches");
    let look = async {
        loop {
            let body = super::client::Body::None;
            let (status, bytes) = gitea.send(Method::GET, &path, body, None, None).await?;
            let known = serde_json::from_slice::<Value>(&bytes)
                .ok()
                .and_then(|v| v.as_array().map(Vec::len))
                .unwrap_or(0);
            if status.is_success() && known == branches {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(REGISTERED, look).await.unwrap_or_else(|_| {
        Err(Failure::new(
            exit::FAILED,
            format!(
                "Gitea did not register the push to {full_name} within {} s",
                REGISTERED.as_secs()
            ),
        ))
    })
}
