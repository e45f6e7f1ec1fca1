//! A git repository in a world.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository whose commits are made by somebody else than the steps.
pub(crate) struct GitRepo(PathBuf);

impl GitRepo {
    /// Makes one with a first commit.
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let repo = Self(folder.to_path_buf());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.write("README.md", "A repository.\n");
        repo.commit("Begin");
        repo
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What a `git` says; it must succeed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.0).args(arguments);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Somebody");
            command.env(format!("GIT_{role}_EMAIL"), "somebody@example.org");
        }
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// Commits all that is there.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// The newest commit's message.
    pub(crate) fn message(&self) -> String {
        self.git(&["log", "-1", "--format=%B"])
    }

    /// What is committed, staged and in the tree, without names and times of commits.
    pub(crate) fn fingerprint(&self) -> String {
        let committed = self.git(&["ls-tree", "-r", "HEAD"]);
        let staged = self.git(&["ls-files", "--stage"]);
        let changed = self.git(&["status", "--porcelain", "--untracked-files=all", "--ignored"]);
        let files = self.git(&["ls-files", "--cached", "--others", "-z"]);
        let mut files: Vec<&str> = files.split('\0').filter(|f| self.path(f).is_file()).collect();
        files.sort_unstable();
        files.dedup();
        let hashes = self.git(&[&["hash-object", "--no-filters", "--"], &files[..]].concat());
        format!("{committed}--\n{staged}--\n{changed}--\n{hashes}")
    }

    /// Whether nothing is staged, changed or new.
    pub(crate) fn is_clean(&self) -> bool {
        self.git(&["status", "--porcelain"]).is_empty()
    }
}
