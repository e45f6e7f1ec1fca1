//! Ending a service, and all that belongs to it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::{ServiceEntry, memory};
use crate::process::identity::read_stat;
use crate::process::table::{Process, Table, kill_all, signal};
use crate::process::{Liveness, NamedProcess};

/// How long SIGKILL is repeated before what remains is named and left.
const FORCE: Duration = Duration::from_secs(5);
const FREEZE_PASSES: usize = 12;
const POLL: Duration = Duration::from_millis(5);

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whether it needed SIGKILL.
    pub forced: bool,
    /// What could not be ended.
    pub survivors: Vec<NamedProcess>,
}

impl ServiceEntry {
    /// Asks the service to end, waits for `patience`, then kills it with everything that belongs
    /// to it, and returns when all of it is gone or cannot be ended. System V shared memory that a
    /// killed one leaves is taken away.
    ///
    /// `signal` `None` kills at once. A service that has ended already is looked through for what
    /// it may have left. Dropping the future leaves it in whatever state it is.
    pub async fn end(&self, ask: Option<Signal>, patience: Duration) -> Ended {
        let table = Table::new();
        let mut ours = members(self);
        let mut forced = false;
        if let Some(ask) = ask.filter(|_| self.liveness() == Liveness::Alive) {
            // A stopped process acts on a signal only when it goes on.
            self.thaw();
            self.signal(ask);
            let until = Instant::now() + patience;
            while self.liveness() == Liveness::Alive && Instant::now() < until {
                tokio::time::sleep(POLL).await;
                merge(&mut ours, members(self));
            }
            // Its children see its end and follow; only what does not is killed.
            while !self.left(&ours).is_empty() && Instant::now() < until {
                tokio::time::sleep(POLL).await;
            }
        }
        let until = Instant::now() + FORCE;
        loop {
            merge(&mut ours, members(self));
            let left = self.left(&ours);
            if left.is_empty() || Instant::now() >= until {
                reap(&ours);
                if left.is_empty() && self.process.is_of_this_boot() {
                    memory::release(&self.process);
                }
                let name = |p: &Process| NamedProcess { pid: p.pid, command: table.command(p.pid) };
                return Ended { forced, survivors: left.iter().map(name).collect() };
            }
            forced = true;
            // Groups are not killed: a member found by its folder may share one with a stranger.
            kill_all(
                || {
                    let mut all = ours.clone();
                    merge(&mut all, members(self));
                    self.left(&all)
                },
                |_| false,
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops it with everything that belongs to it: it neither answers nor closes its connections.
    pub fn freeze(&self) {
        let mut stopped = HashSet::new();
        // What is stopped cannot fork, so each pass leaves fewer that can.
        for _ in 0..FREEZE_PASSES {
            let fresh: Vec<Process> =
                members(self).into_iter().filter(|p| stopped.insert(p.pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for process in self.left(&fresh) {
                signal(process.pid, Signal::SIGSTOP);
            }
        }
    }

    /// Lets it go on after [`ServiceEntry::freeze`], children first.
    pub fn thaw(&self) {
        for process in self.left(&members(self)).iter().rev() {
            signal(process.pid, Signal::SIGCONT);
        }
    }

    /// Whether its main process is stopped.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.liveness() == Liveness::Alive
            && read_stat(self.process.pid).is_ok_and(|stat| matches!(stat.state, 'T' | 't'))
    }

    /// Sends a signal to its main process, if that still is the one of this entry.
    pub fn signal(&self, what: Signal) {
        if self.liveness() == Liveness::Alive {
            signal(self.process.pid, what);
        }
    }

    /// Those that have not ended and are still the processes that were found.
    fn left(&self, of: &[Process]) -> Vec<Process> {
        let alive = |p: &&Process| {
            read_stat(p.pid).is_ok_and(|stat| !stat.is_dead() && stat.started_ticks == p.started)
        };
        of.iter().filter(alive).copied().collect()
    }
}

/// The processes of a service: its main process, what that started, and what of it lost its parent.
///
/// An orphan is known by its session, or by running the service's own program in its folder.
fn members(entry: &ServiceEntry) -> Vec<Process> {
    let table = Table::new();
    let main = &entry.process;
    let mut found = Vec::new();
    let mut session = Some(main.pid);
    match main.liveness() {
        Liveness::Alive => {
            found.extend(table.process(main.pid));
            found.extend(table.descendants(main.pid));
        }
        // Another machine's processes, or those of before a reboot, are not to be found here.
        Liveness::Unknown => return found,
        Liveness::Dead if !main.is_of_this_boot() => return found,
        // A number is not used again while it names a session, so a stranger's has no orphans.
        Liveness::Dead
            if read_stat(main.pid).is_ok_and(|s| s.started_ticks != main.started_ticks) =>
        {
            session = None;
        }
        Liveness::Dead => {}
    }
    let all = table.everything();
    let late = all.iter().filter(|p| p.started >= main.started_ticks);
    let orphans: Vec<Process> =
        late.filter(|p| session == Some(p.session) || runs_there(p.pid, entry)).copied().collect();
    merge(&mut found, orphans);
    found
}

/// Whether a process runs the service's program in the service's folder.
fn runs_there(pid: i32, entry: &ServiceEntry) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
    link("cwd").is_ok_and(|cwd| cwd == entry.cwd)
        && link("exe").is_ok_and(|exe| same_file(&exe, &entry.program))
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other || fs::canonicalize(other).is_ok_and(|other| one == other)
}

fn merge(into: &mut Vec<Process>, more: Vec<Process>) {
    let known: HashSet<i32> = into.iter().map(|p| p.pid).collect();
    into.extend(more.into_iter().filter(|p| !known.contains(&p.pid)));
}

/// Children of the dead whose parent is this process by now.
fn reap(ended: &[Process]) {
    for process in ended {
        let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
    }
}
