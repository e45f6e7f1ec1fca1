//! How long things were down.

use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::journal::StoredEvent;

use crate::term::{duration_ms, local_ms};

/// One time that a bracket was open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// The bracket.
    pub(super) name: String,
    /// When it was opened.
    pub(super) from: String,
    /// How long it was open; empty while it is.
    pub(super) took: String,
    /// What was allowed.
    pub(super) budget: String,
    /// `closed`, `released` or `still open`.
    pub(super) end: &'static str,
    /// It took longer than allowed.
    pub(super) over: bool,
}

/// The outages of a run, in their order.
pub(super) fn outages(events: &[StoredEvent]) -> Vec<Outage> {
    let mut open: Vec<(String, i64, Option<i64>, usize)> = Vec::new();
    let mut out: Vec<Outage> = Vec::new();
    for event in events {
        let Some(name) = event.data.get("bracket").and_then(|b| b.as_str()) else { continue };
        let at = event.at.as_millisecond();
        let end = match event.kind.as_str() {
            "bracket.opened" => {
                let budget = event.data.get("budget_ms").and_then(serde_json::Value::as_i64);
                let allowed = budget.map_or_else(String::new, |ms| {
                    duration::format(Duration::from_millis(ms.unsigned_abs()))
                });
                open.push((name.to_owned(), at, budget, out.len()));
                out.push(Outage {
                    name: name.to_owned(),
                    from: local_ms(at),
                    took: String::new(),
                    budget: allowed,
                    end: "still open",
                    over: false,
                });
                continue;
            }
            "bracket.closed" => "closed",
            "bracket.released" => "released",
            _ => continue,
        };
        let Some(place) = open.iter().position(|(opened, ..)| opened == name) else { continue };
        let (_, since, budget, ix) = open.remove(place);
        let took = at - since;
        out[ix].took = duration_ms(took);
        out[ix].end = end;
        out[ix].over = budget.is_some_and(|ms| took > ms);
    }
    out
}
