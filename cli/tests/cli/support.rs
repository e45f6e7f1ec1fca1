//! A folder, a home and an environment of its own for each test.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for something that has to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with a workplan in it.
pub(crate) struct Bench {
    temp: tempfile::TempDir,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The code, or 128 + the signal.
    pub(crate) exit: i32,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { temp: tempfile::tempdir().unwrap() };
        fs::create_dir_all(bench.path("home")).unwrap();
        fs::create_dir_all(bench.path("w")).unwrap();
        bench
    }

    /// A bench with `plan.md`.
    pub(crate) fn with(workplan: &str) -> Self {
        let bench = Self::new();
        bench.write("plan.md", workplan);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The folder that commands run in.
    pub(crate) fn dir(&self) -> PathBuf {
        self.path("w")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir().join(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.dir().join(name).exists()
    }

    /// A command that has not started; no terminal, nothing of the caller's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workplan"));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("USER", "ann")
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs a command that has to exit so.
    #[track_caller]
    pub(crate) fn expect(&self, exit: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.exit, exit, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// The JSON document that a command prints.
    #[track_caller]
    pub(crate) fn json(&self, exit: i32, args: &[&str]) -> Value {
        let ran = self.expect(exit, args);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
    }

    /// Command, exit code, stdout and stderr as one text, with what differs from run to run
    /// replaced.
    pub(crate) fn session(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        self.clean(&format!("$ workplan {}\n{}", args.join(" "), ran.text()))
    }

    /// Replaces what differs from run to run.
    pub(crate) fn clean(&self, text: &str) -> String {
        let real = self.temp.path().canonicalize().unwrap();
        let mut text = text.to_owned();
        for root in [real.as_path(), self.temp.path()] {
            text = text.replace(&format!("{}/w", root.display()), "[DIR]");
            text = text.replace(&root.display().to_string(), "[TEMP]");
        }
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        text.replace(&format!("on {host}"), "on [HOST]")
            .replace(&format!("ann@{host}"), "ann@[HOST]")
    }

    /// The newest run's id.
    pub(crate) fn newest(&self) -> String {
        let runs = self.json(0, &["runs", "--json"]);
        runs["runs"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a file is there.
    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str) {
        wait(name, || self.has(name));
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        let status = output.status;
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            exit: status.code().unwrap_or_else(|| 128 + status.signal().unwrap()),
        }
    }

    fn text(&self) -> String {
        format!("exit: {}\n--- stdout\n{}--- stderr\n{}", self.exit, self.stdout, self.stderr)
    }
}

/// Waits until something is so, for at most [`DEADLINE`].
#[track_caller]
pub(crate) fn wait(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Whether a process is there (a zombie is not).
pub(crate) fn lives(pid: i32) -> bool {
    match fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) {
        Ok(stat) => {
            !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
        }
        Err(_) => false,
    }
}

/// What differs from run to run: run ids, times, digests, process numbers.
pub(crate) fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(true);
    settings.set_omit_expression(true);
    for (pattern, replacement) in [
        (r"\b1[0-9a-hjkmnp-tv-z]{12}\b", "[RUN]"),
        (r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[WHEN]"),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[WHEN]"),
        (r"\b[0-9a-f]{64}\b", "[SHA256]"),
        (r"\b(\d+ ms|\d+\.\d s|\d+ min \d+ s)\b", "[TIME]"),
        // Columns are as wide as the longest time in them.
        (r"\[TIME\] +", "[TIME]  "),
        (r"took +", "took  "),
        (r"(unknown|pending|waiting) {3,}", "$1  "),
        (r"process \d+", "process [PID]"),
        (r#""pid": \d+"#, r#""pid": [PID]"#),
        (r#""host": "[^"]*""#, r#""host": "[HOST]""#),
        (r#""took_ms": \d+"#, r#""took_ms": [MS]"#),
        (r#""estimate_s": [\d.]+"#, r#""estimate_s": [S]"#),
        (r" +\n", "\n"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings
}

/// Compares with the stored text.
#[macro_export]
macro_rules! same {
    ($text:expr) => {
        $crate::support::filters().bind(|| insta::assert_snapshot!($text))
    };
}

/// Two steps, the second after the first; both with checks that a dry-run may ask.
pub(crate) const TWO: &str = r#"# Two files

```sh step=one check="test -f one" readonly undo="rm -f one"
echo making one
touch one
```

```sh step=two check="test -f two" readonly undo="rm -f two"
cp one two
```
"#;

/// A workplan with tasks and clauses.
pub(crate) const TASKS: &str = r#"---
id: WP-1
type: workplan
title: "Two tasks"
status: active
owner: ops
updated: "2026-01-01"
---

# Two tasks

## Pre-conditions

- the disk has room

## T01 — Make the file

```task
id: WP-1-T01
status: todo
priority: high
```

```steps
- id: make
  uses: command
  with: {run: "echo content > file", check: "test -f file", readonly: true, undo: "rm -f file"}
  done_when: ["the file is there"]
```

Done when the file is there; somebody likes it.

## T02 — Tell people

```task
id: WP-1-T02
status: todo
depends_on: [T01]
```

Done when all know.
"#;
