//! What a child process is given, and what became of it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::{Account, NamedProcess, Redactor};

/// An open file that becomes a child's standard input or output: one end of a pipe, as a rule.
///
/// Bytes go there without passing through the engine: none are logged, redacted or counted, and
/// there may be any number of them. The engine closes its copy once the child has started, so that
/// the other end sees the end when the last child closes its own. Whoever keeps a clone keeps the
/// pipe open.
///
/// ```
/// use workplan_engine::process::ChildEnd;
///
/// # fn main() -> std::io::Result<()> {
/// let (reader, writer) = std::io::pipe()?;
/// let stdout = ChildEnd::from(writer); // given to a child, read from `reader`
/// # drop((reader, stdout));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ChildEnd(Arc<OwnedFd>);

impl<F: Into<OwnedFd>> From<F> for ChildEnd {
    fn from(file: F) -> ChildEnd {
        ChildEnd(Arc::new(file.into()))
    }
}

impl AsFd for ChildEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a child reads on its standard input.
#[derive(Clone, Default)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end. A child that does not read them all is not an error.
    Bytes(Vec<u8>),
    /// What comes from there.
    From(ChildEnd),
}

impl std::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stdin::Null => f.write_str("Null"),
            // Secrets travel this way.
            Stdin::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Stdin::From(end) => write!(f, "From({end:?})"),
        }
    }
}

/// What to run, and how.
#[derive(Clone)]
pub struct ChildSpec {
    /// The program: a path, or a name that is looked up in the `PATH` of its environment.
    pub program: PathBuf,
    /// Its arguments, without the program's name. Everybody on the machine can read them.
    pub args: Vec<OsString>,
    /// The working folder; an absolute path.
    pub cwd: PathBuf,
    /// Variables that many children have in common; each name once.
    pub base_env: Arc<Vec<(OsString, OsString)>>,
    /// Variables of this child; they win over `base_env`. The two are the complete environment,
    /// nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Who it runs as, without supplementary groups; `None` for the engine's own account. Only root
    /// can choose.
    pub account: Option<Account>,
    /// The attempt's identity. All processes of the step have it as `WORKPLAN_ATTEMPT`, which is
    /// one of the ways to find them again; so no two running steps may share one.
    pub identity: String,
    /// Standard input.
    pub stdin: Stdin,
    /// Where standard output goes instead of log, tail and capture. Standard error still goes
    /// there.
    pub stdout: Option<ChildEnd>,
    /// Keeps the first so many bytes of standard output for [`Finished::stdout`].
    pub capture_stdout: Option<usize>,
    /// Keeps the first so many bytes of standard error for [`Finished::stderr`].
    pub capture_stderr: Option<usize>,
    /// The log file of the combined output. It is created with mode 0600 when there is something
    /// to write; what another child of the step wrote there stays before it. Its folder must exist.
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
            base_env: Arc::default(),
            env: Vec::new(),
            account: None,
            identity: identity.into(),
            stdin: Stdin::Null,
            stdout: None,
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
