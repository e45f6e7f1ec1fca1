//! Rows and sequences of one database.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use workplan_platform::sql::{Reader, Row};

use crate::exit;
use crate::failure::Failure;
use crate::lab::digest::no;

/// Tables of Gitea in which a check of it writes, and takes its rows away again. How often a check
/// was made shows in their sequences and must not show here; that a sequence is not behind its
/// column must.
const CHECKED: &[&str] = &[
    "access",
    "action",
    "branch",
    "collaboration",
    "language_stat",
    "repo_indexer_status",
    "repo_license",
    "repo_unit",
    "repository",
    "watch",
];

/// Columns of Gitea's table `user` that a login of the administrator writes, who is who checks.
const LOGINS: &[&str] = &["last_login_unix", "updated_unix"];

/// Rows of each table, by their number and a digest that knows no order.
pub(super) async fn tables(reader: &Reader) -> Result<BTreeMap<String, Value>, Failure> {
    // repmgr's own tables move by themselves.
    let found = reader
        .rows(
            "select c.oid::regclass::text, n.nspname = 'repmgr',
                array_agg(a.attname::text order by a.attnum) filter (where a.attname is not null),
                n.nspname = 'public' and c.relname = 'user'
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
                left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             where c.relkind in ('r', 'm') and c.relispopulated
                and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
             group by 1, 2, 4",
            &[],
        )
        .await
        .map_err(no)?;
    let mut out = BTreeMap::new();
    for row in found {
        let (table, own): (String, bool) = (row.get(0), row.get(1));
        let columns: Vec<String> = row.get::<_, Option<Vec<String>>>(2).unwrap_or_default();
        if own {
            continue;
        }
        let query = digest_query(&table, &columns, row.get(3));
        let counted = one(reader, &query).await?;
        let digest: String = counted.get(1);
        out.insert(table, json!({"rows": counted.get::<_, i64>(0), "digest": digest}));
    }
    Ok(out)
}

/// Two sums of 64-bit digests of the rows as text; `NULL` and `''` differ in it.
fn digest_query(table: &str, columns: &[String], of_users: bool) -> String {
    let admins = of_users && columns.iter().any(|c| c == "is_admin");
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = format!("\"{}\"", column.replace('"', "\"\""));
            if admins && LOGINS.contains(&column.as_str()) {
                format!("case when is_admin then 0 else {name} end")
            } else {
                name
            }
        })
        .collect();
    format!(
        "select count(*), coalesce(sum(hashtextextended(line, 1)), 0)::text || '/'
            || coalesce(sum(hashtextextended(line, 2)), 0)::text
         from (select row({})::text collate \"C\" as line from only {table}) as lines",
        columns.join(", ")
    )
}

/// Where each sequence stands.
pub(super) async fn sequences(reader: &Reader) -> Result<BTreeMap<String, Value>, Failure> {
    let found = reader
        .rows(
            "select s.seqrelid::regclass::text, pg_sequence_last_value(s.seqrelid),
                d.refobjid::regclass::text, a.attname::text, t.relname::text
             from pg_sequence s
                left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid
                    and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
                left join pg_class t on t.oid = d.refobjid
                left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
             where s.seqrelid::regclass::text not like 'repmgr.%'",
            &[],
        )
        .await
        .map_err(no)?;
    let mut out = BTreeMap::new();
    for row in found {
        let (sequence, last): (String, Option<i64>) = (row.get(0), row.get(1));
        let owner: Option<(String, String)> =
            row.get::<_, Option<String>>(2).zip(row.get::<_, Option<String>>(3));
        let table: Option<&str> = row.get(4);
        let stands = match owner {
            Some((owner, column)) if table.is_some_and(|t| CHECKED.contains(&t)) => {
                let query = format!(
                    "select max(\"{}\")::bigint from only {owner}",
                    column.replace('"', "\"\"")
                );
                let most = one(reader, &query).await?;
                let most: Option<i64> = most.get(0);
                json!(if last >= most { "not behind its column" } else { "behind its column" })
            }
            _ => json!(last),
        };
        out.insert(sequence, stands);
    }
    Ok(out)
}

/// The one row of a query that gives one.
async fn one(reader: &Reader, query: &str) -> Result<Row, Failure> {
    let mut rows = reader.rows(query, &[]).await.map_err(no)?;
    rows.pop().ok_or_else(|| Failure::new(exit::INTERNAL, format!("no row from `{query}`")))
}
