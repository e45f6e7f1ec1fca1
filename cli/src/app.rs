//! What every command gets.

use std::path::PathBuf;

use crate::environment::Environment;
use crate::term::Printer;

/// What every command gets.
pub(crate) struct App {
    /// The environment.
    pub(crate) env: Environment,
    /// Where text goes.
    pub(crate) printer: Printer,
    /// `--state`, else `WORKPLAN_STATE`.
    pub(crate) state: Option<PathBuf>,
}
