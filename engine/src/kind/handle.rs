//! What a step may use: [`Look`] to read, [`Hands`] to act.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::place::tidy;
use super::{
    ErrorCause, Moves, Place, Scratch, Secret, SecretError, SecretRef, SecretSource, StepError,
};
use crate::process::{Account, ChildEnd, ServiceEntry, ServiceSpec};

/// What is on record of a step with this meaning on this target.
#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    /// It was never tried, or it was taken back.
    Never,
    /// Its last attempt succeeded.
    Succeeded {
        /// The run, or the evidence file.
        record: String,
        /// What the attempt gave.
        outputs: BTreeMap<String, Value>,
    },
    /// Its last attempt ended by itself without success.
    Failed,
    /// Its last attempt was interrupted or timed out: what it did is not known.
    Interrupted(String),
    /// The workplan says `done`, but no evidence of this target and meaning is to be had.
    Claimed,
}

/// The environment that children start from: the engine's own, less all variables that any
/// secret of the plan names.
#[derive(Debug, Clone, Default)]
pub struct BaseEnv(pub Vec<(OsString, OsString)>);

/// A script and the shell that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellScript {
    /// `sh` (`sh -e -c`) or `bash` (`bash -eo pipefail -c`).
    pub shell: String,
    /// The text.
    pub text: String,
}

/// A child to run.
///
/// Data of any size goes through pipes that the kind makes with [`std::io::pipe`], past the engine.
/// From a child to the kind:
///
/// ```no_run
/// use std::io::Read as _;
/// use std::time::Duration;
/// use workplan_engine::kind::{CommandSpec, Hands, StepError};
///
/// async fn dump(hands: &Hands) -> Result<(), StepError> {
///     let (mut reader, writer) = std::io::pipe().map_err(|e| StepError::failed(e.to_string()))?;
///     let mut spec = CommandSpec::new(["pg_dump", "-Fc"], &hands.base, Duration::from_secs(600));
///     spec.write_to = Some(writer.into());
///     // Read on a thread of its own: nobody may wait for a child whose pipe is not read.
///     let reading = tokio::task::spawn_blocking(move || {
///         let mut bytes = Vec::new();
///         reader.read_to_end(&mut bytes).map(|_| bytes)
///     });
///     let outcome = hands.run(spec).await?;
///     let bytes = reading.await;
///     // The end of a pipe says nothing about success: ask the outcome before the bytes count.
///     # drop((outcome, bytes));
///     Ok(())
/// }
/// ```
///
/// From one child to another: `from.write_to = Some(writer.into())`, `to.read_from =
/// Some(reader.into())`, and both `hands.run(…)` together (`tokio::join!`). When one fails, the
/// other sees its pipe close.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Working folder.
    pub cwd: PathBuf,
    /// Variables on top of the base environment.
    pub env: Vec<(String, String)>,
    /// Variables with secret values; they are redacted wherever the child repeats them.
    pub secret_env: Vec<(String, Secret)>,
    /// What it reads; nothing where it is `None`.
    pub stdin: Option<Secret>,
    /// Where it reads from instead, a pipe's reading end.
    pub read_from: Option<ChildEnd>,
    /// Where its standard output goes, a pipe's writing end. None of it is then logged, captured or
    /// redacted; its standard error is logged as ever.
    pub write_to: Option<ChildEnd>,
    /// Its deadline.
    pub timeout: Duration,
    /// Whether its standard output is wanted as bytes (at most 1 MiB).
    pub capture: bool,
}

impl CommandSpec {
    /// A program with its arguments, in a folder.
    #[must_use]
    pub fn new<A: Into<OsString>>(
        argv: impl IntoIterator<Item = A>,
        cwd: &Path,
        timeout: Duration,
    ) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: cwd.to_path_buf(),
            env: Vec::new(),
            secret_env: Vec::new(),
            stdin: None,
            read_from: None,
            write_to: None,
            timeout,
            capture: false,
        }
    }

    /// A shell script in a folder.
    #[must_use]
    pub fn shell(script: &ShellScript, cwd: &Path, timeout: Duration) -> Self {
        let flags: &[&str] = if script.shell == "bash" {
            &["bash", "-eo", "pipefail", "-c"]
        } else {
            &["sh", "-e", "-c"]
        };
        let argv = flags.iter().map(OsString::from).chain([OsString::from(&script.text)]);
        Self::new(argv, cwd, timeout)
    }
}

