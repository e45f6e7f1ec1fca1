//! Which run is meant.

use workplan_engine::journal::{Journal, RunFilter, RunRow, StateDir};
use workplan_engine::session;

use crate::app::App;
use crate::exit;
use crate::failure::Failure;
use crate::state;
use crate::term::Style;
use crate::view::RunView;

/// The journal of the current folder; says first what is down.
pub(crate) struct Here {
    /// The state folder.
    pub(crate) dir: StateDir,
    /// Its journal.
    pub(crate) journal: Journal,
}

/// Opens the journal of the current folder for reading.
///
/// Without any journal: exit 2, `no run`.
pub(crate) fn here(app: &App) -> Result<Here, Failure> {
    let dir = state::of_current_folder(app)?;
    let journal = state::open_read(&dir)?;
    journal.map(|journal| Here { journal, dir: dir.clone() }).ok_or_else(|| state::no_run(&dir))
}

/// As [`here`], for commands that change things.
pub(crate) fn here_to_work(app: &App) -> Result<Here, Failure> {
    let dir = state::of_current_folder(app)?;
    let journal = state::open_to_work(&dir)?;
    journal.map(|journal| Here { journal, dir: dir.clone() }).ok_or_else(|| state::no_run(&dir))
}

impl Here {
    /// Closes the journal, before it is opened for writing: after a kill its log has to be folded
    /// in, which SQLite refuses while this very process reads.
    pub(crate) fn close(self) -> StateDir {
        self.dir
    }

    /// The named run, or the newest.
    pub(crate) fn newest(&self, run: Option<&str>) -> Result<RunView, Failure> {
        if let Some(prefix) = run {
            return self.named(prefix);
        }
        let newest = self.journal.runs(&RunFilter { limit: Some(1), ..RunFilter::default() })?;
        match newest.into_iter().next() {
            Some(row) => RunView::load(&self.journal, row),
            None => Err(state::no_run(&self.dir)),
        }
    }

    /// The run with this id, or the only one whose id begins so.
    pub(crate) fn named(&self, prefix: &str) -> Result<RunView, Failure> {
        RunView::load(&self.journal, self.journal.find(prefix)?)
    }

    /// Runs that can be gone on with, newest first.
    pub(crate) fn unfinished(&self) -> Result<Vec<RunRow>, Failure> {
        Ok(session::unfinished(&self.journal, &RunFilter::default())?)
    }

    /// The named run, or the only unfinished one; `None` where all are finished.
    ///
    /// Several are listed, and nothing is guessed: exit 2.
    pub(crate) fn to_go_on(
        &self,
        run: Option<&str>,
        verb: &str,
    ) -> Result<Option<RunView>, Failure> {
        if let Some(prefix) = run {
            return self.named(prefix).map(Some);
        }
        let mut rows = self.unfinished()?;
        match rows.len() {
            0 if self
                .journal
                .runs(&RunFilter { limit: Some(1), ..RunFilter::default() })?
                .is_empty() =>
            {
                Err(state::no_run(&self.dir))
            }
            0 => Ok(None),
            1 => Ok(rows.pop().map(|row| RunView::load(&self.journal, row)).transpose()?),
            n => {
                let mut failure =
                    Failure::new(exit::USAGE, format!("{n} runs are not finished: say which"));
                for row in &rows {
                    failure = failure.with_help(format!(
                        "`workplan {verb} {}`: {} ({})",
                        row.run, row.workplan, row.state
                    ));
                }
                Err(failure)
            }
        }
    }

    /// Says on stderr that a run works on another folder, where it was begun: this one is a copy.
    pub(crate) fn say_elsewhere(&self, app: &App, view: &RunView) {
        let path = &view.state.plan.workplan.path;
        if app.state.is_some() || view.state.single || !path.exists() {
            return;
        }
        if state::of_workplan(app, path).is_ok_and(|own| own.root() != self.dir.root()) {
            let path = path.display().to_string();
            let text = format!(
                "run {} works on `{}`, where it was begun, and on nothing in this folder: its record was copied",
                view.id(),
                app.printer.clean_err(&path)
            );
            app.printer.talk(&app.printer.err.paint(Style::Yellow, &text));
        }
    }

    /// Says what is down, on stderr, before anything else is said.
    pub(crate) fn say_down(&self, app: &App) -> Result<(), Failure> {
        for row in self.unfinished()? {
            let view = RunView::load(&self.journal, row)?;
            if view.is_live() {
                continue;
            }
            for line in view.down() {
                app.printer.talk(&format!(
                    "{}\n  run {}: `workplan resume {}` goes on, `workplan rollback {}` takes it back",
                    app.printer.err.paint(Style::Red, &line),
                    view.id(), view.id(), view.id()
                ));
            }
        }
        Ok(())
    }
}
