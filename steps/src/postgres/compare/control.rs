//! The proof tried on what is not equal: one that passes everything proves nothing.

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError};

use super::difference::{self, Notes, of_catalogs, of_rows};
use crate::postgres::names::ident;
use crate::postgres::portrait::{Catalog, Column, Rows, Shape, Sum, Table, sum};

/// Rows of the sample.
const SAMPLE: usize = 1_000;

/// Digests rows of the copy as they are and with one change each: a value less, a row less, a row
/// twice. Every change must be seen. The SQL is that of the proof; only where the rows come from
/// differs.
///
/// # Errors
/// When the proof does not see a change, or in the server's words.
pub(super) async fn rows(
    reader: &Reader,
    table: Option<(&Table, &[Column])>,
) -> Result<String, StepError> {
    let made = made_up();
    tell_apart(reader, "made-up rows", &made).await?;
    let Some((table, columns)) = table else {
        return Ok("no table has rows; made-up rows were told apart".to_owned());
    };
    let Some(changed) = value_in(reader, table, columns).await? else {
        return Ok(format!("{} holds no value; made-up rows were told apart", table.object));
    };
    tell_apart(reader, &table.object, &changes(table, columns, &changed)).await?;
    Ok(format!(
        "one value changed, one row less and one row twice were each seen in {}",
        table.object
    ))
}

async fn tell_apart(reader: &Reader, what: &str, all: &[Rows]) -> Result<(), StepError> {
    let mut sums: Vec<Sum> = Vec::new();
    for rows in all {
        sums.push(sum(reader, rows).await.map_err(StepError::from)?);
    }
    let as_it_is = sums.first().copied().unwrap_or_default();
    let again = match all.first() {
        Some(rows) => sum(reader, rows).await.map_err(StepError::from)?,
        None => as_it_is,
    };
    if again != as_it_is {
        return Err(failed(&format!("{what} had another digest when they were read again")));
    }
    for (number, sum) in sums.iter().enumerate() {
        let twin = sums[..number].iter().any(|other| of_rows(what, *other, *sum).is_none());
        if twin {
            return Err(failed(&format!("a change in {what} was not seen")));
        }
    }
    Ok(())
}

fn failed(what: &str) -> StepError {
    StepError::failed(format!("the proof's control failed: {what}"))
        .with_help("this server digests in a way that proves nothing; please report it")
}

/// Rows that differ in what is easily overlooked.
fn made_up() -> Vec<Rows> {
    let columns: Vec<Column> = [("a", Shape::Fixed), ("b", Shape::Free), ("c", Shape::Other)]
        .iter()
        .map(|(name, shape)| Column { name: (*name).to_owned(), shape: *shape })
        .collect();
    [
        "(1, 'x', array['y'])",
        "(2, 'x', array['y'])",
        "(1, '', array['y'])",
        "(1, null, array['y'])",
        "(1, 'x', null)",
        "(1, 'x', array[null])",
        "(1, 'x|', array['y'])",
        "(1, 'x ', array['y'])",
        "(1, 'X', array['y'])",
        "(1, 'x', array['y']), (1, 'x', array['y'])",
    ]
    .iter()
    .map(|values| Rows {
        from: format!(
            "(select a::int8, b::text, c::text[] from (values {values}) as v (a, b, c)) as t"
        ),
        columns: columns.clone(),
    })
    .collect()
}

/// A column of a sample of a table that holds a value somewhere.
async fn value_in(
    reader: &Reader,
    table: &Table,
    columns: &[Column],
) -> Result<Option<String>, SqlError> {
    if columns.is_empty() {
        return Ok(None);
    }
    let each: Vec<String> = columns
        .iter()
        .map(|c| format!("count(*) filter (where {} is distinct from null) > 0", ident(&c.name)))
        .collect();
    let sql = format!("select array[{}] from {}", each.join(", "), sample(table));
    let found = reader.rows(&sql, &[]).await?;
    let has: Vec<bool> = found.first().map(|row| row.get(0)).unwrap_or_default();
    Ok(columns.iter().zip(has).find(|(_, has)| *has).map(|(column, _)| column.name.clone()))
}

fn sample(table: &Table) -> String {
    format!("(select * from only {} order by ctid limit {SAMPLE}) as s", table.name)
}

/// The sample as it is, with one value less, with one row less, with one row twice.
fn changes(table: &Table, columns: &[Column], changed: &str) -> Vec<Rows> {
    let names: Vec<String> = columns.iter().map(|c| ident(&c.name)).collect();
    let number = ident("workplan control");
    let rows = |select: &[String], filter: &str, extra: &str| {
        let list = select.join(", ");
        // The first row is one that holds a value in the changed column.
        let numbered = format!(
            "(select *, row_number() over (order by {} is not distinct from null) as {number} \
             from {}) as n",
            ident(changed),
            sample(table)
        );
        let more = if extra.is_empty() {
            String::new()
        } else {
            format!(" union all select {list} from {numbered} where {extra}")
        };
        Rows {
            from: format!("(select {list} from {numbered} where {filter}{more}) as t"),
            columns: columns.to_vec(),
        }
    };
    let less: Vec<String> = names
        .iter()
        .map(|name| {
            if *name == ident(changed) {
                format!("case when {number} = 1 then null else {name} end as {name}")
            } else {
                name.clone()
            }
        })
        .collect();
    vec![
        rows(&names, "true", ""),
        rows(&less, "true", ""),
        rows(&names, &format!("{number} > 1"), ""),
        rows(&names, "true", &format!("{number} = 1")),
    ]
}

/// Changes one property of the copy's catalog; it must be the one difference more.
///
/// # Errors
/// When it is not seen.
pub(super) fn catalogs(from: &Catalog, to: &Catalog) -> Result<(), StepError> {
    let before = of_catalogs(from, to, &mut Notes::new());
    let mut changed = to.clone();
    // One that is equal now, so that the change makes a difference that was not there.
    let object = changed.iter_mut().find(|(name, object)| from.get(*name) == Some(*object));
    let Some((name, object)) = object else { return Ok(()) };
    let Some((facet, value)) = object.facets.iter_mut().next() else { return Ok(()) };
    value.value.push_str(" (changed)");
    let wanted = (name.clone(), facet.clone());
    let after = of_catalogs(from, &changed, &mut Notes::new());
    let new: Vec<&difference::Difference> = after.iter().filter(|d| !before.contains(d)).collect();
    match new.as_slice() {
        [one] if (one.object.as_str(), one.kind.as_str()) == (&*wanted.0, &*wanted.1) => Ok(()),
        _ => Err(failed(&format!("a changed `{}` of {} was not seen", wanted.1, wanted.0))),
    }
}
