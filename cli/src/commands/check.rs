//! `workplan check`: every problem at once, for every file.

use std::path::Path;

use workplan_engine::session::{self, Loaded};
use workplan_engine::text::{Diagnostic, Severity};

use crate::app::App;
use crate::args::Check;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::CheckDocument;
use crate::render::{self, Renderer};
use crate::term::Style;
use crate::{state, world};

/// Checks files. Findings are the data of this command, so they go to stdout.
///
/// With `--json`, one file gives one indented document and several give one document a line: both
/// can be read as a stream of documents, and neither changes its shape with what is found.
pub(crate) fn check(app: &App, args: &Check) -> Result<Exit, Failure> {
    let world = world::world(app);
    let mut exit = exit::DONE;
    for file in &args.files {
        let dir = state::of_workplan(app, file)?;
        let mut loaded = session::load(&world, &world::sources(file, &args.sources, &dir));
        let held = judge(&mut loaded);
        if loaded.diagnostics.iter().any(|d| d.severity == Severity::Error && !is_policy(d)) {
            exit = exit::INVALID;
        } else if held && exit == exit::DONE {
            exit = exit::HELD;
        }
        match (args.json, args.files.len()) {
            (true, 1) => app.printer.json(&CheckDocument::new(file, &loaded))?,
            (true, _) => app.printer.json_line(&CheckDocument::new(file, &loaded))?,
            (false, _) => show(app, file, &loaded),
        }
    }
    Ok(exit)
}

/// Whether a finding comes from a policy: the files are well, and may not be used so.
fn is_policy(finding: &Diagnostic) -> bool {
    matches!(finding.code, "policy-forbids" | "policy-unproven")
}

/// A `finished` that a policy does not grant stops no run, since only a run can mend it. Here it
/// is an error. Says whether a policy holds anything.
fn judge(loaded: &mut Loaded) -> bool {
    for finding in &mut loaded.diagnostics.0 {
        if is_policy(finding) {
            finding.severity = Severity::Error;
        }
    }
    loaded.diagnostics.iter().any(is_policy)
}

fn show(app: &App, file: &Path, loaded: &Loaded) {
    let printer = &app.printer;
    let renderer = Renderer { color: printer.out.0, width: printer.width };
    for diagnostic in loaded.diagnostics.iter() {
        printer.data(&renderer.render(diagnostic));
    }
    let of = |severity| loaded.diagnostics.iter().filter(|d| d.severity == severity).count();
    let found = render::counted(&[
        (of(Severity::Error), "error"),
        (of(Severity::Warning), "warning"),
        (of(Severity::Note), "note"),
    ]);
    let name = file.display().to_string();
    let name = printer.clean_out(&name);
    let size = size(loaded);
    let line = match (found.as_str(), loaded.diagnostics.has_errors()) {
        ("", _) => format!("{name}: {size}, {}", printer.out.paint(Style::Green, "no problems")),
        (found, true) => format!("{} in {name}", printer.out.paint(Style::Red, found)),
        (found, false) => format!("{} in {name}: {size}", printer.out.paint(Style::Yellow, found)),
    };
    printer.data_line(&line);
    let people = people(loaded);
    if !people.is_empty() {
        let noun = if people.len() == 1 {
            "has no steps: it is a person's task"
        } else {
            "have no steps: they are a person's tasks"
        };
        printer.data_line(&format!("{} {noun}", people.join(", ")));
    }
    if !loaded.diagnostics.has_errors() {
        for line in &loaded.unbound_preconditions {
            printer.data_line(&format!("not checked by anything: {}", printer.clean_out(line)));
        }
    }
}

/// `6 tasks, 14 steps`.
fn size(loaded: &Loaded) -> String {
    let tasks = loaded.document.as_ref().map_or(0, |d| d.tasks.len());
    let steps = loaded.plan.as_ref().map_or(0, |p| p.steps.len());
    format!("{}, {}", render::count(tasks, "task"), render::count(steps, "step"))
}

/// Tasks that no step belongs to and that are still to be done.
fn people(loaded: &Loaded) -> Vec<String> {
    let Some(plan) = &loaded.plan else { return Vec::new() };
    plan.tasks
        .iter()
        .filter(|t| !t.id.is_empty() && t.steps.is_empty())
        .map(|t| t.id.clone())
        .collect()
}
