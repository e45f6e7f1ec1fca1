//! `workplan plan`: look, show, change nothing.

use workplan_engine::journal::{Journal, JournalError};
use workplan_engine::run::Scope;
use workplan_engine::session::{self, Preview, SavedPlan};

use crate::app::App;
use crate::args::Plan;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::render::PlanView;
use crate::{files, sources};

use super::go::runtime;
use super::load::{self, Ready};

/// A plan that was looked at.
pub(crate) struct Seen {
    /// What was seen.
    pub(crate) preview: Preview,
    /// The document of it.
    pub(crate) saved: SavedPlan,
}

/// Shows what a run would do.
pub(crate) fn plan(app: &App, args: &Plan) -> Result<Exit, Failure> {
    let ready = load::ready(app, &args.file, &args.sources)?;
    let scope = sources::scope(&args.scope);
    check_scope(ready.plan()?, scope.as_ref())?;
    let seen = look(app, &ready, scope.as_ref())?;
    if args.json {
        app.printer.json(&seen.saved)?;
    } else {
        let view = view(app, &ready, &seen, true)?;
        view.lines().iter().for_each(|line| app.printer.data_line(line));
    }
    if let Some(path) = &args.output {
        let mut text = serde_json::to_string_pretty(&seen.saved)
            .map_err(|e| Failure::io("write", path, &e.into()))?;
        text.push('\n');
        files::write(path, &text)?;
        app.printer.say(&format!(
            "Saved. To run this very plan: `workplan run --plan {}`",
            path.display()
        ));
    }
    Ok(if args.detailed_exitcode && seen.preview.has_changes() {
        exit::CHANGES
    } else {
        exit::DONE
    })
}

/// Looks at the world. Reads the journal of earlier runs where there is one; creates none. Who may not
/// read it sees what is there without what earlier runs say of it.
pub(crate) fn look(app: &App, ready: &Ready, scope: Option<&Scope>) -> Result<Seen, Failure> {
    let journal = match Journal::open_if_exists(&ready.dir) {
        Err(JournalError::Io { path, source })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            app.printer.talk(&format!(
                "`{}` may not be read by this user: what earlier runs did is not known here, so a step \
                 that only a record proves is shown as one that never ran",
                path.display()
            ));
            None
        }
        opened => opened?,
    };
    let plan = ready.plan()?;
    let preview =
        runtime()?.block_on(session::preview(&ready.world, plan, journal.as_ref(), scope))?;
    let sources = sources::saved(&ready.options, scope.cloned());
    let saved = SavedPlan::new(plan, &preview, sources, &ready.world.version);
    Ok(Seen { preview, saved })
}

/// The plan as text, for stdout or for stderr.
pub(crate) fn view<'v>(
    app: &App,
    ready: &'v Ready,
    seen: &'v Seen,
    stdout: bool,
) -> Result<PlanView<'v>, Failure> {
    let printer = &app.printer;
    let plan = ready.plan()?;
    Ok(PlanView {
        plan,
        preview: &seen.preview,
        unbound: &ready.loaded.unbound_preconditions,
        digest: seen.saved.digest.as_str(),
        paint: if stdout { printer.out } else { printer.err },
        tty: if stdout { printer.out_tty } else { printer.err_tty },
        all: false,
        repos: crate::render::repos(&plan.target),
    })
}

/// Names of `--task`, `--from` and `--only` must be there.
pub(crate) fn check_scope(
    plan: &workplan_engine::plan::Plan,
    scope: Option<&Scope>,
) -> Result<(), Failure> {
    let steps = || plan.steps.iter().map(|s| s.id.as_str());
    let tasks = || plan.tasks.iter().map(|t| t.id.as_str()).filter(|t| !t.is_empty());
    let missing = |what: &str, name: &str, near: Option<String>, all: String| {
        let help = near.unwrap_or_else(|| match all.as_str() {
            "" => format!("it has no {what}s"),
            all => format!("there are {all}"),
        });
        Err(Failure::usage(format!("there is no {what} `{name}`")).with_help(help))
    };
    match scope {
        Some(Scope::Task(name)) if !tasks().any(|t| t == name) => missing(
            "task",
            name,
            workplan_engine::text::did_you_mean(name, tasks()),
            tasks().collect::<Vec<_>>().join(", "),
        ),
        Some(Scope::From(name) | Scope::Only(name)) if !steps().any(|s| s == name) => missing(
            "step",
            name,
            workplan_engine::text::did_you_mean(name, steps()),
            steps().collect::<Vec<_>>().join(", "),
        ),
        _ => Ok(()),
    }
}
