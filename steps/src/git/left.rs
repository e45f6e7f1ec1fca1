//! Locks that a `git` left when it was killed, with the engine for example.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use workplan_engine::kind::CommandOutcome;

/// The lock that `git` says is in its way.
pub(super) fn named(outcome: &CommandOutcome) -> Option<PathBuf> {
    outcome.tail.iter().find_map(|line| {
        let (_, rest) = line.split_once("Unable to create '")?;
        let (path, _) = rest.split_once("': File exists")?;
        path.ends_with(".lock").then(|| PathBuf::from(path))
    })
}

/// Whether nobody has this lock any more: it is ours, nothing was written to it for `age`, no
/// process has it open, and no `git` is at work in the repository. `git` closes a lock that it
/// keeps while it waits for an editor, hence the last. What cannot be told counts as in use.
pub(super) fn is_left(lock: &Path, root: &Path, age: Duration) -> bool {
    let Ok(about) = fs::symlink_metadata(lock) else { return false };
    let old = about.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|e| e >= age);
    if !old || !about.is_file() || about.uid() != nix::unistd::geteuid().as_raw() {
        return false;
    }
    let Ok(root) = root.canonicalize() else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .flatten()
        .filter(|p| p.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .all(|p| !has_open(&p.path(), lock) && !is_git_in(&p.path(), &root))
}

fn has_open(process: &Path, lock: &Path) -> bool {
    // Of somebody else's process nothing is told; only root and they could open our lock.
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == lock))
}

fn is_git_in(process: &Path, root: &Path) -> bool {
    let is_git = fs::read(process.join("comm")).is_ok_and(|name| name.starts_with(b"git"));
    if !is_git {
        return false;
    }
    let named = fs::read(process.join("cmdline")).is_ok_and(|line| {
        let root = root.as_os_str().as_encoded_bytes();
        line.windows(root.len()).any(|part| part == root)
    });
    match fs::read_link(process.join("cwd")) {
        Ok(cwd) => named || cwd.starts_with(root),
        // It has ended meanwhile, or is somebody else's.
        Err(_) => process.exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    fn until_left(lock: &Path, root: &Path, age: Duration) {
        let end = Instant::now() + Duration::from_secs(30);
        while !is_left(lock, root, age) {
            assert!(Instant::now() < end, "it counts as in use for ever");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_lock_that_is_fresh_or_open_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        let lock = root.path().join("index.lock");
        let age = Duration::from_secs(10);
        let file = fs::File::create(&lock).unwrap();
        assert!(!is_left(&lock, root.path(), age), "fresh");
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        assert!(!is_left(&lock, root.path(), age), "open");
        drop(file);
        // A child that another test is just starting has a copy until it becomes that program.
        until_left(&lock, root.path(), age);
        assert!(!is_left(&root.path().join("HEAD.lock"), root.path(), age), "not there");
    }

    #[test]
    fn a_git_that_is_at_work_has_its_locks() {
        let root = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(args).current_dir(root.path());
            git
        };
        assert!(run(&["init", "-q"]).status().unwrap().success());
        let lock = root.path().join("index.lock");
        let file = fs::File::create(&lock).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        drop(file);
        // It reads names until its input ends.
        let mut waiting = run(&["hash-object", "--stdin-paths"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let comm = PathBuf::from(format!("/proc/{}/comm", waiting.id()));
        while !fs::read(&comm).is_ok_and(|name| name.starts_with(b"git")) {
            std::thread::yield_now();
        }
        assert!(!is_left(&lock, root.path(), Duration::from_secs(10)));
        drop(waiting.stdin.take());
        waiting.wait().unwrap();
        until_left(&lock, root.path(), Duration::from_secs(10));
    }
}
