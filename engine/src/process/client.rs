//! The engine's side of the supervisor: its handle, its reader, and what happens when it dies.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::{Pid, getpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::table::{Table, kill_all};
use super::wire::{self, Inbox, Kill, Reply, Request};
use super::{ProcessError, ProcessId};

const START_WAIT: Duration = Duration::from_secs(10);
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);
/// How long a lost supervisor's orphans are killed before the runs end anyway.
const ORPHANS_WAIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// Makes the calling process the parent of descendants whose own parent died.
///
/// [`Supervisor::start`] does it too. It lasts as long as the process.
///
/// # Errors
/// The kernel's, on a system without subreapers.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// The services that this process started. They are its descendants whichever supervisor is lost.
static SPARED: Mutex<Vec<ProcessId>> = Mutex::new(Vec::new());

/// Spares a service, with all its descendants, from being killed when a supervisor is lost.
///
/// A service is started by the engine's process itself, not through the supervisor, and has a
/// session of its own. With the supervisor alive nothing ends it anyway.
pub fn spare(service: ProcessId) {
    lock(&SPARED).push(service);
}

/// How the supervisor process is started.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// The program, usually `/proc/self/exe`.
    pub program: PathBuf,
    /// The arguments that make it call [`supervise()`](super::supervise()) with its standard input.
    pub args: Vec<OsString>,
    /// The lock file that `supervise` will hold, for its error message; the path itself travels in
    /// `args`.
    pub lock_file: Option<PathBuf>,
}

/// A running supervisor. Clones share it; when the last one is dropped, it kills what still runs
/// and ends.
#[derive(Debug, Clone)]
pub struct Supervisor {
    pub(super) shared: Arc<Handle>,
}

/// A folder that goes with the engine, until this is dropped.
#[derive(Debug)]
pub struct Doomed {
    supervisor: Supervisor,
    folder: String,
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let request = Request::Spare { folder: std::mem::take(&mut self.folder) };
        // One that is not told finds no folder to remove.
        let _ = wire::send(self.supervisor.shared.socket.get_ref().as_fd(), &request, &[], &[]);
    }
}

/// Closes the socket when the last clone goes; the reader task holds only [`Shared`].
#[derive(Debug)]
pub(super) struct Handle(Arc<Shared>);

impl std::ops::Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Watched for what arrives only. Watched for room as well, it would wake this process each
    /// time that the supervisor has taken a message, in the middle of starting a step.
    socket: AsyncFd<OwnedFd>,
    pub(super) null: OwnedFd,
    next_id: AtomicU64,
    runs: Mutex<HashMap<u64, UnboundedSender<Reply>>>,
    pid: u32,
    child: Mutex<Child>,
    /// Cancelled and replaced by [`Supervisor::kill_all`].
    killed: Mutex<CancellationToken>,
    closing: AtomicBool,
    /// Cancelled when the socket has closed and the supervisor is reaped.
    ended: CancellationToken,
}

