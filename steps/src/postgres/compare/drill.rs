//! From a table that differs to the rows that do.

use std::collections::{BTreeMap, HashMap};

use workplan_platform::sql::{Reader, SqlError};

use super::difference::Difference;
use crate::postgres::portrait::{Frozen, LONG, Rows, Sum, ident_if_needed};

/// The most rows of a table that are told.
const TOLD: usize = 10;
/// The most rows of one part that are looked at.
const LOOKED_AT: usize = 5_000;
/// Rows that a part should have.
const PART: i64 = 500;
/// The most parts.
const PARTS: i64 = 65_536;

/// A row that is not on the other side.
struct Lone {
    key: Option<String>,
    place: String,
    columns: Vec<i64>,
}

/// The rows that differ, at most [`TOLD`] of them.
///
/// Rows are put into parts by their hash, and the parts summed on both sides; parts with other sums
/// are read. A row that was changed lies in one part before and in another one now.
///
/// # Errors
/// In the server's words.
pub(super) async fn rows(
    object: &str,
    from: (&Frozen, &Rows),
    to: (&Frozen, &Rows),
    key: &[String],
    count: i64,
) -> Result<Vec<Difference>, SqlError> {
    let parts = (count / PART).clamp(1, PARTS);
    let parts = i64::try_from(u64::try_from(parts).unwrap_or(1).next_power_of_two()).unwrap_or(1);
    let (here, there) =
        tokio::try_join!(sums(from.0.leader(), from.1, parts), sums(to.0.leader(), to.1, parts))?;
    let mut differing: Vec<i64> = here
        .keys()
        .chain(there.keys())
        .copied()
        .filter(|part| here.get(part) != there.get(part))
        .collect();
    differing.sort_unstable();
    differing.dedup();
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for part in differing {
        let (a, b) = tokio::try_join!(
            read(from.0.leader(), from.1, parts, part, key),
            read(to.0.leader(), to.1, parts, part, key)
        )?;
        let (lone_a, lone_b) = unmatched(a, b);
        gone.extend(lone_a);
        new.extend(lone_b);
        if gone.len() + new.len() >= 2 * TOLD {
            break;
        }
    }
    Ok(in_words(object, from.1, gone, new))
}

async fn sums(reader: &Reader, rows: &Rows, parts: i64) -> Result<BTreeMap<i64, Sum>, SqlError> {
    let found = reader.rows_within(LONG, &rows.sums(parts), &[]).await?;
    Ok(found.iter().map(|row| (row.get(0), Sum::of(row, 1))).collect())
}

type Hashed = ((i64, i64), Lone);

async fn read(
    reader: &Reader,
    rows: &Rows,
    parts: i64,
    part: i64,
    key: &[String],
) -> Result<Vec<Hashed>, SqlError> {
    let sql = rows.part(parts, part, key, LOOKED_AT);
    let found = reader.rows_within(LONG, &sql, &[]).await?;
    Ok(found
        .iter()
        .map(|row| {
            let place: Option<String> = row.get(3);
            let lone =
                Lone { key: row.get(2), place: place.unwrap_or_default(), columns: row.get(4) };
            ((row.get(0), row.get(1)), lone)
        })
        .collect())
}

/// Takes out what is on both sides as often.
fn unmatched(a: Vec<Hashed>, b: Vec<Hashed>) -> (Vec<Lone>, Vec<Lone>) {
    let mut there: HashMap<(i64, i64), Vec<Lone>> = HashMap::new();
    for (hash, row) in b {
        there.entry(hash).or_default().push(row);
    }
    let mut lone = Vec::new();
    for (hash, row) in a {
        if there.get_mut(&hash).and_then(Vec::pop).is_none() {
            lone.push(row);
        }
    }
    (lone, there.into_values().flatten().collect())
}

/// Rows with the same key on both sides were changed; all others are on one side.
fn in_words(object: &str, rows: &Rows, gone: Vec<Lone>, new: Vec<Lone>) -> Vec<Difference> {
    let mut by_key: BTreeMap<String, Lone> = BTreeMap::new();
    let mut out = Vec::new();
    let mut others = Vec::new();
    for row in new {
        match row.key.clone() {
            Some(key) => drop(by_key.insert(key, row)),
            None => others.push(row),
        }
    }
    let where_it_is = |row: &Lone| match &row.key {
        Some(key) => key.clone(),
        None => format!("at {}", row.place),
    };
    for row in gone {
        let other = row.key.as_ref().and_then(|key| by_key.remove(key));
        let detail = match other {
            Some(other) => {
                let changed: Vec<String> = rows
                    .columns
                    .iter()
                    .zip(row.columns.iter().zip(&other.columns))
                    .filter(|(_, (a, b))| a != b)
                    .map(|(column, _)| ident_if_needed(&column.name))
                    .collect();
                format!("{}: differs in {}", where_it_is(&row), changed.join(", "))
            }
            None => format!("{}: in the source only", where_it_is(&row)),
        };
        out.push(Difference::new(object, "row", detail));
    }
    for row in by_key.into_values().chain(others) {
        let detail = format!("{}: in the copy only", where_it_is(&row));
        out.push(Difference::new(object, "row", detail));
    }
    out.sort();
    out.truncate(TOLD);
    out
}
