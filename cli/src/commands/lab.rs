//! `workplan lab`: the proving ground.

use crate::app::App;
use crate::args::{Lab, LabCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lab;

/// Does what was asked of a lab. Nothing is asked back: a lab is made to be thrown away, and only a
/// folder that is one is ever removed.
pub(crate) fn lab(app: &App, args: &Lab) -> Result<Exit, Failure> {
    match &args.what {
        LabCommand::Up(args) => lab::up(app, args),
        LabCommand::Status(args) => lab::status(app, args),
        LabCommand::Digest(args) => lab::digest(app, args),
        LabCommand::Down(args) => lab::down(app, args),
    }
}