impl Supervisor {
    /// Starts the supervisor and waits, for at most 10 s, until it is ready.
    ///
    /// Also makes the calling process a child subreaper. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    /// [`ProcessError::SupervisorStart`], [`ProcessError::SupervisorRefused`],
    /// [`ProcessError::SupervisorSilent`], or [`ProcessError::SupervisorLost`] when it ended
    /// without a word.
    pub async fn start(config: SupervisorConfig) -> Result<Supervisor, ProcessError> {
        let program = config.program.clone();
        let failed = |source| ProcessError::SupervisorStart { program: program.clone(), source };
        become_subreaper().map_err(failed)?;
        let (ours, theirs) = wire::pair().map_err(failed)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed(e.into()))?;
        let socket = register(ours, Interest::READABLE).map_err(failed)?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(failed)?;
        let mut command = Command::new(&config.program);
        command.args(&config.args).stdin(Stdio::from(theirs));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
        // `command` holds our copy of its end, which would hide its death from us.
        drop(command);
        let shared = Arc::new(Shared {
            socket,
            null: null.into(),
            next_id: AtomicU64::new(1),
            runs: Mutex::default(),
            pid: child.id(),
            child: Mutex::new(child),
            killed: Mutex::default(),
            closing: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        let supervisor = Supervisor { shared: Arc::new(Handle(Arc::clone(&shared))) };
        let mut inbox = Inbox::new();
        let first = tokio::time::timeout(START_WAIT, shared.receive(&mut inbox));
        match first.await.map_err(|_| ProcessError::SupervisorSilent(START_WAIT))? {
            Ok(Some(Reply::Ready)) => {}
            Ok(Some(Reply::Refused { what, errno })) => {
                let what = match &config.lock_file {
                    Some(path) if what.contains("lock file") => {
                        format!("{what} `{}`", path.display())
                    }
                    _ => what,
                };
                return Err(ProcessError::SupervisorRefused {
                    what,
                    source: Errno::from_raw(errno),
                });
            }
            Ok(_) => return Err(ProcessError::SupervisorLost),
            Err(error) => return Err(ProcessError::Socket(error)),
        }
        tokio::spawn(read(shared, inbox));
        Ok(supervisor)
    }

    /// The supervisor's process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Kills every step at once, without SIGTERM. Their runs end as their processes do, with
    /// [`Cause::Cancelled`](super::Cause::Cancelled).
    ///
    /// # Errors
    /// [`ProcessError::Socket`] when the supervisor cannot be told; it is then dying or gone.
    pub async fn kill_all(&self) -> Result<(), ProcessError> {
        std::mem::take(&mut *lock(&self.shared.killed)).cancel();
        self.shared.send(&Request::KillEverything, &[], &[]).await.map_err(ProcessError::Socket)
    }

    /// Has a folder removed when the engine dies, of whatever cause, after all that it started. The
    /// folder need not exist yet. Dropping the guard takes that back.
    ///
    /// # Errors
    /// [`ProcessError::Socket`] when the supervisor cannot be told; it is then dying or gone.
    pub async fn doom(&self, folder: &str) -> Result<Doomed, ProcessError> {
        let folder = folder.to_owned();
        let request = Request::Doom { folder: folder.clone() };
        self.shared.send(&request, &[], &[]).await.map_err(ProcessError::Socket)?;
        Ok(Doomed { supervisor: self.clone(), folder })
    }

    /// Ends the supervisor and everything it still runs, and waits until it has gone.
    ///
    /// # Errors
    /// [`ProcessError::SupervisorSilent`] when it has not within 5 s. It is then killed, and its
    /// orphans as if it had been lost.
    pub async fn shutdown(self) -> Result<(), ProcessError> {
        self.shared.close();
        if tokio::time::timeout(SHUTDOWN_WAIT, self.shared.ended.cancelled()).await.is_ok() {
            return Ok(());
        }
        self.shared.closing.store(false, Ordering::Release);
        // The reader reaps it when its socket closes, so the number is still its own.
        let _ = kill(Pid::from_raw(self.shared.pid.cast_signed()), Signal::SIGKILL);
        self.shared.wait_cleaned().await;
        Err(ProcessError::SupervisorSilent(SHUTDOWN_WAIT))
    }
}

impl Shared {
    /// Registers a run; its replies arrive until it is forgotten or the supervisor lost.
    pub(super) fn register(&self) -> Result<(u64, UnboundedReceiver<Reply>), ProcessError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = unbounded_channel();
        let mut runs = lock(&self.runs);
        // Under the lock, as the reader cancels before it takes the lock to end all runs.
        if self.ended.is_cancelled() || self.closing.load(Ordering::Acquire) {
            return Err(ProcessError::SupervisorLost);
        }
        runs.insert(id, sender);
        Ok((id, receiver))
    }

    /// Is cancelled when everything that runs now is killed.
    pub(super) fn killed(&self) -> CancellationToken {
        lock(&self.killed).clone()
    }

