//! One run of one child process, from its pipes to its end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client::Shared;
use super::output::{Lines, Log, Tail};
use super::redact::RedactStream;
use super::wire::{ATTEMPT_VARIABLE, Command, End, Kill, NamedProcess, Reply, Request};
use super::{ProcessError, Redactor, Supervisor};

const READ_BYTES: usize = 64 * 1024;
/// How long the supervisor may take to say that a process has started.
const SPAWN_WAIT: Duration = Duration::from_secs(10);
/// How long after SIGKILL an end is waited for; the supervisor gives up after 5 s and says so.
const KILLED_WAIT: Duration = Duration::from_secs(6);
/// How long a pipe is read after the end of every process that could hold it. It is still open
/// only when a survivor or a foreign daemon has it.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What a child reads on its standard input.
#[derive(Clone, Default)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end. A child that does not read them all is not an error.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stdin::Null => f.write_str("Null"),
            // Secrets travel this way.
            Stdin::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// What to run, and how.
#[derive(Clone)]
pub struct ChildSpec {
    /// The program: a path, or a name that is looked up in the `PATH` of `env`.
    pub program: PathBuf,
    /// Its arguments, without the program's name. Everybody on the machine can read them.
    pub args: Vec<OsString>,
    /// The working folder; an absolute path.
    pub cwd: PathBuf,
    /// The complete environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// The attempt's identity. All processes of the step have it as `WORKPLAN_ATTEMPT`, which is
    /// one of the ways to find them again; so no two running steps may share one.
    pub identity: String,
    /// Standard input.
    pub stdin: Stdin,
    /// Keeps the first so many bytes of standard output for [`Finished::stdout`].
    pub capture_stdout: Option<usize>,
    /// Keeps the first so many bytes of standard error for [`Finished::stderr`].
    pub capture_stderr: Option<usize>,
    /// The log file of the combined output. It is created with mode 0600, or emptied; its folder
    /// must exist.
    pub log: Option<PathBuf>,
    /// The log's largest size in bytes. What comes later is left out, except for the last 64 KiB.
    pub log_limit: u64,
    /// Takes secrets out of the log, the tail, the lines for the screen and command lines.
    pub redactor: Arc<Redactor>,
    /// How long the main process may run.
    pub timeout: Option<Duration>,
    /// The time between SIGTERM and SIGKILL after a timeout or a cancellation.
    pub grace: Duration,
    /// The same for what the main process leaves behind when it ends.
    pub leftover_grace: Duration,
    /// Gets each line of the redacted output. A full channel loses lines.
    pub on_line: Option<Sender<String>>,
}

impl ChildSpec {
    /// A specification with nothing captured, no log, no timeout, 10 s of grace and 500 ms for
    /// leftovers.
    pub fn new(
        program: impl Into<PathBuf>,
        cwd: impl Into<PathBuf>,
        identity: impl Into<String>,
    ) -> ChildSpec {
        ChildSpec {
            program: program.into(),
            args: Vec::new(),
            cwd: cwd.into(),
            env: Vec::new(),
            identity: identity.into(),
            stdin: Stdin::Null,
            capture_stdout: None,
            capture_stderr: None,
            log: None,
            log_limit: 1 << 30,
            redactor: Arc::new(Redactor::none()),
            timeout: None,
            grace: Duration::from_secs(10),
            leftover_grace: Duration::from_millis(500),
            on_line: None,
        }
    }
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal. 0 is a real-time signal.
    Signal(i32),
    /// It did not, in spite of SIGKILL for 5 s; it is among the survivors.
    Never,
}

/// Why the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By itself.
    Exited,
    /// It ran into its timeout.
    TimedOut,
    /// The token was cancelled, or everything was killed.
    Cancelled,
}

