//! On a terminal: the question, its answers, colour, control characters.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use nix::pty::openpty;

use crate::support::{Bench, TWO};

/// Runs a command with a terminal as stdin, stdout and stderr, types an answer, and returns what
/// was shown with the exit code.
fn typed(bench: &Bench, args: &[&str], answer: &str) -> (String, Option<i32>) {
    let pty = openpty(None, None).unwrap();
    let side = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = bench.command(args);
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command.stdin(side()).stdout(side()).stderr(side());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut master = File::from(pty.master);
    master.write_all(answer.as_bytes()).unwrap();
    drop(pty.slave);
    let mut shown = Vec::new();
    let mut bytes = [0; 4096];
    // Linux says EIO when the last holder of the other side is gone.
    while let Ok(read @ 1..) = master.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..read]);
    }
    let exit = child.wait().unwrap().code();
    (String::from_utf8_lossy(&shown).into_owned(), exit)
}

#[test]
fn yes_runs_and_anything_else_does_not() {
    let bench = Bench::with(TWO);
    let (shown, exit) = typed(&bench, &["run", "plan.md"], "maybe\n");
    assert!(shown.contains("Run these 2 steps?") && shown.contains("nothing was done"), "{shown}");
    assert_eq!(exit, Some(8));
    assert!(!bench.has("one") && !bench.has(".workplan"));
    let (shown, exit) = typed(&bench, &["run", "plan.md"], "y\n");
    assert_eq!(exit, Some(0), "{shown}");
    assert!(bench.has("two"));
    let (shown, exit) = typed(&bench, &["run", "plan.md"], "");
    assert!(!shown.contains("[y/N]"), "{shown}");
    assert_eq!(exit, Some(0));
}

#[test]
fn colour_is_for_terminals_and_obeys() {
    let bench = Bench::with(TWO);
    let escape = "\u{1b}[";
    assert!(typed(&bench, &["plan", "plan.md"], "").0.contains(escape));
    assert!(!typed(&bench, &["plan", "plan.md", "--color", "never"], "").0.contains(escape));
    assert!(!bench.run(&["plan", "plan.md"]).stdout.contains(escape));
    assert!(bench.run(&["plan", "plan.md", "--color", "always"]).stdout.contains(escape));
    let forced =
        bench.command(&["plan", "plan.md"]).env_remove("NO_COLOR").env("FORCE_COLOR", "1").output();
    assert!(String::from_utf8(forced.unwrap().stdout).unwrap().contains(escape));
}

#[test]
fn foreign_text_does_not_steer_the_terminal() {
    let bench =
        Bench::with("# W\n\n```sh step=one\nprintf 'a\\033]0;title\\007\\033[2Jb\\n'\n```\n");
    bench.expect(0, &["run", "plan.md", "--yes"]);
    let piped = bench.expect(0, &["log", "one"]);
    assert_eq!(piped.stdout, "a\u{1b}]0;title\u{7}\u{1b}[2Jb\n");
    let (shown, _) = typed(&bench, &["log", "one"], "");
    assert_eq!(shown.trim_end(), "a\\u{1b}]0;title\\u{7}\\u{1b}[2Jb");
}
