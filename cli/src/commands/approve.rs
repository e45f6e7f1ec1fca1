//! `workplan approve` and `workplan reject`: a person decides at a gate.

use std::path::PathBuf;

use workplan_engine::run::Event;
use workplan_engine::session;

use crate::app::App;
use crate::args::Gate;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::view::RunView;

use super::answer::go_on;
use super::{go, select, sign};

/// Opens or refuses a gate.
pub(crate) fn gate(app: &App, args: &Gate, approved: bool) -> Result<Exit, Failure> {
    let here = select::here(app)?;
    let view = here.named(&args.run)?;
    let mut person = go::person(app, &args.reason);
    let signers = allowed_signers(&view, &args.gate);
    let word = if approved { "approved" } else { "rejected" };
    if let Some(key) = &args.sign {
        let text = sign::statement(&view, &args.gate, word, &args.reason);
        let signed = sign::sign(key, &text, signers.as_deref())?;
        person.who = signed.principal.unwrap_or(person.who);
        person.signature = Some(signed.signature);
    } else if let Some(signers) = signers.filter(|_| approved) {
        return Err(Failure::new(
            exit::WAITING,
            format!(
                "gate `{}` takes only a signature that `{}` allows",
                args.gate,
                signers.display()
            ),
        )
        .with_help(format!(
            "`workplan approve {} {} --reason … --sign ~/.ssh/id_ed25519`",
            view.id(),
            args.gate
        )));
    }
    let who = person.who.clone();
    let event = if approved {
        Event::GateApproved { gate: args.gate.clone(), person }
    } else {
        Event::GateRejected { gate: args.gate.clone(), person }
    };
    session::answer(&here.dir, view.id(), &event)?;
    app.printer.say(&format!("gate {} of run {} {word} by {who}; journaled", args.gate, view.id()));
    go_on(app, &view);
    Ok(exit::DONE)
}

/// The `allowed_signers` file that a gate demands, also before the run has come to it.
fn allowed_signers(view: &RunView, gate: &str) -> Option<PathBuf> {
    let step = view.state.plan.steps.iter().find(|s| s.id == gate)?;
    let named = step.with.str("allowed_signers")?;
    let folder = view.state.plan.workplan.path.parent()?;
    Some(folder.join(named))
}
