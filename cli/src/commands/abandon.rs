//! `workplan abandon`: gives an unfinished run up for ever.

use workplan_engine::run::Event;
use workplan_engine::session;

use crate::app::App;
use crate::args::Abandon;
use crate::exit::{self, Exit};
use crate::failure::Failure;

use super::resume::say_down;
use super::{go, select};

/// Gives a run up. Nothing is taken back, and that is said.
pub(crate) fn abandon(app: &App, args: &Abandon) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let view = here.named(&args.run)?;
    let dir = here.close();
    say_down(app, &view);
    let event = Event::RunAbandoned { person: go::person(app, &args.reason) };
    session::answer(&dir, view.id(), &event)?;
    app.printer.say(&format!("run {} is given up; what it did stays as it is", view.id()));
    let done: Vec<&str> = view
        .state
        .steps
        .iter()
        .zip(&view.state.plan.steps)
        .filter(|(rec, _)| rec.state.is_done())
        .map(|(_, step)| step.id.as_str())
        .collect();
    if !done.is_empty() {
        app.printer.say(&format!("  it did {}", app.printer.clean_err(&done.join(", "))));
    }
    Ok(exit::DONE)
}
