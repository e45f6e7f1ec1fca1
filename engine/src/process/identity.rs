//! Which process owns something, and whether it still lives.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// A process, named so that a reused process number is not taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process number, in its own pid namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started_ticks: u64,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The host's name.
    pub host: String,
    /// The inode of the pid namespace. Containers may share the name and boot id of their host.
    pub pid_namespace: u64,
}

/// Whether a process lives, as far as can be told from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The same process is running.
    Alive,
    /// It has ended: no such process, another one under its number, a zombie, or another boot.
    Dead,
    /// It belongs to another host or pid namespace, or `/proc` cannot be read.
    Unknown,
}

impl ProcessId {
    /// The calling process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current() -> io::Result<ProcessId> {
        let pid = nix::unistd::getpid().as_raw();
        ProcessId::of(pid)
    }

    /// The process that has the number `pid` now.
    ///
    /// # Errors
    /// `NotFound` when there is none, else when `/proc` cannot be read.
    pub fn of(pid: i32) -> io::Result<ProcessId> {
        let stat = read_stat(pid)?;
        Ok(ProcessId {
            pid,
            started_ticks: stat.started_ticks,
            boot_id: boot_id()?,
            host: host()?,
            pid_namespace: pid_namespace()?,
        })
    }

    /// Whether it ran on this machine since its last boot, so that its descendants may be here.
    pub(super) fn is_of_this_boot(&self) -> bool {
        host().is_ok_and(|h| h == self.host)
            && boot_id().is_ok_and(|b| b == self.boot_id)
            && pid_namespace().is_ok_and(|n| n == self.pid_namespace)
    }

    /// Whether this process still lives.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let Self { pid, started_ticks, boot_id, host, pid_namespace } = self;
        liveness((host, boot_id, Some(*pid_namespace)), *pid, *started_ticks)
    }
}

/// Whether the process that started at `ticks` still lives. A record that names no pid namespace is
/// taken to mean this one.
pub(crate) fn liveness(of: (&str, &str, Option<u64>), pid: i32, ticks: u64) -> Liveness {
    let (of_host, of_boot, of_namespace) = of;
    let here = (host(), boot_id(), pid_namespace());
    let (Ok(host), Ok(boot_id), Ok(pid_namespace)) = here else { return Liveness::Unknown };
    if host != of_host {
        return Liveness::Unknown;
    }
    if boot_id != of_boot {
        return Liveness::Dead;
    }
    if of_namespace.is_some_and(|named| named != pid_namespace) {
        return Liveness::Unknown;
    }
    match read_stat(pid) {
        Ok(stat) if stat.started_ticks == ticks && !stat.is_dead() => Liveness::Alive,
        Ok(_) => Liveness::Dead,
        Err(error) if is_gone(&error) => Liveness::Dead,
        Err(_) => Liveness::Unknown,
    }
}

/// Whether an error from `/proc/PID/…` means that there is no such process.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}

/// The part of `/proc/PID/stat` that is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) threads: i64,
    pub(super) started_ticks: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped. A process whose first thread alone has
    /// ended is shown as a zombie too, but still counts its other threads.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    /// Parses a line of `/proc/PID/stat`. The name may itself hold spaces and parentheses, so the
    /// fields are counted from its last `)`.
    pub(super) fn parse(line: &str) -> Option<Stat> {
        let (before, after) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        // Fields 20 and 22; up to field 6 they are consumed.
        let threads = fields.nth(20 - 7)?.parse().ok()?;
        let started_ticks = fields.nth(22 - 21)?.parse().ok()?;
        Some(Stat { name: name.to_owned(), state, parent, group, session, threads, started_ticks })
    }
}

pub(super) fn read_stat(pid: i32) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    Stat::parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn host() -> io::Result<String> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

fn pid_namespace() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_counts_from_the_last_parenthesis() {
        let line = "4711 (a) R (b c) S 1 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 9\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.name, "a) R (b c");
        assert_eq!((stat.state, stat.parent, stat.group, stat.session), ('S', 1, 20, 30));
        assert_eq!((stat.threads, stat.started_ticks), (1, 987_654));
        assert_eq!(Stat::parse("4711 (a"), None);
        assert_eq!(Stat::parse("4711 (a) S 1"), None);
    }

    #[test]
    fn the_current_process_is_alive_and_its_variations_are_not() {
        let me = ProcessId::current().unwrap();
        assert_eq!(me.liveness(), Liveness::Alive);
        let reused = ProcessId { started_ticks: me.started_ticks + 1, ..me.clone() };
        assert_eq!(reused.liveness(), Liveness::Dead);
        let rebooted = ProcessId { boot_id: "another".to_owned(), ..me.clone() };
        assert_eq!(rebooted.liveness(), Liveness::Dead);
        let elsewhere = ProcessId { host: "another".to_owned(), ..me.clone() };
        assert_eq!(elsewhere.liveness(), Liveness::Unknown);
        let contained = ProcessId { pid_namespace: me.pid_namespace + 1, ..me.clone() };
        assert_eq!(contained.liveness(), Liveness::Unknown);
        let none = ProcessId { pid: i32::MAX, ..me };
        assert_eq!(none.liveness(), Liveness::Dead);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = ProcessId::of(child.id().cast_signed()).unwrap();
        assert_eq!(process.liveness(), Liveness::Alive);
        drop(child.stdin.take());
        // WNOWAIT leaves the zombie there, so that it can be looked at.
        let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(process.pid));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(id, flags).unwrap();
        assert_eq!(process.liveness(), Liveness::Dead);
        child.wait().unwrap();
    }
}