/// A run that is over. No process of the step is left except the `survivors`.
#[derive(Debug)]
pub struct Finished {
    /// How the main process ended.
    pub exit: Exit,
    /// Why it ended. An exit code of 0 after a timeout is still a timeout.
    pub cause: Cause,
    /// The main process's number, which may be reused by now.
    pub pid: i32,
    /// The captured standard output, *not* redacted: it is the source of the step's outputs.
    pub stdout: Vec<u8>,
    /// Whether standard output was longer than captured.
    pub stdout_truncated: bool,
    /// The captured standard error, not redacted either.
    pub stderr: Vec<u8>,
    /// Whether standard error was longer than captured.
    pub stderr_truncated: bool,
    /// The last 20 lines of the combined output, redacted; long lines are cut.
    pub tail: Vec<String>,
    /// How many bytes the child wrote.
    pub output_bytes: u64,
    /// Whether something still held an output pipe after the end, so that output may be missing.
    pub output_open: bool,
    /// Why the log is incomplete: the first error of writing it.
    pub log_error: Option<io::Error>,
    /// What the main process left behind and had to be ended; at most 32 are named.
    pub leftovers: Vec<NamedProcess>,
    /// What could not be killed; at most 32 are named.
    pub survivors: Vec<NamedProcess>,
    /// The time from the request to the end.
    pub duration: Duration,
}

impl Supervisor {
    /// Runs a child process to its end and the end of everything that it started.
    ///
    /// Cancelling the token sends SIGTERM to the whole step and SIGKILL after its grace time.
    /// Dropping the future sends SIGKILL at once. Log writes are plain writes on the calling task.
    ///
    /// # Errors
    /// When the child could not be started ([`ProcessError::ProgramNotFound`],
    /// [`ProcessError::Cwd`], [`ProcessError::Spawn`], [`ProcessError::Log`], …), and
    /// [`ProcessError::SupervisorLost`] or [`ProcessError::SupervisorSilent`] while it ran.
    pub async fn run(
        &self,
        spec: ChildSpec,
        cancel: CancellationToken,
    ) -> Result<Finished, ProcessError> {
        let started = Instant::now();
        let command = command(&spec)?;
        let log = Log::create(spec.log.as_deref(), spec.log_limit)?;
        let (pipes, theirs) = pipes(&spec).map_err(ProcessError::Pipe)?;
        let (id, replies) = self.shared.register()?;
        let run = Registered { shared: &self.shared, id, over: false };
        let sealed = command.seal().map_err(ProcessError::Socket)?;
        let null = self.shared.null.as_raw_fd();
        let stdin = theirs.stdin.as_ref().map_or(null, AsRawFd::as_raw_fd);
        let fds = [sealed.as_raw_fd(), stdin, theirs.stdout.as_raw_fd(), theirs.stderr.as_raw_fd()];
        let grace = u64::try_from(spec.leftover_grace.as_millis()).unwrap_or(u64::MAX);
        let request = Request::Spawn { id, leftover_grace_ms: grace };
        if let Err(error) = self.shared.send(&request, &fds).await {
            return Err(lost(error, &self.shared).await);
        }
        drop((sealed, theirs));
        let flow = Flow::new(&spec, log, pipes);
        Following { run, replies, program: command.program, flow, spec, cancel, started }
            .follow()
            .await
    }
}

/// A closed socket is a lost supervisor, whoever notices first.
async fn lost(error: io::Error, shared: &Shared) -> ProcessError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            shared.wait_cleaned().await;
            ProcessError::SupervisorLost
        }
        _ => ProcessError::Socket(error),
    }
}

/// Kills the step if the run is dropped before its end.
struct Registered<'a> {
    shared: &'a Shared,
    id: u64,
    over: bool,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.shared.abandon(self.id);
        }
        self.shared.forget(self.id);
    }
}

struct Following<'a> {
    run: Registered<'a>,
    replies: UnboundedReceiver<Reply>,
    program: PathBuf,
    flow: Flow,
    spec: ChildSpec,
    cancel: CancellationToken,
    started: Instant,
}

/// What the next deadline means.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The supervisor is silent.
    Spawning,
    Running,
    /// SIGTERM is sent; SIGKILL is due.
    Asked,
    /// SIGKILL is sent; the supervisor is silent.
    Forced,
    /// The step has ended; its pipes are not closed.
    Draining,
}

