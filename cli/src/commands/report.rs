//! `workplan report`: a run as one file for people who were not there.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::args::Report;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::ReportDocument;
use crate::{files, report};

use super::select;

/// Writes the report of a run and prints where it is.
pub(crate) fn report(app: &App, args: &Report) -> Result<Exit, Failure> {
    let here = select::here(app)?;
    let view = here.newest(args.run.as_deref())?;
    let document = ReportDocument::new(&here.dir, &view);
    if args.json {
        app.printer.json(&document)?;
        return Ok(exit::DONE);
    }
    let events = here.journal.events(view.id())?;
    if args.text {
        for line in report::lines(&app.printer, &view, &document, &events) {
            app.printer.data_line(&line);
        }
        return Ok(exit::DONE);
    }
    let page = report::page(&here.dir, &view, &document, &events)?;
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.html", view.id())));
    if path == Path::new("-") {
        app.printer.data(&page);
        return Ok(exit::DONE);
    }
    files::write(&path, &page)?;
    app.printer.data_line(&path.display().to_string());
    Ok(exit::DONE)
}
