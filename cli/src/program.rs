//! From the process's arguments to its exit.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::app::App;
use crate::args::{Args, Command, Util};
use crate::commands;
use crate::environment::Environment;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::term::{Level, Printer};
use crate::{panic, reference, signals, supervise};

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
    match args.command {
        Command::Supervise { lock } => return supervise::main(lock),
        Command::Service => return supervise::service(),
        _ => {}
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
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&app, args.command))) {
            Ok(Ok(exit)) => exit,
            Ok(Err(failure)) => {
                app.printer.failure(&failure);
                failure.exit
            }
            Err(_) => exit::INTERNAL,
        };
    end(&app, exit)
}

fn run(app: &App, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => commands::check(app, &args),
        Command::Plan(args) => commands::plan(app, &args),
        Command::Run(args) => commands::run(app, &args),
        Command::Resume(args) => commands::resume(app, &args),
        Command::Rollback(args) => commands::rollback(app, &args),
        Command::Approve(args) => commands::gate(app, &args, true),
        Command::Reject(args) => commands::gate(app, &args, false),
        Command::Resolve(args) => commands::resolve(app, &args),
        Command::Abandon(args) => commands::abandon(app, &args),
        Command::Backup(args) => commands::backup(app, &args),
        Command::Do(args) => commands::single(app, &args),
        Command::Report(args) => commands::report(app, &args),
        Command::Status(args) => commands::status(app, &args),
        Command::Runs(args) => commands::runs(app, &args),
        Command::Log(args) => commands::log(app, &args),
        Command::Explain(args) => commands::explain(app, &args),
        Command::Lab(args) => commands::lab(app, &args),
        Command::Graph(args) => commands::graph(app, &args),
        Command::Schema(args) => commands::schema(app, &args),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Args::command(), "workplan", &mut script);
            app.printer.data(&String::from_utf8_lossy(&script));
            Ok(exit::DONE)
        }
        Command::Util { what: Util::Reference } => {
            app.printer.data(&reference::markdown());
            Ok(exit::DONE)
        }
        Command::Supervise { .. } | Command::Service => {
            Err(Failure::usage("that is started by the engine"))
        }
    }
}

/// Turns the end of a command into the end of the process.
fn end(app: &App, exit: Exit) -> ExitCode {
    let exit = match (exit, app.printer.trouble()) {
        (exit::DONE | exit::CHANGES, Some(trouble)) => {
            app.printer.talk(&format!("error: failed to write to stdout: {trouble}"));
            exit::FAILED
        }
        (exit, _) => exit,
    };
    match exit {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => signals::die_by(signal),
    }
}
