//! `workplan rollback`: take back what a run did.

use workplan_engine::kind::{Registry, UndoPlan};
use workplan_engine::session::{self, RollbackOptions};

use crate::app::App;
use crate::args::Rollback;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::render::count;
use crate::term::Style;
use crate::view::RunView;
use crate::world;

use super::resume::{finished, refuse_live, say_down};
use super::{go, select};

/// Takes a run back.
pub(crate) fn rollback(app: &App, args: &Rollback) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let Some(view) = here.to_go_on(args.run.as_deref(), "rollback")? else {
        let newest = here.newest(None)?;
        finished(app, &newest);
        if newest.word() == "succeeded" {
            app.printer.talk(&format!(
                "to take it back all the same: `workplan rollback {}`",
                newest.id()
            ));
        }
        return Ok(exit::DONE);
    };
    if matches!(view.word(), "rolled_back" | "abandoned") {
        finished(app, &view);
        return Ok(exit::DONE);
    }
    refuse_live(&view)?;
    say_down(app, &view);
    let scope = session::rollback_scope(&here.journal, &view.state, args.to.as_deref())?;
    let world = world::world(app);
    let undone = tell(app, &view, &scope, &world.registry);
    if let Some(ix) = view.state.past_no_return()
        && !args.accept_loss
        && !view.state.accept_loss
    {
        let step = view.state.plan.steps[ix].id.clone();
        let mut failure = Failure::from(session::SessionError::PastNoReturn { step });
        failure.help = vec![format!(
            "if that loss is accepted: `workplan rollback {} --accept-loss`",
            view.id()
        )];
        return Err(failure);
    }
    let question = match undone {
        0 => "Nothing is to be taken back. End the run as rolled back?".to_owned(),
        n => format!("Take back {}?", count(n, "step")),
    };
    let mut again = format!("workplan rollback {}", view.id());
    if let Some(to) = &args.to {
        again.push_str(&format!(" --to {to}"));
    }
    if args.accept_loss {
        again.push_str(" --accept-loss");
    }
    if undone > 0 && !go::permitted(app, args.go.yes, &question, &again)? {
        app.printer.talk("nothing was done");
        return Ok(exit::WAITING);
    }
    let options = RollbackOptions {
        to: args.to.clone(),
        accept_loss: args.accept_loss,
        grace: args.go.grace,
    };
    let run = view.id().to_owned();
    let dir = here.close();
    let (exit, _) = go::drive(app, &dir, args.go.events.is_some(), async |live, control| {
        session::rollback(&world, &dir, &run, options, live, control).await
    })?;
    Ok(exit)
}

/// Says what will be taken back and what cannot be; how many steps that is.
fn tell(app: &App, view: &RunView, scope: &[usize], registry: &Registry) -> usize {
    let printer = &app.printer;
    let mut cannot = Vec::new();
    let mut undone = 0;
    printer.talk(&format!("Rollback of run {} takes back, in this order:", view.id()));
    for ix in scope {
        let step = &view.state.plan.steps[*ix];
        let plan = registry
            .get(&step.kind)
            .and_then(|kind| kind.build(&step.with).ok())
            .map(|s| s.undo_plan());
        match plan {
            Some(UndoPlan::Cannot(why)) => cannot.push(format!("  {}: {why}", step.id)),
            Some(UndoPlan::NotNeeded) => {}
            Some(UndoPlan::Can(how)) => {
                undone += 1;
                let how = how.lines().collect::<Vec<_>>().join("; ");
                printer.talk(&printer.clean_err(&format!("  {}: {how}", step.id)));
            }
            // References to outputs are filled in when it is done.
            None => {
                undone += 1;
                printer.talk(&printer.clean_err(&format!("  {}", step.id)));
            }
        }
    }
    if undone == 0 {
        printer.talk("  nothing");
    }
    if !cannot.is_empty() {
        printer.talk(&printer.err.paint(Style::Yellow, "It cannot take back:"));
        cannot.iter().for_each(|line| printer.talk(&printer.clean_err(line)));
    }
    undone
}