/// How a child ended.
#[derive(Debug, Clone)]
pub struct CommandOutcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// It was ended at its deadline.
    pub timed_out: bool,
    /// It was ended because the run was cancelled.
    pub cancelled: bool,
    /// Its standard output, where it was wanted. Not redacted.
    pub stdout: Vec<u8>,
    /// The end of what it said, redacted.
    pub tail: Vec<String>,
    /// The file with all it said.
    pub log: Option<PathBuf>,
    /// What it left running and was ended, and what could not be ended.
    pub notes: Vec<String>,
}

/// Starts children so that nothing outlives the engine.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Runs a child to its end. `log` is where its output goes, behind what is there; `None` keeps
    /// only the tail.
    ///
    /// # Errors
    /// When it could not be started, or the supervisor was lost.
    async fn run(
        &self,
        spec: CommandSpec,
        identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError>;

    /// The same as another account, and with no variables but those of the specification.
    ///
    /// # Errors
    /// As [`Launcher::run`], and where this launcher cannot.
    async fn run_as(
        &self,
        account: Account,
        spec: CommandSpec,
        identity: &str,
        log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        let _ = (account, spec, identity, log, cancel);
        Err(StepError::new(ErrorCause::NotStarted, "commands cannot change their account here"))
    }

    /// Has a folder removed when the engine dies, until what this gives is dropped. Without a
    /// supervisor nobody does.
    ///
    /// # Errors
    /// When the supervisor cannot be told.
    async fn doom(&self, folder: &Path) -> Result<Option<Box<dyn Send + Sync>>, StepError> {
        let _ = folder;
        Ok(None)
    }

    /// Starts a server that stays when the engine ends.
    ///
    /// # Errors
    /// When it could not be started; nothing runs then.
    async fn serve(&self, spec: ServiceSpec) -> Result<ServiceEntry, StepError> {
        let _ = spec;
        Err(StepError::new(ErrorCause::NotStarted, "no services can be started here"))
    }
}

/// Reading only: what `observe`, `preview`, `prepare` and `verify` get.
#[derive(Clone)]
pub struct Look {
    /// The step's full name.
    pub step: Arc<str>,
    /// The workplan's folder: relative paths and scripts start here.
    pub base: Arc<Path>,
    /// The target.
    pub place: Arc<Place>,
    /// What is on record.
    pub past: Past,
    /// A dry-run: only checks that are declared read-only may be asked.
    pub dry_run: bool,
    /// The step's own deadline, where it gave one.
    pub timeout: Option<Duration>,
    /// Who this attempt is: `workplan:<run>:<step>:<attempt>`.
    pub identity: Arc<str>,
    /// What children start from. Tools that are built in have their settings there, as the programs
    /// that they stand for would.
    pub env: Arc<BaseEnv>,
    /// The outputs of this run so far are resolved into the parameters; secrets are here.
    pub(crate) secrets: Arc<dyn SecretSource>,
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) cancel: CancellationToken,
    /// What steps of the plan move.
    pub(crate) moves: Arc<Moves>,
    /// What was found in its new place, in words.
    pub(crate) followed: Arc<Mutex<BTreeSet<String>>>,
}

impl Look {
    /// Builds a handle; the engine and tests of kinds do.
    #[must_use]
    pub fn new(
        step: &str,
        base: &Path,
        secrets: Arc<dyn SecretSource>,
        launcher: Arc<dyn Launcher>,
    ) -> Self {
        Self {
            step: step.into(),
            base: base.into(),
            place: Arc::new(Place::new("local", "local", "state:-")),
            past: Past::Never,
            dry_run: false,
            timeout: None,
            identity: format!("workplan:-:{step}:0").into(),
            env: Arc::default(),
            secrets,
            launcher,
            cancel: CancellationToken::new(),
            moves: Arc::default(),
            followed: Arc::default(),
        }
    }

