//! Deadlines of a process that may itself be stopped.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Who wakes so much after a deadline was stopped meanwhile, or starved: SIGSTOP, a closed lid.
pub(crate) const LATE: Duration = Duration::from_millis(500);
/// How long is listened then to what happened in the meantime, before the deadline counts.
pub(crate) const HEAR: Duration = Duration::from_millis(250);

/// What comes of `work` within a time; `None` where it takes longer.
///
/// Other than with `tokio::time::timeout`, work that came to its end while this process was stopped
/// is in time: nobody can tell how long it took, only that it is over.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut due = Instant::now() + limit;
    tokio::pin!(work);
    loop {
        match timeout_at(due, &mut work).await {
            Ok(done) => return Some(done),
            // Twice, as what is heard has its own listeners, which come first.
            Err(_) if is_late(due) => due = Instant::now() + 2 * HEAR,
            Err(_) => return None,
        }
    }
}

/// Whether a deadline is over for so long that this process cannot have been running.
pub(crate) fn is_late(due: Instant) -> bool {
    Instant::now() >= due + LATE
}
