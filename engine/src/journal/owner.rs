//! Who works on a run, and whether that process still lives.

use std::fs;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A process, named so that another one with the same number is not taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process number.
    pub pid: u32,
    /// When the process started, in clock ticks since the boot (field 22 of `/proc/PID/stat`).
    pub started_ticks: u64,
    /// The boot of the machine.
    pub boot_id: String,
    /// The machine's name.
    pub host: String,
    /// The run it works on.
    pub run: String,
    /// Since when, in whole milliseconds.
    #[serde(with = "super::event::milliseconds")]
    pub since: Timestamp,
}

/// Whether an [`Owner`] still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// That very process runs on this machine.
    Alive,
    /// It ended; its number may belong to another process now.
    Dead,
    /// It belongs to another machine, or `/proc` cannot be read.
    Unknown,
}

impl Owner {
    /// This process. `None` where `/proc` is not there to name it.
    #[must_use]
    pub fn this_process(run: impl Into<String>, since: Timestamp) -> Option<Self> {
        let pid = std::process::id();
        let ProcessStat::Running(started_ticks) = stat(pid) else { return None };
        Some(Self {
            pid,
            started_ticks,
            boot_id: boot_id()?,
            host: host()?,
            run: run.into(),
            since,
        })
    }

    /// Whether the process still lives, as of now.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let (Some(host), Some(boot)) = (host(), boot_id()) else { return Liveness::Unknown };
        if host != self.host {
            return Liveness::Unknown;
        }
        if boot != self.boot_id {
            return Liveness::Dead;
        }
        match stat(self.pid) {
            ProcessStat::Running(ticks) if ticks == self.started_ticks => Liveness::Alive,
            ProcessStat::Running(_) | ProcessStat::Gone => Liveness::Dead,
            ProcessStat::Unreadable => Liveness::Unknown,
        }
    }

    /// Whether both name the same process.
    #[must_use]
    pub fn is_same_process(&self, other: &Self) -> bool {
        self.pid == other.pid
            && self.started_ticks == other.started_ticks
            && self.boot_id == other.boot_id
            && self.host == other.host
    }
}

enum ProcessStat {
    Running(u64),
    Gone,
    Unreadable,
}

fn stat(pid: u32) -> ProcessStat {
    let text = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // A missing number proves nothing where /proc itself is missing.
        Err(_) if fs::metadata("/proc/self/stat").is_ok() => return ProcessStat::Gone,
        Err(_) => return ProcessStat::Unreadable,
    };
    // The name in parentheses may hold spaces and parentheses: fields are counted after the last.
    let Some((_, fields)) = text.rsplit_once(')') else { return ProcessStat::Unreadable };
    let mut fields = fields.split_ascii_whitespace();
    // A zombie holds its number but runs no more code.
    match fields.next() {
        Some("Z" | "X" | "x") => return ProcessStat::Gone,
        Some(_) => {}
        None => return ProcessStat::Unreadable,
    }
    // Field 3 was taken above; field 22 is 18 further on.
    match fields.nth(18).and_then(|ticks| ticks.parse().ok()) {
        Some(ticks) => ProcessStat::Running(ticks),
        None => ProcessStat::Unreadable,
    }
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim_end().to_owned())
}

fn host() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Owner {
        Owner::this_process("r1", Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn only_the_very_same_process_is_alive() {
        assert_eq!(me().liveness(), Liveness::Alive);
        let number_reused = Owner { started_ticks: me().started_ticks + 1, ..me() };
        assert_eq!(number_reused.liveness(), Liveness::Dead);
        let init_of_another_time = Owner { pid: 1, started_ticks: u64::MAX, ..me() };
        assert_eq!(init_of_another_time.liveness(), Liveness::Dead);
        let no_such_number = Owner { pid: u32::MAX, ..me() };
        assert_eq!(no_such_number.liveness(), Liveness::Dead);
        let before_the_reboot = Owner { boot_id: "x".into(), ..me() };
        assert_eq!(before_the_reboot.liveness(), Liveness::Dead);
        let elsewhere = Owner { host: "elsewhere.invalid".into(), ..me() };
        assert_eq!(elsewhere.liveness(), Liveness::Unknown);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let ProcessStat::Running(started_ticks) = stat(child.id()) else { panic!("not started") };
        let owner = Owner { pid: child.id(), started_ticks, ..me() };
        assert_eq!(owner.liveness(), Liveness::Alive);
        drop(child.stdin.take());
        // WNOWAIT leaves the zombie there, so that it can be looked at.
        let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(child.id() as i32));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(id, flags).unwrap();
        assert_eq!(owner.liveness(), Liveness::Dead);
        child.wait().unwrap();
    }
}
