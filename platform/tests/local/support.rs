//! A target of its own for each test, and the engine's own way to start children and services.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use workplan_engine::kind::{
    CommandOutcome, CommandSpec, Hands, Launcher, Look, Place, Secret, SecretError, SecretRef,
    SecretSource, StepError,
};
use workplan_engine::process::{
    Account, Cause, ChildSpec, Exit, ServiceEntry, ServiceSpec, ServiceStarter, Stdin, Supervisor,
    SupervisorConfig,
};
use workplan_platform::local::LocalOperate;
use workplan_platform::values::Values;
use workplan_platform::{Operate, ReleaseRef, ReleaseSpec, View};

/// The longest that anything may take here.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// Tests run side by side; each has ports of its own. Other test programs have theirs by the lock
/// that the platform takes.
static NEXT_PORT: AtomicU16 = AtomicU16::new(22000);

/// A target in a folder. All of its servers are ended when it goes, also when the test has failed.
pub(crate) struct Ground {
    folder: TempDir,
    pub(crate) launcher: Arc<Engine>,
    port: u16,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The servers' account must get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = NEXT_PORT.fetch_add(40, Ordering::Relaxed);
        Self { folder, launcher: Arc::new(Engine::new()), port }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("world")
    }

    /// One of its ports, counted from its first.
    pub(crate) fn port(&self, number: u16) -> u16 {
        self.port + number
    }

    /// A handle as the engine gives it.
    pub(crate) fn look(&self, step: &str) -> Look {
        look(self.folder.path(), self.port, step, self.launcher.clone())
    }

    /// All files below the target's folder whose names end so, with what they say.
    pub(crate) fn files(&self, ending: &str) -> Vec<(PathBuf, String)> {
        let (mut folders, mut found) = (vec![self.dir()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    // The database's own files are not ours to read.
                    if !path.ends_with("data") {
                        folders.push(path);
                    }
                } else if entry.file_type().is_ok_and(|t| t.is_file())
                    && path.to_string_lossy().ends_with(ending)
                {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    found.push((path, text));
                }
            }
        }
        found
    }

    /// Those of them that everybody may read.
    pub(crate) fn readable_by_all(&self) -> Vec<(PathBuf, String)> {
        let mut files = self.files("");
        files.retain(|(path, _)| {
            fs::metadata(path).is_ok_and(|f| f.permissions().mode() & 0o004 != 0)
        });
        files
    }

    /// The processes that run with anything of the target's in their command line.
    pub(crate) fn living(&self) -> Vec<String> {
        let needle = self.dir().display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            if words.contains(&needle) {
                found.push(words);
            }
        }
        found
    }

    pub(crate) fn operate(&self, step: &str) -> LocalOperate {
        LocalOperate::new(&Hands::new(self.look(step), None)).unwrap()
    }
}

/// A handle for a target whose world lies in a folder.
pub(crate) fn look(folder: &Path, port: u16, step: &str, launcher: Arc<dyn Launcher>) -> Look {
    let mut place = Place::new("lab", "local", "lab-1");
    place.folder = folder.to_owned();
    let Value::Object(values) = json!({"local": {"dir": "world", "ports": port}}) else { panic!() };
    place.values = values;
    let mut look = Look::new(step, folder, Arc::new(NoSecrets), launcher);
    look.place = Arc::new(place);
    look.identity = format!("workplan:r1:{step}:1").into();
    look
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (path, text) in self.files(".log") {
                // What repmgrd says several times a second while a node is away tells nothing.
                let tells = |l: &&str| !l.contains("unable to ping") && !l.contains("PQping()");
                let lines: Vec<&str> = text.lines().filter(tells).collect();
                let last = lines[lines.len().saturating_sub(25)..].join("\n");
                eprintln!("--- {}\n{last}", path.display());
            }
        }
        end_all(&self.dir());
    }
}

/// Ends every service that is written down below a folder.
pub(crate) fn end_all(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    let mut entries = Vec::new();
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = found.path();
            if found.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".service.json") {
                entries.extend(ServiceEntry::read(&path).ok().flatten());
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for entry in entries {
        runtime.block_on(entry.end(None, Duration::ZERO));
    }
}

