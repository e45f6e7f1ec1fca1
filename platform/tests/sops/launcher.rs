//! Children without a supervisor, with nothing but the given environment.

use async_trait::async_trait;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;
use workplan_engine::kind::{CommandOutcome, CommandSpec, Launcher, StepError};

pub(crate) struct Direct(pub(crate) Vec<(OsString, OsString)>);

#[async_trait]
impl Launcher for Direct {
    async fn run(
        &self,
        mut spec: CommandSpec,
        _identity: &str,
        log: Option<PathBuf>,
        _cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        let to = spec.write_to.take();
        let output = {
            let mut command = Command::new(&spec.argv[0]);
            command
                .args(&spec.argv[1..])
                .current_dir(&spec.cwd)
                .env_clear()
                .envs(self.0.iter().cloned())
                .envs(spec.env.iter().cloned())
                .envs(spec.secret_env.iter().map(|(name, value)| {
                    (name.clone(), String::from_utf8(value.reveal().to_vec()).unwrap())
                }))
                .stdin(if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
                .stdout(match &to {
                    Some(end) => end.as_fd().try_clone_to_owned().unwrap().into(),
                    None => Stdio::piped(),
                })
                .stderr(Stdio::piped());
            drop(to);
            let mut child = command.spawn().unwrap();
            drop(command);
            if let (Some(mut pipe), Some(secret)) = (child.stdin.take(), &spec.stdin) {
                pipe.write_all(secret.reveal()).unwrap();
            }
            child.wait_with_output().unwrap()
        };
        let said =
            String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()).into_owned();
        Ok(CommandOutcome {
            code: output.status.code(),
            signal: None,
            timed_out: false,
            cancelled: false,
            stdout: if spec.capture { output.stdout } else { Vec::new() },
            tail: said.lines().map(str::to_owned).collect(),
            log,
            notes: Vec::new(),
        })
    }
}
