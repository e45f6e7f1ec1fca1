//! Finding the state folder. Nothing is created here.

use std::path::{Path, PathBuf};

use workplan_engine::journal::{Journal, JournalError, Mode, StateDir};

use crate::app::App;
use crate::exit;
use crate::failure::Failure;

/// The folder's name in a git directory.
const IN_GIT: &str = "workplan";
/// The folder's name where there is no git.
const BESIDE: &str = ".workplan";

/// The state folder of a workplan: in the common git directory of its repository, else beside it.
pub(crate) fn of_workplan(app: &App, workplan: &Path) -> Result<StateDir, Failure> {
    if let Some(dir) = &app.state {
        return absolute(dir).map(StateDir::new);
    }
    let path = absolute(workplan)?;
    // A link to a workplan belongs to where the file is.
    let path = path.canonicalize().unwrap_or(path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok(StateDir::new(match git_common_dir(folder) {
        Some(git) => git.join(IN_GIT),
        None => folder.join(BESIDE),
    }))
}

/// The state folder of the current folder, for commands without a file: of the repository around
/// it, else the nearest `.workplan` upwards; where there is neither, `.workplan` here.
pub(crate) fn of_current_folder(app: &App) -> Result<StateDir, Failure> {
    if let Some(dir) = &app.state {
        return absolute(dir).map(StateDir::new);
    }
    let here = absolute(Path::new("."))?;
    let here = here.canonicalize().unwrap_or(here);
    if let Some(git) = git_common_dir(&here) {
        return Ok(StateDir::new(git.join(IN_GIT)));
    }
    let nearest = here.ancestors().map(|a| a.join(BESIDE)).find(|d| d.is_dir());
    Ok(StateDir::new(nearest.unwrap_or_else(|| here.join(BESIDE))))
}

/// Opens the journal for reading; `None` where there is none.
pub(crate) fn open_read(dir: &StateDir) -> Result<Option<Journal>, Failure> {
    Ok(Journal::open_if_exists(dir)?)
}

/// As [`open_read`], for commands that change things: what a killed engine left in the log is
/// folded in first where it cannot be read otherwise.
pub(crate) fn open_to_work(dir: &StateDir) -> Result<Option<Journal>, Failure> {
    match Journal::open_if_exists(dir) {
        Err(JournalError::Unfolded { .. }) => {
            drop(Journal::open(dir, Mode::ReadWrite)?);
            open_read(dir)
        }
        opened => Ok(opened?),
    }
}

/// Opens the journal of a run that has just ended.
pub(crate) fn open_existing(dir: &StateDir) -> Result<Journal, Failure> {
    open_to_work(dir)?.ok_or_else(|| no_run(dir))
}

/// There is no run in this state folder.
pub(crate) fn no_run(dir: &StateDir) -> Failure {
    Failure::new(exit::USAGE, "no run").with_help(format!(
        "the state folder is `{}`; another is chosen with `--state DIR` or by going to its repository",
        dir.root().display()
    ))
}

/// What makes the implicit target this one: the state folder.
pub(crate) fn identity(dir: &StateDir) -> String {
    let root = dir.root();
    let real = root.canonicalize().or_else(|_| {
        let parent = root.parent().unwrap_or(Path::new("/")).canonicalize()?;
        Ok::<_, std::io::Error>(parent.join(root.file_name().unwrap_or_default()))
    });
    format!("state:{}", real.as_deref().unwrap_or(root).display())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|e| Failure::io("find", path, &e))
}

/// The common git directory of the repository around a folder, without asking `git`.
///
/// A worktree and a submodule have a `.git` *file* that names their own directory; `commondir` in
/// that names the one that all worktrees share.
fn git_common_dir(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find_map(|ancestor| {
        let dot_git = ancestor.join(".git");
        let own = if dot_git.is_dir() {
            dot_git
        } else {
            let text = std::fs::read_to_string(&dot_git).ok()?;
            ancestor.join(text.strip_prefix("gitdir:")?.trim())
        };
        // A stray folder of that name is no repository.
        own.join("HEAD").is_file().then_some(())?;
        let common = match std::fs::read_to_string(own.join("commondir")) {
            Ok(text) => own.join(text.trim()),
            Err(_) => own,
        };
        common.canonicalize().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn worktrees_share_the_common_directory() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        write(root.join("repo/.git/HEAD"), "ref: refs/heads/main\n");
        write(root.join("repo/.git/worktrees/wt/HEAD"), "ref: refs/heads/x\n");
        write(root.join("repo/.git/worktrees/wt/commondir"), "../..\n");
        write(
            root.join("wt/.git"),
            &format!("gitdir: {}\n", root.join("repo/.git/worktrees/wt").display()),
        );
        write(root.join("wt/deep/down/x.md"), "");
        let common = Some(root.join("repo/.git"));
        assert_eq!(git_common_dir(&root.join("repo")), common);
        assert_eq!(git_common_dir(&root.join("wt/deep/down")), common);
    }

    #[test]
    fn a_submodule_has_its_own_and_a_stray_folder_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        write(root.join("repo/.git/HEAD"), "");
        write(root.join("repo/.git/modules/sub/HEAD"), "");
        write(root.join("repo/sub/.git"), "gitdir: ../.git/modules/sub\n");
        assert_eq!(
            git_common_dir(&root.join("repo/sub")),
            Some(root.join("repo/.git/modules/sub"))
        );
        write(root.join("other/.git/note"), "");
        assert_eq!(git_common_dir(&root.join("other")), None);
    }
}
