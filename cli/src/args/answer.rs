//! Commands with which a person answers a run.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `workplan approve` and `workplan reject`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Gate {
    /// The run, or the beginning of its id
    pub(crate) run: String,
    /// The gate: a step or a bracket
    pub(crate) gate: String,
    /// Why; it is journaled
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    /// Sign the decision with this SSH key, as gates with `allowed_signers` demand
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
}

/// `workplan resolve`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("answer").args(["done", "not_done"]).required(true).multiple(false))]
pub(crate) struct Resolve {
    /// The run, or the beginning of its id
    pub(crate) run: String,
    /// The step
    pub(crate) step: String,
    /// It is done
    #[arg(long)]
    pub(crate) done: bool,
    /// It is not done; it will be done again
    #[arg(long)]
    pub(crate) not_done: bool,
    /// How you know; it is journaled
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

/// `workplan abandon`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Abandon {
    /// The run, or the beginning of its id
    pub(crate) run: String,
    /// Why; it is journaled
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why in a few words".to_owned()) } else { Ok(text.to_owned()) }
}
