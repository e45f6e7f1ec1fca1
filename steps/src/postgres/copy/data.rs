//! Rows, by parallel streams from server to server.

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError, Writer};

use crate::postgres::names::{ident, literal};
use crate::postgres::portrait::{Frozen, Table, tables};

/// Settings of the sessions that write: values are read as the source's sessions write them, and
/// nothing waits for the disk before the end.
pub(super) const PINNED: &str = "\
    set search_path = ''; \
    set timezone = 'UTC'; \
    set datestyle = 'ISO, YMD'; \
    set intervalstyle = 'postgres'; \
    set lc_monetary = 'C'; \
    set xmloption = content; \
    set standard_conforming_strings = on; \
    set check_function_bodies = off; \
    set row_security = off; \
    set synchronous_commit = off; \
    set client_min_messages = warning; \
    set statement_timeout = 0; \
    set lock_timeout = 0; \
    set idle_in_transaction_session_timeout = 0; \
    set client_encoding = 'UTF8'";

/// A table of at least this many bytes is copied in pieces, by several streams.
const LARGE: i64 = 256 * 1024 * 1024;
/// Bytes of one piece.
const PIECE: i64 = 128 * 1024 * 1024;
/// Bytes that are handed on at once: the source sends every row by itself.
const CHUNK: usize = 128 * 1024;

/// What went over.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) tables: usize,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// One stream's work.
struct Piece<'a> {
    table: &'a Table,
    /// Columns that are copied, as SQL lists them: none in brackets where there are none.
    columns: String,
    /// What is read of it.
    from: String,
    /// What is written to.
    into: String,
    /// The table is empty and nobody else writes to it: rows are put in frozen, so that nothing
    /// has to be written a second time.
    whole: bool,
    weight: i64,
}

/// Copies the rows of all tables.
///
/// # Errors
/// In the words of the server that said no, with the table.
pub(super) async fn rows(
    frozen: &Frozen,
    writers: &[Writer],
    encoding: &str,
) -> Result<Moved, StepError> {
    let tables = tables(frozen).await?;
    let generated = generated(frozen.leader()).await?;
    let extensions = of_extensions(frozen.leader()).await?;
    let block = block_size(frozen.leader()).await?;
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut count = 0;
    for table in tables.values().filter(|table| !table.derived) {
        let filter = match extensions.get(&table.object) {
            // What an extension keeps for itself comes with the extension.
            Some(None) => continue,
            Some(Some(filter)) => Some(filter.as_str()),
            None => None,
        };
        count += 1;
        pieces.extend(pieces_of(table, &generated, filter, block));
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.weight));
    let (next, rows, bytes) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let worker = async |(reader, writer): (&Reader, &Writer)| {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let moved = stream(reader, writer, piece, encoding).await?;
            rows.fetch_add(moved.rows, Ordering::Relaxed);
            bytes.fetch_add(moved.bytes, Ordering::Relaxed);
        }
        Ok::<_, StepError>(())
    };
    try_join_all(frozen.readers().zip(writers).map(worker)).await?;
    Ok(Moved { tables: count, rows: rows.into_inner(), bytes: bytes.into_inner() })
}

