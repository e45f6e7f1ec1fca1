//! The page.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use askama::Template;
use workplan_engine::journal::{StateDir, StoredEvent};
use workplan_engine::run::StepState;

use super::outage::{Outage, outages};
use super::timeline::{Bar, Scale, bars};
use crate::exit;
use crate::failure::Failure;
use crate::json::ReportDocument;
use crate::render::RunSummary;
use crate::term::{duration_ms, local_ms};
use crate::view::RunView;

/// How much of a log is shown, from its end.
const TAIL_BYTES: u64 = 8 * 1024;
/// How many lines of a failed step's output stand beside its error.
const LAST_LINES: usize = 12;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'p> {
    report: &'p ReportDocument,
    state: String,
    sums: String,
    started: String,
    /// What its last moment is called: a run that waits has not ended.
    ended_word: &'static str,
    ended: String,
    took: String,
    down: Vec<String>,
    outages: Vec<Outage>,
    next: Vec<(String, String)>,
    wrong: Vec<Wrong>,
    bars: Vec<Bar>,
    scale: Scale,
    logs: Vec<Tail>,
    version: &'static str,
}

/// A step that did not come to what it should.
struct Wrong {
    step: String,
    state: String,
    why: String,
    /// The last lines of its output.
    said: String,
}

/// The end of a step's output.
struct Tail {
    step: String,
    path: String,
    text: String,
    cut: bool,
}

/// The page of a run.
pub(crate) fn page(
    dir: &StateDir,
    view: &RunView,
    report: &ReportDocument,
    events: &[StoredEvent],
) -> Result<String, Failure> {
    let state = &view.state;
    let logs: Vec<Tail> = (0..state.steps.len()).filter_map(|ix| tail(dir, view, ix)).collect();
    let (bars, scale) = bars(view);
    let page = Page {
        report,
        state: view.word().replace('_', " "),
        sums: RunSummary::of(state).text(),
        ended_word: match view.word() {
            "waiting" => "waits since",
            "succeeded" | "rolled_back" | "abandoned" => "ended",
            _ => "stopped",
        },
        started: local_ms(state.started_ms),
        ended: state.ended_ms.map(local_ms).unwrap_or_default(),
        took: state.ended_ms.map(|e| duration_ms(e - state.started_ms)).unwrap_or_default(),
        down: view.down(),
        next: view.next(),
        outages: outages(events),
        wrong: wrong(view, &logs),
        bars,
        scale,
        logs,
        version: env!("CARGO_PKG_VERSION"),
    };
    page.render()
        .map_err(|e| Failure::new(exit::INTERNAL, format!("failed to write the report: {e}")))
}

/// What went wrong, with what was printed last: a reader should not have to look for it.
fn wrong(view: &RunView, logs: &[Tail]) -> Vec<Wrong> {
    let steps = view.state.steps.iter().enumerate();
    steps
        .filter(|(_, rec)| {
            matches!(rec.state, StepState::Failed | StepState::Unknown | StepState::UndoFailed)
        })
        .map(|(ix, rec)| {
            let step = view.state.plan.steps[ix].id.clone();
            let error = rec.last_error().map(|e| e.what.clone());
            let why = view.step_reason(ix).or(error).unwrap_or_default();
            // The step's name stands before it already.
            let why = why.strip_prefix(&format!("`{step}` ")).unwrap_or(&why).to_owned();
            let said = rec.last_error().map(|e| e.said.clone()).unwrap_or_default();
            let lines: Vec<String> = if said.is_empty() {
                let logs = logs.iter().filter(|log| log.step == step);
                logs.flat_map(|log| log.text.trim_end().lines().map(str::to_owned)).collect()
            } else {
                said.iter().map(|line| crate::term::sanitize(line).into_owned()).collect()
            };
            Wrong {
                why,
                state: view.step_word(ix).replace('_', " "),
                said: lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"),
                step,
            }
        })
        .collect()
}

fn tail(dir: &StateDir, view: &RunView, ix: usize) -> Option<Tail> {
    let path = view.log(dir, ix)?;
    let (text, cut) = read_tail(&path).ok()?;
    let step = view.state.plan.steps[ix].id.clone();
    let text = crate::term::sanitize(&text).into_owned();
    Some(Tail { step, path: path.display().to_string(), text, cut })
        .filter(|t| !t.text.trim().is_empty())
}

fn read_tail(path: &Path) -> std::io::Result<(String, bool)> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let cut = length > TAIL_BYTES;
    // The first line of a tail is half a line.
    let text =
        if cut { text.split_once('\n').map_or(text.clone(), |(_, t)| t.to_owned()) } else { text };
    Ok((text, cut))
}
