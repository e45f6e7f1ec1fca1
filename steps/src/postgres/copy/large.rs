//! Large objects.

use workplan_engine::kind::StepError;
use workplan_platform::sql::Writer;

use crate::postgres::names::{ident, literal};
use crate::postgres::portrait::{Frozen, Roles};

/// Bytes of a large object that go over at once.
const CHUNK: i64 = 1024 * 1024;
/// Small ones that go over at once.
const BATCH: i64 = 500;

/// Copies all large objects under their numbers, with owners, rights and comments. Says how many
/// bytes there were.
///
/// # Errors
/// In the servers' words.
pub(super) async fn objects(
    frozen: &Frozen,
    writer: &Writer,
    roles: &Roles,
) -> Result<u64, StepError> {
    let reader = frozen.leader();
    let mut bytes = 0;
    let mut last = -1_i64;
    loop {
        // Numbers go up to 4294967295, so they are read as 64-bit ones.
        let sql = format!(
            "select m.oid::int8, coalesce((select pageno::int8 * \
                 (current_setting('block_size')::int8 / 4) + length(data) from pg_largeobject l \
                 where l.loid = m.oid order by pageno desc limit 1), 0), \
                 pg_get_userbyid(m.lomowner)::text, obj_description(m.oid, 'pg_largeobject'), \
                 case when m.lomacl is null then null else array( \
                     select coalesce(r.rolname::text, '') from aclexplode(m.lomacl) g \
                     left join pg_roles r on r.oid = g.grantee order by g.grantee, \
                     g.privilege_type) end, \
                 array(select g.privilege_type || case when g.is_grantable then '*' else '' end \
                     from aclexplode(m.lomacl) g order by g.grantee, g.privilege_type) \
             from pg_largeobject_metadata m where m.oid::int8 > {last} order by 1 limit {BATCH}"
        );
        let found = reader.rows(&sql, &[]).await?;
        if found.is_empty() {
            return Ok(bytes);
        }
        writer.run("begin").await?;
        for row in &found {
            let (oid, size): (i64, i64) = (row.get(0), row.get(1));
            last = oid;
            bytes += u64::try_from(size).unwrap_or_default();
            writer.rows("select pg_catalog.lo_create($1::int8::oid)", &[&oid]).await?;
            let mut at = 0;
            while at < size {
                let read = "select pg_catalog.lo_get($1::int8::oid, $2, $3)";
                let length = i32::try_from(CHUNK.min(size - at)).unwrap_or_default();
                let part = reader.rows(read, &[&oid, &at, &length]).await?;
                let part: Vec<u8> = part.first().map(|row| row.get(0)).unwrap_or_default();
                let write = "select pg_catalog.lo_put($1::int8::oid, $2, $3)";
                writer.rows(write, &[&oid, &at, &part]).await?;
                at += CHUNK;
            }
            let grants: Option<Vec<String>> = row.get(4);
            let rights: Vec<String> = row.get(5);
            let sql = dressed(oid, row.get(2), row.get(3), grants.as_deref(), &rights, roles);
            writer.run(&sql).await?;
        }
        writer.run("commit").await?;
    }
}

/// Statements that give a large object its owner, comment and rights.
fn dressed(
    oid: i64,
    owner: &str,
    comment: Option<&str>,
    grantees: Option<&[String]>,
    rights: &[String],
    roles: &Roles,
) -> String {
    let named = |role: &str| ident(roles.get(role).map_or(role, String::as_str));
    let owner = named(owner);
    let mut sql = format!("alter large object {oid} owner to {owner};");
    if let Some(comment) = comment {
        sql.push_str(&format!("comment on large object {oid} is {};", literal(comment)));
    }
    if let Some(grantees) = grantees {
        sql.push_str(&format!("revoke all on large object {oid} from public, {owner};"));
        for (grantee, right) in grantees.iter().zip(rights) {
            let whom = if grantee.is_empty() { "public".to_owned() } else { named(grantee) };
            let (right, option) = match right.strip_suffix('*') {
                Some(right) => (right, " with grant option"),
                None => (right.as_str(), ""),
            };
            sql.push_str(&format!("grant {right} on large object {oid} to {whom}{option};"));
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_given_as_they_were() {
        let roles = Roles::from([("old".to_owned(), "new".to_owned())]);
        let grantees = ["".to_owned(), "old".to_owned()];
        let rights = ["SELECT".to_owned(), "UPDATE*".to_owned()];
        assert_eq!(
            dressed(7, "old", Some("it's"), Some(&grantees), &rights, &roles),
            "alter large object 7 owner to \"new\";comment on large object 7 is 'it''s';\
             revoke all on large object 7 from public, \"new\";\
             grant SELECT on large object 7 to public;\
             grant UPDATE on large object 7 to \"new\" with grant option;"
        );
        assert_eq!(
            dressed(7, "a", None, None, &[], &roles),
            "alter large object 7 owner to \"a\";"
        );
    }
}
