//! Children without a supervisor.

use async_trait::async_trait;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use workplan_engine::kind::{
    ChildEnd, CommandOutcome, CommandSpec, ErrorCause, Launcher, StepError,
};
use workplan_engine::process::{Account, ServiceEntry, ServiceSpec, ServiceStarter};

use super::stub;

/// Starts children directly and ends their process group at the deadline or when cancelled.
#[derive(Default)]
pub(crate) struct Direct {
    /// All that was asked for.
    pub(crate) specs: Mutex<Vec<CommandSpec>>,
    /// How many times git may still write; the next one is as if the engine was killed before it.
    pub(crate) git_writes: Mutex<Option<usize>>,
}

impl Direct {
    pub(crate) fn count(&self) -> usize {
        self.specs.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> CommandSpec {
        self.specs.lock().unwrap().last().unwrap().clone()
    }
}

async fn all(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await.unwrap();
    }
    bytes
}

fn stdio(end: &ChildEnd) -> Stdio {
    end.as_fd().try_clone_to_owned().unwrap().into()
}

impl Direct {
    async fn start(
        &self,
        account: Option<Account>,
        mut spec: CommandSpec,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        if spec.argv.iter().any(|a| a == "update-index" || a == "commit")
            && let Some(left) = self.git_writes.lock().unwrap().as_mut()
        {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| StepError::new(ErrorCause::Cancelled, "killed before git wrote"))?;
        }
        let ends = (spec.read_from.take(), spec.write_to.take());
        self.specs.lock().unwrap().push(spec.clone());
        let mut command = Command::new(&spec.argv[0]);
        if let Some(account) = account {
            command.env_clear();
            if account != Account::current() {
                command.gid(account.gid).uid(account.uid);
            }
        }
        command
            .kill_on_drop(true)
            .args(&spec.argv[1..])
            .current_dir(&spec.cwd)
            // A git that is started knows nothing of who runs the tests.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(spec.env.iter().cloned())
            .envs(spec.secret_env.iter().map(|(name, value)| {
                (name.clone(), String::from_utf8(value.reveal().to_vec()).unwrap())
            }))
            .stdin(match (&ends.0, &spec.stdin) {
                (Some(end), _) => stdio(end),
                (None, Some(_)) => Stdio::piped(),
                (None, None) => Stdio::null(),
            })
            .stdout(ends.1.as_ref().map_or_else(Stdio::piped, stdio))
            .stderr(Stdio::piped())
            .process_group(0);
        drop(ends);
        let spawned = command.spawn();
        // It has copies of the pipes' ends.
        drop(command);
        let mut child = spawned
            .map_err(|e| StepError::new(ErrorCause::NotStarted, format!("cannot start: {e}")))?;
        if let (Some(mut pipe), Some(secret)) = (child.stdin.take(), &spec.stdin) {
            let bytes = secret.reveal().to_vec();
            // A child need not read its input.
            tokio::spawn(async move { drop(pipe.write_all(&bytes).await) });
        }
        let group = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        let out = tokio::spawn(all(child.stdout.take()));
        let err = tokio::spawn(all(child.stderr.take()));
        let (mut timed_out, mut cancelled) = (false, false);
        let status = tokio::select! {
            status = child.wait() => status.unwrap(),
            () = tokio::time::sleep(spec.timeout) => {
                timed_out = true;
                killpg(group, Signal::SIGKILL).unwrap();
                child.wait().await.unwrap()
            }
            () = cancel.cancelled() => {
                cancelled = true;
                killpg(group, Signal::SIGKILL).unwrap();
                child.wait().await.unwrap()
            }
        };
        let (stdout, stderr) = (out.await.unwrap(), err.await.unwrap());
        let mut said = String::from_utf8_lossy(&[stdout.clone(), stderr].concat()).into_owned();
        for (_, secret) in &spec.secret_env {
            said = said.replace(&*String::from_utf8_lossy(secret.reveal()), "[redacted]");
        }
        Ok(CommandOutcome {
            code: status.code(),
            signal: status.signal(),
            timed_out,
            cancelled,
            stdout: if spec.capture { stdout } else { Vec::new() },
            tail: said.lines().map(str::to_owned).collect(),
            log,
            notes: Vec::new(),
        })
    }
}

#[async_trait]
impl Launcher for Direct {
    async fn run(
        &self,
        spec: CommandSpec,
        _identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(None, spec, log, cancel).await
    }

    async fn run_as(
        &self,
        account: Account,
        spec: CommandSpec,
        _identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(Some(account), spec, log, cancel).await
    }

    async fn serve(&self, spec: ServiceSpec) -> Result<ServiceEntry, StepError> {
        let starter = ServiceStarter {
            program: std::env::current_exe().unwrap(),
            args: stub::args(),
            env: vec![(stub::VARIABLE.into(), "1".into())],
        };
        starter.start(spec).await.map_err(|e| StepError::failed(e.to_string()))
    }
}
