//! System V shared memory that a killed server leaves behind.
//!
//! The kernel ties such a segment to no process: what its creator did not take away stays until the
//! next boot (pgpool 4.3 has one of 140 MB). A container has an IPC namespace that ends with it;
//! a service has this.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::{SysconfVar, sysconf};

use crate::process::ProcessId;

/// A clock that is set, and seconds that are rounded.
const SLACK: u64 = 2;

/// Takes away the segments that a dead process made and that nobody has attached.
///
/// What cannot be taken away stays: it is in nobody's way, and an error here would hide why the
/// server was ended.
pub(super) fn release(main: &ProcessId) {
    let Some(since) = started(main) else { return };
    let Ok(table) = fs::read_to_string("/proc/sysvipc/shm") else { return };
    for id in left_by(&table, main.pid, since) {
        let _ = Command::new("ipcrm")
            .args(["-m", &id])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// The ids of the segments in the kernel's table that a process made, not before `since` (seconds of
/// the epoch), and to which nobody is attached. A process number alone may be a stranger's.
fn left_by(table: &str, pid: i32, since: u64) -> Vec<String> {
    let mut lines = table.lines();
    let Some(header) = lines.next() else { return Vec::new() };
    let at = |name: &str| header.split_whitespace().position(|column| column == name);
    let (Some(id), Some(creator), Some(attached), Some(changed)) =
        (at("shmid"), at("cpid"), at("nattch"), at("ctime"))
    else {
        return Vec::new();
    };
    let left = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| columns.get(at)?.parse::<u64>().ok();
        let ours = number(creator)? == u64::try_from(pid).ok()?
            && number(attached)? == 0
            && number(changed)? >= since;
        ours.then(|| columns[id].to_owned())
    };
    lines.filter_map(left).collect()
}

/// When a process of this boot started, in seconds of the epoch.
fn started(main: &ProcessId) -> Option<u64> {
    let hertz = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|h| *h > 0)?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: u64 = uptime.split(['.', ' ']).next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    now.checked_sub(uptime)?.checked_add(main.started_ticks / hertz)?.checked_sub(SLACK)
}

#[cfg(test)]
mod tests {
    use super::left_by;

    const TABLE: &str = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n\
         0          1   600                  4096    77    78      0   111   111   111   111          0          0       1000                     0                     0\n\
         0          2   600                  4096    77    78      1   111   111   111   111          0          0       1000                     0                     0\n\
         0          3   600                  4096    78    78      0   111   111   111   111          0          0       1000                     0                     0\n\
         0          4   600                  4096    77    78      0   111   111   111   111          0          0        999                     0                     0\n";

    #[test]
    fn only_what_the_process_made_and_nobody_has() {
        assert_eq!(left_by(TABLE, 77, 1000), ["1"]);
        assert_eq!(left_by(TABLE, 77, 999), ["1", "4"]);
        assert!(left_by("", 77, 0).is_empty());
        assert!(left_by("another table\n1 2 3\n", 77, 0).is_empty());
    }
}
