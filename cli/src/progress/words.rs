//! Committed events as lines: step, what became of it, what matters of it.

use workplan_engine::duration;
use workplan_engine::kind::Wait;
use workplan_engine::run::Event;

use crate::term::Style;

/// A line of progress.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The step, the bracket, or nothing for the run.
    pub(super) who: String,
    /// One or two words.
    pub(super) what: String,
    /// The rest of the line.
    pub(super) detail: String,
    /// The colour of `what`.
    pub(super) style: Style,
    /// Said only where much is wanted.
    pub(super) small: bool,
}

fn words(who: &str, what: impl Into<String>, detail: impl Into<String>, style: Style) -> Words {
    let detail: String = detail.into();
    let detail = detail.lines().next().unwrap_or_default().to_owned();
    Words { who: who.to_owned(), what: what.into(), detail, style, small: false }
}

/// How long a bracket was open.
fn outage(time: &str) -> String {
    if time.is_empty() { String::new() } else { format!("after {time}") }
}

fn small(words: Words) -> Words {
    Words { small: true, ..words }
}

/// The line of an event; `None` for events that say nothing to a person. `took` is how long the
/// step was under way, where it is over.
pub(super) fn of(event: &Event, took: Option<std::time::Duration>) -> Option<Words> {
    let time = took.map(duration::human).unwrap_or_default();
    let timed = |rest: &str| match (time.as_str(), rest) {
        ("", rest) => rest.to_owned(),
        (time, "") => time.to_owned(),
        (time, rest) => format!("{time}  {rest}"),
    };
    Some(match event {
        Event::StepSkipped { step, reason, so: true, .. } => {
            words(step, "so already", reason, Style::Dim)
        }
        Event::StepSkipped { step, reason, so: false, .. } => {
            small(words(step, "not needed", reason, Style::Dim))
        }
        Event::StepIntent { step, attempt, .. } => {
            let detail = if *attempt > 1 { format!("attempt {attempt}") } else { String::new() };
            words(step, "running", detail, Style::Bold)
        }
        Event::StepDone { step, evidence, .. } => {
            words(step, "done", timed(&evidence.notes.join("; ")), Style::Green)
        }
        Event::StepAdopted { step, evidence } => {
            let why = evidence.person.as_ref().map_or_else(
                || "it is so, whatever became of the attempt".to_owned(),
                |p| format!("{} says so: {}", p.who, p.reason),
            );
            words(step, "adopted", timed(&why), Style::Green)
        }
        Event::StepFailed { step, error, retry_in_ms, .. } => match retry_in_ms {
            Some(ms) => {
                let wait = duration::human(std::time::Duration::from_millis(*ms));
                words(
                    step,
                    "failed",
                    timed(&format!("{}; again in {wait}", error.what)),
                    Style::Yellow,
                )
            }
            None => words(step, "failed", timed(&error.what), Style::Red),
        },
        Event::StepInterrupted { step, reason, .. } => {
            words(step, "interrupted", timed(reason), Style::Yellow)
        }
        Event::StepUnknown { step, why, .. } => words(step, "unknown", timed(why), Style::Red),
        Event::StepReset { step, why } => words(step, "to be done", why, Style::Dim),
        Event::StepWaiting { step, wait, .. } => {
            let (Wait::Gate { message: what, .. } | Wait::Manual { instructions: what }) = wait;
            words(step, "waiting", what, Style::Yellow)
        }
        Event::RepairIntent { step, what } => words(step, "repairing", what, Style::Yellow),
        Event::StepResolved { step, done, person } => {
            let what = if *done { "resolved: done" } else { "resolved: not done" };
            words(step, what, format!("{}: {}", person.who, person.reason), Style::Bold)
        }
        Event::GateApproved { gate, person } => {
            words(gate, "approved", format!("{}: {}", person.who, person.reason), Style::Green)
        }
        Event::GateRejected { gate, person } => {
            words(gate, "rejected", format!("{}: {}", person.who, person.reason), Style::Red)
        }
        Event::BracketOpened { bracket, budget_ms } => {
            let budget = budget_ms.map_or_else(String::new, |ms| {
                format!("budget {}", duration::format(std::time::Duration::from_millis(ms)))
            });
            words(bracket, "opens", budget, Style::Yellow)
        }
        Event::BracketClosed { bracket } => words(bracket, "closed", outage(&time), Style::Green),
        Event::BracketReleasing { bracket, why } => {
            words(bracket, "is being released", why, Style::Yellow)
        }
        Event::BracketReleased { bracket } => {
            words(bracket, "released", outage(&time), Style::Green)
        }
        Event::BracketHeld { bracket, why } => words(bracket, "held open", why, Style::Red),
        Event::UndoIntent { step } => words(step, "taking back", "", Style::Bold),
        Event::UndoDone { step, why } => {
            // What stands there where there is nothing more to tell.
            let why = if why == "taken back" { "" } else { why };
            words(step, "taken back", timed(why), Style::Green)
        }
        Event::UndoFailed { step, error } => {
            words(step, "not taken back", timed(&error.what), Style::Red)
        }
        Event::UndoSkipped { step, why } => words(step, "left as it is", why, Style::Dim),
        Event::WorkplanWritten { tasks, .. } if !tasks.is_empty() => {
            let tasks: Vec<String> =
                tasks.iter().map(|(task, status)| format!("{task} {status}")).collect();
            words("workplan", "written", tasks.join(", "), Style::Dim)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use workplan_engine::kind::StepError;

    #[test]
    fn a_line_says_the_step_what_and_how_long() {
        let done =
            Event::StepDone { step: "T01.dump".into(), attempt: 1, evidence: Box::default() };
        let line = of(&done, Some(std::time::Duration::from_millis(1_240))).unwrap();
        assert_eq!(
            (line.who.as_str(), line.what.as_str(), line.detail.as_str()),
            ("T01.dump", "done", "1.2 s")
        );
        let failed = Event::StepFailed {
            step: "a".into(),
            attempt: 1,
            error: Box::new(StepError::failed("it ended with exit code 3\nmore")),
            retry_in_ms: Some(5_000),
        };
        assert_eq!(of(&failed, None).unwrap().detail, "it ended with exit code 3");
    }
}
