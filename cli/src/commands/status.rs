//! `workplan status`: what is down, where the run is, what to do next.

use crate::app::App;
use crate::args::Status;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::StatusDocument;
use crate::render::{count, state_style, task_lines};
use crate::state;
use crate::term::{Style, Table, ago, duration_ms, local_ms};
use crate::view::RunView;

use super::select::Here;

/// Shows a run.
pub(crate) fn status(app: &App, args: &Status) -> Result<Exit, Failure> {
    let dir = state::of_current_folder(app)?;
    let Some(journal) = state::open_read(&dir)? else {
        return nothing(app, args, &dir);
    };
    let here = Here { dir, journal };
    if args.run.is_none() && here.journal.runs(&Default::default())?.is_empty() {
        return nothing(app, args, &here.dir);
    }
    let view = here.newest(args.run.as_deref())?;
    if args.json {
        app.printer.json(&StatusDocument::new(&here.dir, Some(&view)))?;
        return Ok(exit::DONE);
    }
    show(app, &here, &view)?;
    Ok(exit::DONE)
}

fn nothing(
    app: &App,
    args: &Status,
    dir: &workplan_engine::journal::StateDir,
) -> Result<Exit, Failure> {
    if args.run.is_some() {
        return Err(state::no_run(dir));
    }
    if args.json {
        app.printer.json(&StatusDocument::new(dir, None))?;
    } else {
        app.printer.data_line("no run");
        app.printer.say(&format!("The state folder is `{}`", dir.root().display()));
    }
    Ok(exit::DONE)
}

fn show(app: &App, here: &Here, view: &RunView) -> Result<(), Failure> {
    let printer = &app.printer;
    let paint = printer.out;
    let others: Vec<RunView> = here
        .unfinished()?
        .into_iter()
        .filter(|row| row.run != view.id())
        .map(|row| RunView::load(&here.journal, row))
        .collect::<Result<_, _>>()?;
    for down in std::iter::once(view).chain(&others).flat_map(RunView::down) {
        printer.data_line(&paint.paint(Style::Red, &printer.clean_out(&down)));
    }
    let state = &view.state;
    let word = view.word();
    let style = match word {
        "succeeded" | "rolled_back" => Style::Green,
        "running" => Style::Bold,
        "waiting" | "rolling_back" => Style::Yellow,
        "abandoned" => Style::Dim,
        _ => Style::Red,
    };
    printer.data_line(&format!(
        "run {} of {} on {}: {}",
        view.id(),
        printer.clean_out(&state.plan.workplan.id),
        printer.clean_out(&state.plan.target.name),
        paint.paint(style, word)
    ));
    if let Some(reason) = view.reason() {
        printer.data_line(&format!("  {}", printer.clean_out(&reason)));
    }
    printer.data_line(&format!(
        "  started {} ({} ago)",
        local_ms(state.started_ms),
        ago(state.started_ms)
    ));
    if let Some(ended) = state.ended_ms {
        printer.data_line(&format!(
            "  ended {} (after {})",
            local_ms(ended),
            duration_ms(ended - state.started_ms)
        ));
    }
    match (view.is_live(), view.alive) {
        (true, Some(true)) => printer.data_line(&format!(
            "  process {} on {} works on it",
            state.owner.pid, state.owner.host
        )),
        (true, _) => printer.data_line(&format!(
            "  process {} on {} should be working on it; that cannot be seen from here",
            state.owner.pid, state.owner.host
        )),
        _ => {}
    }
    printer.data_line("");
    for line in steps(app, view) {
        printer.data_line(&line);
    }
    let tasks = task_lines(printer, paint, &view.state);
    if !tasks.is_empty() {
        printer.data_line("");
        tasks.iter().for_each(|line| printer.data_line(line));
    }
    let next = view.next();
    if !next.is_empty() {
        printer.data_line("\nnext:");
        let mut table = Table::default();
        for (command, what) in &next {
            table.painted(vec![
                (format!("  {command}"), format!("  {}", paint.paint(Style::Cyan, command))),
                (what.clone(), printer.clean_out(what).into_owned()),
            ]);
        }
        table.lines().iter().for_each(|line| printer.data_line(line));
    }
    if !others.is_empty() {
        printer.data_line(&format!("\n{} not finished either:", count(others.len(), "other run")));
        for other in &others {
            printer.data_line(&format!(
                "  {} of {} ({})",
                other.id(),
                other.state.plan.workplan.id,
                other.word()
            ));
        }
    }
    Ok(())
}

/// A line a step; steps that were not touched are counted only where there are many.
fn steps(app: &App, view: &RunView) -> Vec<String> {
    let (printer, paint) = (&app.printer, app.printer.out);
    let mut table = Table::default();
    for (ix, rec) in view.state.steps.iter().enumerate() {
        let step = &view.state.plan.steps[ix];
        let word = view.step_word(ix);
        let style = if word == "unknown" { Style::Yellow } else { state_style(rec.state) };
        let time = match (rec.started_ms, rec.ended_ms) {
            (Some(from), Some(to)) => duration_ms(to - from),
            (Some(from), None) if view.is_live() => format!("{} so far", ago(from)),
            _ => String::new(),
        };
        let reason = view.step_reason(ix).unwrap_or_default();
        let reason = reason.lines().next().unwrap_or_default();
        table.painted(vec![
            (format!("  {}", step.id), format!("  {}", printer.clean_out(&step.id))),
            (word.to_owned(), paint.paint(style, word)),
            (time.clone(), paint.paint(Style::Dim, &time)),
            (reason.to_owned(), printer.clean_out(reason).into_owned()),
        ]);
    }
    table.lines()
}
