//! Commands that look at the world or change it.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// Which workplan, bound to what.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceArgs {
    /// The target: the name of a file in `targets/`, or a path [default: this machine]
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) target: Option<String>,
    /// Override a value of the target (`databases.old.port=5432`) or give an input (`window=90s`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
    /// The plan file [default: `plans/ID.yaml`, from the workplan's folder up to the repo's root]
    #[arg(long, value_name = "PATH")]
    pub(crate) steps: Option<PathBuf>,
}

/// Which part of it.
#[derive(Debug, Clone, Default, Args)]
#[command(group = ArgGroup::new("scope").args(["task", "from", "only"]).multiple(false))]
pub(crate) struct ScopeArgs {
    /// Only this task and what it needs
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Do this step again, and all that comes after it
    #[arg(long, value_name = "STEP")]
    pub(crate) from: Option<String>,
    /// Do this step again, alone
    #[arg(long, value_name = "STEP")]
    pub(crate) only: Option<String>,
}

/// `workplan plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// The workplan
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Save the plan, to be run as it is with `run --plan`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit 4 when there is something to do
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// `workplan run`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").args(["file", "plan"]).required(true).multiple(false))]
pub(crate) struct Run {
    /// The workplan
    pub(crate) file: Option<PathBuf>,
    /// A saved plan: stops before the first step whose facts moved since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "set", "steps", "scope"])]
    pub(crate) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Only show what would be done, as `plan` does
    #[arg(long, conflicts_with = "events")]
    pub(crate) dry_run: bool,
    /// With --dry-run: print the plan as JSON
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) go: GoArgs,
}

/// How to go.
#[derive(Debug, Clone, Args)]
pub(crate) struct GoArgs {
    /// Answer yes to what would be asked; it never opens a gate
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Steps under way at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = jobs)]
    pub(crate) jobs: usize,
    /// Print committed events on stdout as they happen
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) events: Option<EventsFormat>,
    /// How long running steps may go on after the first Ctrl-C
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) grace: std::time::Duration,
}

/// The format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventsFormat {
    /// One JSON document a line
    Jsonl,
}

/// `workplan resume`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Resume {
    /// The run, or the beginning of its id [default: the only unfinished one]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) go: GoArgs,
}

/// `workplan rollback`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rollback {
    /// The run, or the beginning of its id [default: the only unfinished one]
    pub(crate) run: Option<String>,
    /// Take back what came after this step; the step itself stays
    #[arg(long, value_name = "STEP")]
    pub(crate) to: Option<String>,
    /// Go back past a point of no return, and lose what was counted
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Only look: what would be taken back, what is there of it, and what would be lost
    #[arg(long, conflicts_with = "events")]
    pub(crate) dry_run: bool,
    /// With --dry-run: print it as JSON
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) go: GoArgs,
}

/// `workplan do`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Do {
    /// The kind of step; `workplan schema` lists them
    pub(crate) kind: String,
    /// A parameter; a list is given by giving it again, a mapping as `env.NAME=value`
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Only look and show
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print outputs and facts as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Answer yes to what would be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The deadline
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<std::time::Duration>,
}

/// Where a single step happens.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    /// The target: the name of a file in `targets/`, or a path [default: this machine]
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) target: Option<String>,
    /// Override a value of the target
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected `key=value`".to_owned()),
    }
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=256) => Ok(n),
        _ => Err("expected a number from 1 to 256".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    workplan_engine::duration::parse(text)
        .ok_or_else(|| format!("expected a duration ({})", workplan_engine::duration::EXAMPLES))
}
