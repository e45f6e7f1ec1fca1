//! The means to act, bound to one release.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use workplan_engine::kind::{CommandOutcome, CommandSpec, Hands, Secret};
use workplan_engine::process::Account;

use crate::local::pod::PodFolder;
use crate::local::view::LocalView;
use crate::local::world::World;
use crate::{PlatformError, ReleaseRef};

/// What acts on a release: the hands, the store, the servers' account, and until when.
pub(crate) struct Act<'a> {
    pub(crate) hands: &'a Hands,
    pub(crate) view: &'a LocalView,
    pub(crate) at: &'a ReleaseRef,
    pub(crate) account: Account,
    pub(crate) until: Instant,
    /// The pods that did not come up. Others that start along with them need not wait for them.
    pub(crate) given_up: Mutex<BTreeSet<String>>,
}

/// A program to run to its end.
pub(crate) struct Program<'p> {
    pub(crate) path: &'p Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secret_env: Vec<(String, Secret)>,
    pub(crate) stdin: Option<Secret>,
    /// Working folder, open to the account.
    pub(crate) cwd: PathBuf,
    /// At most this long.
    pub(crate) timeout: Duration,
}

impl<'p> Program<'p> {
    pub(crate) fn new<S: Into<OsString>>(
        path: &'p Path,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            path,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            secret_env: Vec::new(),
            stdin: None,
            cwd: PathBuf::from("/"),
            timeout: Duration::from_secs(600),
        }
    }
}

impl Act<'_> {
    pub(crate) fn world(&self) -> &Arc<World> {
        self.view.world()
    }

    /// The folder of a pod of the release's namespace.
    pub(crate) fn folder(&self, pod: &str) -> PodFolder {
        PodFolder::new(&self.world().store.pods(&self.at.namespace), pod)
    }

    /// The folder of a volume.
    pub(crate) fn volume(&self, claim: &str) -> PathBuf {
        self.world().store.volumes(&self.at.namespace).path(claim)
    }

    /// What is left of the operation's time.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Refuses to go on when the run is cancelled or the time is over.
    pub(crate) fn check(&self, doing: &str) -> Result<(), PlatformError> {
        if self.hands.cancel().is_cancelled() {
            return Err(PlatformError::failed(format!("cancelled while {doing}")));
        }
        if self.left().is_zero() {
            return Err(PlatformError::TimedOut(format!("the time was over while {doing}")));
        }
        Ok(())
    }

    /// Notes that a pod does not come up.
    pub(super) fn give_up(&self, pod: &str) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.insert(pod.to_owned());
    }

    /// Whether a pod was found not to come up.
    pub(crate) fn is_given_up(&self, pod: &str) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(pod)
    }

    /// Runs a program as the servers' account, to its end.
    pub(crate) async fn run(&self, program: Program<'_>) -> Result<CommandOutcome, PlatformError> {
        let name = program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.check(&format!("running `{name}`"))?;
        let argv = std::iter::once(program.path.as_os_str().to_owned()).chain(program.args);
        let mut spec = CommandSpec::new(argv, &program.cwd, program.timeout.min(self.left()));
        spec.env = program.env;
        spec.env.push(("LC_ALL".to_owned(), "C".to_owned()));
        spec.env.push(("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin:/sbin".to_owned()));
        spec.secret_env = program.secret_env;
        spec.stdin = program.stdin;
        spec.capture = true;
        Ok(self.hands.run_as(self.account, spec).await?)
    }

    /// The same, and its success.
    pub(crate) async fn done(&self, program: Program<'_>) -> Result<Vec<u8>, PlatformError> {
        let name = program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outcome = self.run(program).await?;
        if outcome.code == Some(0) {
            return Ok(outcome.stdout);
        }
        let how = match (outcome.timed_out, outcome.cancelled, outcome.code, outcome.signal) {
            (true, ..) => "it did not end in time".to_owned(),
            (_, true, ..) => "it was cancelled".to_owned(),
            (.., Some(code), _) => format!("exit code {code}"),
            (.., signal) => format!("ended by signal {}", signal.unwrap_or_default()),
        };
        Err(PlatformError::Failed {
            what: format!("`{name}` failed: {how}"),
            said: outcome.tail,
            help: outcome.log.map(|log| format!("its whole output is in `{}`", log.display())),
        })
    }
}
