//! Children of steps, through the supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use super::vault::Vault;
use super::world::World;
use crate::kind::{BaseEnv, CommandOutcome, CommandSpec, ErrorCause, Launcher, StepError};
use crate::process::{
    Account, Cause, ChildSpec, Exit, NamedProcess, ProcessError, ServiceEntry, ServiceSpec,
    ServiceStarter, Stdin, Supervisor, SupervisorConfig, find_program,
};

/// The most of standard output that a step may hand on as outputs.
const CAPTURE_LIMIT: usize = 1024 * 1024;
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A line that a step said: the step's identity and the line.
pub(super) type Line = (String, String);

/// Starts the supervisor when the first child is needed, and children through it.
pub(crate) struct Supervised {
    config: SupervisorConfig,
    supervisor: OnceCell<Supervisor>,
    pub(super) env: Arc<BaseEnv>,
    /// The same for children of the engine's own account: each name once, the last one wins.
    child_env: Arc<Vec<(OsString, OsString)>>,
    vault: Arc<Vault>,
    lines: Option<mpsc::Sender<Line>>,
    services: ServiceStarter,
    /// The identities of children that run now.
    names: Mutex<BTreeSet<String>>,
    /// Where the shells are. Nearly every step is a script, and a shell is not what a step
    /// installs: it is looked for once.
    shells: Shells,
}

/// An identity that no other running child has; free again when dropped.
///
/// The supervisor tells whose a stray process is by the identity in its environment. The second of
/// two children that a step runs at the same time is `IDENTITY/2`.
struct Name<'a> {
    names: &'a Mutex<BTreeSet<String>>,
    name: String,
}

