//! What the tests share.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use tokio_util::sync::CancellationToken;
use workplan_engine::process::{
    ChildSpec, Finished, Liveness, ProcessError, ProcessId, Supervisor, SupervisorConfig,
};

pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(crate) fn trial(name: &str, test: fn(&Path)) -> Trial {
    Trial::test(name, move || {
        let folder = tempfile::tempdir().map_err(Failed::from)?;
        test(folder.path());
        Ok(())
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn config(lock: Option<&Path>) -> SupervisorConfig {
    let mut args = vec![OsString::from("supervise")];
    args.extend(lock.map(|lock| lock.as_os_str().to_owned()));
    let program = std::env::current_exe().unwrap();
    SupervisorConfig { program, args, lock_file: lock.map(Path::to_owned) }
}

pub(crate) async fn supervisor() -> Supervisor {
    Supervisor::start(config(None)).await.unwrap()
}

/// A step that runs a shell script in `folder`. Its identity is unique to test and machine.
pub(crate) fn sh(folder: &Path, script: &str) -> ChildSpec {
    let mut spec = ChildSpec::new("sh", folder, identity(folder, "step"));
    spec.args = vec!["-c".into(), script.into()];
    spec.env = vec![("PATH".into(), PATH.into())];
    spec.log = Some(folder.join("log"));
    spec
}

pub(crate) fn identity(folder: &Path, step: &str) -> String {
    format!("{}/{step}", folder.display())
}

pub(crate) fn run(spec: ChildSpec) -> Result<Finished, ProcessError> {
    block_on(async {
        let supervisor = supervisor().await;
        let finished = supervisor.run(spec, CancellationToken::new()).await;
        supervisor.shutdown().await.unwrap();
        finished
    })
}

/// Starts this executable as an engine.
pub(crate) fn engine(scenario: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["engine", scenario]).arg(folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until `look` finds something, for at most `limit`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen within {limit:?}");
        std::thread::yield_now();
        nix::poll::poll(&mut [], 2_u8).unwrap();
    }
}

/// Waits until `file` holds a process number and returns that process.
#[track_caller]
pub(crate) fn process_in(file: &Path) -> ProcessId {
    let text = wait_for(&format!("{}", file.display()), Duration::from_secs(10), || {
        fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
    });
    ProcessId::of(text.trim().parse().unwrap()).unwrap()
}

#[track_caller]
pub(crate) fn assert_gone(process: &ProcessId, limit: Duration) {
    wait_for(&format!("the end of {process:?}"), limit, || {
        (process.liveness() == Liveness::Dead).then_some(())
    });
}

/// The living processes whose environment says that they belong to `folder`'s test.
pub(crate) fn marked(folder: &Path) -> Vec<String> {
    let marker = format!("WORKPLAN_ATTEMPT={}/", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|byte| *byte == 0).any(|one| one.starts_with(marker.as_bytes())) {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{:?} {}", entry.file_name(), String::from_utf8_lossy(&words)));
        }
    }
    found
}
