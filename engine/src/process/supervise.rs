//! The supervisor process.
//!
//! Single-threaded and without a runtime: one `ppoll` over the socket, which SIGCHLD interrupts.
//! Signals stay blocked outside the `ppoll`, so that none is lost between a look and the wait.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, setsid};

use super::table::{Process, Table, kill_all, signal};
use super::trees::{Root, by_step};
use super::wire::{
    ATTEMPT_VARIABLE, Command, End, Inbox, Kill, NamedProcess, Reply, Request, send, unpack,
};
use super::{Account, lock};

/// How long the lock of a former supervisor is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(3);
/// How long processes may take to end by themselves after their step's main process, before they
/// count as left behind: a shell does not wait for the `tee` of `> >(tee file)`.
const SETTLE: Duration = Duration::from_millis(50);
/// How long SIGKILL is repeated before what remains is named and left.
const FORCE: Duration = Duration::from_secs(5);
/// The same after the engine has died, when nobody is there to be told.
const LAST_FORCE: Duration = Duration::from_millis(1500);
const TICK: Duration = Duration::from_millis(5);
/// A step that ends sooner is told of once, not when it starts and when it ends.
const BRIEF: Duration = Duration::from_millis(1);
const NAMED: usize = 32;

/// The socket that [`Supervisor::start`](super::Supervisor::start) passed as standard input.
///
/// # Errors
/// When standard input is closed.
pub fn socket_from_stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// Runs the supervisor until the engine closes its end of `socket` and no descendant is left;
/// returns the process's exit code. See the [module's documentation](super).
///
/// `lock_file` is held all the while, see [`wait_supervisor_gone`](super::wait_supervisor_gone).
///
/// It takes over the whole process: call it from the main function of a process that has done
/// nothing else. It becomes a session leader and child subreaper, closes every descriptor but the
/// socket, changes to `/`, and no longer ends by SIGINT, SIGTERM or SIGHUP.
#[must_use]
pub fn supervise(socket: OwnedFd, lock_file: Option<PathBuf>) -> i32 {
    // A copy is none of the descriptors 0 to 2 and is closed on exec.
    let copy = socket.try_clone();
    drop(socket);
    let Ok(socket) = copy else { return 1 };
    match prepare(&socket, lock_file) {
        Ok(_lock) => {
            let mut supervision = Supervision::new(socket);
            supervision.serve();
            supervision.end();
            0
        }
        Err((what, errno)) => {
            let refused = Reply::Refused { what: what.to_owned(), errno: errno as i32 };
            let _ = send(socket.as_fd(), &refused, &[], &[]);
            1
        }
    }
}

type Refusal = (&'static str, Errno);

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn prepare(socket: &OwnedFd, lock_file: Option<PathBuf>) -> Result<Option<File>, Refusal> {
    set_signals().map_err(|e| ("set signal handlers", e))?;
    match setsid() {
        // A session leader already.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(e) => return Err(("make a session", e)),
    }
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| ("become a subreaper", e))?;
    close_others(socket.as_raw_fd()).map_err(|e| ("close inherited descriptors", errno(&e)))?;
    let lock = lock_file
        .map(|path| lock::hold(&path, LOCK_WAIT))
        .transpose()
        .map_err(|e| ("take the lock file of the supervisor", errno(&e)))?;
    nix::unistd::chdir("/").map_err(|e| ("change to /", e))?;
    Ok(lock)
}

/// The signals that would end or stop the supervisor, or wake it, and have an empty handler.
const SURVIVED: [Signal; 18] = [
    Signal::SIGALRM,
    Signal::SIGCHLD,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGIO,
    Signal::SIGPIPE,
    Signal::SIGPROF,
    Signal::SIGPWR,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGVTALRM,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// Gives every signal its default and those that would end the supervisor an empty handler. Not
/// "ignore": that would be inherited by the steps, an exec resets handlers.
#[expect(unsafe_code, reason = "sigaction has no safe form")]
fn set_signals() -> Result<(), Errno> {
    extern "C" fn nothing(_: i32) {}
    for signal in Signal::iterator() {
        // The runtime watches for stack overflows with SIGSEGV and SIGBUS.
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP | Signal::SIGSEGV | Signal::SIGBUS) {
            continue;
        }
        let handler = if SURVIVED.contains(&signal) {
            SigHandler::Handler(nothing)
        } else {
            SigHandler::SigDfl
        };
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, so it is safe in any context.
        unsafe { sigaction(signal, &action) }?;
    }
    blocked().thread_set_mask()
}

fn blocked() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}

