//! `workplan approve` and `workplan reject`: a person decides at a gate.

use workplan_engine::run::Event;
use workplan_engine::session;

use crate::app::App;
use crate::args::Gate;
use crate::exit::{self, Exit};
use crate::failure::Failure;

use super::answer::go_on;
use super::{go, select, sign};

/// Opens or refuses a gate.
pub(crate) fn gate(app: &App, args: &Gate, approved: bool) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let view = here.named(&args.run)?;
    let dir = here.close();
    let account = go::person(app, &args.reason);
    let signers = session::signers(&view.state, &args.gate);
    let word = if approved { "approved" } else { "rejected" };
    let person = match (&args.sign, signers) {
        (Some(_), signers) => sign::sign(&view, args, approved, &account.who, signers.as_deref())?,
        (None, Some(signers)) if approved => {
            return Err(Failure::new(
                exit::WAITING,
                format!(
                    "gate `{}` opens only by a signature that `{}` allows",
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
        (None, _) => account,
    };
    let who = person.who.clone();
    let event = if approved {
        Event::GateApproved { gate: args.gate.clone(), person }
    } else {
        Event::GateRejected { gate: args.gate.clone(), person }
    };
    session::answer(&dir, view.id(), &event)?;
    app.printer.say(&format!("gate {} of run {} {word} by {who}; journaled", args.gate, view.id()));
    go_on(app, &view);
    Ok(exit::DONE)
}
