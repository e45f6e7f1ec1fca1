//! An engine that is stopped for longer than its deadlines, and one whose terminal goes away.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::{Ground, wait_for};

/// A step with a deadline of 1 s that ends as soon as there is a file `go`.
const BRIEF: &str = "---\nid: S-1\n---\n\n# Stops\n\n## T01 - x\n\n```task\nid: S-1-T01\nstatus: todo\n```\n\n```steps\n- id: slow\n  uses: command\n  timeout: 1s\n  with: {run: \"touch begun; while ! test -f go; do sleep 0.02; done; echo done >>ran\"}\n```\n";

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("a child");
}

/// Stops the engine in the step until every deadline of it is long over.
fn stopped(ground: &Ground, meanwhile: impl FnOnce()) -> Child {
    let child = ground.spawn(&["run", "plan.md", "--yes"]);
    wait_for(|| ground.file("begun").exists());
    send(&child, Signal::SIGSTOP);
    let since = Instant::now();
    meanwhile();
    // It is the passing of time that is tried here: 1 s of the step, and 1 s more of the engine.
    wait_for(|| since.elapsed() > Duration::from_millis(3500));
    send(&child, Signal::SIGCONT);
    child
}

#[test]
fn what_ended_while_the_engine_was_stopped_is_in_time() {
    let ground = Ground::new(BRIEF);
    let mut child = stopped(&ground, || {
        ground.write("go", "");
        wait_for(|| ground.ran() == ["done"]);
    });
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", ground.run(&["status"], 0));
    assert_eq!(ground.step("T01.slow"), "done");
    assert_eq!(ground.ran(), ["done"], "once");
}

#[test]
fn what_did_not_end_while_the_engine_was_stopped_is_late() {
    let ground = Ground::new(BRIEF);
    let mut child = stopped(&ground, || ());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(8), "without a check nobody can tell what came of it");
    assert_eq!(ground.step("T01.slow"), "unknown");
    let log = ground.run(&["status"], 0);
    assert!(log.contains("did not end within 1s"), "it is named: {log}");
    assert!(ground.ran().is_empty());
}

#[test]
fn a_terminal_that_is_closed_ends_the_run_in_order() {
    let ground = Ground::new(
        "# T\n\n```sh step=slow check=\"test -f slow\"\ntouch begun\nwhile ! test -f go; do sleep 0.02; done\necho slow >>ran\ntouch slow\n```\n\n```sh step=after check=\"test -f after\"\ntouch after\n```\n",
    );
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    // Our end must not be open in the child, or it would never see it close.
    fcntl(&terminal.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
    let plain = ground.command(&["run", "plan.md", "--yes"]);
    // It takes a session of its own for the terminal to be its.
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(plain.get_program()).args(plain.get_args());
    command.current_dir(ground.path()).env_clear().env("TERM", "xterm");
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let end = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("setsid starts");
    drop((command, terminal.slave));
    wait_for(|| ground.file("begun").exists());
    drop(terminal.master);
    // Nobody is left to be told, and the step may finish all the same.
    ground.write("go", "");
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(Signal::SIGHUP as i32), "{status:?}");
    assert_eq!((ground.state().as_str(), ground.step("slow").as_str()), ("interrupted", "done"));
    assert!(!ground.file("after").exists());
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["slow"], "once");
    assert!(ground.file("after").exists());
}

#[test]
fn a_copy_of_the_state_folder_is_refused_while_the_first_is_at_work_and_looks_afterwards() {
    let text = |check: &str| {
        format!(
            "# T\n\n```sh step=slow{check}\ntouch begun\nwhile ! test -f go; do sleep 0.02; done\necho slow >>ran\n```\n"
        )
    };
    for (check, code, word) in
        [(" check=\"test -f ran\"", 0, "slow  adopted"), ("", 8, "`slow` cannot be told")]
    {
        let ground = Ground::new(&text(check));
        let mut child = ground.spawn(&["--state", "first", "run", "plan.md", "--yes"]);
        wait_for(|| ground.file("begun").exists());
        let mut copy = Command::new("cp");
        copy.args(["-r", "first", "second"]).current_dir(ground.path());
        assert!(copy.status().expect("cp runs").success());
        let text = ground.run(&["--state", "second", "resume", "--yes"], 6);
        assert!(text.contains("in use"), "{text}");
        ground.write("go", "");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        // The copy does not know how it went on, so it looks, and asks where it cannot.
        let text = ground.run(&["--state", "second", "resume", "--yes"], code);
        assert!(text.contains(word), "{text}");
        assert_eq!(ground.ran(), ["slow"], "once");
    }
}
