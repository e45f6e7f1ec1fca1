//! Looking at a repository.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use workplan_engine::kind::{Change, CommandOutcome, Look, StepError};

use super::child::{self, CAPTURED};

/// A repository with a working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repo {
    root: PathBuf,
}

/// What is said of a path that git passes over.
pub(crate) const IGNORED: &str = "ignored by git";

/// A path with changes that are not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uncommitted {
    /// The path in the repository.
    pub(crate) path: PathBuf,
    /// What it is: `changed`, `staged`, `new`, `removed`, `in conflict`, or [`IGNORED`].
    pub(crate) how: &'static str,
}

impl fmt::Display for Uncommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}", self.path.display(), self.how)
    }
}

impl Uncommitted {
    /// Why a step that would commit these paths does not begin, and what to do.
    pub(crate) fn refusal(repo: &Repo, list: &[Self]) -> String {
        let each = list.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = match list.len() {
            0..=5 => String::new(),
            n => format!(" and {} more", n - 5),
        };
        format!(
            "`{}` has changes that are not committed where this step would commit: {each}{more}; \
             commit them or put them away (`git stash`) first",
            repo.root.display()
        )
    }
}

impl Repo {
    /// The repository that a path lies in, the path itself need not exist. `None` where it lies
    /// in none.
    ///
    /// # Errors
    /// When `git` cannot be run, or refuses the repository (its owner is somebody else).
    pub(crate) async fn of(look: &Look, path: &Path) -> Result<Option<Self>, StepError> {
        let folder = path.ancestors().skip(1).find(|f| f.is_dir()).unwrap_or(Path::new("/"));
        let spec =
            child::reading(look, folder, ["rev-parse", "--is-inside-work-tree", "--show-toplevel"]);
        let outcome = look.check(spec).await?;
        if outcome.code == Some(0) {
            let mut lines = outcome.stdout.splitn(2, |b| *b == b'\n');
            if lines.next() == Some(b"true".as_slice()) {
                let root = lines.next().unwrap_or_default();
                let root = root.strip_suffix(b"\n").unwrap_or(root);
                return Ok(Some(Self { root: PathBuf::from(OsStr::from_bytes(root)) }));
            }
        }
        let none = ["not a git repository", "must be run in a work tree"];
        if outcome.code == Some(0)
            || outcome.tail.iter().any(|line| none.iter().any(|n| line.contains(n)))
        {
            return Ok(None);
        }
        Err(child::refused("find the git repository", folder, &outcome))
    }

    /// As [`Repo::of`]; a path outside of any repository is an error.
    ///
    /// # Errors
    /// When it lies in none, or `git` cannot tell.
    pub(crate) async fn required(look: &Look, path: &Path) -> Result<Self, StepError> {
        Self::of(look, path).await?.ok_or_else(|| {
            let what = format!(
                "`{}` lies in no git repository, so it cannot be committed",
                path.display()
            );
            StepError::failed(what).with_help("leave out `commit`, or `git init` the folder first")
        })
    }

    /// Its working tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A commit to come, as a preview shows it.
    pub(crate) fn commit_change(&self, message: &str) -> Change {
        Change {
            op: "create".to_owned(),
            path: format!("commit in {}", self.root.display()),
            before: None,
            after: Some(message.into()),
        }
    }

    /// The path of a file as the repository names it. Links in the folders above it are followed;
    /// the last part is not, it may be a link that is committed.
    ///
    /// # Errors
    /// When it lies outside.
    pub(crate) fn inside(&self, path: &Path) -> Result<PathBuf, StepError> {
        let (there, rest) = path
            .ancestors()
            .skip(1)
            .find_map(|folder| Some((folder.canonicalize().ok()?, path.strip_prefix(folder).ok()?)))
            .unwrap_or((PathBuf::from("/"), path));
        let inside = there.join(rest).strip_prefix(&self.root).map(Path::to_path_buf);
        match inside {
            Ok(inside) if !inside.as_os_str().is_empty() && !inside.starts_with(".git") => {
                Ok(inside)
            }
            _ => Err(StepError::failed(format!(
                "`{}` is no file in the working tree of `{}`",
                path.display(),
                self.root.display()
            ))),
        }
    }