/// Columns that the server computes itself, by table.
async fn generated(reader: &Reader) -> Result<BTreeMap<String, Vec<String>>, SqlError> {
    let sql = "select i.type || ' ' || i.identity, \
                   array_agg(a.attname::text) \
               from pg_attribute a join pg_class c on c.oid = a.attrelid, \
               lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i \
               where a.attgenerated <> '' and not a.attisdropped and c.relkind = 'r' group by 1";
    let rows = reader.rows(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Tables of extensions: those whose rows belong to the user, with the condition that says which,
/// and all others.
async fn of_extensions(reader: &Reader) -> Result<BTreeMap<String, Option<String>>, SqlError> {
    let sql = "select i.type || ' ' || i.identity, \
                   (select x.extcondition[k.o] from pg_extension x, \
                       unnest(x.extconfig) with ordinality k(c, o) \
                    where x.oid = d.refobjid and k.c = d.objid) \
               from pg_depend d join pg_class c on c.oid = d.objid and c.relkind = 'r', \
               lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i \
               where d.classid = 'pg_class'::regclass and d.deptype = 'e'";
    let rows = reader.rows(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn block_size(reader: &Reader) -> Result<i64, SqlError> {
    let rows = reader.rows("select current_setting('block_size')::int8", &[]).await?;
    Ok(rows.first().map_or(8192, |row| row.get(0)))
}

fn pieces_of<'a>(
    table: &'a Table,
    generated: &BTreeMap<String, Vec<String>>,
    filter: Option<&str>,
    block: i64,
) -> Vec<Piece<'a>> {
    let computed = generated.get(&table.object).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !computed.contains(&column.name))
        .map(|column| ident(&column.name))
        .collect();
    let list = names.join(", ");
    let columns = if names.is_empty() { String::new() } else { format!("({list})") };
    // Where a hash decides about the partition, the target's decides anew.
    let root = table.spread.as_deref().and_then(|root| root.strip_prefix("table "));
    let piece = |from: String, whole: bool, weight: i64| Piece {
        table,
        columns: columns.clone(),
        from,
        into: root.unwrap_or(&table.name).to_owned(),
        whole,
        weight,
    };
    if let Some(filter) = filter {
        // The condition is the extension's own SQL, `WHERE` included.
        let from = format!("(select {list} from only {} {filter})", table.name);
        return vec![piece(from, false, table.bytes)];
    }
    let count = table.bytes / PIECE;
    let pages = table.main / block.max(1);
    if table.bytes < LARGE || count < 2 || pages < count || !table.ranges || names.is_empty() {
        let from = format!("{} {columns}", table.name);
        return vec![piece(from, root.is_none(), table.bytes)];
    }
    (0..count)
        .map(|n| {
            let edge = |n: i64| literal(&format!("({},0)", pages * n / count));
            // Pages that were added since the sizes were read are in the last one.
            let end = if n + 1 < count {
                format!(" and ctid < {}::tid", edge(n + 1))
            } else {
                String::new()
            };
            let from = format!(
                "(select {list} from only {} where ctid >= {}::tid{end})",
                table.name,
                edge(n)
            );
            piece(from, false, table.bytes / count)
        })
        .collect()
}

/// Hands the rows of one piece on.
async fn stream(
    reader: &Reader,
    writer: &Writer,
    piece: &Piece<'_>,
    encoding: &str,
) -> Result<Moved, StepError> {
    let moved = try_stream(reader, writer, piece, encoding).await;
    moved.map_err(|error| {
        let what = format!("{} could not be copied: {error}", piece.table.object);
        let failed = StepError::failed(what);
        match error.code() {
            Some("53100") => failed.with_help("make room on the target's disk"),
            Some("22021" | "22P05") => failed.with_help(
                "text in the source is not of the source's own encoding; find and correct it there",
            ),
            Some("42501") => failed.with_help("copy as a superuser of both servers"),
            _ => failed,
        }
    })
}

async fn try_stream(
    reader: &Reader,
    writer: &Writer,
    piece: &Piece<'_>,
    encoding: &str,
) -> Result<Moved, SqlError> {
    let out = format!("copy {} to stdout (encoding {})", piece.from, literal(encoding));
    let freeze = if piece.whole {
        let sql = format!("begin; truncate only {}", piece.into);
        writer.client().batch_execute(&sql).await.map_err(|e| writer.error(&e))?;
        ", freeze"
    } else {
        ""
    };
    let into = format!(
        "copy {} {} from stdin (encoding {}{freeze})",
        piece.into,
        piece.columns,
        literal(encoding)
    );
    let source = reader.client().copy_out(&out).await.map_err(|e| reader.error(&e))?;
    let sink = writer.client().copy_in::<_, Bytes>(&into).await.map_err(|e| writer.error(&e))?;
    let (mut source, mut sink) = (pin!(source), pin!(sink));
    let mut waiting = BytesMut::with_capacity(2 * CHUNK);
    let mut bytes = 0;
    while let Some(row) = source.next().await {
        let row = row.map_err(|e| reader.error(&e))?;
        bytes += u64::try_from(row.len()).unwrap_or_default();
        waiting.extend_from_slice(&row);
        if waiting.len() >= CHUNK {
            let chunk = waiting.split().freeze();
            sink.feed(chunk).await.map_err(|e| writer.error(&e))?;
        }
    }
    if !waiting.is_empty() {
        sink.feed(waiting.freeze()).await.map_err(|e| writer.error(&e))?;
    }
    let rows = sink.as_mut().finish().await.map_err(|e| writer.error(&e))?;
    if piece.whole {
        writer.client().batch_execute("commit").await.map_err(|e| writer.error(&e))?;
    }
    Ok(Moved { tables: 0, rows, bytes })
}
