//! Nothing outlives the engine.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use workplan_engine::process::{
    ProcessError, ProcessId, Supervisor, become_subreaper, wait_supervisor_gone,
};

use crate::support::{
    assert_gone, block_on, config, engine as start_engine, marked, process_in, sh, supervisor,
    trial, wait_for,
};

/// Hard to end: a grandchild in its own session that ignores SIGTERM and holds the output pipe, a
/// daemon that forked twice, a stopped process, and a chain of processes that fork and exit.
const STUBBORN: &str = r#"
    setsid sh -c 'trap "" TERM HUP; echo $$ >session; while :; do sleep 300; done' &
    sh -c '(setsid sh -c "echo \$\$ >daemon; exec sleep 300" </dev/null >/dev/null 2>&1 &) &'
    sh -c 'echo $$ >stopped; kill -STOP $$' &
    echo 'test $1 -gt 0 && sh ./chain $(($1 - 1)) & exit' >chain
    sh ./chain 20000 &
    echo $$ >main
    wait
"#;

const STUBBORN_FILES: [&str; 4] = ["session", "daemon", "stopped", "main"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("nothing_outlives_a_killed_engine", nothing_outlives_a_killed_engine),
        trial("a_killed_supervisor_is_noticed", a_killed_supervisor_is_noticed),
        trial("a_dropped_supervisor_ends_its_steps", a_dropped_supervisor_ends_its_steps),
        trial("a_dropped_run_ends_its_step", a_dropped_run_ends_its_step),
        trial("a_step_that_is_hard_to_end_can_be_killed", a_step_that_is_hard_to_end_can_be_killed),
        trial("a_silent_supervisor_is_replaced_by_the_engine", a_silent_supervisor),
        trial("a_supervisor_waits_for_the_lock", a_supervisor_waits_for_the_lock),
        trial("a_supervisor_ignores_terminal_signals", a_supervisor_ignores_terminal_signals),
    ]
}

pub(crate) fn engine(folder: &Path) {
    block_on(async {
        let lock = folder.join("lock");
        let supervisor = Supervisor::start(config(Some(&lock))).await.unwrap();
        let doom = async |name: &str| {
            let doomed = folder.join(name);
            let guard = supervisor.doom(doomed.to_str().unwrap()).await.unwrap();
            fs::create_dir(&doomed).unwrap();
            fs::write(doomed.join("plain"), "").unwrap();
            guard
        };
        let _kept = doom("doomed").await;
        drop(doom("spared").await);
        supervisor.run(sh(folder, STUBBORN), CancellationToken::new()).await.unwrap();
    });
}

fn nothing_outlives_a_killed_engine(folder: &Path) {
    let mut engine = start_engine("death", folder);
    let processes = STUBBORN_FILES.map(|name| process_in(&folder.join(name)));
    let lock = folder.join("lock");
    let error = wait_supervisor_gone(&lock, Duration::ZERO).unwrap_err();
    assert!(matches!(error, ProcessError::SupervisorStays { .. }), "{error}");
    let killed = Instant::now();
    engine.kill().unwrap();
    engine.wait().unwrap();
    let left = || Duration::from_secs(2).saturating_sub(killed.elapsed());
    for process in &processes {
        assert_gone(process, left());
    }
    wait_supervisor_gone(&lock, left()).unwrap();
    assert_eq!(marked(folder), [""; 0]);
    assert!(!folder.join("doomed").exists() && folder.join("spared/plain").exists());
}

pub(crate) fn engine_without_supervisor(folder: &Path) {
    become_subreaper().unwrap();
    block_on(async {
        let supervisor = supervisor().await;
        fs::write(folder.join("supervisor"), format!("{}\n", supervisor.pid())).unwrap();
        let mut service = Command::new("setsid").args(["sleep", "304"]).spawn().unwrap();
        workplan_engine::process::spare(ProcessId::of(service.id().cast_signed()).unwrap());
        let run = supervisor.run(sh(folder, STUBBORN), CancellationToken::new()).await;
        assert!(service.try_wait().unwrap().is_none(), "the service was killed");
        service.kill().unwrap();
        assert!(matches!(run, Err(ProcessError::SupervisorLost)), "{run:?}");
        assert_eq!(marked(folder), [""; 0]);
        let again = supervisor.run(sh(folder, "true"), CancellationToken::new()).await;
        assert!(matches!(again, Err(ProcessError::SupervisorLost)), "{again:?}");
    });
    println!("cleaned up");
}

