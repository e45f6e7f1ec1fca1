//! Reading sources for commands that need a plan.

use std::path::Path;

use workplan_engine::journal::StateDir;
use workplan_engine::plan::Plan;
use workplan_engine::session::{self, Loaded, SourceOptions, World};
use workplan_engine::text::{Diagnostics, Severity};

use crate::app::App;
use crate::args::SourceArgs;
use crate::render::{self, Renderer};
use crate::{exit, state, world};

use crate::failure::Failure;

/// A workplan without errors, and where its runs are.
pub(crate) struct Ready {
    /// The state folder.
    pub(crate) dir: StateDir,
    /// What the engine is given.
    pub(crate) world: World,
    /// What was read, for a run that reads it again.
    pub(crate) options: SourceOptions,
    /// All that was read.
    pub(crate) loaded: Loaded,
}

impl Ready {
    /// The plan; [`ready`] has made sure that there is one.
    pub(crate) fn plan(&self) -> Result<&Plan, Failure> {
        self.loaded.plan.as_ref().ok_or_else(no_plan)
    }
}

fn no_plan() -> Failure {
    Failure::new(exit::INTERNAL, "a workplan without errors has no plan")
}

/// Reads and binds a workplan. Findings are said; `Err` where there are errors, which are then
/// already said.
pub(crate) fn ready(app: &App, file: &Path, args: &SourceArgs) -> Result<Ready, Failure> {
    let dir = state::of_workplan(app, file)?;
    let world = world::world(app);
    let options = world::sources(file, args, &dir);
    let loaded = session::load(&world, &options);
    let ready = Ready { dir, world, options, loaded };
    refuse_errors(app, &ready)?;
    Ok(ready)
}

/// Says what was found; `Err` where there are errors.
pub(crate) fn refuse_errors(app: &App, ready: &Ready) -> Result<(), Failure> {
    let found = &ready.loaded.diagnostics;
    say(app, found);
    if !found.has_errors() {
        return Ok(());
    }
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    let file = ready.options.workplan.display();
    let held =
        found.iter().filter(|d| d.severity == Severity::Error).all(|d| d.code == "policy-forbids");
    if held {
        let what = format!("a policy holds `{file}`; nothing was done");
        return Err(Failure::new(exit::HELD, what));
    }
    Err(Failure::new(
        exit::INVALID,
        format!("`{file}` has {}; nothing was done", render::count(errors, "error")),
    ))
}

/// Says findings on stderr: errors and warnings, notes only where much is wanted.
pub(crate) fn say(app: &App, found: &Diagnostics) {
    let printer = &app.printer;
    let renderer = Renderer { color: printer.err.0, width: printer.width };
    for diagnostic in found.iter() {
        let text = renderer.render(diagnostic);
        match diagnostic.severity {
            Severity::Error => printer.talk(text.trim_end_matches('\n')),
            Severity::Warning => printer.say(text.trim_end_matches('\n')),
            Severity::Note => printer.detail(text.trim_end_matches('\n')),
        }
    }
}
