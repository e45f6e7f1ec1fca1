//! Driving a run from the command line: progress, signals, the summary, the exit code.

use tokio::sync::mpsc;
use workplan_engine::journal::StateDir;
use workplan_engine::run::{Ending, StepState};
use workplan_engine::session::{self, Outcome, SessionError};

use crate::app::App;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::progress::{Control, Live, listen};
use crate::render::{RunSummary, task_lines};
use crate::term::{Style, Table, duration_ms};
use crate::view::RunView;
use crate::{person, state};

/// A runtime of one thread: nothing in here needs more, and a step is a process of its own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(exit::FAILED, format!("failed to start: {e}")))
}

/// Whether a command that changes things may go on: `--yes`, or yes on a terminal. Without either
/// the exit code is 8, and nothing was done.
pub(crate) fn permitted(
    app: &App,
    yes: bool,
    question: &str,
    again: &str,
) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !app.printer.can_ask() {
        return Err(Failure::new(exit::WAITING, format!("nobody is there to answer: {question}"))
            .with_help(format!("to answer yes without a terminal: `{again} --yes`")));
    }
    Ok(crate::term::confirm(&app.printer, question))
}

/// Drives a run to where it stops, and says what it came to.
pub(crate) fn drive<F>(
    app: &App,
    dir: &StateDir,
    events: bool,
    act: F,
) -> Result<(Exit, Option<Outcome>), Failure>
where
    F: AsyncFnOnce(
        &mut Live<'_>,
        mpsc::UnboundedReceiver<session::Control>,
    ) -> Result<Outcome, SessionError>,
{
    let mut live = Live::new(app, events);
    let runtime = runtime()?;
    let (result, control) = runtime.block_on(async {
        let (control, receiver) = listen(live.board(), live.talker())
            .map_err(|e| Failure::new(exit::FAILED, format!("failed to listen to signals: {e}")))?;
        let screen = tokio::spawn(Live::look_after(live.board()));
        let result = act(&mut live, receiver).await;
        screen.abort();
        Ok::<_, Failure>((result, control))
    })?;
    live.end();
    let run = live.run.clone();
    drop(live);
    // Listening tasks hold nothing that matters; a runtime that waits for them would hang.
    runtime.shutdown_background();
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            let mut failure = Failure::from(error);
            if let Some(run) = run {
                failure.help.push(format!("`workplan status {run}` says where it is"));
            }
            return Err(failure);
        }
    };
    summarise(app, dir, &outcome)?;
    Ok((ended(&outcome, &control), Some(outcome)))
}

fn ended(outcome: &Outcome, control: &Control) -> Exit {
    match outcome.ending {
        Ending::Succeeded | Ending::RolledBack => exit::DONE,
        Ending::Failed => exit::FAILED,
        Ending::Waiting => exit::WAITING,
        Ending::RollbackIncomplete => exit::ROLLBACK_INCOMPLETE,
        Ending::Interrupted => control.signal().map_or(exit::FAILED, Exit::Signal),
    }
}

/// The end of a run in words.
fn summarise(app: &App, dir: &StateDir, outcome: &Outcome) -> Result<(), Failure> {
    let printer = &app.printer;
    let paint = printer.err;
    let view = ended_view(dir, outcome)?;
    let state = &view.state;
    let (style, loud) = match outcome.ending {
        Ending::Succeeded | Ending::RolledBack => (Style::Green, false),
        Ending::Waiting | Ending::Interrupted => (Style::Yellow, true),
        Ending::Failed | Ending::RollbackIncomplete => (Style::Red, true),
    };
    let say = |line: &str| if loud { printer.talk(line) } else { printer.say(line) };
    for step in failures(app, dir, &view) {
        say(&step);
    }
    for line in view.down() {
        printer.talk(&paint.paint(Style::Red, &printer.clean_err(&line)));
    }
    let word = view.word().replace('_', " ");
    // A rollback may come days after its run.
    let began = state.back_since_ms.unwrap_or(state.started_ms);
    let time = state
        .ended_ms
        .map_or_else(String::new, |end| format!(" after {}", duration_ms(end - began)));
    say(&format!(
        "run {} {}{time}: {}",
        view.id(),
        paint.paint(style, &word),
        RunSummary::of(state).text()
    ));
    if loud && !outcome.reason.is_empty() && outcome.reason != word {
        say(&format!("  {}", printer.clean_err(&outcome.reason)));
    }
    if !state.single {
        for line in task_lines(printer, paint, state) {
            printer.say(&format!("  {line}"));
        }
    }
    if state.evidence_written.is_some() {
        let name = format!("{}.json", view.id());
        let folder = state.plan.workplan.path.parent().unwrap_or(std::path::Path::new("."));
        let path = folder.join("evidence").join(&name);
        if path.is_file() {
            printer.say(&format!("  evidence: {}", path.display()));
        }
    }
    let next = view.next();
    if !next.is_empty() {
        say("next:");
        let mut table = Table::default();
        for (command, what) in &next {
            table.painted(vec![
                (format!("  {command}"), format!("  {}", paint.paint(Style::Cyan, command))),
                (what.clone(), printer.clean_err(what).into_owned()),
            ]);
        }
        table.lines().iter().for_each(|line| say(line));
    }
    Ok(())
}

/// The run as the journal has it now; the lock is free, so nobody works on it.
fn ended_view(dir: &StateDir, outcome: &Outcome) -> Result<RunView, Failure> {
    let journal = state::open_existing(dir)?;
    let row = journal.run_row(&outcome.run)?;
    RunView::load(&journal, row)
}

/// What failed: what, why, where the log is.
fn failures(app: &App, dir: &StateDir, view: &RunView) -> Vec<String> {
    let printer = &app.printer;
    let mut out = Vec::new();
    let back = view.state.back_since_ms.is_some();
    for (ix, rec) in view.state.steps.iter().enumerate() {
        // What failed and was taken back in the release of its bracket is still why.
        let failed =
            matches!(rec.state, StepState::Failed | StepState::UndoFailed | StepState::Unknown)
                || (rec.state == StepState::Undone && rec.failure.is_some() && !back);
        if !failed {
            continue;
        }
        let step = &view.state.plan.steps[ix].id;
        let word = match rec.state {
            StepState::Undone => "failed, and was taken back".to_owned(),
            state => state.as_str().replace('_', " "),
        };
        let error = rec.last_error();
        let what = error.map(|e| e.what.clone());
        let what = what.or_else(|| view.step_reason(ix)).unwrap_or_default();
        out.push(String::new());
        out.push(format!(
            "{} {}: {}",
            printer.err.paint(Style::Red, &printer.clean_err(step)),
            word,
            printer.clean_err(&what)
        ));
        if let Some(error) = error {
            out.extend(error.said.iter().map(|line| format!("    {}", printer.clean_err(line))));
        }
        if let Some(reason) =
            view.step_reason(ix).filter(|why| *why != what && rec.state != StepState::Undone)
        {
            out.push(format!("  {}", printer.clean_err(&reason)));
        }
        if let Some(log) = view.log(dir, ix) {
            out.push(format!("  log: {}", log.display()));
        }
        if let Some(help) = error.and_then(|e| e.help.as_ref()) {
            out.push(format!("  help: {}", printer.clean_err(help)));
        }
    }
    if !out.is_empty() {
        out.push(String::new());
    }
    out
}

/// Who answers, with why.
pub(crate) fn person(app: &App, reason: &str) -> workplan_engine::run::Person {
    workplan_engine::run::Person {
        who: person::account(&app.env),
        reason: reason.to_owned(),
        signature: None,
    }
}
