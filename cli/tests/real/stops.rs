//! An engine that is stopped for longer than its deadlines, and one whose terminal goes away.

use std::process::Child;
use std::time::{Duration, Instant};

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
