//! What is in a database, by digests that do not depend on the order of rows.
//!
//! The same statements run on the source, in the snapshot of the dump, and on the restored copy.
//! A row's digest is MD5 of its text with all settings pinned that change how values are written;
//! a table's are the two sums of its rows' digests, taken as two numbers of 64 bits. Addition
//! tells two equal rows from none, which exclusive-or would not. Rows of tables that belong to
//! an extension count only where the extension says that they are data.

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError};

use super::cipher::DigestKey;
use super::manifest::{Content, LargeObjects, Position, Sequence, Table};
use super::tools::quoted;

/// Settings on which the text of values depends, and those that would cut a reader short.
pub(super) const PINNED: &str = "\
    set search_path = pg_catalog; \
    set client_encoding = 'UTF8'; \
    set timezone = 'UTC'; \
    set datestyle = 'ISO, MDY'; \
    set intervalstyle = 'postgres'; \
    set extra_float_digits = 1; \
    set bytea_output = 'hex'; \
    set lc_monetary = 'C'; \
    set row_security = off; \
    set standard_conforming_strings = on; \
    set quote_all_identifiers = off; \
    set jit = off; \
    set statement_timeout = 0; \
    set lock_timeout = '60s'; \
    set idle_in_transaction_session_timeout = 0";

/// Tables with rows of their own: no parents of partitions, no foreign tables. Materialised views
/// are made anew by a restore, from these.
const TABLES: &str = "\
    select n.nspname::text, c.relname::text, coalesce(x.condition, '') \
    from pg_class c \
    join pg_namespace n on n.oid = c.relnamespace \
    left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid \
        and d.objsubid = 0 and d.deptype = 'e' \
    left join pg_extension e on e.oid = d.refobjid \
    left join lateral ( \
        select u.condition from unnest(e.extconfig, e.extcondition) u (table_oid, condition) \
        where u.table_oid = c.oid) x on true \
    where c.relkind = 'r' and c.relpersistence <> 't' \
        and n.nspname not in ('pg_catalog', 'information_schema') \
        and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp%' \
        and (d.objid is null or c.oid = any (e.extconfig)) \
    order by 1, 2";

const SEQUENCES: &str = "\
    select n.nspname::text, c.relname::text \
    from pg_class c \
    join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind = 'S' and c.relpersistence <> 't' \
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass \
            and d.objid = c.oid and d.deptype = 'e') \
    order by 1, 2";

/// Their pages, without the zero bytes at the end of each: a hole reads as zeros and may be stored
/// or not.
const LARGE_OBJECTS: &str = "\
    select (select count(*) from pg_largeobject_metadata)::bigint, \
        coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint::numeric), 0)::text || ' ' || \
        coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint::numeric), 0)::text \
    from (select md5(loid::text || ' ' || pageno::text || ' ' || \
            md5(rtrim(data, '\\x00'::bytea))) as h \
        from pg_largeobject where rtrim(data, '\\x00'::bytea) <> ''::bytea) pages";

/// Sequences asked in one statement.
const BATCH: usize = 200;

/// The tables, the large objects, and the sequences as they stand now.
///
/// # Errors
/// When the server says no or does not answer.
pub(super) async fn read(reader: &Reader, key: &DigestKey) -> Result<Content, StepError> {
    let mut tables = Vec::new();
    for row in reader.rows(TABLES, &[]).await? {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let (rows, digest) = rows(reader, &schema, &name, row.get(2)).await?;
        let hmac = key.of(&["table", &schema, &name, &rows.to_string(), &digest]);
        tables.push(Table { schema, name, rows, hmac });
    }
    let large_objects = large_objects(reader, key).await?;
    let sequences = sequences(reader).await?;
    Ok(Content { tables, sequences, large_objects })
}

/// Number and digest of a table's rows.
async fn rows(
    reader: &Reader,
    schema: &str,
    name: &str,
    condition: &str,
) -> Result<(u64, String), StepError> {
    let sql = format!(
        "select count(*)::bigint, \
            coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint::numeric), 0)::text || ' ' || \
            coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint::numeric), 0)::text \
         from (select md5((t.*)::text) as h from only {}.{} t {condition}) hashes",
        quoted(schema),
        quoted(name),
    );
    let found = reader.rows(&sql, &[]).await.map_err(|error| {
        let mut error = StepError::from(error);
        error.what = format!("failed to read the table `{schema}.{name}`: {}", error.what);
        error
    })?;
    match found.first() {
        Some(row) => Ok((unsigned(row.get(0)), row.get(1))),
        None => Err(StepError::failed(format!("`{schema}.{name}` was counted without an answer"))),
    }
}

/// Where all sequences stand. It is asked again after a dump, see [`settle`].
///
/// # Errors
/// When the server says no or does not answer.
pub(super) async fn sequences(reader: &Reader) -> Result<Vec<Sequence>, StepError> {
    let names: Vec<(String, String)> =
        reader.rows(SEQUENCES, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut found = Vec::new();
    for batch in names.chunks(BATCH) {
        let selects: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(index, (schema, name))| {
                let sequence = format!("{}.{}", quoted(schema), quoted(name));
                format!("select {index}, last_value, is_called from {sequence}")
            })
            .collect();
        let sql = format!("{} order by 1", selects.join(" union all "));
        for (row, (schema, name)) in reader.rows(&sql, &[]).await?.iter().zip(batch) {
            let at = Position { last_value: row.get(1), is_called: row.get(2) };
            let (schema, name) = (schema.clone(), name.clone());
            found.push(Sequence { schema, name, from: at, to: at });
        }
    }
    Ok(found)
}

