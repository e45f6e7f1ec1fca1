//! `workplan lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `workplan lab`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Lab {
    #[command(subcommand)]
    pub(crate) what: LabCommand,
}

/// What to do with a lab.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LabCommand {
    /// Make a lab, or bring up what is down of one
    Up(LabUp),
    /// What runs of a lab, and where
    Status(LabShow),
    /// One digest over everything in a lab: rows, roles, files, releases, who listens where
    Digest(LabShow),
    /// End everything that runs of a lab, and remove it
    Down(LabDown),
}

/// Which lab.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabDir {
    /// The lab's folder [default: the lab around the current folder, else `lab` in it]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `workplan lab up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabUp {
    /// How much Gitea is filled with, from 1 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) size: Option<u32>,
    /// A number from which ports, names, passwords and content follow [default: drawn, and said]
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) dir: LabDir,
    /// Answer yes to what would be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `workplan lab status` and `workplan lab digest`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabShow {
    #[command(flatten)]
    pub(crate) dir: LabDir,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `workplan lab down`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabDown {
    #[command(flatten)]
    pub(crate) dir: LabDir,
    /// Leave the folder; `lab up` brings it up again as it was
    #[arg(long)]
    pub(crate) keep: bool,
    /// Answer yes to what would be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
}