pub(crate) fn at(namespace: &str, name: &str) -> ReleaseRef {
    ReleaseRef { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// What to deploy, with values as they stand in a file; those below `secret` are marked.
pub(crate) fn spec(at: &ReleaseRef, chart: &str, values: Value, secret: &[&[&str]]) -> ReleaseSpec {
    let Value::Object(tree) = values else { panic!("values are a mapping") };
    let mut values = Values::plain(tree);
    for path in secret {
        values.conceal(path);
    }
    ReleaseSpec {
        at: at.clone(),
        chart: chart.to_owned(),
        version: None,
        values,
        quarantine: false,
        timeout: LONG,
    }
}

/// The incarnations of all instances of a release, by name.
pub(crate) async fn incarnations(view: &dyn View, at: &ReleaseRef) -> Vec<(String, String)> {
    let workloads = view.workloads(at).await.unwrap();
    let instances = workloads.into_iter().flat_map(|w| w.instances);
    instances.map(|i| (i.name, i.incarnation)).collect()
}

pub(crate) async fn deploy(operate: &LocalOperate, spec: &ReleaseSpec) -> u64 {
    match operate.deploy(spec).await {
        Ok(release) => release.revision,
        Err(error) => panic!("{error}\n{error:#?}"),
    }
}

/// Asks until there is an answer, for at most [`LONG`].
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let end = tokio::time::Instant::now() + LONG;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn trial<F>(name: &str, test: fn(Arc<Ground>) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let ground = Arc::new(Ground::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failed::from)?.block_on(test(Arc::clone(&ground)));
        Ok(())
    })
}

/// The engine's own launcher: a supervisor for commands, services beside it.
pub(crate) struct Engine {
    supervisor: OnceCell<Supervisor>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self { supervisor: OnceCell::new() }
    }

    async fn start(
        &self,
        account: Option<Account>,
        spec: CommandSpec,
        identity: &str,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        let program = std::env::current_exe().unwrap();
        let config = SupervisorConfig { program, args: vec!["supervise".into()], lock_file: None };
        let supervisor =
            self.supervisor.get_or_init(async || Supervisor::start(config).await.unwrap()).await;
        let mut child = ChildSpec::new(&spec.argv[0], &spec.cwd, identity);
        child.args = spec.argv[1..].to_vec();
        child.env = spec.env.iter().map(|(n, v)| (n.into(), v.into())).collect();
        for (name, value) in &spec.secret_env {
            let value = String::from_utf8(value.reveal().to_vec()).unwrap();
            child.env.push((name.into(), value.into()));
        }
        child.account = account;
        if let Some(stdin) = spec.stdin {
            child.stdin = Stdin::Bytes(stdin.reveal().to_vec());
        }
        child.capture_stdout = Some(1 << 20);
        child.timeout = Some(spec.timeout);
        let finished = supervisor
            .run(child, cancel)
            .await
            .map_err(|e| StepError::failed(format!("{e}: {:?}", std::error::Error::source(&e))))?;
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
            log: None,
            notes: Vec::new(),
        })
    }
}

#[async_trait]
impl Launcher for Engine {
    async fn run(
        &self,
        spec: CommandSpec,
        identity: &str,
        _log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(None, spec, identity, cancel).await
    }

    async fn run_as(
        &self,
        account: Account,
        spec: CommandSpec,
        identity: &str,
        _log: Option<PathBuf>,
        cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        self.start(Some(account), spec, identity, cancel).await
    }

    async fn serve(&self, spec: ServiceSpec) -> Result<ServiceEntry, StepError> {
        let program = std::env::current_exe().unwrap();
        let starter = ServiceStarter { program, args: vec!["service".into()], env: Vec::new() };
        starter.start(spec).await.map_err(|e| StepError::failed(e.to_string()))
    }
}

struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn resolve(&self, reference: &SecretRef, _: &Look) -> Result<Secret, SecretError> {
        Err(SecretError { reference: reference.to_string(), why: "there are none".to_owned() })
    }
}
