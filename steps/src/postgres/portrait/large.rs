//! Large objects, as rows of a table that there is not.

use workplan_platform::sql::SqlError;

use super::catalog::Roles;
use super::frozen::Frozen;
use super::tables::{Column, Rows, Shape};
use crate::postgres::names::literal;

/// How many large objects there are.
///
/// # Errors
/// In the server's words.
pub(crate) async fn count(frozen: &Frozen) -> Result<i64, SqlError> {
    let sql = "select count(*) from pg_largeobject_metadata";
    let rows = frozen.leader().rows(sql, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// Large objects with owner, rights, comment and content.
///
/// The content is read through the interface and not page by page: a hole and a page of zeros are
/// the same content.
pub(crate) fn rows(roles: &Roles) -> Rows {
    let named = |oid: &str| {
        let name = format!("pg_get_userbyid({oid})");
        let cases: String = roles
            .iter()
            .map(|(old, new)| format!(" when {} then {}", literal(old), literal(new)))
            .collect();
        if cases.is_empty() { name } else { format!("case {name}{cases} else {name}::text end") }
    };
    let from = format!(
        "(select m.oid, {owner}::text as owner, \
            (select string_agg(p, ', ' order by p collate \"C\") from ( \
                select case when g.grantee = 0 then 'public' else {grantee}::text end \
                    || '=' || g.privilege_type || g.is_grantable::text as p \
                from aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) g) x) as privileges, \
            obj_description(m.oid, 'pg_largeobject') as comment, \
            coalesce(s.size, 0) as size, \
            (select string_agg(encode(sha256(lo_get(m.oid, o, 1048576)), 'hex'), '' order by o) \
             from generate_series(0::int8, coalesce(s.size, 0), 1048576) o) as content, \
            null::tid as ctid \
         from pg_largeobject_metadata m left join lateral ( \
            select pageno::int8 * (current_setting('block_size')::int8 / 4) + length(data) as size \
            from pg_largeobject l where l.loid = m.oid order by pageno desc limit 1) s on true) as t",
        owner = named("m.lomowner"),
        grantee = named("g.grantee"),
    );
    let column = |name: &str, shape| Column { name: name.to_owned(), shape };
    let columns = vec![
        column("comment", Shape::Free),
        column("content", Shape::Free),
        column("oid", Shape::Fixed),
        column("owner", Shape::Free),
        column("privileges", Shape::Free),
        column("size", Shape::Fixed),
    ];
    Rows { from, columns }
}
