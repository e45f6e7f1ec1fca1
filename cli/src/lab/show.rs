//! `workplan lab digest`.

use super::ask::ask;
use super::digest::Gather;
use super::folder::Folder;
use crate::app::App;
use crate::args::LabShow;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Prints the digest of a lab; with `--json`, what it is taken of.
pub(crate) fn digest(app: &App, args: &LabShow) -> Result<Exit, Failure> {
    let folder = Folder::find(&args.dir)?;
    folder.ready()?;
    let target = folder.target();
    let document = ask(app, &target, Gather { folder })?;
    if args.json {
        app.printer.json(&document.printed())?;
        return Ok(exit::DONE);
    }
    for (name, digest) in document.lines() {
        app.printer.detail(&format!("  {digest}  {name}"));
    }
    app.printer.data_line(&document.digest());
    Ok(exit::DONE)
}
