//! Errors of files and children in words.

use std::io;
use std::path::Path;
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::{CommandOutcome, ErrorCause, StepError};

/// A failed operation on a file: what, where, why, and what to do where that is known.
pub(super) fn io_error(doing: &str, path: &Path, error: &io::Error) -> StepError {
    let what = format!("failed to {doing} `{}`: {}", path.display(), reason(error));
    let error_of = StepError::failed(what);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            error_of.with_help("free some space there, or name a larger place as `backup.dir`")
        }
        io::ErrorKind::PermissionDenied => {
            error_of.with_help("do it as the user that the folder belongs to")
        }
        _ => error_of,
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "no space is left on its device".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a child came to a good end.
///
/// # Errors
/// How it ended otherwise, with what it said. `who` is the program, and what it was to do.
pub(super) fn ended_well(
    who: &str,
    outcome: &CommandOutcome,
    timeout: Duration,
) -> Result<(), StepError> {
    let (cause, how) = if outcome.timed_out {
        let deadline = duration::format(timeout);
        (ErrorCause::TimedOut, format!("did not end within {deadline} and was ended"))
    } else if outcome.cancelled {
        (ErrorCause::Cancelled, "was ended because the run was cancelled".to_owned())
    } else {
        match (outcome.code, outcome.signal) {
            (Some(0), _) => return Ok(()),
            (Some(code), _) => (ErrorCause::Failed, format!("exited with code {code}")),
            (None, Some(signal)) => (ErrorCause::Failed, format!("was ended by signal {signal}")),
            (None, None) => (ErrorCause::Failed, "ended without an exit code".to_owned()),
        }
    };
    let mut error = StepError::new(cause, format!("{who} {how}"));
    error.said.clone_from(&outcome.tail);
    error.log.clone_from(&outcome.log);
    if cause == ErrorCause::TimedOut {
        error.help = Some("give it more time with `timeout`".to_owned());
    }
    Err(error)
}

/// Bytes as people read them: `1.2 GiB`.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1024, 1_500_000, 5 << 40].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "5.0 TiB"]);
    }

    #[test]
    fn a_full_disk_is_named_and_says_what_to_do() {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let error = io_error("write", Path::new("/b/x"), &error);
        assert_eq!(error.what, "failed to write `/b/x`: no space is left on its device");
        assert!(error.help.unwrap().contains("free some space"));
    }
}
