//! `workplan resume`: go on after a failure, a kill, a reboot.

use workplan_engine::session::{self, Loaded, ResumeOptions, SessionError, World};

use crate::app::App;
use crate::args::Resume;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::term::Style;
use crate::view::RunView;
use crate::{sources, world};

use super::select::{self, Here};
use super::{go, load};

/// Goes on with a run.
pub(crate) fn resume(app: &App, args: &Resume) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let Some(view) = here.to_go_on(args.run.as_deref(), "resume")? else {
        let newest = here.newest(None)?;
        finished(app, &newest);
        return Ok(exit::DONE);
    };
    if !view.state.is_unfinished() {
        finished(app, &view);
        return Ok(exit::DONE);
    }
    refuse_live(&view)?;
    say_down(app, &view);
    here.say_elsewhere(app, &view);
    let world = world::world(app);
    let loaded = reread(app, &here, &view, &world)?;
    say_where(app, &view);
    let question = format!("Go on with run {}?", view.id());
    if !go::permitted(app, args.go.yes, &question, &format!("workplan resume {}", view.id()))? {
        app.printer.talk("nothing was done");
        return Ok(exit::WAITING);
    }
    let options = ResumeOptions { jobs: args.go.jobs, grace: args.go.grace };
    let run = view.id().to_owned();
    let dir = here.close();
    let (exit, _) = go::drive(app, &dir, args.go.events.is_some(), async |live, control| {
        session::resume(&world, &dir, &run, loaded.as_ref(), options, live, control).await
    })?;
    Ok(exit)
}

/// Says that a run is over, and what can still be done with it.
pub(crate) fn finished(app: &App, view: &RunView) {
    app.printer.talk(&format!("run {} is finished: {}", view.id(), view.word().replace('_', " ")));
}

/// Reads the sources of a run again, as they are now. Sources with errors are refused: a person
/// edited them and means it.
fn reread(
    app: &App,
    here: &Here,
    view: &RunView,
    world: &World,
) -> Result<Option<Loaded>, Failure> {
    if view.state.single {
        return Ok(None);
    }
    let Some(saved) = sources::recall(&view.state) else { return Ok(None) };
    let options = sources::options(&saved, &here.dir);
    let loaded = session::load(world, &options);
    if !loaded.diagnostics.has_errors() {
        return Ok(Some(loaded));
    }
    load::say(app, &loaded.diagnostics);
    let mut failure = Failure::from(SessionError::Invalid(loaded.diagnostics));
    failure.message = format!(
        "`{}` has errors now; run {} was not touched",
        options.workplan.display(),
        view.id()
    );
    Err(failure
        .with_help("put it right, then resume")
        .with_help(format!("`workplan rollback {}` goes by the journal alone", view.id())))
}

/// A run that somebody works on.
pub(crate) fn refuse_live(view: &RunView) -> Result<(), Failure> {
    if !view.is_live() {
        return Ok(());
    }
    Err(SessionError::Locked {
        owner: view.row.owner.clone(),
        help: "wait until it ends, or stop it with Ctrl-C there; `workplan status` shows it"
            .to_owned(),
    }
    .into())
}

/// What is down because of this run, before anything else is said.
pub(crate) fn say_down(app: &App, view: &RunView) {
    for line in view.down() {
        let line = app.printer.clean_err(&line).into_owned();
        app.printer.talk(&app.printer.err.paint(Style::Red, &line));
    }
}

fn say_where(app: &App, view: &RunView) {
    app.printer.say(&format!(
        "run {} of {} ({}): {}",
        view.id(),
        app.printer.clean_err(&view.state.plan.workplan.id),
        view.word().replace('_', " "),
        crate::render::RunSummary::of(&view.state).text()
    ));
}
