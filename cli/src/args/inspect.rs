//! Commands that only read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SourceArgs;

/// `workplan check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// The workplans
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// Print JSON: one document for one file, one a line for several
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Status {
    /// The run, or the beginning of its id [default: the newest]
    pub(crate) run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan runs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Runs {
    /// Only runs that can be resumed, rolled back or abandoned
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan log`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Log {
    /// The step whose output to print [default: the events of the run]
    pub(crate) step: Option<String>,
    /// The run, or the beginning of its id [default: the newest]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The attempt, from 1 [default: the last]
    #[arg(long, value_name = "N", requires = "step")]
    pub(crate) attempt: Option<u32>,
    /// Print JSON: events as lines, or the output of a step
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan explain`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Explain {
    /// The step, for example `T02.copy`
    pub(crate) step: String,
    /// The run, or the beginning of its id [default: the newest]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan graph`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Graph {
    /// The workplan
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// The format
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub(crate) format: GraphFormat,
}

/// The format of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
    /// A picture
    Svg,
}

/// `workplan report`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Report {
    /// The run, or the beginning of its id [default: the newest]
    pub(crate) run: Option<String>,
    /// Where to write it; `-` is stdout [default: `RUN.html` in the current folder]
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["json", "text"])]
    pub(crate) output: Option<PathBuf>,
    /// Print what was proved, by what, as text instead
    #[arg(long, conflicts_with = "json")]
    pub(crate) text: bool,
    /// Print JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan schema`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Schema {
    /// The format
    pub(crate) name: Option<String>,
}

/// `workplan completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
