//! The command line, as data.

mod answer;
mod backup;
mod global;
mod inspect;
mod lab;
mod work;

use clap::{Parser, Subcommand};

pub(crate) use answer::{Abandon, Gate, Resolve};
pub(crate) use backup::{
    Backup, BackupCommand, BackupCreate, BackupList, BackupPlace, BackupVerify, BackupWork,
};
pub(crate) use global::Global;
pub(crate) use inspect::{
    Check, Completions, Explain, Graph, GraphFormat, Log, Report, Runs, Schema, Status,
};
pub(crate) use lab::{Lab, LabCommand, LabDir, LabDown, LabShow, LabUp};
pub(crate) use work::{Do, Plan, Resume, Rollback, Run, ScopeArgs, SourceArgs};

/// Runs infrastructure workplans written in Markdown: shows what each step would change, runs it
/// durably, proves what it did, and can take it back
#[derive(Debug, Parser)]
#[command(name = "workplan", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "`workplan check FILE`, then `workplan plan FILE`, then `workplan run FILE`. \
                        If anything stops it: `workplan status` says where it is and what to do."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find every problem of workplans, at once
    Check(Check),
    /// Look at the world and show what each step would do; changes nothing
    Plan(Plan),
    /// Run a workplan, or a saved plan
    Run(Run),
    /// Go on with a run after a failure, a kill or a reboot
    Resume(Resume),
    /// Take back what a run did
    Rollback(Rollback),
    /// Where a run is, and what to do next
    Status(Status),
    /// List the runs of this state folder, newest first
    Runs(Runs),
    /// What happened in a run, or what a step printed
    Log(Log),
    /// All that is known about one step of a run
    Explain(Explain),
    /// Open a gate of a run
    Approve(Gate),
    /// Refuse a gate of a run
    Reject(Gate),
    /// Say what a step came to that waits for a person or cannot be told
    Resolve(Resolve),
    /// Give an unfinished run up for ever; nothing is taken back
    Abandon(Abandon),
    /// Make, list and verify encrypted backups
    Backup(Backup),
    /// One step of any kind without a workplan: look, show, run, verify
    Do(Do),
    /// A proving ground in one folder: five repositories, a real Gitea on a real PostgreSQL HA
    Lab(Lab),
    /// Draw the steps and their order
    Graph(Graph),
    /// Write a run as one self-contained HTML file
    Report(Report),
    /// Print the JSON Schema of a format; without a name, list the names
    Schema(Schema),
    /// Print a completion script for a shell
    Completions(Completions),
    /// The process that ends what steps leave behind; started by the engine, not by people
    #[command(hide = true)]
    Supervise {
        /// Held as long as it lives
        lock: Option<std::path::PathBuf>,
    },
    /// The program that becomes a server of the local platform; started by the engine, not by people
    #[command(hide = true)]
    Service,
    /// For the makers of this program
    #[command(hide = true)]
    Util {
        #[command(subcommand)]
        what: Util,
    },
}

/// For the makers.
#[derive(Debug, Subcommand)]
pub(crate) enum Util {
    /// Print the reference of commands and kinds as Markdown
    Reference,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is() {
        fn look(command: &clap::Command) {
            for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
                assert!(sub.get_about().is_some(), "{}", sub.get_name());
                look(sub);
            }
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
        }
        let mut command = Args::command();
        command.build();
        look(&command);
    }
}