struct Ended {
    end: End,
    leftovers: Vec<NamedProcess>,
    survivors: Vec<NamedProcess>,
}

impl Following<'_> {
    async fn follow(mut self) -> Result<Finished, ProcessError> {
        let timeout = self.spec.timeout.map(|timeout| self.started + timeout);
        let mut stage = Stage::Spawning;
        let mut deadline = Some(self.started + SPAWN_WAIT);
        let mut cause = Cause::Exited;
        let mut pid = 0;
        let killed = self.run.shared.killed();
        let mut ended: Option<Ended> = None;
        while ended.is_none() || self.flow.is_open() {
            let stop = tokio::select! {
                reply = self.replies.recv(), if ended.is_none() => {
                    match reply.ok_or(ProcessError::SupervisorLost)? {
                        Reply::Spawned { pid: started, .. } => {
                            pid = started;
                            (stage, deadline) = (Stage::Running, timeout);
                        }
                        Reply::SpawnFailed { errno, cwd, .. } => {
                            self.run.over = true;
                            return Err(self.refused(Errno::from_raw(errno), cwd));
                        }
                        Reply::Exited { end, leftovers, survivors, .. } => {
                            ended = Some(Ended { end, leftovers, survivors });
                            self.run.over = true;
                            self.flow.stdin = None;
                            (stage, deadline) = (Stage::Draining, Some(Instant::now() + DRAIN_WAIT));
                        }
                        Reply::Ready | Reply::Refused { .. } => {}
                    }
                    None
                }
                result = self.flow.pump(), if self.flow.is_busy() => {
                    result.map_err(ProcessError::Pipe)?;
                    None
                }
                () = self.cancel.cancelled(), if matches!(stage, Stage::Running) => {
                    Some(Cause::Cancelled)
                }
                () = killed.cancelled(), if matches!(stage, Stage::Running | Stage::Asked) => {
                    if matches!(stage, Stage::Running) {
                        cause = Cause::Cancelled;
                    }
                    // Again, as it may have been spawned after everything was killed.
                    self.kill(Kill::Force).await?;
                    (stage, deadline) = (Stage::Forced, Some(Instant::now() + KILLED_WAIT));
                    None
                }
                () = sleep_until(deadline.unwrap_or(self.started)), if deadline.is_some() => {
                    match stage {
                        Stage::Running => Some(Cause::TimedOut),
                        Stage::Asked => {
                            self.kill(Kill::Force).await?;
                            (stage, deadline) = (Stage::Forced, Some(Instant::now() + KILLED_WAIT));
                            None
                        }
                        Stage::Draining => break,
                        Stage::Spawning => return Err(ProcessError::SupervisorSilent(SPAWN_WAIT)),
                        Stage::Forced => return Err(ProcessError::SupervisorSilent(KILLED_WAIT)),
                    }
                }
            };
            if let Some(why) = stop {
                cause = why;
                self.kill(Kill::Ask).await?;
                (stage, deadline) = (Stage::Asked, Some(Instant::now() + self.spec.grace));
            }
        }
        let ended = ended.ok_or(ProcessError::SupervisorLost)?;
        Ok(self.finish(ended, cause, pid))
    }

    async fn kill(&self, how: Kill) -> Result<(), ProcessError> {
        match self.run.shared.send(&Request::Kill { id: self.run.id, how }, &[]).await {
            Ok(()) => Ok(()),
            Err(error) => Err(lost(error, self.run.shared).await),
        }
    }

    fn refused(&self, source: Errno, cwd: bool) -> ProcessError {
        if cwd {
            ProcessError::Cwd { cwd: self.spec.cwd.clone(), source }
        } else {
            ProcessError::Spawn { program: self.program.clone(), source }
        }
    }

    fn finish(self, ended: Ended, cause: Cause, pid: i32) -> Finished {
        let redactor = self.spec.redactor;
        let redact = |mut list: Vec<NamedProcess>| {
            for process in &mut list {
                process.command = redactor.redact_str(&process.command);
            }
            list
        };
        let output_open = self.flow.is_open();
        let [stdout, stderr] = self.flow.streams;
        let (mut log, mut tail) = (self.flow.log, self.flow.tail);
        let mut output_bytes = 0;
        let mut captured = [stdout, stderr].map(|mut stream| {
            output_bytes += stream.bytes;
            stream.end(&mut log, &mut tail);
            (stream.captured, stream.truncated)
        });
        log.finish();
        Finished {
            exit: match ended.end {
                End::Code(code) => Exit::Code(code),
                End::Signal(signal) => Exit::Signal(signal),
                End::Never => Exit::Never,
            },
            cause,
            pid,
            stdout: std::mem::take(&mut captured[0].0),
            stdout_truncated: captured[0].1,
            stderr: std::mem::take(&mut captured[1].0),
            stderr_truncated: captured[1].1,
            tail: tail.into_lines(),
            output_bytes,
            output_open,
            log_error: log.error,
            leftovers: redact(ended.leftovers),
            survivors: redact(ended.survivors),
            duration: self.started.elapsed(),
        }
    }
}

