//! Commits of exactly some paths.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

use workplan_engine::kind::{CommandOutcome, CommandSpec, ErrorCause, Hands, Look, StepError};

use super::child;
use super::left;
use super::repo::Repo;
use crate::blocking::blocking;

/// How long another `git` in the same repository is waited for.
const LOCKED: Duration = Duration::from_secs(10);
/// A lock that nobody has is as old as that when it is removed; then there is time for it.
const LEFT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(100);

/// Our commits come one after the other: two steps of one run may commit to one repository.
static COMMITTING: Mutex<()> = Mutex::const_new(());

/// Who commits where nobody is configured.
const NOBODY: [(&str, &str); 2] = [("NAME", "workplan"), ("EMAIL", "workplan@localhost")];

/// The trailer of a commit that a step made; its value is the attempt's identity.
const MADE: &str = "Workplan-Step";
/// The trailer of a commit that takes a step's commit back.
const UNDONE: &str = "Workplan-Undo";

/// Commits these files as they are now in the working tree: one that is gone is committed as
/// removed. Everything else, in the index and in the tree, stays as it is. `None` where there is
/// nothing to commit, so that it may be called again after a kill.
///
/// Hooks and signatures are left out, for this commit alone: a hook may change files or wait for a
/// person. Works on a detached HEAD, and where nobody is configured.
///
/// # Errors
/// When the paths are not all in one repository, or `git` refuses: in the middle of a merge, for
/// example. Cancelled with the attempt; what is staged then is committed by the next call.
pub(crate) async fn commit(
    hands: &Hands,
    paths: &[&Path],
    message: &str,
) -> Result<Option<String>, StepError> {
    make(hands, paths, message, MADE).await
}

/// Commits these files as [`commit`] does, as the inverse of a step's commit with this message.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_back(
    hands: &Hands,
    paths: &[&Path],
    message: &str,
) -> Result<Option<String>, StepError> {
    let subject = message.lines().next().unwrap_or_default();
    make(hands, paths, &format!("Revert \"{subject}\""), UNDONE).await
}

async fn make(
    hands: &Hands,
    paths: &[&Path],
    message: &str,
    trailer: &str,
) -> Result<Option<String>, StepError> {
    let Some(first) = paths.first() else { return Ok(None) };
    let repo = Repo::required(hands, first).await?;
    let inside = paths.iter().map(|path| repo.inside(path)).collect::<Result<Vec<_>, _>>()?;
    let _one_at_a_time = COMMITTING.lock().await;
    let mut stage =
        child::spec(repo.root(), ["update-index", "--add", "--remove", "-z", "--stdin"]);
    child::feed(&mut stage, inside.iter().map(PathBuf::as_path));
    act(hands, &repo, "stage files", stage).await?;
    let changed = staged(hands, &repo, &inside).await?;
    if changed.is_empty() {
        return Ok(None);
    }
    let message = format!("{}\n\n{trailer}: {}\n", message.trim_end(), hands.identity);
    let mut spec = child::spec(
        repo.root(),
        [
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "commit.gpgSign=false",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            "commit",
            "--quiet",
            "--no-verify",
            "--cleanup=verbatim",
            "--only",
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
            "--message",
            &message,
        ],
    );
    child::feed(&mut spec, changed.iter().map(PathBuf::as_path));
    spec.env.extend(nobody(hands, &repo).await?);
    act(hands, &repo, "commit", spec).await?;
    repo.head(hands).await
}

/// Those of the paths that the index has otherwise than the newest commit.
async fn staged(look: &Look, repo: &Repo, inside: &[PathBuf]) -> Result<Vec<PathBuf>, StepError> {
    let arguments: &[&str] = if repo.head(look).await?.is_some() {
        &["diff-index", "--cached", "--name-only", "--no-renames", "-z", "HEAD"]
    } else {
        &["ls-files", "--cached", "-z"]
    };
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let outcome = repo.ask(look, "look at what is staged", &arguments).await?;
    let ours: BTreeSet<&Path> = inside.iter().map(PathBuf::as_path).collect();
    Ok(child::records(&outcome.stdout)
        .map(|path| Path::new(OsStr::from_bytes(path)))
        .filter(|path| ours.contains(path))
        .map(Path::to_path_buf)
        .collect())
}

/// Variables that name an author where none is configured. A name that git would make up from the
/// machine's does not count as configured.
async fn nobody(look: &Look, repo: &Repo) -> Result<BTreeMap<String, String>, StepError> {
    let mut variables = BTreeMap::new();
    for role in ["AUTHOR", "COMMITTER"] {
        let arguments = ["-c", "user.useConfigOnly=true", "var", &format!("GIT_{role}_IDENT")]
            .map(OsString::from);
        if look.check(child::spec(repo.root(), arguments)).await?.code != Some(0) {
            for (part, value) in NOBODY {
                variables.insert(format!("GIT_{role}_{part}"), value.to_owned());
            }
        }
    }
    Ok(variables)
}

/// Runs a `git` that writes. While another one holds the repository, it is tried again; a lock that
/// a killed one has left is removed.
pub(super) async fn act(
    hands: &Hands,
    repo: &Repo,
    doing: &str,
    spec: CommandSpec,
) -> Result<CommandOutcome, StepError> {
    let end = Instant::now() + LOCKED + LEFT;
    loop {
        let outcome = hands.run(spec.clone()).await?;
        if outcome.code == Some(0) {
            return Ok(outcome);
        }
        let locked = outcome
            .tail
            .iter()
            .any(|line| line.contains(".lock': File exists") || line.contains("cannot lock ref"));
        if !locked || outcome.cancelled {
            return Err(child::refused(doing, repo.root(), &outcome));
        }
        if let Some(lock) = left::named(&outcome) {
            let root = repo.root().to_path_buf();
            let gone = blocking(move || -> Result<bool, StepError> {
                if !left::is_left(&lock, &root, LOCKED) {
                    return Ok(false);
                }
                fs::remove_file(&lock).map_err(|e| {
                    let lock = lock.display();
                    let what =
                        format!("failed to remove `{lock}`, which a killed git has left: {e}");
                    StepError::failed(what)
                })?;
                Ok(true)
            });
            if gone.await? {
                continue;
            }
        }
        if Instant::now() >= end {
            let error = child::refused(doing, repo.root(), &outcome);
            return Err(error.with_help(
                "another git is at work in this repository, or one was killed there: when none \
                 runs any more, remove the `.lock` file that is named, then go on with `workplan \
                 resume`",
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = hands.cancel().cancelled() => {
                let what = format!("failed to {doing} in `{}`: the run was cancelled", repo.root().display());
                return Err(StepError::new(ErrorCause::Cancelled, what));
            }
        }
    }
}
