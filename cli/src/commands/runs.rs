//! `workplan runs`.

use workplan_engine::journal::RunFilter;

use crate::app::App;
use crate::args::Runs;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::RunsDocument;
use crate::state;
use crate::term::{Table, duration_ms, local_ms};
use crate::view::RunView;

/// Lists runs, newest first.
pub(crate) fn runs(app: &App, args: &Runs) -> Result<Exit, Failure> {
    let dir = state::of_current_folder(app)?;
    let filter =
        RunFilter { unfinished: args.unfinished, limit: args.limit, ..RunFilter::default() };
    let views = match state::open_read(&dir)? {
        None => Vec::new(),
        Some(journal) => journal
            .runs(&filter)?
            .into_iter()
            .map(|row| RunView::load(&journal, row))
            .collect::<Result<Vec<_>, _>>()?,
    };
    if args.json {
        app.printer.json(&RunsDocument::new(&views))?;
        return Ok(exit::DONE);
    }
    if views.is_empty() {
        app.printer.data_line("no run");
        app.printer.say(&format!("The state folder is `{}`", dir.root().display()));
        return Ok(exit::DONE);
    }
    let mut table = Table::default();
    table.row(["run", "state", "started", "took", "workplan", "target"]);
    for view in &views {
        let state = &view.state;
        table.row([
            view.id().to_owned(),
            view.word().to_owned(),
            local_ms(state.started_ms),
            state.ended_ms.map(|e| duration_ms(e - state.started_ms)).unwrap_or_default(),
            app.printer.clean_out(&state.plan.workplan.id).into_owned(),
            app.printer.clean_out(&state.plan.target.name).into_owned(),
        ]);
    }
    table.lines().iter().for_each(|line| app.printer.data_line(line));
    Ok(exit::DONE)
}