/// Our ends of the pipes.
struct Pipes {
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    /// `None` when standard error shares the other pipe, which keeps the order.
    stderr: Option<pipe::Receiver>,
}

/// The child's ends.
struct Theirs {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn pipes(spec: &ChildSpec) -> io::Result<(Pipes, Theirs)> {
    let output = || -> io::Result<(pipe::Receiver, OwnedFd)> {
        let (ours, theirs) = io::pipe()?;
        Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs.into()))
    };
    let (stdout, their_stdout) = output()?;
    let (stderr, their_stderr) = if spec.capture_stdout.is_some() || spec.capture_stderr.is_some() {
        let (stderr, theirs) = output()?;
        (Some(stderr), theirs)
    } else {
        (None, their_stdout.try_clone()?)
    };
    let (stdin, their_stdin) = match spec.stdin {
        Stdin::Null => (None, None),
        Stdin::Bytes(_) => {
            let (theirs, ours) = io::pipe()?;
            (Some(pipe::Sender::from_owned_fd(ours.into())?), Some(theirs.into()))
        }
    };
    let theirs = Theirs { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
    Ok((Pipes { stdin, stdout, stderr }, theirs))
}

/// One output pipe and what is done with it.
struct Stream {
    pipe: Option<pipe::Receiver>,
    redact: RedactStream,
    lines: Lines,
    limit: usize,
    captured: Vec<u8>,
    truncated: bool,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<pipe::Receiver>, spec: &ChildSpec, capture: Option<usize>) -> Stream {
        Stream {
            buffer: vec![0; if pipe.is_some() { READ_BYTES } else { 0 }],
            pipe,
            redact: spec.redactor.stream(),
            lines: Lines::default(),
            limit: capture.unwrap_or(0),
            captured: Vec::new(),
            truncated: false,
            bytes: 0,
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, length: usize, capture: bool, log: &mut Log, tail: &mut Tail) {
        if length == 0 {
            self.pipe = None;
            return;
        }
        let bytes = &self.buffer[..length];
        self.bytes += length as u64;
        if capture {
            let room = self.limit - self.captured.len();
            self.truncated |= length > room;
            self.captured.extend_from_slice(&bytes[..length.min(room)]);
        }
        let shown = self.redact.push(bytes);
        log.write(shown);
        self.lines.push(shown, tail);
    }

    fn end(&mut self, log: &mut Log, tail: &mut Tail) {
        let shown = self.redact.finish();
        log.write(shown);
        self.lines.push(shown, tail);
        self.lines.finish(tail);
    }
}

/// The bytes that flow between the child and its files.
struct Flow {
    streams: [Stream; 2],
    capture: [bool; 2],
    stdin: Option<(pipe::Sender, Vec<u8>, usize)>,
    log: Log,
    tail: Tail,
}

