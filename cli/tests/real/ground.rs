//! A folder with a workplan, and the binary in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder of its own, outside of any repository.
pub(crate) struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// A folder with `plan.md`.
    pub(crate) fn new(workplan: &str) -> Self {
        let ground = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        ground.write("plan.md", workplan);
        ground
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file")
    }

    /// Replaces a text that must be in the workplan.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.read("plan.md");
        assert!(text.contains(from), "`{from}` is in the workplan");
        self.write("plan.md", &text.replace(from, to));
    }

    /// The binary with an environment of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workplan"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).env("USER", "tester");
        command
    }

    /// Starts the binary and does not wait.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary starts")
    }

    /// Exit code (-1 for a signal) and all that was said.
    pub(crate) fn finish(&self, args: &[&str]) -> (i32, String) {
        let output = self.command(args).output().expect("the binary runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// What was said by a command that must end with this code.
    pub(crate) fn run(&self, args: &[&str], code: i32) -> String {
        let (found, text) = self.finish(args);
        assert_eq!(found, code, "{args:?}: {text}");
        text
    }

    /// `status --json`; null where there is no run.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]).output().expect("status runs");
        serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// The state of the newest run, or `none`.
    pub(crate) fn state(&self) -> String {
        self.status()["run"]["state"].as_str().unwrap_or("none").to_owned()
    }

    /// The id of the newest run.
    pub(crate) fn run_id(&self) -> String {
        self.status()["run"]["id"].as_str().expect("a run").to_owned()
    }

    /// The state of one step of the newest run.
    pub(crate) fn step(&self, id: &str) -> String {
        let status = self.status();
        let steps = status["steps"].as_array().expect("steps");
        let step = steps.iter().find(|s| s["id"] == id).expect("the step");
        step["state"].as_str().expect("a state").to_owned()
    }

    /// Lines of the file `ran`, to which steps of tests write.
    pub(crate) fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Waits for an event, with a deadline far beyond any machine's slowness.
pub(crate) fn wait_for(mut event: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !event() {
        assert!(Instant::now() < until, "it did not happen within 30 s");
        std::thread::yield_now();
    }
}

/// Says aloud that a test could not be made here.
#[expect(clippy::print_stdout, reason = "a test that was skipped must be seen")]
pub(crate) fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}
