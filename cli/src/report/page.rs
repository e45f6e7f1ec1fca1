//! The page.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use askama::Template;
use workplan_engine::journal::StateDir;

use super::timeline::{Bar, bars};
use crate::exit;
use crate::failure::Failure;
use crate::json::ReportDocument;
use crate::term::{duration_ms, local_ms};
use crate::view::RunView;

/// How much of a log is shown, from its end.
const TAIL_BYTES: u64 = 8 * 1024;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'p> {
    report: &'p ReportDocument,
    started: String,
    ended: String,
    took: String,
    down: Vec<String>,
    next: Vec<(String, String)>,
    bars: Vec<Bar>,
    logs: Vec<Tail>,
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
) -> Result<String, Failure> {
    let state = &view.state;
    let page = Page {
        report,
        started: local_ms(state.started_ms),
        ended: state.ended_ms.map(local_ms).unwrap_or_default(),
        took: state.ended_ms.map(|e| duration_ms(e - state.started_ms)).unwrap_or_default(),
        down: view.down(),
        next: view.next(),
        bars: bars(view),
        logs: (0..state.steps.len()).filter_map(|ix| tail(dir, view, ix)).collect(),
    };
    page.render()
        .map_err(|e| Failure::new(exit::INTERNAL, format!("failed to write the report: {e}")))
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
