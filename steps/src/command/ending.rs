//! How an ended child is told to a person.

use std::time::Duration;
use workplan_engine::duration;
use workplan_engine::kind::{CommandOutcome, ErrorCause, StepError};

/// A first line of this many characters is short enough to be told.
const SHORT: usize = 60;

/// How a child that was meant to succeed ended otherwise: what happened and its cause. `None`
/// where it succeeded.
fn unsuccessful(outcome: &CommandOutcome, timeout: Duration) -> Option<(ErrorCause, String)> {
    if outcome.timed_out {
        let deadline = duration::format(timeout);
        return Some((
            ErrorCause::TimedOut,
            format!("did not end within {deadline} and was ended"),
        ));
    }
    if outcome.cancelled {
        return Some((ErrorCause::Cancelled, "was ended because the run was cancelled".to_owned()));
    }
    match (outcome.code, outcome.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some((ErrorCause::Failed, format!("exited with code {code}"))),
        (None, Some(signal)) => {
            Some((ErrorCause::Failed, format!("was ended by signal {signal}{}", name(signal))))
        }
        (None, None) => Some((ErrorCause::Failed, "ended without an exit code".to_owned())),
    }
}

/// The error of a script that did not succeed, `None` where it did. `who` says which step, and
/// which of its scripts.
pub(super) fn error(
    who: &str,
    script: &str,
    outcome: &CommandOutcome,
    timeout: Duration,
) -> Option<StepError> {
    let (cause, how) = unsuccessful(outcome, timeout)?;
    let line = short(script).map(|line| format!(" (`{line}`)")).unwrap_or_default();
    let mut error = StepError::new(cause, format!("{who} {how}{line}"));
    error.said.clone_from(&outcome.tail);
    error.log.clone_from(&outcome.log);
    error.help = match (cause, outcome.code) {
        (ErrorCause::Failed, Some(127)) => {
            Some("command not found; is it installed and on PATH?".to_owned())
        }
        (ErrorCause::Failed, Some(126)) => Some(
            "it was found but cannot be executed; is it executable, and for this machine?"
                .to_owned(),
        ),
        (ErrorCause::TimedOut, _) => Some("give it more time with `timeout`".to_owned()),
        _ => None,
    };
    Some(error)
}

/// Why a check says neither yes nor no.
pub(super) fn unclear(outcome: &CommandOutcome, timeout: Duration) -> String {
    let how = unsuccessful(outcome, timeout).map_or_else(String::new, |(_, how)| how);
    let said: Vec<&str> =
        outcome.tail.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let end = said[said.len().saturating_sub(3)..].join(" / ");
    if end.is_empty() {
        format!("the check {how}; it said nothing")
    } else {
        format!("the check {how}; it said: {end}")
    }
}

/// The first line of a script that says something, where it is short.
pub(super) fn short(script: &str) -> Option<&str> {
    let line = script.lines().map(str::trim).find(|line| !line.is_empty())?;
    (line.chars().count() <= SHORT).then_some(line)
}

fn name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map(|s| format!(" ({})", s.as_str()))
        .unwrap_or_default()
}