    /// Waits, for a bounded time, until the orphans of a lost supervisor are killed.
    pub(super) async fn wait_cleaned(&self) {
        let _ = tokio::time::timeout(ORPHANS_WAIT * 2, self.ended.cancelled()).await;
    }

    pub(super) fn forget(&self, id: u64) {
        lock(&self.runs).remove(&id);
    }

    pub(super) async fn send(
        &self,
        request: &Request,
        payload: &[u8],
        fds: &[RawFd],
    ) -> io::Result<()> {
        let write = |fd: &OwnedFd| wire::send(fd.as_fd(), request, payload, fds);
        match write(self.socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let copy = register(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?;
                copy.async_io(Interest::WRITABLE, write).await
            }
            sent => sent,
        }
    }

    /// Tells the supervisor to kill a step without waiting, for a run that is dropped.
    pub(super) fn abandon(&self, id: u64) {
        // A full socket means a supervisor that is stopped; the closing one will tell it.
        let kill = Request::Kill { id, how: Kill::Force };
        let _ = wire::send(self.socket.get_ref().as_fd(), &kill, &[], &[]);
    }

    async fn receive(&self, inbox: &mut Inbox) -> io::Result<Option<Reply>> {
        let read =
            |fd: &OwnedFd| Ok(inbox.receive::<Reply>(fd.as_fd())?.map(|received| received.message));
        self.socket.async_io(Interest::READABLE, read).await
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let _ = shutdown(self.socket.get_ref().as_raw_fd(), Shutdown::Write);
    }
}

/// Hands replies to their runs until the socket closes, then cleans up.
async fn read(shared: Arc<Shared>, mut inbox: Inbox) {
    while let Ok(Some(reply)) = shared.receive(&mut inbox).await {
        let (Reply::Spawned { id, .. } | Reply::SpawnFailed { id, .. } | Reply::Exited { id, .. }) =
            &reply
        else {
            continue;
        };
        if let Some(run) = lock(&shared.runs).get(id) {
            // A run that is being dropped has closed its end.
            let _ = run.send(reply);
        }
    }
    let expected = shared.closing.load(Ordering::Acquire);
    let last = Arc::clone(&shared);
    let cleaned = tokio::task::spawn_blocking(move || last.clean_up(expected)).await;
    // A panic in there must not leave the runs waiting.
    drop(cleaned);
    shared.ended.cancel();
    lock(&shared.runs).clear();
}

impl Shared {
    fn clean_up(&self, expected: bool) {
        let mut child = lock(&self.child);
        if !expected {
            let _ = child.kill();
        }
        // Its orphans are ours once it is reaped, not yet when its socket closes.
        let _ = child.wait();
        if expected {
            return;
        }
        let spared: Vec<i32> = lock(&SPARED)
            .iter()
            .filter(|service| service.liveness() == super::Liveness::Alive)
            .map(|service| service.pid)
            .collect();
        let me = getpid().as_raw();
        let my_session = nix::unistd::getsid(None).map_or(0, Pid::as_raw);
        let table = Table::new();
        let orphans = || {
            let mut kept: HashSet<i32> = spared.iter().copied().collect();
            for pid in &spared {
                kept.extend(table.descendants(*pid).iter().map(|process| process.pid));
            }
            let mut all = table.descendants(me);
            // A service's orphan is in its session still.
            all.retain(|p| !kept.contains(&p.pid) && !spared.contains(&p.session));
            all
        };
        let deadline = Instant::now() + ORPHANS_WAIT;
        while !orphans().is_empty() && Instant::now() < deadline {
            // Groups of the engine's own session may have members that are not its descendants.
            kill_all(orphans, |process| process.session != my_session && spared.is_empty());
            std::thread::sleep(POLL);
        }
    }
}

#[expect(unsafe_code, reason = "registering a descriptor with the runtime has no safe form")]
fn register(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the `AsyncFd` owns the open descriptor, and nothing here takes it out or replaces it.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

/// A poisoned lock guards plain data that is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
