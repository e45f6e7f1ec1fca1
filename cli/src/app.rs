//! From the process's arguments to its exit.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command, Util};
use crate::commands;
use crate::environment::Environment;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::term::{Level, Printer};
use crate::{panic, reference, signals, supervise};

/// What every command gets.
pub(crate) struct App {
    /// The environment.
    pub(crate) env: Environment,
    /// Where text goes.
    pub(crate) printer: Printer,
    /// `--state`, else `WORKPLAN_STATE`.
    pub(crate) state: Option<PathBuf>,
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap's own exit codes are 2 for an error and 0 for help; a closed pipe is no news.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Command::Supervise { lock } = args.command {
        return supervise::main(lock);
    }
    let env = Environment::read();
    let level = match (args.global.quiet, args.global.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Default,
    };
    let printer = Printer::new(level, args.global.color(), &env);
    let state = args.global.state.clone().or_else(|| env.state.clone());
    let app = App { env, printer, state };
    panic::install(&app);
    let exit =
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| app.run(args.command))) {
            Ok(Ok(exit)) => exit,
            Ok(Err(failure)) => {
                app.printer.failure(&failure);
                failure.exit
            }
            Err(_) => exit::INTERNAL,
        };
    app.end(exit)
}

impl App {
    fn run(&self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Check(args) => commands::check(self, &args),
            Command::Plan(args) => commands::plan(self, &args),
            Command::Run(args) => commands::run(self, &args),
            Command::Resume(args) => commands::resume(self, &args),
            Command::Rollback(args) => commands::rollback(self, &args),
            Command::Approve(args) => commands::gate(self, &args, true),
            Command::Reject(args) => commands::gate(self, &args, false),
            Command::Resolve(args) => commands::resolve(self, &args),
            Command::Abandon(args) => commands::abandon(self, &args),
            Command::Do(args) => commands::single(self, &args),
            Command::Report(args) => commands::report(self, &args),
            Command::Status(args) => commands::status(self, &args),
            Command::Runs(args) => commands::runs(self, &args),
            Command::Log(args) => commands::log(self, &args),
            Command::Explain(args) => commands::explain(self, &args),
            Command::Graph(args) => commands::graph(self, &args),
            Command::Schema(args) => commands::schema(self, &args),
            Command::Completions(args) => {
                let mut script = Vec::new();
                clap_complete::generate(args.shell, &mut Args::command(), "workplan", &mut script);
                self.printer.data(&String::from_utf8_lossy(&script));
                Ok(exit::DONE)
            }
            Command::Util { what: Util::Reference } => {
                self.printer.data(&reference::markdown());
                Ok(exit::DONE)
            }
            Command::Supervise { .. } => {
                Err(Failure::usage("`supervise` is started by the engine"))
            }
        }
    }

    /// Turns the end of a command into the end of the process.
    fn end(&self, exit: Exit) -> ExitCode {
        let exit = match (exit, self.printer.trouble()) {
            (exit::DONE | exit::CHANGES, Some(trouble)) => {
                self.printer.talk(&format!("error: failed to write to stdout: {trouble}"));
                exit::FAILED
            }
            (exit, _) => exit,
        };
        match exit {
            Exit::Code(code) => ExitCode::from(code),
            Exit::Signal(signal) => signals::die_by(signal),
        }
    }
}
