//! `workplan run`: show, ask, do, prove.

use std::path::Path;

use workplan_engine::plan::Plan;
use workplan_engine::process::Liveness;
use workplan_engine::run::Scope;
use workplan_engine::session::{self, PlannedAction, SavedPlan, SessionError, StartOptions};

use crate::app::App;
use crate::args::{self, Run};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::{sources, state, world};

use super::go;
use super::load::{self, Ready};
use super::plan::{self, Seen, check_scope};
use super::select::Here;

/// Runs a workplan or a saved plan.
pub(crate) fn run(app: &App, args: &Run) -> Result<Exit, Failure> {
    let (ready, scope, saved) = match (&args.file, &args.plan) {
        (_, Some(path)) => {
            let saved = read_plan(path)?;
            let ready = from_saved(app, &saved)?;
            (ready, saved.sources.scope.clone(), Some(saved))
        }
        (Some(file), None) => {
            if args.dry_run {
                return super::plan(app, &as_plan(file, args));
            }
            (load::ready(app, file, &args.sources)?, sources::scope(&args.scope), None)
        }
        (None, None) => {
            return Err(Failure::usage("name a workplan, or a saved plan with `--plan`"));
        }
    };
    let the = ready.plan()?;
    check_scope(the, scope.as_ref())?;
    if !args.dry_run {
        refuse_early(app, &ready, the)?;
    }
    let seen = plan::look(app, &ready, scope.as_ref())?;
    if args.dry_run {
        return show(app, args, &ready, &seen);
    }
    let to_run = acting(&seen);
    if to_run > 0 || args.go.events.is_none() {
        let view = plan::view(app, &ready, &seen, false)?;
        view.lines().iter().for_each(|line| say_plan(app, args, to_run, line));
    }
    if to_run > 0 {
        let question = match to_run {
            1 => "Run this step?".to_owned(),
            n => format!("Run these {n} steps?"),
        };
        if !go::permitted(app, args.go.yes, &question, &again(args))? {
            app.printer.talk("nothing was done");
            return Ok(exit::WAITING);
        }
    }
    start(app, args, &ready, scope, saved)
}

/// The plan is said where it is asked about, also when quiet: nobody answers blindly.
fn say_plan(app: &App, args: &Run, to_run: usize, line: &str) {
    if to_run > 0 && !args.go.yes { app.printer.talk(line) } else { app.printer.say(line) }
}

fn start(
    app: &App,
    args: &Run,
    ready: &Ready,
    scope: Option<Scope>,
    saved: Option<SavedPlan>,
) -> Result<Exit, Failure> {
    let options = StartOptions {
        jobs: args.go.jobs,
        sources: sources::saved(&ready.options, scope.clone()),
        scope,
        saved,
        grace: args.go.grace,
        single: false,
    };
    if !ready.dir.root().exists() && ready.dir.root().ends_with(".workplan") {
        ready.dir.create()?;
        ready.dir.ignore_in_git()?;
    }
    let events = args.go.events.is_some();
    let (exit, _) = go::drive(app, &ready.dir, events, async |live, control| {
        session::start(&ready.world, &ready.dir, &ready.loaded, options, live, control).await
    })?;
    Ok(exit)
}

/// Says what is down, and refuses over an unfinished run, before a person reads a plan that
/// cannot be run.
fn refuse_early(app: &App, ready: &Ready, plan: &Plan) -> Result<(), Failure> {
    let Some(journal) = state::open_to_work(&ready.dir)? else { return Ok(()) };
    let here = Here { dir: ready.dir.clone(), journal };
    here.say_down(app)?;
    let Some(row) =
        session::unfinished(&here.journal, &session::neighbours(plan))?.into_iter().next()
    else {
        return Ok(());
    };
    let view = here.named(&row.run)?;
    if view.is_live() && row.owner.as_ref().is_some_and(|o| o.liveness() == Liveness::Dead) {
        return Ok(());
    }
    if view.is_live() {
        return Err(SessionError::Locked {
            owner: row.owner,
            help: "wait until that run ends, or stop it; `workplan status` shows it".to_owned(),
        }
        .into());
    }
    Err(SessionError::Unfinished {
        run: row.run.clone(),
        workplan: row.workplan.clone(),
        state: view.word().to_owned(),
    }
    .into())
}

/// Steps that would act.
fn acting(seen: &Seen) -> usize {
    let acts = |action| matches!(action, PlannedAction::Run | PlannedAction::Repair);
    seen.preview.steps.iter().filter(|s| acts(s.action)).count()
}

/// The command that was given, to be given again with `--yes`.
fn again(args: &Run) -> String {
    match (&args.file, &args.plan) {
        (_, Some(plan)) => format!("workplan run --plan {}", plan.display()),
        (Some(file), _) => format!("workplan run {}", file.display()),
        _ => "workplan run FILE".to_owned(),
    }
}

fn as_plan(file: &Path, args: &Run) -> args::Plan {
    args::Plan {
        file: file.to_path_buf(),
        sources: args.sources.clone(),
        scope: args.scope.clone(),
        output: None,
        json: args.json,
        detailed_exitcode: false,
    }
}

fn show(app: &App, args: &Run, ready: &Ready, seen: &Seen) -> Result<Exit, Failure> {
    if args.json {
        app.printer.json(&seen.saved)?;
    } else {
        let view = plan::view(app, ready, seen, true)?;
        view.lines().iter().for_each(|line| app.printer.data_line(line));
    }
    Ok(exit::DONE)
}

/// Reads a saved plan.
fn read_plan(path: &Path) -> Result<SavedPlan, Failure> {
    let invalid = |why: String| {
        Failure::new(exit::INVALID, format!("`{}` is no saved plan: {why}", path.display()))
            .with_help("`workplan plan FILE -o plan.json` makes one")
    };
    let text = std::fs::read_to_string(path).map_err(|e| invalid(e.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| invalid(e.to_string()))?;
    match value.get("schema").and_then(|s| s.as_str()) {
        Some("workplan/plan/v1") => {}
        Some(other) => return Err(invalid(format!("its schema is `{other}`"))),
        None => return Err(invalid("it has no `schema`".to_owned())),
    }
    serde_json::from_value(value).map_err(|e| invalid(e.to_string()))
}

/// Reads the sources of a saved plan again.
fn from_saved(app: &App, saved: &SavedPlan) -> Result<Ready, Failure> {
    let dir = state::of_workplan(app, &saved.sources.workplan)?;
    let world = world::world(app);
    let options = sources::options(&saved.sources, &dir);
    let loaded = session::load(&world, &options);
    let ready = Ready { dir, world, options, loaded };
    load::refuse_errors(app, &ready)?;
    Ok(ready)
}