/// Closes everything but `socket`: a terminal, a pipe or a lock that the engine's caller passed
/// on must not stay open here.
fn close_others(socket: RawFd) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    drop(null);
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != socket) {
        // The listing's own descriptor is among them and closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// Where a step is after its start.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    /// The main process has ended; others may still end by themselves until then.
    Settling(Instant),
    /// They were sent SIGTERM and have until then.
    Ending(Instant),
    /// SIGKILL is repeated until then.
    Forcing(Instant),
}

struct Step {
    root: Root,
    /// Since when the engine is to be told of its start.
    untold: Option<Instant>,
    end: Option<End>,
    phase: Phase,
    leftover_grace: Duration,
    leftovers: Vec<NamedProcess>,
}

struct Supervision {
    socket: OwnedFd,
    pid: i32,
    table: Table,
    steps: Vec<Step>,
    /// Survivors of finished steps, which must not be blamed on another.
    given_up: HashSet<i32>,
    /// Folders that go with the engine.
    doomed: HashSet<String>,
    /// Whether the last look found no child at all.
    childless: bool,
    engine_gone: bool,
}

impl Supervision {
    fn new(socket: OwnedFd) -> Supervision {
        Supervision {
            socket,
            pid: getpid().as_raw(),
            table: Table::new(),
            steps: Vec::new(),
            given_up: HashSet::new(),
            doomed: HashSet::new(),
            childless: true,
            engine_gone: false,
        }
    }

    fn serve(&mut self) {
        let mut inbox = Inbox::new();
        self.reply(&Reply::Ready);
        while !self.engine_gone {
            self.reap();
            self.advance();
            self.tell();
            if self.wait() && !self.engine_gone {
                match inbox.receive::<Request>(self.socket.as_fd()) {
                    Ok(Some(received)) => {
                        self.handle(received.message, received.payload, received.fds);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // An unreadable message means an engine that cannot be served any more.
                    Ok(None) | Err(_) => self.engine_gone = true,
                }
            }
        }
    }

    /// Waits for the socket, a child or the next deadline; says whether the socket is readable.
    fn wait(&self) -> bool {
        let idle = self.steps.iter().all(|step| matches!(step.phase, Phase::Running));
        let untold = self.steps.iter().any(|step| step.untold.is_some());
        let timeout = if untold { Some(BRIEF) } else { (!idle).then_some(TICK) };
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let ready = ppoll(&mut fds, timeout.map(Into::into), Some(SigSet::empty()));
        matches!(ready, Ok(ready) if ready > 0)
    }

    /// Tells the engine of the steps that have been running for a while.
    fn tell(&mut self) {
        for index in 0..self.steps.len() {
            let step = &mut self.steps[index];
            if step.untold.is_none_or(|since| since.elapsed() < BRIEF) {
                continue;
            }
            step.untold = None;
            let spawned = Reply::Spawned { id: step.root.id, pid: step.root.main };
            self.reply(&spawned);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        // Blocks while the engine is stopped; when it dies meanwhile, the send fails.
        if send(self.socket.as_fd(), reply, &[], &[]).is_err() {
            self.engine_gone = true;
        }
    }

    fn handle(&mut self, request: Request, payload: &[u8], fds: Vec<OwnedFd>) {
        match request {
            Request::Spawn { id, leftover_grace_ms } => {
                let grace = Duration::from_millis(leftover_grace_ms);
                if let Err((errno, cwd)) = self.spawn(id, grace, payload, fds) {
                    self.reply(&Reply::SpawnFailed { id, errno: errno as i32, cwd });
                }
            }
            Request::Kill { id, how } => {
                if let Some(index) = self.steps.iter().position(|step| step.root.id == id) {
                    self.end_step(index, how);
                }
            }
            Request::KillEverything => {
                for index in 0..self.steps.len() {
                    self.end_step(index, Kill::Force);
                }
            }
            Request::Doom { folder } => {
                self.doomed.insert(folder);
            }
            Request::Spare { folder } => {
                self.doomed.remove(&folder);
            }
        }
    }

    /// Starts a step; the error says whether it was its working folder that could not be used.
    fn spawn(
        &mut self,
        id: u64,
        leftover_grace: Duration,
        payload: &[u8],
        mut fds: Vec<OwnedFd>,
    ) -> Result<(), (Errno, bool)> {
        let file = (fds.len() > 3).then(|| fds.pop()).flatten();
        let unpacked = file.map(unpack).transpose().map_err(|e| (errno(&e), false))?;
        let command = unpacked.as_deref().unwrap_or(payload);
        let (Some(command), [stdin, stdout, stderr]) = (Command::decode(command), &fds[..]) else {
            return Err((Errno::EPROTO, false));
        };
        let marker = command.env.iter().rev().map(|entry| entry.to_bytes()).find(|entry| {
            entry
                .strip_prefix(ATTEMPT_VARIABLE.as_bytes())
                .is_some_and(|e| e.first() == Some(&b'='))
        });
        let marker = marker.unwrap_or_default().to_vec();
        let main = match command.account {
            None => start(&command, [stdin, stdout, stderr].map(AsRawFd::as_raw_fd))?.as_raw(),
            Some(account) => start_as(account, &command, [stdin, stdout, stderr])?,
        };
        self.childless = false;
        self.steps.push(Step {
            root: Root { id, main, marker },
            untold: Some(Instant::now()),
            end: None,
            phase: Phase::Running,
            leftover_grace,
            leftovers: Vec::new(),
        });
        Ok(())
    }

    fn reap(&mut self) {
        if self.childless {
            return;
        }
        loop {
            let (pid, end) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) => return,
                Err(Errno::ECHILD) => {
                    self.childless = true;
                    return;
                }
                Err(Errno::EINTR) | Ok(_) => continue,
                // A signal without a name (a real-time one) comes back as an error, reaped.
                Err(_) => {
                    self.reap_unnamed();
                    continue;
                }
            };
            self.given_up.remove(&pid.as_raw());
            if let Some(step) = self.steps.iter_mut().find(|step| step.root.main == pid.as_raw()) {
                step.end = Some(end);
            }
        }
    }

