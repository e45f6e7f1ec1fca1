//! The process table as `/proc` shows it, and killing what is found in it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::identity::Stat;

/// How often a walk is repeated to stop what was forked during the one before. A process that is
/// stopped cannot fork, so each pass leaves fewer that can.
const FREEZE_PASSES: usize = 12;
const COMMAND_CHARS: usize = 160;

/// One process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) started: u64,
}

/// A reader of `/proc`.
#[derive(Debug)]
pub(super) struct Table {
    root: PathBuf,
    /// Whether the kernel has `/proc/PID/task/TID/children`, which makes a walk cost as much as
    /// the tree is large, not as the machine is busy.
    has_children_files: bool,
}

impl Table {
    pub(super) fn new() -> Table {
        Table::at(Path::new("/proc"))
    }

    fn at(root: &Path) -> Table {
        let has_children_files = root.join("thread-self/children").exists();
        Table { root: root.to_owned(), has_children_files }
    }

    /// Every descendant of `root` that has not ended, parents before their children.
    pub(super) fn descendants(&self, root: i32) -> Vec<Process> {
        if self.has_children_files { self.walk(root) } else { below(root, &self.everything()) }
    }

    fn walk(&self, root: i32) -> Vec<Process> {
        let mut found: Vec<Process> = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for pid in self.children(parent) {
                if !seen.insert(pid) {
                    continue;
                }
                parents.push(pid);
                if let Some(stat) = self.stat(pid).filter(|stat| !stat.is_dead()) {
                    found.push(process(pid, &stat));
                }
            }
        }
        found
    }

    fn children(&self, pid: i32) -> Vec<i32> {
        let Ok(threads) = fs::read_dir(self.root.join(format!("{pid}/task"))) else {
            return Vec::new();
        };
        let lists =
            threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
        let mut children = Vec::new();
        for list in lists {
            children.extend(list.split_ascii_whitespace().filter_map(|p| p.parse::<i32>().ok()));
        }
        children
    }

    /// One process, if it has not ended.
    pub(super) fn process(&self, pid: i32) -> Option<Process> {
        self.stat(pid).filter(|stat| !stat.is_dead()).map(|stat| process(pid, &stat))
    }

    /// Every process that has not ended.
    pub(super) fn everything(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| {
            let stat = self.stat(pid)?;
            (!stat.is_dead()).then(|| process(pid, &stat))
        })
        .collect()
    }

    fn stat(&self, pid: i32) -> Option<Stat> {
        let bytes = fs::read(self.root.join(format!("{pid}/stat"))).ok()?;
        Stat::parse(&String::from_utf8_lossy(&bytes))
    }

    /// The command line for a person; the name in brackets where there is none.
    pub(super) fn command(&self, pid: i32) -> String {
        let words = fs::read(self.root.join(format!("{pid}/cmdline"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&words).replace('\0', " ");
        let text: String = text.trim().chars().take(COMMAND_CHARS).collect();
        if text.is_empty() {
            let name = self.stat(pid).map_or_else(|| "gone".to_owned(), |stat| stat.name);
            return format!("[{name}]");
        }
        text
    }

    /// Whether the environment that `pid` started with has `entry` (`NAME=value`).
    pub(super) fn started_with(&self, pid: i32, entry: &[u8]) -> bool {
        fs::read(self.root.join(format!("{pid}/environ")))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == entry))
    }
}

fn process(pid: i32, stat: &Stat) -> Process {
    Process {
        pid,
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        started: stat.started_ticks,
    }
}

fn below(root: i32, all: &[Process]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = HashSet::from([root]);
    loop {
        let before = found.len();
        for process in all {
            if parents.contains(&process.parent) && parents.insert(process.pid) {
                found.push(*process);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Sends a signal; a process that is gone or not ours to signal is no error here, what survives
/// is reported by the callers.
pub(super) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Kills what `list` finds: first stops it until nothing new appears, so that a fork bomb cannot
/// outrun the walk, then sends SIGKILL.
///
/// `own_group` says of a process whether its whole group may be killed with it; a group is
/// signalled at once, which also catches a process that forks and exits between two walks.
pub(super) fn kill_all(
    mut list: impl FnMut() -> Vec<Process>,
    own_group: impl Fn(&Process) -> bool,
) {
    let mut stopped = HashSet::new();
    for _ in 0..FREEZE_PASSES {
        let fresh: Vec<Process> = list().into_iter().filter(|p| stopped.insert(p.pid)).collect();
        if fresh.is_empty() {
            break;
        }
        for process in &fresh {
            signal(process.pid, Signal::SIGSTOP);
        }
    }
    let mut groups = HashSet::new();
    for process in list() {
        if own_group(&process) && groups.insert(process.group) {
            let _ = killpg(Pid::from_raw(process.group), Signal::SIGKILL);
        }
        signal(process.pid, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(root: &Path, pid: i32, parent: i32, state: char, children: &str) {
        let task = root.join(format!("{pid}/task/{pid}"));
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("children"), children).unwrap();
        let stat = format!("{pid} (x) {state} {parent} 7 8 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 99 0");
        fs::write(root.join(format!("{pid}/stat")), stat).unwrap();
    }

    #[test]
    fn children_files_and_a_scan_find_the_same_descendants() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fake(root, 10, 1, 'S', "11 12 ");
        fake(root, 11, 10, 'S', "13 ");
        fake(root, 12, 10, 'Z', "");
        fake(root, 13, 11, 'T', "");
        fake(root, 20, 1, 'S', "");
        let scan = Table::at(root);
        assert!(!scan.has_children_files);
        let walk = Table { root: root.to_owned(), has_children_files: true };
        for table in [scan, walk] {
            let mut pids: Vec<i32> = table.descendants(10).iter().map(|p| p.pid).collect();
            pids.sort_unstable();
            assert_eq!(pids, [11, 13], "{table:?}");
        }
    }

    #[test]
    fn a_command_without_a_command_line_is_named_in_brackets() {
        let folder = tempfile::tempdir().unwrap();
        fake(folder.path(), 10, 1, 'S', "");
        let table = Table::at(folder.path());
        assert_eq!(table.command(10), "[x]");
        fs::write(folder.path().join("10/cmdline"), b"sleep\x0060\0").unwrap();
        assert_eq!(table.command(10), "sleep 60");
        fs::write(folder.path().join("10/environ"), b"A=1\0WORKPLAN_ATTEMPT=a b\0").unwrap();
        assert!(table.started_with(10, b"WORKPLAN_ATTEMPT=a b"));
        assert!(!table.started_with(10, b"WORKPLAN_ATTEMPT=a"));
    }
}
