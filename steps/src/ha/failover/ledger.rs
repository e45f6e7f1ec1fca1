//! What the probes write down while the fault goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by the probes and the course of the test. All times count from its making.
///
/// No method gives its lock away: a guard that lives to the end of somebody's statement would let
/// the next method wait for ever.
pub(super) struct Ledger {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    acknowledged: Vec<Acknowledged>,
    reads: Vec<Duration>,
    logins: Vec<Duration>,
    errors: BTreeMap<String, u64>,
    samples: u64,
    leading: Vec<(Duration, Vec<String>)>,
    max_leading: usize,
}

/// An insert that a server acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) row: i64,
    /// When it was sent.
    pub(super) begin: Duration,
    /// When its acknowledgement came.
    pub(super) end: Duration,
    /// The address of the server that took it, as it says itself.
    pub(super) by: String,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), inner: Mutex::default() }
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn open(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acknowledge(&self, row: i64, begin: Duration, by: String) {
        let end = self.now();
        self.open().acknowledged.push(Acknowledged { row, begin, end, by });
    }

    /// A read that worked, by its begin.
    pub(super) fn read(&self, begin: Duration) {
        self.open().reads.push(begin);
    }

    /// A login at the application that worked, by its begin.
    pub(super) fn login(&self, begin: Duration) {
        self.open().logins.push(begin);
    }

    /// What a client saw.
    pub(super) fn error(&self, who: &str, what: &str) {
        *self.open().errors.entry(format!("{who}: {what}")).or_default() += 1;
    }

    /// The nodes that took writes at a moment; kept where they are others than before.
    pub(super) fn sample(&self, at: Duration, leading: Vec<String>) {
        let mut inner = self.open();
        inner.samples += 1;
        inner.max_leading = inner.max_leading.max(leading.len());
        if inner.leading.last().is_none_or(|(_, last)| *last != leading) {
            inner.leading.push((at, leading));
        }
    }

    /// The server that took the last insert of those that were sent before a moment.
    pub(super) fn server_before(&self, at: Duration) -> Option<String> {
        let inner = self.open();
        inner.acknowledged.iter().rev().find(|a| a.begin < at).map(|a| a.by.clone())
    }

    /// When the first insert was acknowledged that was sent after a moment and taken by another
    /// server than this one. What the old one still takes while it goes down is no recovery.
    pub(super) fn taken_over(&self, since: Duration, from: &str) -> Option<Duration> {
        let inner = self.open();
        inner.acknowledged.iter().find(|a| a.begin > since && a.by != from).map(|a| a.end)
    }

    /// When the first of the reads began that were begun after a moment and worked.
    pub(super) fn first_read_after(&self, since: Duration) -> Option<Duration> {
        self.open().reads.iter().find(|begin| **begin > since).copied()
    }

    /// The same of logins.
    pub(super) fn first_login_after(&self, since: Duration) -> Option<Duration> {
        self.open().logins.iter().find(|begin| **begin > since).copied()
    }

    /// All acknowledged rows.
    pub(super) fn rows(&self) -> BTreeSet<i64> {
        self.open().acknowledged.iter().map(|a| a.row).collect()
    }

    /// The nodes that take writes by the last sample, where that was taken after a moment.
    pub(super) fn leading_after(&self, since: Duration) -> Option<Vec<String>> {
        let inner = self.open();
        inner.leading.last().filter(|(at, _)| *at > since).map(|(_, nodes)| nodes.clone())
    }

    /// The most nodes that took writes in one sample.
    pub(super) fn max_leading(&self) -> usize {
        self.open().max_leading
    }

    /// How often all nodes were asked.
    pub(super) fn samples(&self) -> u64 {
        self.open().samples
    }

    /// Which nodes took writes from when on, in seconds from a moment: `2.3 s: node-1`.
    pub(super) fn course(&self, since: Duration) -> Vec<String> {
        let inner = self.open();
        let seconds = |at: Duration| at.as_secs_f64() - since.as_secs_f64();
        inner
            .leading
            .iter()
            .map(|(at, nodes)| {
                let nodes = if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") };
                format!("{:.1} s: {nodes}", seconds(*at))
            })
            .collect()
    }

    /// What clients saw, and how often.
    pub(super) fn errors(&self) -> Vec<String> {
        self.open().errors.iter().map(|(what, n)| format!("{what} ({n} times)")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_server_still_takes_is_no_recovery() {
        let ledger = Ledger::new();
        let at = Duration::from_millis;
        for (row, begin, by) in [(1, 10, "a"), (2, 20, "a"), (3, 60, "b")] {
            ledger.acknowledge(row, at(begin), by.to_owned());
        }
        assert_eq!(ledger.server_before(at(15)).as_deref(), Some("a"));
        // The second came after the fault, from the one that was on its way down.
        let third = ledger.taken_over(at(15), "a").unwrap();
        assert!(ledger.taken_over(at(15), "b").is_some_and(|second| second <= third));
        assert_eq!(ledger.taken_over(at(60), "a"), None);
        assert_eq!(ledger.rows().len(), 3);
    }

    #[test]
    fn changes_of_who_leads_are_kept_and_the_worst_moment_counts() {
        let ledger = Ledger::new();
        let at = Duration::from_secs;
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        for (second, nodes) in
            [(1, &["a"][..]), (2, &["a"]), (3, &[]), (4, &["a", "b"]), (5, &["b"])]
        {
            ledger.sample(at(second), names(nodes));
        }
        assert_eq!(ledger.max_leading(), 2);
        assert_eq!(ledger.samples(), 5);
        let course = ["-1.0 s: a", "1.0 s: none", "2.0 s: a, b", "3.0 s: b"];
        assert_eq!(ledger.course(at(2)), course);
        assert_eq!(ledger.leading_after(at(4)), Some(names(&["b"])));
        assert_eq!(ledger.leading_after(at(5)), None);
    }
}
