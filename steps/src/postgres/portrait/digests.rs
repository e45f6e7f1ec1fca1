//! Digests of tables, several at a time.

use futures_util::future::try_join_all;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, Row, SqlError};

use super::frozen::{Frozen, LONG};
use super::tables::{Rows, Table};

/// How many rows, and the sums of their two hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: i64,
    one: i128,
    two: i128,
}

impl Sum {
    /// From three columns of a row.
    pub(crate) fn of(row: &Row, first: usize) -> Self {
        let sum = |at: usize| row.get::<_, &str>(at).parse().unwrap_or_default();
        Self { rows: row.get(first), one: sum(first + 1), two: sum(first + 2) }
    }

    /// 128 bits as hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        let low = |sum: i128| sum.rem_euclid(1 << 64);
        format!("{:016x}{:016x}", low(self.one), low(self.two))
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.one = self.one.wrapping_add(other.one);
        self.two = self.two.wrapping_add(other.two);
    }
}

/// Digests tables with all sessions of a side; the sums come in the order of the tables.
///
/// # Errors
/// In the server's words, with the table.
pub(crate) async fn digest_all(
    frozen: &Frozen,
    tables: &[(&Table, Rows)],
) -> Result<Vec<Sum>, StepError> {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    // The longest first, so that no session ends up alone with it.
    order.sort_by_key(|ix| std::cmp::Reverse(tables[*ix].0.bytes));
    let next = AtomicUsize::new(0);
    let worker = async |reader: &Reader| {
        let mut done = Vec::new();
        while let Some(ix) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let (table, rows) = &tables[ix];
            let sum = sum(reader, rows).await.map_err(|error| in_words(table, &error))?;
            done.push((ix, sum));
        }
        Ok::<_, StepError>(done)
    };
    let done = try_join_all(frozen.readers().map(worker)).await?;
    let mut sums = vec![Sum::default(); tables.len()];
    done.into_iter().flatten().for_each(|(ix, sum)| sums[ix] = sum);
    Ok(sums)
}

/// Digests one table or part of one.
///
/// # Errors
/// In the server's words.
pub(crate) async fn sum(reader: &Reader, rows: &Rows) -> Result<Sum, SqlError> {
    let found = reader.rows_within(LONG, &rows.sum(), &[]).await?;
    Ok(found.first().map(|row| Sum::of(row, 0)).unwrap_or_default())
}

fn in_words(table: &Table, error: &SqlError) -> StepError {
    let failed = StepError::failed(format!("{} cannot be read: {error}", table.object));
    match error.code() {
        Some("42501") => failed.with_help(
            "compare as a superuser, or as a member of `pg_read_all_data` who bypasses row security",
        ),
        // A row as text is longer than a gigabyte.
        Some("54000") => failed.with_help("a row of it is too large to be read as text"),
        _ => failed,
    }
}
