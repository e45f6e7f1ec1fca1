//! The process layer with real processes.
//!
//! This executable plays four parts: the test runner, the supervisor (`supervise [LOCK]`), the
//! program that becomes a service (`service`) and an engine that can be killed (`engine SCENARIO
//! FOLDER`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how the executable reports as an engine")]

mod death;
mod outcome;
mod output;
mod service;
mod support;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["supervise"] => supervise(None),
        ["supervise", lock] => supervise(Some(lock.into())),
        ["service"] => std::process::exit(workplan_engine::process::become_service(service::own)),
        ["engine", scenario, folder] => engine(scenario, Path::new(folder)),
        _ => {
            let trials = [death::trials(), outcome::trials(), output::trials(), service::trials()]
                .concat_all();
            libtest_mimic::run(&Arguments::from_args(), trials).exit();
        }
    }
}

fn supervise(lock: Option<PathBuf>) {
    let socket = workplan_engine::process::socket_from_stdin().unwrap();
    std::process::exit(workplan_engine::process::supervise(socket, lock));
}

fn engine(scenario: &str, folder: &Path) {
    match scenario {
        "death" => death::engine(folder),
        "lost" => death::engine_without_supervisor(folder),
        "silent" => death::engine_with_silent_supervisor(folder),
        "service" => service::engine_with_service(folder),
        "clean" => outcome::engine_that_ignores_signals(folder),
        "flood" => output::engine_with_much_output(folder),
        "cost" => outcome::engine_that_measures(folder),
        _ => panic!("no scenario {scenario}"),
    }
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Trial>;
}

impl<const N: usize> ConcatAll for [Vec<Trial>; N] {
    fn concat_all(self) -> Vec<Trial> {
        self.into_iter().flatten().collect()
    }
}
