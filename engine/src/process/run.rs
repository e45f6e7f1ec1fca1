//! One run of one child process, from its pipes to its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client::Shared;
use super::command::{Ready, command};
use super::flow::{Flow, pipes};
use super::output::Log;
use super::wire::{End, Kill, Reply, Request};
use super::{Cause, ChildSpec, Exit, Finished, NamedProcess, ProcessError, Supervisor};
use crate::patience::{HEAR, is_late};

/// How long the supervisor may take to say that a process has started.
const SPAWN_WAIT: Duration = Duration::from_secs(10);
/// How long after SIGKILL an end is waited for; the supervisor gives up after 5 s and says so.
const KILLED_WAIT: Duration = Duration::from_secs(6);
/// How long a pipe is read after the end of every process that could hold it. It is still open
/// only when a survivor or a foreign daemon has it.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Runs a child process to its end and the end of everything that it started.
    ///
    /// Cancelling the token sends SIGTERM to the whole step and SIGKILL after its grace time.
    /// Dropping the future sends SIGKILL at once. Log writes are plain writes on the calling task.
    ///
    /// # Errors
    /// When the child could not be started ([`ProcessError::ProgramNotFound`],
    /// [`ProcessError::Cwd`], [`ProcessError::Spawn`], …), and
    /// [`ProcessError::SupervisorLost`] or [`ProcessError::SupervisorSilent`] while it ran.
    pub async fn run(
        &self,
        mut spec: ChildSpec,
        cancel: CancellationToken,
    ) -> Result<Finished, ProcessError> {
        let started = Instant::now();
        let Ready { program, sealed } = command(&spec)?;
        let log = Log::new(spec.log.as_deref(), spec.log_limit);
        let (pipes, theirs) = pipes(&mut spec).map_err(ProcessError::Pipe)?;
        let (id, replies) = self.shared.register()?;
        let run = Registered { shared: &self.shared, id, over: false };
        let null = self.shared.null.as_raw_fd();
        let stdin = theirs.stdin.as_ref().map_or(null, |end| end.as_fd().as_raw_fd());
        let stdout = theirs.stdout.as_fd().as_raw_fd();
        let stderr = theirs.stderr.as_fd().as_raw_fd();
        let file = sealed.file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let fds = [stdin, stdout, stderr, file];
        let fds = if sealed.file.is_some() { &fds[..] } else { &fds[..3] };
        let grace = u64::try_from(spec.leftover_grace.as_millis()).unwrap_or(u64::MAX);
        let request = Request::Spawn { id, leftover_grace_ms: grace };
        if let Err(error) = self.shared.send(&request, &sealed.bytes, fds).await {
            return Err(lost(error, &self.shared).await);
        }
        drop((sealed, theirs));
        let flow = Flow::new(&spec, log, pipes);
        Following { run, replies, program, flow, spec, cancel, started }.follow().await
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
                // What has come is heard before what is overdue.
                biased;
                reply = self.replies.recv(), if ended.is_none() => {
                    match reply.ok_or(ProcessError::SupervisorLost)? {
                        Reply::Spawned { pid: started, .. } => {
                            pid = started;
                            self.flow.watch().map_err(ProcessError::Pipe)?;
                            (stage, deadline) = (Stage::Running, timeout);
                        }
                        Reply::SpawnFailed { errno, cwd, .. } => {
                            self.run.over = true;
                            return Err(self.refused(Errno::from_raw(errno), cwd));
                        }
                        Reply::Exited { pid: main, end, leftovers, survivors, .. } => {
                            pid = main;
                            ended = Some(Ended { end, leftovers, survivors });
                            self.run.over = true;
                            self.flow.end_input();
                            self.flow.drain().map_err(ProcessError::Pipe)?;
                            (stage, deadline) = (Stage::Draining, Some(Instant::now() + DRAIN_WAIT));
                        }
                        Reply::Ready | Reply::Refused { .. } => {}
                    }
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
                        // The supervisor went on while this process was stopped.
                        _ if deadline.is_some_and(is_late) => {
                            deadline = Some(Instant::now() + HEAR);
                            None
                        }
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
                // Last: a flood of output holds nothing up.
                result = self.flow.pump(), if self.flow.is_busy() => {
                    result.map_err(ProcessError::Pipe)?;
                    None
                }
            };
            if let Some(why) = stop {
                cause = why;
                self.kill(Kill::Ask).await?;
                (stage, deadline) = (Stage::Asked, Some(Instant::now() + self.spec.grace));
            }
        }
        let ended = ended.ok_or(ProcessError::SupervisorLost)?;
        // Its end may be seen before the reason for it.
        if cause == Cause::Exited && killed.is_cancelled() && matches!(ended.end, End::Signal(_)) {
            cause = Cause::Cancelled;
        }
        Ok(self.finish(ended, cause, pid))
    }

    async fn kill(&self, how: Kill) -> Result<(), ProcessError> {
        match self.run.shared.send(&Request::Kill { id: self.run.id, how }, &[], &[]).await {
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
        let output = self.flow.finish();
        Finished {
            exit: match ended.end {
                End::Code(code) => Exit::Code(code),
                End::Signal(signal) => Exit::Signal(signal),
                End::Never => Exit::Never,
            },
            cause,
            pid,
            stdout: output.stdout.bytes,
            stdout_truncated: output.stdout.truncated,
            stderr: output.stderr.bytes,
            stderr_truncated: output.stderr.truncated,
            tail: output.tail,
            output_bytes: output.bytes,
            output_open: output.open,
            log_error: output.log_error,
            leftovers: redact(ended.leftovers),
            survivors: redact(ended.survivors),
            duration: self.started.elapsed(),
        }
    }
}