fn a_killed_supervisor_is_noticed(folder: &Path) {
    let mut engine = start_engine("lost", folder);
    let processes = STUBBORN_FILES.map(|name| process_in(&folder.join(name)));
    let supervisor = process_in(&folder.join("supervisor"));
    kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).unwrap();
    for process in &processes {
        assert_gone(process, Duration::from_secs(3));
    }
    let mut said = String::new();
    engine.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    engine.wait().unwrap();
    assert_eq!(said, "cleaned up\n");
}

fn a_dropped_supervisor_ends_its_steps(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let run = supervisor.run(sh(folder, STUBBORN), CancellationToken::new());
        let started = tokio::task::spawn_blocking({
            let folder = folder.to_owned();
            move || STUBBORN_FILES.map(|name| process_in(&folder.join(name)))
        });
        let processes = tokio::select! {
            _ = run => panic!("the step ended"),
            processes = started => processes.unwrap(),
        };
        supervisor.shutdown().await.unwrap();
        for process in &processes {
            assert_gone(process, Duration::ZERO);
        }
    });
    assert_eq!(marked(folder), [""; 0]);
}

fn a_dropped_run_ends_its_step(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let run = supervisor.run(sh(folder, STUBBORN), CancellationToken::new());
        let started = tokio::task::spawn_blocking({
            let folder = folder.to_owned();
            move || STUBBORN_FILES.map(|name| process_in(&folder.join(name)))
        });
        let processes = tokio::select! {
            _ = run => panic!("the step ended"),
            processes = started => processes.unwrap(),
        };
        for process in &processes {
            assert_gone(process, Duration::from_secs(2));
        }
        wait_for("the end of the chain", Duration::from_secs(2), || {
            marked(folder).is_empty().then_some(())
        });
        // The supervisor goes on.
        let next = supervisor.run(sh(folder, "exit 3"), CancellationToken::new()).await.unwrap();
        assert_eq!(next.exit, workplan_engine::process::Exit::Code(3));
    });
}

fn a_step_that_is_hard_to_end_can_be_killed(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let cancel = CancellationToken::new();
        let mut spec = sh(folder, STUBBORN);
        spec.grace = Duration::from_millis(100);
        let run = supervisor.run(spec, cancel.clone());
        let started = tokio::task::spawn_blocking({
            let folder = folder.to_owned();
            move || STUBBORN_FILES.map(|name| process_in(&folder.join(name)))
        });
        let (finished, processes) = tokio::join!(run, async {
            let processes = started.await.unwrap();
            cancel.cancel();
            processes
        });
        let finished = finished.unwrap();
        assert_eq!(finished.cause, workplan_engine::process::Cause::Cancelled);
        assert_eq!(finished.survivors, []);
        for process in &processes {
            assert_gone(process, Duration::ZERO);
        }
        assert_eq!(marked(folder), [""; 0]);
        supervisor.shutdown().await.unwrap();
    });
}

pub(crate) fn engine_with_silent_supervisor(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let run = supervisor.run(sh(folder, STUBBORN), CancellationToken::new());
        let started = tokio::task::spawn_blocking({
            let folder = folder.to_owned();
            move || STUBBORN_FILES.map(|name| process_in(&folder.join(name)))
        });
        tokio::select! {
            _ = run => panic!("the step ended"),
            processes = started => processes.unwrap(),
        };
        let pid = Pid::from_raw(supervisor.pid().cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        let error = supervisor.shutdown().await.unwrap_err();
        assert!(matches!(error, ProcessError::SupervisorSilent(_)), "{error}");
        assert_eq!(marked(folder), [""; 0]);
    });
    println!("cleaned up");
}

fn a_silent_supervisor(folder: &Path) {
    let mut engine = start_engine("silent", folder);
    let mut said = String::new();
    engine.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    engine.wait().unwrap();
    assert_eq!(said, "cleaned up\n");
}

fn a_supervisor_waits_for_the_lock(folder: &Path) {
    let path = folder.join("lock");
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    block_on(async {
        let error = Supervisor::start(config(Some(&path))).await.unwrap_err();
        assert!(matches!(error, ProcessError::SupervisorRefused { .. }), "{error:?}");
        assert!(error.to_string().contains("lock"), "{error}");
        drop(lock);
        Supervisor::start(config(Some(&path))).await.unwrap().shutdown().await.unwrap();
    });
}

fn a_supervisor_ignores_terminal_signals(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let pid = Pid::from_raw(i32::try_from(supervisor.pid()).unwrap());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            kill(pid, signal).unwrap();
        }
        let finished =
            supervisor.run(sh(folder, "exit 4"), CancellationToken::new()).await.unwrap();
        assert_eq!(finished.exit, workplan_engine::process::Exit::Code(4));
    });
}
