//! `workplan lab down`.

use std::time::Instant;

use super::ask::act;
use super::folder::{Folder, Found};
use super::old::Rest;
use crate::app::App;
use crate::args::LabDown;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Ends everything that runs of a lab, then removes it.
pub(crate) fn down(app: &App, args: &LabDown) -> Result<Exit, Failure> {
    let folder = Folder::find(&args.dir)?;
    let Found::Lab(_) = folder.look()? else {
        app.printer.say(&format!("there is no lab in `{}`", folder.root().display()));
        return Ok(exit::DONE);
    };
    end(app, &folder)?;
    if !args.keep {
        folder.remove()?;
        app.printer.say(&format!("removed `{}`", folder.root().display()));
    }
    Ok(exit::DONE)
}

/// Ends what runs of a lab.
pub(super) fn end(app: &App, folder: &Folder) -> Result<(), Failure> {
    // Without a world nothing was ever started; without a target there is no world.
    if !folder.world().exists() || !folder.target().exists() {
        return Ok(());
    }
    let began = Instant::now();
    app.printer.say("ending the servers");
    act(app, &folder.target(), Rest)?;
    app.printer.say(&format!("ended in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}