impl<'a> Name<'a> {
    fn take(names: &'a Mutex<BTreeSet<String>>, identity: &str) -> Self {
        let mut taken = names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut name = identity.to_owned();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{identity}/{number}");
            number += 1;
        }
        drop(taken);
        Self { names, name }
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// The shells of this `PATH`.
struct Shells(Vec<(&'static str, PathBuf)>);

impl Shells {
    fn find(env: &[(OsString, OsString)]) -> Self {
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        // A relative folder is another one for each step.
        let fixed = |path: &&OsStr| std::env::split_paths(path).all(|folder| folder.is_absolute());
        let Some(path) = path.filter(fixed) else { return Self(Vec::new()) };
        let find = |name| Some((name, find_program(Path::new(name), path, Path::new("/")).ok()?));
        Self(["sh", "bash"].into_iter().filter_map(find).collect())
    }

    /// The file of a shell, unless the step has a `PATH` of its own; other programs stay a name.
    fn known<'a>(&'a self, program: &'a OsStr, spec: &CommandSpec) -> &'a OsStr {
        let own_path = || {
            let names = spec.env.iter().map(|(name, _)| name);
            names.chain(spec.secret_env.iter().map(|(name, _)| name)).any(|name| name == "PATH")
        };
        match self.0.iter().find(|(name, _)| program == *name) {
            Some((_, path)) if !own_path() => path.as_os_str(),
            _ => program,
        }
    }
}

impl Supervised {
    pub(super) fn new(
        world: &World,
        env: BaseEnv,
        vault: Arc<Vault>,
        lock_file: Option<PathBuf>,
        lines: Option<mpsc::Sender<Line>>,
    ) -> Arc<Self> {
        let (program, mut args) = world.supervisor.clone();
        args.extend(lock_file.iter().map(OsString::from));
        let config = SupervisorConfig { program, args, lock_file };
        let once: BTreeMap<OsString, OsString> = env.0.iter().cloned().collect();
        let child_env: Vec<(OsString, OsString)> = once.into_iter().collect();
        let shells = Shells::find(&child_env);
        Arc::new(Self {
            config,
            supervisor: OnceCell::new(),
            env: Arc::new(env),
            child_env: Arc::new(child_env),
            vault,
            lines,
            services: world.services.clone(),
            names: Mutex::default(),
            shells,
        })
    }

    /// Ends every child at once.
    pub(super) async fn kill_all(&self) {
        if let Some(supervisor) = self.supervisor.get() {
            // A supervisor that cannot be told is dying, and kills everything as it does.
            drop(supervisor.kill_all().await);
        }
    }

    /// Waits until the supervisor and all that it still runs are gone.
    pub(super) async fn shutdown(&self) -> Result<(), ProcessError> {
        match self.supervisor.get() {
            Some(supervisor) => supervisor.clone().shutdown().await,
            None => Ok(()),
        }
    }

    /// What the command adds to the environment of all; the last word on a name is a secret's.
    fn environment(spec: &CommandSpec) -> Vec<(OsString, OsString)> {
        use std::os::unix::ffi::OsStringExt as _;
        let mut all = BTreeMap::<OsString, OsString>::new();
        for (name, value) in &spec.env {
            all.insert(name.into(), value.into());
        }
        for (name, secret) in &spec.secret_env {
            all.insert(name.into(), OsString::from_vec(secret.reveal().to_vec()));
        }
        all.into_iter().collect()
    }

    async fn supervisor(&self) -> Result<&Supervisor, StepError> {
        let start = || Supervisor::start(self.config.clone());
        self.supervisor.get_or_try_init(start).await.map_err(|e| not_started(&e))
    }

    async fn start(
        &self,
        account: Option<Account>,
        mut spec: CommandSpec,
        identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        let supervisor = self.supervisor().await?;
        let Some((program, args)) = spec.argv.split_first() else {
            return Err(StepError::new(ErrorCause::NotStarted, "there is no program to run"));
        };
        let name = Name::take(&self.names, identity);
        // Another account gets nothing of our environment, so it has no `PATH` of ours either.
        let own = account.is_none();
        let known = if own { self.shells.known(program, &spec) } else { program.as_os_str() };
        let mut child = ChildSpec::new(known, &spec.cwd, &name.name);
        child.args = args.to_vec();
        child.base_env = if own { Arc::clone(&self.child_env) } else { Arc::default() };
        child.env = Self::environment(&spec);
        child.account = account;
        child.stdin = match (&spec.stdin, spec.read_from.take()) {
            (_, Some(end)) => Stdin::From(end),
            (Some(secret), None) => Stdin::Bytes(secret.reveal().to_vec()),
            (None, None) => Stdin::Null,
        };
        child.stdout = spec.write_to.take();
        child.capture_stdout = spec.capture.then_some(CAPTURE_LIMIT);
        child.log = log.clone();
        child.redactor = self.vault.redactor();
        child.timeout = Some(spec.timeout);
        child.grace = GRACE;
        child.on_line = self.lines.as_ref().map(|lines| forward(lines.clone(), identity));
        let finished = supervisor.run(child, cancel).await;
        drop(name);
        let finished = finished.map_err(|e| match e {
            ProcessError::SupervisorLost | ProcessError::SupervisorSilent(_) => {
                let mut error = StepError::new(ErrorCause::Cancelled, format!("failed to {e}"));
                error.log = log.clone();
                error
            }
            other => not_started(&other),
        })?;
        let mut notes = Vec::new();
        if !finished.leftovers.is_empty() {
            notes.push(format!("ended what it left running: {}", names(&finished.leftovers)));
        }
        if !finished.survivors.is_empty() {
            notes.push(format!("could not be ended: {}", names(&finished.survivors)));
        }
        if let Some(error) = &finished.log_error {
            notes.push(format!("its output could not all be kept: {error}"));
        }
        let (code, signal) = match finished.exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
            Exit::Never => (None, None),
        };
        Ok(CommandOutcome {
            code,
            signal,
            timed_out: finished.cause == Cause::TimedOut,
            cancelled: finished.cause == Cause::Cancelled,
            stdout: finished.stdout,
            tail: finished.tail,
            log,
            notes,
        })
    }
}

#[async_trait]
impl Launcher for Supervised {
    async fn run(
        &self,
        spec: CommandSpec,
        identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(None, spec, identity, log, cancel).await
    }

    async fn run_as(
        &self,
        account: Account,
        spec: CommandSpec,
        identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(Some(account), spec, identity, log, cancel).await
    }

    async fn doom(&self, folder: &Path) -> Result<Option<Box<dyn Send + Sync>>, StepError> {
        let Some(name) = folder.to_str() else {
            let text = format!("`{}` is no UTF-8 name", folder.display());
            return Err(StepError::new(ErrorCause::NotStarted, text));
        };
        let doomed = self.supervisor().await?.doom(name).await.map_err(|e| not_started(&e))?;
        Ok(Some(Box::new(doomed)))
    }

    async fn serve(&self, spec: ServiceSpec) -> Result<ServiceEntry, StepError> {
        self.services.start(spec).await.map_err(|e| not_started(&e))
    }
}

fn names(processes: &[NamedProcess]) -> String {
    let names: Vec<String> =
        processes.iter().map(|p| format!("{} ({})", p.command, p.pid)).collect();
    names.join(", ")
}

fn not_started(error: &ProcessError) -> StepError {
    let mut what = format!("failed to {error}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        what = format!("{what}: {inner}");
        source = inner.source();
    }
    StepError::new(ErrorCause::NotStarted, what)
}

/// Hands lines on with the identity of who said them.
fn forward(lines: mpsc::Sender<Line>, identity: &str) -> mpsc::Sender<String> {
    let (sender, mut receiver) = mpsc::channel::<String>(64);
    let identity = identity.to_owned();
    tokio::spawn(async move {
        while let Some(line) = receiver.recv().await {
            // A screen that cannot keep up loses lines; the log has them all.
            drop(lines.try_send((identity.clone(), line)));
        }
    });
    sender
}
