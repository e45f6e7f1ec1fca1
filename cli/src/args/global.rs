//! Options that every command takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The state folder [env: WORKPLAN_STATE] [default: `workplan` in the repo's git directory, else `.workplan` beside the workplan]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) state: Option<PathBuf>,
    /// Colour [default: on a terminal; NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE are honoured]
    #[arg(long, global = true, value_name = "WHEN", value_enum, help_heading = "Global options")]
    pub(crate) color: Option<ColorChoice>,
    /// Say nothing but errors; data still goes to stdout
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "verbose", help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = ArgAction::SetTrue, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal
    Auto,
    /// Also in a pipe
    Always,
    /// Never
    Never,
}

impl Global {
    /// What was asked for; `None` leaves it to the environment and the stream.
    pub(crate) fn color(&self) -> Option<bool> {
        match self.color {
            None | Some(ColorChoice::Auto) => None,
            Some(ColorChoice::Always) => Some(true),
            Some(ColorChoice::Never) => Some(false),
        }
    }
}
