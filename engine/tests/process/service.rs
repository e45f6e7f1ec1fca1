//! Servers outlive the engine, are written down before they run, and end with all that is theirs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use workplan_engine::process::{
    Account, Liveness, ProcessError, ProcessId, ServiceEntry, ServiceSpec, ServiceStarter,
    THIS_PROGRAM,
};

use crate::support::{
    PATH, assert_gone, block_on, engine as start_engine, process_in, sh, supervisor, trial,
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(300);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_service_outlives_a_killed_engine", a_service_outlives_a_killed_engine),
        trial("a_service_survives_a_lost_supervisor", a_service_survives_a_lost_supervisor),
        trial("a_service_ends_with_all_its_processes", a_service_ends_with_all_its_processes),
        trial("orphans_of_a_dead_service_are_found", orphans_of_a_dead_service_are_found),
        trial("a_reused_number_is_not_signalled", a_reused_number_is_not_signalled),
        trial("a_service_that_cannot_start_leaves_a_reason", a_service_that_cannot_start),
        trial("a_service_may_be_this_very_program", a_service_may_be_this_very_program),
        trial("shared_memory_of_a_killed_service_goes", shared_memory_of_a_killed_service_goes),
        trial("root_drops_its_rights_for_a_service", root_drops_its_rights_for_a_service),
    ]
}

fn starter() -> ServiceStarter {
    let program = std::env::current_exe().unwrap();
    ServiceStarter { program, args: vec!["service".into()], env: Vec::new() }
}

/// A service that runs a script in a folder of its own.
fn service(folder: &Path, script: &str) -> ServiceSpec {
    let cwd = folder.join("service");
    fs::create_dir_all(&cwd).unwrap();
    ServiceSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), PATH.into())],
        cwd,
        account: None,
        log: folder.join("service.log"),
        entry: folder.join("service.json"),
        what: serde_json::json!({"name": "test"}),
    }
}

fn end(entry: &ServiceEntry, ask: Option<Signal>, patience: Duration) -> bool {
    let ended = block_on(entry.end(ask, patience));
    assert_eq!(ended.survivors, []);
    ended.forced
}

const TREE: &str = r#"
    sleep 300 &
    echo $! >child
    setsid sh -c 'trap "" TERM HUP; echo $$ >session; while :; do sleep 300; done' &
    sh -c '(sleep 300 & echo $! >orphan)'
    echo $$ >main
    trap 'kill $(cat child); exit 0' TERM
    while :; do wait; done
"#;

fn tree(folder: &Path) -> [ProcessId; 4] {
    ["main", "child", "session", "orphan"].map(|n| process_in(&folder.join("service").join(n)))
}

