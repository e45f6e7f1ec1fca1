//! Who works on a run, and whether that process still lives.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::process::{Liveness, ProcessId, liveness};

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

impl Owner {
    /// This process. `None` where `/proc` is not there to name it.
    #[must_use]
    pub fn this_process(run: impl Into<String>, since: Timestamp) -> Option<Self> {
        let ProcessId { pid, started_ticks, boot_id, host, .. } = ProcessId::current().ok()?;
        Some(Self {
            pid: pid.cast_unsigned(),
            started_ticks,
            boot_id,
            host,
            run: run.into(),
            since,
        })
    }

    /// Whether the process still lives, as of now.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let Self { pid, started_ticks, boot_id, host, .. } = self;
        liveness((host, boot_id, None), pid.cast_signed(), *started_ticks)
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
}
