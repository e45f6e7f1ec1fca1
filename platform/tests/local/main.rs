//! The platform `local` with real servers.
//!
//! This executable plays four parts: the test runner, the program that becomes a service
//! (`service`), the supervisor of commands (`supervise`) and an engine that can be killed
//! (`engine SCENARIO FOLDER`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the servers' logs of a test that failed")]

mod gitea;
mod postgres;
mod rest;
mod support;
mod valkey;

use libtest_mimic::Arguments;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["service"] => std::process::exit(workplan_engine::process::become_service(
            workplan_platform::local::service,
        )),
        ["supervise"] => {
            let socket = workplan_engine::process::socket_from_stdin().unwrap();
            std::process::exit(workplan_engine::process::supervise(socket, None));
        }
        _ => {
            let trials = [gitea::trials(), postgres::trials(), rest::trials(), valkey::trials()];
            let trials = trials.into_iter().flatten().collect();
            libtest_mimic::run(&Arguments::from_args(), trials).exit();
        }
    }
}