/// Starts a service and a step, and waits for the step, which never ends.
pub(crate) fn engine_with_service(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        fs::write(folder.join("supervisor"), format!("{}\n", supervisor.pid())).unwrap();
        starter().start(service(folder, TREE)).await.unwrap();
        let step = sh(folder, "echo $$ >step; sleep 300");
        let run = supervisor.run(step, CancellationToken::new()).await;
        assert!(matches!(run, Err(ProcessError::SupervisorLost)), "{run:?}");
        fs::write(folder.join("lost"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

fn a_service_outlives_a_killed_engine(folder: &Path) {
    let mut engine = start_engine("service", folder);
    let step = process_in(&folder.join("step"));
    let processes = tree(folder);
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert_gone(&step, SOON);
    for process in &processes {
        assert_eq!(process.liveness(), Liveness::Alive, "{process:?}");
    }
    let entry = ServiceEntry::read(&folder.join("service.json")).unwrap().unwrap();
    assert_eq!((&entry.process, &entry.what["name"]), (&processes[0], &"test".into()));
    end(&entry, None, SOON);
}

fn a_service_survives_a_lost_supervisor(folder: &Path) {
    let mut engine = start_engine("service", folder);
    let step = process_in(&folder.join("step"));
    let processes = tree(folder);
    let supervisor = process_in(&folder.join("supervisor"));
    kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).unwrap();
    wait_for("the loss", SOON, || folder.join("lost").exists().then_some(()));
    assert_gone(&step, SOON);
    for process in &processes {
        assert_eq!(process.liveness(), Liveness::Alive, "{process:?}");
    }
    engine.kill().unwrap();
    engine.wait().unwrap();
    end(&ServiceEntry::read(&folder.join("service.json")).unwrap().unwrap(), None, SOON);
}

fn a_service_ends_with_all_its_processes(folder: &Path) {
    let entry = block_on(starter().start(service(folder, TREE))).unwrap();
    let processes = tree(folder);
    entry.freeze();
    assert!(entry.is_frozen());
    entry.thaw();
    // What ignores the request is killed, and it is said.
    assert!(end(&entry, Some(Signal::SIGTERM), Duration::from_millis(200)));
    for process in &processes {
        assert_eq!(process.liveness(), Liveness::Dead, "{process:?}");
    }
    let polite = "trap 'kill $!; exit 0' TERM; sleep 300 & echo $$ >polite; wait";
    let entry = block_on(starter().start(service(folder, polite))).unwrap();
    process_in(&folder.join("service/polite"));
    assert!(!end(&entry, Some(Signal::SIGTERM), SOON));
}

fn orphans_of_a_dead_service_are_found(folder: &Path) {
    let entry = block_on(starter().start(service(folder, TREE))).unwrap();
    let [main, _, session, orphan] = tree(folder);
    kill(Pid::from_raw(main.pid), Signal::SIGKILL).unwrap();
    assert_gone(&main, SOON);
    assert_eq!(session.liveness(), Liveness::Alive);
    end(&entry, Some(Signal::SIGTERM), SOON);
    // One shares its session; the other has one of its own, but runs the program in the folder.
    assert_eq!((orphan.liveness(), session.liveness()), (Liveness::Dead, Liveness::Dead));
}

/// As pgpool leaves it.
fn shared_memory_of_a_killed_service_goes(folder: &Path) {
    let script = "exec perl -e '$| = 1; $id = shmget(0, 4096, 01600); open F, \">id\"; print F \"$id\\n\"; close F; sleep 300'";
    let entry = block_on(starter().start(service(folder, script))).unwrap();
    let id = wait_for("the segment", SOON, || {
        let id = fs::read_to_string(folder.join("service/id")).ok()?;
        id.ends_with('\n').then(|| id.trim().to_owned())
    });
    let is_there = || {
        let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        table.lines().any(|line| line.split_whitespace().nth(1) == Some(&id))
    };
    assert!(is_there());
    end(&entry, None, SOON);
    assert!(!is_there());
}

fn a_reused_number_is_not_signalled(folder: &Path) {
    let entry = block_on(starter().start(service(folder, "exec sleep 300"))).unwrap();
    let mut old = entry.clone();
    old.process.started_ticks -= 1;
    old.program = "/bin/sleep".into();
    old.cwd = "/".into();
    end(&old, Some(Signal::SIGTERM), SOON);
    old.freeze();
    old.signal(Signal::SIGKILL);
    assert_eq!(entry.liveness(), Liveness::Alive);
    assert!(!entry.is_frozen());
    end(&entry, Some(Signal::SIGTERM), SOON);
}

fn a_service_that_cannot_start(folder: &Path) {
    let mut spec = service(folder, "");
    spec.program = "/nowhere/server".into();
    let error = block_on(starter().start(spec.clone())).unwrap_err().to_string();
    assert!(error.contains("`/nowhere/server`: failed to execute"), "{error}");
    spec.cwd = "/nowhere".into();
    let error = block_on(starter().start(spec)).unwrap_err().to_string();
    assert!(error.contains("failed to enter `/nowhere`"), "{error}");
    // What is written down is dead.
    let entry = ServiceEntry::read(&folder.join("service.json")).unwrap().unwrap();
    assert_eq!(entry.liveness(), Liveness::Dead);
}

/// What this executable does as a service that is no other program.
pub(crate) fn own(args: &[String]) -> i32 {
    println!("{}", args.join(" "));
    std::thread::sleep(LONG);
    0
}

fn a_service_may_be_this_very_program(folder: &Path) {
    let mut spec = service(folder, "");
    spec.program = THIS_PROGRAM.into();
    spec.args = vec!["hello".into(), "there".into()];
    let log = spec.log.clone();
    let entry = block_on(starter().start(spec)).unwrap();
    wait_for("its word", SOON, || {
        fs::read_to_string(&log).ok().filter(|text| text == "hello there\n")
    });
    assert_eq!(entry.liveness(), Liveness::Alive);
    end(&entry, Some(Signal::SIGTERM), SOON);
}

fn root_drops_its_rights_for_a_service(folder: &Path) {
    let nobody = Account::named("nobody").unwrap().unwrap();
    if !Account::current().is_root() {
        let mut spec = service(folder, "");
        spec.account = Some(nobody);
        let error = block_on(starter().start(spec)).unwrap_err().to_string();
        assert!(error.contains("failed to become user"), "{error}");
        return;
    }
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut spec = service(folder, "id -u; id -G; ls /proc/$$/fd | tr '\\n' ' '; exec sleep 300");
    spec.account = Some(nobody);
    let entry = block_on(starter().start(spec)).unwrap();
    let log = folder.join("service.log");
    let said = wait_for("its word", SOON, || {
        fs::read_to_string(&log).ok().filter(|text| text.ends_with(' '))
    });
    let expected = format!("{}\n{}\n0 1 2 ", nobody.uid, nobody.gid);
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(fs::metadata(format!("/proc/{}", entry.process.pid)).unwrap().uid(), nobody.uid);
    end(&entry, Some(Signal::SIGTERM), SOON);
}