impl Flow {
    fn new(spec: &ChildSpec, log: Log, pipes: Pipes) -> Flow {
        let stdin = match (&spec.stdin, pipes.stdin) {
            (Stdin::Bytes(bytes), Some(pipe)) => Some((pipe, bytes.clone(), 0)),
            _ => None,
        };
        Flow {
            streams: [
                Stream::new(Some(pipes.stdout), spec, spec.capture_stdout),
                Stream::new(pipes.stderr, spec, spec.capture_stderr),
            ],
            capture: [spec.capture_stdout.is_some(), spec.capture_stderr.is_some()],
            stdin,
            log,
            tail: Tail::new(spec.on_line.clone()),
        }
    }

    /// Whether an output pipe is open.
    fn is_open(&self) -> bool {
        self.streams.iter().any(|stream| stream.pipe.is_some())
    }

    fn is_busy(&self) -> bool {
        self.is_open() || self.stdin.is_some()
    }

    /// Moves some bytes one way or another. Cancelling it loses none.
    async fn pump(&mut self) -> io::Result<()> {
        let [stdout, stderr] = &mut self.streams;
        tokio::select! {
            length = stdout.read() => {
                stdout.take(length?, self.capture[0], &mut self.log, &mut self.tail);
            }
            length = stderr.read() => {
                stderr.take(length?, self.capture[1], &mut self.log, &mut self.tail);
            }
            open = feed(&mut self.stdin) => {
                if !open {
                    self.stdin = None;
                }
            }
        }
        Ok(())
    }
}

/// Writes some of the input; says whether there is more to write. Errors end it: a child need not
/// read its input, and its exit says how it fared.
async fn feed(stdin: &mut Option<(pipe::Sender, Vec<u8>, usize)>) -> bool {
    match stdin {
        None => std::future::pending().await,
        Some((pipe, bytes, written)) => match pipe.write(&bytes[*written..]).await {
            Ok(more) => {
                *written += more;
                *written < bytes.len()
            }
            Err(_) => false,
        },
    }
}

fn command(spec: &ChildSpec) -> Result<Command, ProcessError> {
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    for (what, found) in [
        ("the program", has_nul(spec.program.as_os_str())),
        ("the working folder", has_nul(spec.cwd.as_os_str())),
        ("an argument", spec.args.iter().any(|arg| has_nul(arg))),
        ("a variable", spec.env.iter().any(|(n, v)| has_nul(n) || has_nul(v))),
        ("the attempt's identity", spec.identity.contains('\0')),
    ] {
        if found {
            return Err(ProcessError::Nul(what));
        }
    }
    let bad_cwd = |source| ProcessError::Cwd { cwd: spec.cwd.clone(), source };
    match fs::metadata(&spec.cwd) {
        Ok(folder) if folder.is_dir() => {}
        Ok(_) => return Err(bad_cwd(Errno::ENOTDIR)),
        Err(error) => {
            return Err(bad_cwd(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)));
        }
    }
    let mut env = spec.env.clone();
    env.retain(|(name, _)| name != ATTEMPT_VARIABLE);
    env.push((ATTEMPT_VARIABLE.into(), spec.identity.clone().into()));
    Ok(Command { program: resolve(spec)?, cwd: spec.cwd.clone(), args: spec.args.clone(), env })
}

/// Looks the program up here, in the child's own `PATH`: the quick way to spawn would use the
/// supervisor's.
fn resolve(spec: &ChildSpec) -> Result<PathBuf, ProcessError> {
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(spec.program.clone());
    }
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(""), |(_, value)| value.as_os_str());
    let mut refused = None;
    for folder in path.as_bytes().split(|byte| *byte == b':').filter(|_| !path.is_empty()) {
        // An empty entry is the working folder, as a relative one is below it.
        let candidate = spec.cwd.join(Path::new(OsStr::from_bytes(folder))).join(&spec.program);
        match fs::metadata(&candidate) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate);
            }
            Ok(_) => refused = refused.or(Some(candidate)),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(program) => ProcessError::Spawn { program, source: Errno::EACCES },
        None => ProcessError::ProgramNotFound {
            program: spec.program.to_string_lossy().into_owned(),
            path: path.to_string_lossy().into_owned(),
        },
    })
}