    /// Resolves a path of the workplan.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join(path)
    }

    /// Resolves a path that may lie in a sibling repo: `railiance-apps:helm/gitea-values.yaml` is
    /// a path in the folder that the target gives under `repos`, any other one starts at the
    /// workplan's folder.
    ///
    /// Where nothing is there, and a step of the plan moves it to where something is, that is the
    /// answer: the plan's own moves are followed.
    ///
    /// # Errors
    /// When the target names no such repo.
    pub fn locate(&self, path: &str) -> Result<PathBuf, StepError> {
        let written = self.locate_as_written(path)?;
        let Some(now) = self.moves.follow(&written) else { return Ok(written) };
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert(format!("`{path}` is at `{}`, where this plan moves it", now.display()));
        Ok(now)
    }

    /// As [`Look::locate`], in the place that is written, whatever has been moved: for who moves.
    ///
    /// # Errors
    /// When the target names no such repo.
    pub fn locate_as_written(&self, path: &str) -> Result<PathBuf, StepError> {
        match path.split_once(':') {
            Some((repo, rest)) if !repo.is_empty() && !repo.contains('/') => {
                Ok(tidy(&self.place.repo(repo)?.join(rest)))
            }
            _ => Ok(tidy(&self.path(path))),
        }
    }

    /// The same handle, knowing what steps of the plan move.
    #[must_use]
    pub fn with_moves(self, moves: Arc<Moves>) -> Self {
        Self { moves, ..self }
    }

    /// What was found elsewhere than it is written, a sentence each.
    pub(crate) fn followed(&self) -> Vec<String> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Runs a command that its author declared to change nothing. Its output is not logged.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn check(&self, spec: CommandSpec) -> Result<CommandOutcome, StepError> {
        self.launcher.run(spec, &self.identity, None, self.cancel.clone()).await
    }

    /// A secret's value. A relative path in its reference starts where the text with it stands: at
    /// the target's folder for values of the target file, else at the workplan's folder. It may lie
    /// in a sibling repo, as in [`Look::locate`].
    ///
    /// # Errors
    /// When it is not to be had.
    pub async fn secret(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let placed = reference.try_placed(|path| match path.to_str() {
            Some(text) => self.locate(text),
            None => Ok(tidy(&self.path(path))),
        });
        let placed = placed.map_err(|error| SecretError {
            reference: reference.to_string(),
            why: error.help.map_or(error.what.clone(), |help| format!("{}; {help}", error.what)),
        })?;
        self.secrets.resolve(&placed, self).await
    }

    /// A variable of the environment that children start from.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let name = OsStr::new(name);
        self.env.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Where a program is, as a child would find it on the `PATH`; `None` where it is not.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        std::env::split_paths(self.variable("PATH")?)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| {
                std::fs::metadata(path)
                    .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            })
    }

    /// Makes known that a value is secret, wherever it came from: from now on every sink redacts
    /// it.
    pub fn conceal(&self, secret: &Secret) {
        self.secrets.conceal(secret);
    }

    /// When the run is cancelled or the attempt's deadline has come.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// The same handle for children that may have to end earlier than the attempt, a scratch server
    /// for example: they are sent SIGTERM when the token is cancelled, and when the attempt is.
    #[must_use]
    pub fn stoppable(&self) -> (Self, CancellationToken) {
        let token = self.cancel.child_token();
        (Self { cancel: token.clone(), ..self.clone() }, token)
    }
}

/// Acting: what `apply`, `repair` and `undo` get. Everything that [`Look`] can, too.
#[derive(Clone)]
pub struct Hands {
    look: Look,
    log: Option<PathBuf>,
}

impl Hands {
    /// Turns a look into hands; the engine does, after the intent is committed.
    #[must_use]
    pub fn new(look: Look, log: Option<PathBuf>) -> Self {
        Self { look, log }
    }

    /// The file that takes this attempt's output.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// As [`Look::stoppable`].
    #[must_use]
    pub fn stoppable(&self) -> (Self, CancellationToken) {
        let (look, token) = self.look.stoppable();
        (Self { look, log: self.log.clone() }, token)
    }

    /// Runs a command that changes the world; its output goes to the attempt's log. Several may run
    /// at the same time.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn run(&self, spec: CommandSpec) -> Result<CommandOutcome, StepError> {
        self.look
            .launcher
            .run(spec, &self.look.identity, self.log.clone(), self.look.cancel.clone())
            .await
    }

    /// Runs a command as another account, with no variables but those of the specification. Its
    /// working folder must be open to that account.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn run_as(
        &self,
        account: Account,
        spec: CommandSpec,
    ) -> Result<CommandOutcome, StepError> {
        let cancel = self.look.cancel.clone();
        let launcher = &self.look.launcher;
        launcher.run_as(account, spec, &self.look.identity, self.log.clone(), cancel).await
    }

    /// Makes a folder for what must not stay: it is gone when it is dropped or the engine dies.
    ///
    /// # Errors
    /// When it could not be made.
    pub async fn scratch(
        &self,
        parent: &Path,
        account: Option<Account>,
    ) -> Result<Scratch, StepError> {
        Scratch::make(&*self.look.launcher, parent, account).await
    }

    /// Starts a server that stays when the engine ends. It is for platforms; a step that needs a
    /// process only while it works uses [`Hands::run`].
    ///
    /// # Errors
    /// When it could not be started; nothing runs then.
    pub async fn serve(&self, spec: ServiceSpec) -> Result<ServiceEntry, StepError> {
        self.look.launcher.serve(spec).await
    }
}

impl Deref for Hands {
    type Target = Look;

    fn deref(&self) -> &Look {
        &self.look
    }
}
