//! Getting a history into Gitea by git itself.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::client::Gitea;
use super::history::History;
use crate::exit;
use crate::failure::Failure;
use crate::lab::tool::git_with;

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
    pushed
        .map_err(|e| Failure::new(exit::FAILED, format!("git was not run to its end: {e}")))??;
    registered(gitea, full_name, history.branches.len() + 1).await
}

fn by_git(url: &str, stream: Vec<u8>, login: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", Path::new("a folder"), &e))?;
    let header = format!("Authorization: {login}");
    let settings = [("http.extraHeader", header.as_str()), ("http.proxy", "")];
    let git = |args: &[&str], stdin| git_with(folder.path(), args, &settings, stdin);
    git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], Vec::new())?;
    git(&["fast-import", "--quiet"], stream)?;
    git(
        &["push", "--quiet", url, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"],
        Vec::new(),
    )?;
    Ok(())
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
