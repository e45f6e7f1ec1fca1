//! `workplan resolve`: a person says what a step came to.

use workplan_engine::run::Event;
use workplan_engine::session;

use crate::app::App;
use crate::args::Resolve;
use crate::exit::{self, Exit};
use crate::failure::Failure;

use super::explain::step_named;
use super::{go, select};

/// Answers for a step that is unknown or waits.
pub(crate) fn resolve(app: &App, args: &Resolve) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let view = here.named(&args.run)?;
    let dir = here.close();
    let ix = step_named(&view, &args.step)?;
    let step = view.state.plan.steps[ix].id.clone();
    let event = Event::StepResolved {
        step: step.clone(),
        done: args.done,
        person: go::person(app, &args.reason),
    };
    session::answer(&dir, view.id(), &event)?;
    let word = if args.done { "done" } else { "not done" };
    app.printer.say(&format!("{step} of run {}: {word}; journaled", view.id()));
    go_on(app, &view);
    Ok(exit::DONE)
}

/// What to do after an answer.
pub(crate) fn go_on(app: &App, view: &crate::view::RunView) {
    if !view.is_live() {
        app.printer.say(&format!("next: `workplan resume {}`", view.id()));
    }
}
