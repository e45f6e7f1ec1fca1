//! The command line itself.

use crate::same;
use crate::support::Bench;

#[test]
fn help() {
    same!(Bench::new().session(&["--help"]));
}

#[test]
fn help_of_run() {
    same!(Bench::new().session(&["run", "--help"]));
}

#[test]
fn mistakes_exit_2() {
    let bench = Bench::new();
    for args in [
        &[][..],
        &["chek", "x.md"],
        &["check"],
        &["run"],
        &["run", "x.md", "--plan", "p.json"],
        &["run", "x.md", "--jobs", "0"],
        &["run", "x.md", "--task", "T01", "--only", "T01.a"],
        &["run", "x.md", "--set", "novalue"],
        &["plan", "x.md", "--color", "pink"],
        &["resolve", "r", "s", "--reason", "x"],
        &["resolve", "r", "s", "--done", "--not-done", "--reason", "x"],
        &["approve", "r", "g"],
        &["status", "--quiet", "--verbose"],
        &["completions", "tcsh"],
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.exit, 2, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    let near = bench.expect(2, &["chek", "x.md"]);
    assert!(near.stderr.contains("check"), "{}", near.stderr);
}

#[test]
fn completions_for_the_usual_shells() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = bench.expect(0, &["completions", shell]);
        assert!(ran.stdout.contains("rollback"), "{shell}");
    }
}

#[test]
fn the_reference_names_every_command_kind_and_code() {
    let reference = Bench::new().expect(0, &["util", "reference"]).stdout;
    for part in
        ["### `workplan rollback`", "### `command` (state)", "| `run` |", "| 70 |", "--accept-loss"]
    {
        assert!(reference.contains(part), "{part}");
    }
    assert!(!reference.contains("supervise"));
}

#[test]
fn the_reference_in_the_docs_is_of_this_program() {
    let made = Bench::new().expect(0, &["util", "reference"]).stdout;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = made.lines().zip(kept.lines()).find(|(now, then)| now != then);
    assert!(
        made == kept,
        "docs/reference.md is out of date, first at {differs:?}; make it again: \
         `cargo run -p workplan -- util reference > docs/reference.md`"
    );
}

#[test]
fn version() {
    let ran = Bench::new().expect(0, &["--version"]);
    assert_eq!(ran.stdout, format!("workplan {}\n", env!("CARGO_PKG_VERSION")));
}
