//! The engine's side: starting a service and knowing it before it runs.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{ServiceEntry, ServiceSpec};
use crate::process::{ProcessError, ProcessId, spare};

/// How long a program may take to become the service. It is one exec.
const START_WAIT: Duration = Duration::from_secs(10);
/// A thread that only waits for a child needs next to no stack.
const STACK: usize = 64 * 1024;

/// How services are started.
#[derive(Debug, Clone)]
pub struct ServiceStarter {
    /// The program, usually `/proc/self/exe`.
    pub program: PathBuf,
    /// The arguments that make it call [`become_service`](super::become_service).
    pub args: Vec<OsString>,
    /// Variables that it needs for that. The service does not get them.
    pub env: Vec<(OsString, OsString)>,
}

impl ServiceStarter {
    /// Starts a service and returns when the server's program runs. Whether it is *ready* is for
    /// the caller to ask.
    ///
    /// The process is [spared](spare) before it gets to know what to become. Its end is waited for in the
    /// background as long as this process lives.
    ///
    /// Dropping the future leaves the service running, with its entry written.
    ///
    /// # Errors
    /// [`ProcessError::Service`] with the reason in words; nothing runs then.
    pub async fn start(&self, spec: ServiceSpec) -> Result<ServiceEntry, ProcessError> {
        let program = spec.program.clone();
        let failed = move |why: String| ProcessError::Service { program: program.clone(), why };
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || this.start_now(&spec));
        match tokio::time::timeout(START_WAIT, work).await {
            Err(_) => Err(failed(format!("it did not begin within {} s", START_WAIT.as_secs()))),
            Ok(Err(_)) => Err(failed("the work was given up".to_owned())),
            Ok(Ok(started)) => started.map_err(failed),
        }
    }

    fn start_now(&self, spec: &ServiceSpec) -> Result<ServiceEntry, String> {
        let text = serde_json::to_vec(spec).map_err(|e| e.to_string())?;
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("`{}`: {e}", self.program.display()))?;
        match hand_over(&mut child, &text) {
            Ok(said) if said.is_empty() => {}
            failed => {
                let _ = child.kill();
                let _ = child.wait();
                let said = failed.map_err(|e| e.to_string())?;
                return Err(String::from_utf8_lossy(&said).trim().to_owned());
            }
        }
        let pid = child.id().cast_signed();
        reap(child);
        match ServiceEntry::read(&spec.entry) {
            Ok(Some(entry)) if entry.process.pid == pid => Ok(entry),
            Ok(_) => Err("it began without being written down".to_owned()),
            Err(e) => Err(format!("failed to read `{}`: {e}", spec.entry.display())),
        }
    }
}

/// Gives the child its part and returns what it had to say; nothing, when it became the service.
fn hand_over(child: &mut Child, text: &[u8]) -> io::Result<Vec<u8>> {
    spare(ProcessId::of(child.id().cast_signed())?);
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // One that has died already says why on the other pipe.
    let _ = stdin.write_all(text);
    drop(stdin);
    let mut said = Vec::new();
    stderr.read_to_end(&mut said)?;
    Ok(said)
}

/// Waits for the child's end, whenever that is.
fn reap(mut child: Child) {
    let wait = move || {
        let _ = child.wait();
    };
    // Without a thread it stays a zombie until the engine ends, which counts as dead.
    let _ = std::thread::Builder::new().name("reaper".to_owned()).stack_size(STACK).spawn(wait);
}
