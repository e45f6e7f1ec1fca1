//! Questions that the derived tables answer.

use super::read::{load, run_row};
use super::table::{HISTORY, KV, RUNS};
use super::{HistoryRow, Journal, JournalError, KvRow, RunRow, StoredEvent};

/// States after which nothing is left to do for a run.
const FINAL: &[&str] = &["succeeded", "rolled_back", "abandoned"];

/// Which runs to list; the default lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this workplan.
    pub workplan: Option<String>,
    /// On this target.
    pub target: Option<String>,
    /// Only those that can be resumed, rolled back or abandoned.
    pub unfinished: bool,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

impl RunFilter {
    fn takes(&self, row: &RunRow) -> bool {
        self.workplan.as_ref().is_none_or(|workplan| *workplan == row.workplan)
            && self.target.as_ref().is_none_or(|target| *target == row.target)
            && (!self.unfinished || row.is_unfinished())
    }
}

impl RunRow {
    /// Whether the run can still be resumed, rolled back or abandoned.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        !FINAL.contains(&self.state.as_str())
    }
}

impl Journal {
    /// The runs that the filter takes, newest first.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] and the general ones.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, JournalError> {
        self.ask(|conn| {
            let mut rows = Vec::new();
            RUNS.each(conn, &self.path, |values| {
                let row = RunRow::read(values, &self.path)?;
                if filter.takes(&row) {
                    rows.push(row);
                }
                Ok(())
            })?;
            rows.sort_by_key(|row| std::cmp::Reverse(row.first_seq));
            rows.truncate(filter.limit.unwrap_or(usize::MAX));
            Ok(rows)
        })
    }

    /// The runs on a target that can still be resumed, rolled back or abandoned, newest first.
    ///
    /// # Errors
    /// As [`Journal::runs`].
    pub fn unfinished(&self, target: &str) -> Result<Vec<RunRow>, JournalError> {
        let target = Some(target.to_owned());
        self.runs(&RunFilter { target, unfinished: true, ..RunFilter::default() })
    }

    /// The run with exactly this id.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], and as [`Journal::runs`].
    pub fn run_row(&self, run: &str) -> Result<RunRow, JournalError> {
        self.ask(|conn| run_row(conn, &self.path, run))
    }

    /// The run with this id, or the only one whose id begins so (case is ignored).
    ///
    /// # Errors
    /// [`JournalError::NotFound`], [`JournalError::Ambiguous`], and as [`Journal::runs`].
    pub fn find(&self, prefix: &str) -> Result<RunRow, JournalError> {
        let wanted = prefix.to_ascii_lowercase();
        let mut fitting = self.runs(&RunFilter::default())?;
        fitting
            .retain(|row| !wanted.is_empty() && row.run.to_ascii_lowercase().starts_with(&wanted));
        if let Some(exact) = fitting.iter().position(|row| row.run == prefix) {
            return Ok(fitting.swap_remove(exact));
        }
        if fitting.len() > 1 {
            let runs = fitting.into_iter().map(|row| row.run).collect();
            return Err(JournalError::Ambiguous { prefix: prefix.to_owned(), runs });
        }
        fitting.pop().ok_or_else(|| JournalError::NotFound { run: prefix.to_owned() })
    }

    /// What the last attempt of a step with this meaning came to on this target. The event that
    /// says so is read and its hash checked.
    ///
    /// # Errors
    /// As [`Journal::runs`].
    pub fn history(
        &self,
        target: &str,
        workplan: &str,
        meaning: &str,
        step: &str,
    ) -> Result<Option<HistoryRow>, JournalError> {
        self.ask(|conn| {
            self.verified.once(&HISTORY, conn, &self.path)?;
            let key = [target, workplan, meaning, step];
            let Some((values, _)) = HISTORY.get(conn, &self.path, &key)? else { return Ok(None) };
            let row = HistoryRow::read(values, &self.path)?;
            self.backed(load(conn, &self.path, row.seq)?, &row.run, row.seq, Some(step))?;
            Ok(Some(row))
        })
    }

    /// The event at a position of the whole journal, its own hash checked.
    ///
    /// # Errors
    /// As [`Journal::runs`].
    pub fn event(&self, seq: u64) -> Result<Option<StoredEvent>, JournalError> {
        self.ask(|conn| load(conn, &self.path, seq))
    }

    /// A remembered value. The event that says so is read and its hash checked.
    ///
    /// # Errors
    /// As [`Journal::runs`].
    pub fn kv(&self, key: &str) -> Result<Option<KvRow>, JournalError> {
        self.ask(|conn| {
            self.verified.once(&KV, conn, &self.path)?;
            let Some((values, _)) = KV.get(conn, &self.path, &[key])? else { return Ok(None) };
            let row = KvRow::read(values, &self.path)?;
            self.backed(load(conn, &self.path, row.seq)?, &row.run, row.seq, None)?;
            Ok(Some(row))
        })
    }

    fn backed(
        &self,
        event: Option<StoredEvent>,
        run: &str,
        seq: u64,
        step: Option<&str>,
    ) -> Result<(), JournalError> {
        let fits = |event: StoredEvent| {
            event.run == run && (step.is_none() || event.step.as_deref() == step)
        };
        if event.is_some_and(fits) {
            return Ok(());
        }
        let what = "a derived row rests on it, and it is missing or says something else";
        Err(JournalError::corrupt_at(&self.path, run, seq, what))
    }
}