    /// Finds the main process that has just been reaped without a status.
    fn reap_unnamed(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.end.is_none()) {
            if nix::sys::signal::kill(Pid::from_raw(step.root.main), None) == Err(Errno::ESRCH) {
                step.end = Some(End::Signal(0));
            }
        }
    }

    /// Takes every step on that has ended or is to end.
    fn advance(&mut self) {
        let mut index = 0;
        while index < self.steps.len() {
            let step = &self.steps[index];
            let busy = step.end.is_some() || !matches!(step.phase, Phase::Running);
            match if busy { self.advance_step(index) } else { None } {
                Some(survivors) => self.report(index, &survivors),
                None => index += 1,
            }
        }
    }

    /// Returns what survives once the step is finished.
    fn advance_step(&mut self, index: usize) -> Option<Vec<Process>> {
        let now = Instant::now();
        let members = self.members(index);
        let step = &mut self.steps[index];
        if members.is_empty() && step.end.is_some() {
            return Some(members);
        }
        match step.phase {
            Phase::Running => step.phase = Phase::Settling(now + SETTLE),
            Phase::Settling(until) if now >= until => {
                name(&self.table, &members, &mut step.leftovers);
                step.phase = Phase::Ending(now + step.leftover_grace);
                ask(&members);
            }
            Phase::Ending(until) if now >= until => {
                name(&self.table, &members, &mut step.leftovers);
                step.phase = Phase::Forcing(now + FORCE);
                self.force(index);
            }
            Phase::Forcing(until) if now >= until => return Some(members),
            Phase::Forcing(_) => self.force(index),
            Phase::Settling(_) | Phase::Ending(_) => {}
        }
        None
    }

    fn end_step(&mut self, index: usize, how: Kill) {
        match how {
            Kill::Ask => ask(&self.members(index)),
            Kill::Force => {
                if !matches!(self.steps[index].phase, Phase::Forcing(_)) {
                    self.steps[index].phase = Phase::Forcing(Instant::now() + FORCE);
                }
                self.force(index);
            }
        }
    }

    fn force(&self, index: usize) {
        // A group of the supervisor's session holds descendants only; its own is the exception.
        kill_all(|| self.members(index), |process| process.group != self.pid);
    }

    /// The living processes of a step, its main process included.
    fn members(&self, index: usize) -> Vec<Process> {
        let id = self.steps[index].root.id;
        // With no child at all there is nothing to look for, which is the usual case.
        if self.childless {
            return Vec::new();
        }
        let roots: Vec<Root> = self.steps.iter().map(|step| step.root.clone()).collect();
        let mut sorted = by_step(&self.table, self.pid, &roots);
        let mut members = sorted.remove(&Some(id)).unwrap_or_default();
        if roots.len() == 1 {
            members.extend(sorted.remove(&None).unwrap_or_default());
        }
        members.retain(|process| !self.given_up.contains(&process.pid));
        members
    }

    fn report(&mut self, index: usize, members: &[Process]) {
        let step = self.steps.remove(index);
        let mut survivors = Vec::new();
        name(&self.table, members, &mut survivors);
        self.given_up.extend(members.iter().map(|process| process.pid));
        let end = step.end.unwrap_or(End::Never);
        let (id, pid, leftovers) = (step.root.id, step.root.main, step.leftovers);
        self.reply(&Reply::Exited { id, pid, end, leftovers, survivors });
    }

    /// Kills every descendant and removes the folders that were to go with the engine.
    fn end(mut self) {
        self.steps.clear();
        self.kill_descendants();
        for folder in &self.doomed {
            // Nobody is there to be told.
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Kills and reaps until there is none, for a bounded time.
    fn kill_descendants(&mut self) {
        let deadline = Instant::now() + LAST_FORCE;
        while Instant::now() < deadline {
            kill_all(|| self.table.descendants(self.pid), |process| process.group != self.pid);
            self.reap();
            if self.childless {
                return;
            }
            let wait = Some(TICK.into());
            let _ = ppoll(&mut [], wait, Some(SigSet::empty()));
        }
    }
}

/// Starts a child in its own process group, with every signal at its default.
fn start(command: &Command<'_>, fds: [RawFd; 3]) -> Result<Pid, (Errno, bool)> {
    let prepare = || -> nix::Result<_> {
        let mut actions = PosixSpawnFileActions::init()?;
        for (fd, number) in fds.into_iter().zip(0..) {
            actions.add_dup2(fd, number)?;
        }
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
        )?;
        attributes.set_pgroup(Pid::from_raw(0))?;
        attributes.set_sigmask(&SigSet::empty())?;
        // Of no use beyond the exec, which resets handlers; it keeps ours from running in the child
        // before that. All the others have their default already, and setting costs a call each.
        attributes.set_sigdefault(&SURVIVED.into_iter().collect())?;
        Ok((actions, attributes))
    };
    let (actions, attributes) = prepare().map_err(|e| (e, false))?;
    let args: Vec<_> = [command.program].into_iter().chain(command.args.iter().copied()).collect();
    nix::unistd::chdir(command.cwd).map_err(|e| (e, true))?;
    let spawned = posix_spawn(command.program, &actions, &attributes, &args, &command.env);
    // A folder that stays ours could not be unmounted.
    let _ = nix::unistd::chdir("/");
    spawned.map_err(|e| (e, false))
}

