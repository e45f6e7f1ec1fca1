//! When each step ran, as bars.

use crate::term::{duration_ms, local_ms};
use crate::view::RunView;

/// A bar; positions are per mille of the whole time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// The step.
    pub(super) step: String,
    /// Its state.
    pub(super) state: &'static str,
    /// Where it begins.
    pub(super) from: i64,
    /// How long it is; at least 4, so that it can be seen.
    pub(super) length: i64,
    /// How long it took, in words.
    pub(super) took: String,
}

/// What the bars are measured against.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// When the first began.
    pub(super) from: String,
    /// When the last ended.
    pub(super) to: String,
    /// From the one to the other.
    pub(super) took: String,
}

/// The bars of all steps that were begun.
pub(super) fn bars(view: &RunView) -> (Vec<Bar>, Scale) {
    let steps = view.state.steps.iter().enumerate();
    let times: Vec<(usize, i64, i64)> = steps
        .filter_map(|(ix, rec)| {
            let from = rec.started_ms?;
            Some((ix, from, rec.ended_ms.unwrap_or(from).max(from)))
        })
        .collect();
    let start = times.iter().map(|t| t.1).min().unwrap_or(0);
    let end = times.iter().map(|t| t.2).max().unwrap_or(0);
    let whole = (end - start).max(1);
    let scale = Scale { from: local_ms(start), to: local_ms(end), took: duration_ms(end - start) };
    let bars = times
        .into_iter()
        .map(|(ix, from, to)| {
            let left = ((from - start) * 1000 / whole).min(996);
            Bar {
                step: view.state.plan.steps[ix].id.clone(),
                state: view.step_word(ix),
                from: left,
                length: ((to - from) * 1000 / whole).clamp(4, 1000 - left),
                took: duration_ms(to - from),
            }
        })
        .collect();
    (bars, scale)
}
