//! What the probes write down while the fault goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by the probes and the course of the test.
pub(super) struct Ledger {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// Rows that the server acknowledged: number, begin and end of the insert since the start.
    pub(super) acknowledged: Vec<(i64, Duration, Duration)>,
    /// Rows that were sent and not acknowledged: they may be there or not.
    pub(super) unsure: BTreeSet<i64>,
    /// Reads that worked: begin.
    pub(super) reads: Vec<Duration>,
    /// Logins at the application that worked: begin.
    pub(super) logins: Vec<Duration>,
    /// What clients saw, with how often.
    pub(super) errors: BTreeMap<String, u64>,
    /// At each sample the nodes that took writes.
    pub(super) primaries: Vec<(Duration, Vec<String>)>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), inner: Mutex::default() }
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, who: &str, what: &str) {
        // Ports, pids and addresses make one kind of error look like many.
        *self.open().errors.entry(format!("{who}: {what}")).or_default() += 1;
    }

    /// The end of the first acknowledged insert that began after `since`.
    pub(super) fn first_write_after(&self, since: Duration) -> Option<Duration> {
        self.open().acknowledged.iter().find(|(_, begin, _)| *begin > since).map(|(_, _, end)| *end)
    }

    /// The begin of the first login that began after `since` and worked.
    pub(super) fn first_login_after(&self, since: Duration) -> Option<Duration> {
        self.open().logins.iter().find(|begin| **begin > since).copied()
    }

    /// The most nodes that took writes in one sample.
    pub(super) fn max_primaries(&self) -> usize {
        self.open().primaries.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0)
    }

    pub(super) fn errors(&self) -> Vec<String> {
        self.open().errors.iter().map(|(what, n)| format!("{what} ({n} times)")).collect()
    }
}
