//! The program that becomes a service: this very test program, with one test chosen.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};

use workplan_engine::process::become_service;

/// Says that the test below is started to become a service.
pub(crate) const VARIABLE: &str = "WORKPLAN_TEST_SERVICE";

/// The arguments that choose it, wherever this module stands in the program.
pub(crate) fn args() -> Vec<OsString> {
    let name = concat!(module_path!(), "::it_becomes_what_it_is_told");
    // The path of a test leaves out the program's own name.
    let name = name.split_once("::").map_or(name, |(_, rest)| rest);
    [name, "--exact", "--nocapture", "--test-threads=1"].map(OsString::from).to_vec()
}

#[test]
fn it_becomes_what_it_is_told() {
    if std::env::var_os(VARIABLE).is_some() {
        std::process::exit(become_service(workplan_platform::local::service));
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(args())
        .env(VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.starts_with("failed to read what to become"), "{said}");
}
