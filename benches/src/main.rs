//! The tool behind `benches/compare.sh` and `benches/counts.sh`.
//!
//! ```text
//! workplan-bench limit chain|wide STEPS JOBS FILE
//! workplan-bench rivals DIR chain|wide STEPS
//! workplan-bench tasks FILE COUNT
//! workplan-bench drive WORKPLAN STATE PROGRAM JOBS
//! workplan-bench load WORKPLAN
//! workplan-bench append STATE COMMITS
//! workplan-bench journal STATE RUNS STEPS
//! ```
#![expect(clippy::print_stderr, reason = "a tool for people who measure")]

use std::path::PathBuf;
use std::process::ExitCode;

use workplan_bench::{Drive, Shape};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match command(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workplan-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: &[&str]) -> Result<(), Failure> {
    match args {
        ["limit", shape, steps, jobs, file] => {
            workplan_bench::limit(
                self::shape(shape)?,
                steps.parse()?,
                jobs.parse()?,
                file.as_ref(),
            )?;
        }
        ["rivals", folder, shape, steps] => {
            workplan_bench::write_all(folder.as_ref(), self::shape(shape)?, steps.parse()?)?;
        }
        ["tasks", file, count] => std::fs::write(file, workplan_bench::tasks(count.parse()?))?,
        ["drive", workplan, state, program, jobs] => {
            let drive = Drive {
                workplan: PathBuf::from(workplan),
                state: PathBuf::from(state),
                program: PathBuf::from(program),
                jobs: jobs.parse()?,
            };
            let outcome = workplan_bench::drive(&drive).map_err(|e| format!("{e:?}"))?;
            if outcome.ending != workplan_engine::run::Ending::Succeeded {
                return Err(outcome.reason.into());
            }
        }
        ["load", workplan] => {
            let steps = workplan_bench::load_only(workplan.as_ref())?;
            eprintln!("{steps} steps");
        }
        ["append", state, commits] => workplan_bench::chain(state.as_ref(), commits.parse()?)?,
        ["journal", state, runs, steps] => {
            workplan_bench::fill(state.as_ref(), runs.parse()?, steps.parse()?)?;
        }
        _ => return Err("see the first lines of benches/src/main.rs".into()),
    }
    Ok(())
}

fn shape(word: &str) -> Result<Shape, Failure> {
    match word {
        "chain" => Ok(Shape::Chain),
        "wide" => Ok(Shape::Wide),
        other => Err(format!("`{other}` is neither `chain` nor `wide`").into()),
    }
}
