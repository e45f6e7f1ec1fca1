//! Which tables hold rows, and the SQL that digests them.

use std::collections::BTreeMap;

use workplan_platform::sql::SqlError;

use super::frozen::{Frozen, LONG};
use crate::postgres::names::{ident, literal};

/// A table with rows in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// `table public.users`.
    pub(crate) object: String,
    /// It is a materialised view.
    pub(crate) derived: bool,
    /// The partitioned table whose rows lie in its partitions by hash, where this is one of them.
    pub(crate) spread: Option<String>,
    /// As SQL names it.
    pub(crate) name: String,
    /// Bytes on the disk, without indexes.
    pub(crate) bytes: i64,
    /// Those of them that are in its own file, not beside it.
    pub(crate) main: i64,
    /// Whether a range of its pages can be read without the others.
    pub(crate) ranges: bool,
    /// Its columns in their order.
    pub(crate) columns: Vec<Column>,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

/// What a column's values look like as text, which decides how they are put into the text of a row
/// so that no two rows give the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Never holds a `|` and is never empty: numbers, times, addresses.
    Fixed,
    /// Any text; its length goes before it.
    Free,
    /// Bytes; long ones by their SHA-256, because as text they could be longer than a value can be.
    Bytes,
    /// Anything else, written as a part of a row value, with its quotes.
    Other,
}

const FIXED: &[&str] = &[
    "bit",
    "bool",
    "cid",
    "cidr",
    "date",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int8",
    "interval",
    "macaddr",
    "macaddr8",
    "money",
    "numeric",
    "oid",
    "pg_lsn",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varbit",
    "xid",
    "xid8",
];
const FREE: &[&str] = &["bpchar", "name", "text", "varchar"];
/// Bytes from which on a `bytea` is digested by itself.
const LONG_BYTES: u32 = 65_536;
/// The most arguments of one call, with room to spare; the server allows 100.
const ARGUMENTS: usize = 90;
/// The two seeds of the digest: any two numbers, the same on both sides.
const SEEDS: [i64; 2] = [0x776f_726b, 0x706c_616e];

impl Shape {
    /// The shape of a base type of `pg_catalog`; an empty name stands for any other type.
    fn of(base: &str) -> Self {
        match base {
            "bytea" => Self::Bytes,
            base if FIXED.contains(&base) => Self::Fixed,
            base if FREE.contains(&base) => Self::Free,
            _ => Self::Other,
        }
    }
}

/// All tables that hold rows.
///
/// # Errors
/// In the server's words.
pub(crate) async fn tables(frozen: &Frozen) -> Result<BTreeMap<String, Table>, SqlError> {
    let sql = include_str!("catalog/tables.sql");
    let rows = frozen.leader().rows_within(LONG, sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let names: Vec<String> = row.get(5);
            let types: Vec<String> = row.get(6);
            let columns = names
                .into_iter()
                .zip(types)
                .map(|(name, base)| Column { name, shape: Shape::of(&base) })
                .collect();
            let object: String = row.get(0);
            let table = Table {
                object: object.clone(),
                derived: row.get(1),
                spread: row.get(2),
                name: row.get(3),
                bytes: row.get::<_, Option<i64>>(4).unwrap_or_default(),
                main: row.get::<_, Option<i64>>(8).unwrap_or_default(),
                ranges: frozen.about.version >= 140_000 && row.get(9),
                columns,
                key: row.get(7),
            };
            (object, table)
        })
        .collect())
}

/// Rows to be digested: where they come from, and which columns count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// After `FROM`, with the alias `t`.
    pub(crate) from: String,
    /// By name, so that the order of columns does not count.
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// Its own rows, those of no child.
    pub(crate) fn rows(&self, columns: &[Column]) -> Rows {
        let mut columns = columns.to_vec();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        Rows { from: format!("only {} as t", self.name), columns }
    }

    /// The columns that both have, in a shape that both can be written in.
    pub(crate) fn common(&self, other: &Self) -> Vec<Column> {
        self.columns
            .iter()
            .filter_map(|column| {
                let same = other.columns.iter().find(|c| c.name == column.name)?;
                let shape = if same.shape == column.shape { column.shape } else { Shape::Other };
                Some(Column { name: column.name.clone(), shape })
            })
            .collect()
    }
}