/// Notes where the sequences of a dump stood after it. Those that are new since are not in it.
pub(super) fn settle(content: &mut Content, after: &[Sequence]) {
    for sequence in &mut content.sequences {
        let same = |s: &&Sequence| s.schema == sequence.schema && s.name == sequence.name;
        if let Some(after) = after.iter().find(same) {
            sequence.to = after.to;
        }
    }
}

async fn large_objects(reader: &Reader, key: &DigestKey) -> Result<LargeObjects, StepError> {
    let found = match reader.rows(LARGE_OBJECTS, &[]).await {
        // Only a superuser may read their pages; nobody else can dump them either.
        Err(error) if error.code() == Some("42501") => return without_pages(reader, error).await,
        other => other?,
    };
    let Some(row) = found.first() else { return Ok(LargeObjects::default()) };
    let (count, digest): (i64, String) = (row.get(0), row.get(1));
    let count = unsigned(count);
    let hmac = key.of(&["large objects", &count.to_string(), &digest]);
    Ok(LargeObjects { count, hmac })
}

async fn without_pages(reader: &Reader, denied: SqlError) -> Result<LargeObjects, StepError> {
    let count = "select count(*)::bigint from pg_largeobject_metadata";
    match reader.rows(count, &[]).await?.first().map(|row| row.get::<_, i64>(0)) {
        Some(0) => Ok(LargeObjects::default()),
        _ => Err(denied.into()),
    }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// One way in which a restored database is not what was dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) object: String,
    pub(super) kind: &'static str,
    pub(super) detail: String,
}

/// Compares what was dumped with what was restored.
pub(super) fn compare(dumped: &Content, restored: &Content) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |object: String, kind, detail: String| {
        found.push(Difference { object, kind, detail });
    };
    for table in &dumped.tables {
        let object = format!("{}.{}", table.schema, table.name);
        let same = |t: &&Table| t.schema == table.schema && t.name == table.name;
        match restored.tables.iter().find(same) {
            None => differs(object, "table", "it is not in the restored copy".to_owned()),
            Some(copy) if copy.rows != table.rows => {
                let detail = format!("{} rows were dumped, {} restored", table.rows, copy.rows);
                differs(object, "rows", detail);
            }
            Some(copy) if copy.hmac != table.hmac => {
                let detail = format!("{} rows as dumped, but not the same ones", table.rows);
                differs(object, "rows", detail);
            }
            Some(_) => {}
        }
    }
    for table in &restored.tables {
        if !dumped.tables.iter().any(|t| t.schema == table.schema && t.name == table.name) {
            let object = format!("{}.{}", table.schema, table.name);
            differs(object, "table", "it is only in the restored copy".to_owned());
        }
    }
    for sequence in &dumped.sequences {
        let object = format!("{}.{}", sequence.schema, sequence.name);
        let same = |s: &&Sequence| s.schema == sequence.schema && s.name == sequence.name;
        match restored.sequences.iter().find(same) {
            None => differs(object, "sequence", "it is not in the restored copy".to_owned()),
            Some(copy) if !stands_between(copy.from, sequence) => {
                let detail = format!(
                    "it stands at {}, the dump was made between {} and {}",
                    copy.from.last_value, sequence.from.last_value, sequence.to.last_value
                );
                differs(object, "sequence", detail);
            }
            Some(_) => {}
        }
    }
    if dumped.large_objects.count != restored.large_objects.count {
        let (had, has) = (dumped.large_objects.count, restored.large_objects.count);
        differs(
            "large objects".to_owned(),
            "large objects",
            format!("{had} were dumped, {has} restored"),
        );
    } else if dumped.large_objects != restored.large_objects {
        let detail = "as many as dumped, but not the same ones".to_owned();
        differs("large objects".to_owned(), "large objects", detail);
    }
    found
}

fn stands_between(at: Position, sequence: &Sequence) -> bool {
    let (low, high) = (sequence.from.min(sequence.to), sequence.from.max(sequence.to));
    (low..=high).contains(&at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last_value: i64) -> Position {
        Position { last_value, is_called: true }
    }

    fn content(rows: u64, hmac: &str, from: i64, to: i64) -> Content {
        Content {
            tables: vec![Table {
                schema: "s".to_owned(),
                name: "t".to_owned(),
                rows,
                hmac: hmac.to_owned(),
            }],
            sequences: vec![Sequence {
                schema: "s".to_owned(),
                name: "q".to_owned(),
                from: at(from),
                to: at(to),
            }],
            large_objects: LargeObjects::default(),
        }
    }

    #[test]
    fn each_difference_is_named() {
        let dumped = content(2, "a", 5, 7);
        assert!(compare(&dumped, &content(2, "a", 6, 6)).is_empty());
        let says = |restored: &Content| {
            compare(&dumped, restored).into_iter().map(|d| d.kind).collect::<Vec<_>>()
        };
        assert_eq!(says(&content(3, "a", 5, 5)), ["rows"]);
        assert_eq!(says(&content(2, "b", 5, 5)), ["rows"]);
        assert_eq!(says(&content(2, "a", 8, 8)), ["sequence"]);
        assert_eq!(says(&Content::default()), ["table", "sequence"]);
        assert_eq!(compare(&Content::default(), &dumped).len(), 1);
    }
}