    /// Runs `git` where it reads only; an exit code other than 0 is an error.
    pub(super) async fn ask(
        &self,
        look: &Look,
        doing: &str,
        arguments: &[&OsStr],
    ) -> Result<CommandOutcome, StepError> {
        let outcome = look.check(child::reading(look, &self.root, arguments)).await?;
        if outcome.code != Some(0) {
            return Err(child::refused(doing, &self.root, &outcome));
        }
        if outcome.stdout.len() >= CAPTURED {
            let what = format!(
                "failed to {doing} in `{}`: the answer of `git` is longer than 1 MiB",
                self.root.display()
            );
            return Err(StepError::failed(what));
        }
        Ok(outcome)
    }

    /// Which of these paths (files, or folders with all in them) have changes that are not
    /// committed: changed, staged, new, ignored. Empty where all is as committed, or not there at
    /// all.
    ///
    /// # Errors
    /// When `git` cannot tell.
    pub(crate) async fn uncommitted(
        &self,
        look: &Look,
        paths: &[&Path],
    ) -> Result<Vec<Uncommitted>, StepError> {
        let mut arguments: Vec<&OsStr> = [
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--ignored=matching",
            "--no-renames",
            "--",
        ]
        .map(OsStr::new)
        .to_vec();
        let inside = paths.iter().map(|p| self.inside(p)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(inside.iter().map(|p| p.as_os_str()));
        let outcome = self.ask(look, "look for changes", &arguments).await?;
        Ok(child::records(&outcome.stdout)
            .filter_map(|record| {
                let (marks, path) = record.split_at_checked(3)?;
                let how = match &marks[..2] {
                    b"!!" => IGNORED,
                    b"??" => "new",
                    [b'U', _] | [_, b'U'] | b"AA" | b"DD" => "in conflict",
                    [_, b' '] => "staged",
                    [_, b'D'] => "removed",
                    _ => "changed",
                };
                Some(Uncommitted { path: PathBuf::from(OsStr::from_bytes(path)), how })
            })
            .collect())
    }

    /// A file's content as it is committed, as a checkout would write it. `None` where the newest
    /// commit does not have it, or there is no commit yet.
    ///
    /// # Errors
    /// When `git` cannot tell, or it is larger than 1 MiB.
    pub(crate) async fn committed(
        &self,
        look: &Look,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let inside = self.inside(path)?;
        if !self.is_committed(look, &inside).await? {
            return Ok(None);
        }
        let mut object = std::ffi::OsString::from("HEAD:");
        object.push(&inside);
        let arguments = [OsStr::new("cat-file"), OsStr::new("--filters"), &object];
        Ok(Some(self.ask(look, "read a committed file", &arguments).await?.stdout))
    }

    /// Whether the newest commit has a path (as [`Repo::inside`] names it).
    ///
    /// # Errors
    /// When `git` cannot tell.
    pub(crate) async fn is_committed(&self, look: &Look, inside: &Path) -> Result<bool, StepError> {
        if self.head(look).await?.is_none() {
            return Ok(false);
        }
        let arguments = ["ls-tree", "--name-only", "-z", "HEAD", "--"].map(OsStr::new);
        let arguments = [&arguments[..], &[inside.as_os_str()]].concat();
        Ok(!self.ask(look, "read the newest commit", &arguments).await?.stdout.is_empty())
    }

    /// The newest commit; `None` in a repository without any.
    ///
    /// # Errors
    /// When `git` cannot tell.
    pub(crate) async fn head(&self, look: &Look) -> Result<Option<String>, StepError> {
        let spec =
            child::reading(look, &self.root, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let outcome = look.check(spec).await?;
        match outcome.code {
            Some(0) => Ok(Some(text(&outcome.stdout))),
            Some(1) => Ok(None),
            _ => Err(child::refused("read the newest commit", &self.root, &outcome)),
        }
    }

    /// The newest commit that changed a path (as [`Repo::inside`] names it).
    ///
    /// # Errors
    /// When `git` cannot tell.
    pub(crate) async fn last_commit_of(
        &self,
        look: &Look,
        inside: &Path,
    ) -> Result<Option<String>, StepError> {
        if self.head(look).await?.is_none() {
            return Ok(None);
        }
        let arguments = ["log", "-1", "--format=%H", "--"].map(OsStr::new);
        let arguments = [&arguments[..], &[inside.as_os_str()]].concat();
        let found = text(&self.ask(look, "read the history", &arguments).await?.stdout);
        Ok((!found.is_empty()).then_some(found))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