impl Rows {
    /// The text of a row. Different rows have different texts: a value of any text has its length
    /// before it, NULL has none, and what else there is stands in a row value with quotes.
    fn text(&self) -> String {
        let mut parts = Vec::new();
        let mut others = Vec::new();
        for column in &self.columns {
            let value = format!("t.{}", ident(&column.name));
            match column.shape {
                Shape::Fixed => parts.push(value),
                Shape::Free => {
                    parts.push(format!("octet_length({value})"));
                    parts.push("':'".to_owned());
                    parts.push(value);
                }
                Shape::Bytes => parts.push(format!(
                    "case when octet_length({value}) > {LONG_BYTES} \
                     then 'sha256:' || encode(sha256({value}), 'hex') \
                     else '\\x' || encode({value}, 'hex') end"
                )),
                Shape::Other => {
                    others.push(value);
                    continue;
                }
            }
            parts.push("'|'".to_owned());
        }
        // A row value of one column is written as such only with `ROW`.
        others.chunks(1000).for_each(|chunk| {
            parts.push(format!("row({})::text", chunk.join(", ")));
        });
        while parts.len() > ARGUMENTS {
            parts = parts.chunks(ARGUMENTS).map(|c| format!("concat({})", c.join(", "))).collect();
        }
        if parts.is_empty() { "''".to_owned() } else { format!("concat({})", parts.join(", ")) }
    }

    /// The rows with their two hashes `h1` and `h2`, and what else is wanted of each.
    fn hashed(&self, more: &str) -> String {
        // `OFFSET 0` keeps the text of a row from being made twice. Any collation that the columns
        // have must not decide about equality.
        format!(
            "select hashtextextended(r, {}) as h1, hashtextextended(r, {}) as h2 {} \
             from (select ({}) collate \"C\" as r {more} from {} offset 0) as x",
            SEEDS[0],
            SEEDS[1],
            if more.is_empty() { "" } else { ", x.*" },
            self.text(),
            self.from
        )
    }

    /// Number of rows and both sums. A sum has no order and counts duplicates; the hash of a row
    /// has 128 bits.
    pub(crate) fn sum(&self) -> String {
        format!(
            "select count(*), coalesce(sum(h1), 0)::text, coalesce(sum(h2), 0)::text from ({}) s",
            self.hashed("")
        )
    }

    /// The same for each of several parts of the rows, told apart by their hashes.
    pub(crate) fn sums(&self, parts: i64) -> String {
        format!(
            "select h1 & {}, count(*), coalesce(sum(h1), 0)::text, coalesce(sum(h2), 0)::text \
             from ({}) s group by 1",
            parts - 1,
            self.hashed("")
        )
    }

    /// The rows of one part: hashes, key, place on the disk, a hash of each column.
    pub(crate) fn part(&self, parts: i64, part: i64, key: &[String], limit: usize) -> String {
        let key = if key.is_empty() {
            "null::text".to_owned()
        } else {
            let each: Vec<String> = key
                .iter()
                .map(|name| {
                    format!("{} || '=' || t.{}::text", literal(&ident_if_needed(name)), ident(name))
                })
                .collect();
            format!("concat_ws(', ', {})", each.join(", "))
        };
        let hashes: Vec<String> = self
            .columns
            .iter()
            .map(|c| format!("hashtextextended(row(t.{})::text collate \"C\", 0)", ident(&c.name)))
            .collect();
        let columns = if hashes.is_empty() {
            "array[]::int8[]".to_owned()
        } else {
            format!("array[{}]", hashes.join(", "))
        };
        let more = format!(", {key} as key, t.ctid::text as place, {columns} as columns");
        format!(
            "select h1, h2, key, place, columns from ({}) s where h1 & {} = {part} limit {limit}",
            self.hashed(&more),
            parts - 1
        )
    }
}

/// A name for people: quoted only where it must be.
pub(crate) fn ident_if_needed(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { ident(name) }
}