/// The same as another account, which takes a fork. The folder is entered as that account.
fn start_as(
    account: Account,
    command: &Command<'_>,
    fds: [&OwnedFd; 3],
) -> Result<i32, (Errno, bool)> {
    let text = |text: &CStr| OsStr::from_bytes(text.to_bytes()).to_owned();
    let [stdin, stdout, stderr] = fds.map(OwnedFd::try_clone);
    let own = |fd: io::Result<OwnedFd>| fd.map(Stdio::from).map_err(|e| (errno(&e), false));
    let mut child = std::process::Command::new(text(command.program));
    child
        .args(command.args.iter().map(|arg| text(arg)))
        .env_clear()
        .current_dir(text(command.cwd))
        .process_group(0)
        .stdin(own(stdin)?)
        .stdout(own(stdout)?)
        .stderr(own(stderr)?)
        // Setting the user takes the supplementary groups away as well.
        .gid(account.gid)
        .uid(account.uid);
    for entry in command.env.iter().map(|entry| entry.to_bytes()) {
        let equals = entry.iter().position(|byte| *byte == b'=').ok_or((Errno::EPROTO, false))?;
        let (name, value) = (&entry[..equals], &entry[equals + 1..]);
        child.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    // The mask is inherited. A SIGCHLD that is lost here is made up for by the next `reap`.
    let unblocked = SigSet::empty().thread_set_mask();
    let spawned = unblocked.map_err(io::Error::from).and_then(|()| child.spawn());
    let _ = blocked().thread_set_mask();
    match spawned {
        Ok(child) => i32::try_from(child.id()).map_err(|_| (Errno::EOVERFLOW, false)),
        Err(error) => {
            // The system does not say which of the two it could not use.
            let cwd = nix::unistd::chdir(command.cwd);
            let _ = nix::unistd::chdir("/");
            Err(cwd.map_or_else(|errno| (errno, true), |()| (errno(&error), false)))
        }
    }
}

/// SIGTERM, then SIGCONT for those that are stopped and could not act on it.
fn ask(processes: &[Process]) {
    for process in processes {
        signal(process.pid, Signal::SIGTERM);
        signal(process.pid, Signal::SIGCONT);
    }
}

fn name(table: &Table, processes: &[Process], named: &mut Vec<NamedProcess>) {
    let known: HashSet<i32> = named.iter().map(|process| process.pid).collect();
    for process in processes.iter().filter(|process| !known.contains(&process.pid)) {
        if named.len() == NAMED {
            return;
        }
        named.push(NamedProcess { pid: process.pid, command: table.command(process.pid) });
    }
}
