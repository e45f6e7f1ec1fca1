//! Ctrl-C once and twice, SIGTERM, and readers that go away.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, TWO};

const SLOW: &str = r#"# W

```sh step=slow check="test -f slow" readonly undo="rm -f slow"
touch started
while ! test -f go; do sleep 0.05; done
touch slow
```

```sh step=after check="test -f after" readonly
touch after
```
"#;

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Starts a run, sends a signal while the first step is under way, and waits until that was said.
fn interrupted(bench: &Bench, signal: Signal) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = bench.command(&["run", "plan.md", "--yes", "--grace", "5m"]).spawn().unwrap();
    bench.wait_for("started");
    send(&child, signal);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("finishing slow;") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    (child, lines)
}

#[test]
fn once_finishes_the_step_and_twice_stops_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let bench = Bench::with(SLOW);
        let (mut child, _lines) = interrupted(&bench, signal);
        send(&child, signal);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal as i32), "{status:?}");
        assert!(!bench.has("after"));
        let state = bench.json(0, &["status", "--json"]);
        assert_eq!(state["run"]["state"], "interrupted");
        bench.write("go", "");
        bench.expect(0, &["resume", "--yes"]);
        assert!(bench.has("after"));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::with(TWO);
    let mut child = bench.command(&["schema", "step"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_reader_of_events_that_goes_away_does_not_stop_the_run() {
    let bench = Bench::with(TWO);
    let mut child =
        bench.command(&["run", "plan.md", "--yes", "--events", "jsonl"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(bench.has("two"));
}

#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let bench = Bench::with(TWO);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = bench.command(&["plan", "plan.md", "--json"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("failed to write to stdout"));
}
