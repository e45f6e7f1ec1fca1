//! What belongs to a whole server: its databases, by name or number.

use workplan_platform::sql::{Reader, Row, SqlError, Writer};

use super::mark::Comment;
use super::names::{ident, literal};

/// A database as the server's shared catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) locale: Locale,
    pub(super) connections: i32,
    pub(super) comment: Comment,
}

/// How a database reads and orders text. It cannot be changed once it is made.
#[derive(Debug, Clone, Eq)]
pub(super) struct Locale {
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    /// `c`, `i` (ICU) or `b` (built in).
    pub(super) provider: String,
    /// The locale of a provider that has one of its own.
    pub(super) own: Option<String>,
    /// ICU rules on top of it.
    pub(super) rules: Option<String>,
}

/// `C.UTF-8` and `C.utf8` are one locale.
impl PartialEq for Locale {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| one_spelling(a) == one_spelling(b);
        same(&self.collate, &other.collate)
            && same(&self.ctype, &other.ctype)
            && self.encoding == other.encoding
            && self.provider == other.provider
            && self.own == other.own
            && self.rules == other.rules
    }
}

/// The name of a locale of the machine in one spelling: what follows the dot is written with and
/// without hyphens and in both cases.
pub(super) fn one_spelling(locale: &str) -> String {
    match locale.split_once('.') {
        Some((language, rest)) => {
            let (codeset, modifier) = rest.split_once('@').unwrap_or((rest, ""));
            let codeset: String =
                codeset.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect();
            let at = if modifier.is_empty() { "" } else { "@" };
            format!("{language}.{codeset}{at}{modifier}")
        }
        None => locale.to_owned(),
    }
}

impl Locale {
    /// As options of `CREATE DATABASE`.
    pub(super) fn options(&self, version: i32) -> String {
        let mut out = format!(
            "ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            literal(&self.encoding),
            literal(&self.collate),
            literal(&self.ctype)
        );
        if version >= 150_000 && self.provider != "c" {
            let (provider, key) = match self.provider.as_str() {
                "i" => ("icu", "ICU_LOCALE"),
                _ => ("builtin", "BUILTIN_LOCALE"),
            };
            out.push_str(&format!(" LOCALE_PROVIDER {provider}"));
            if let Some(own) = &self.own {
                out.push_str(&format!(" {key} {}", literal(own)));
            }
            if let Some(rules) = &self.rules {
                out.push_str(&format!(" ICU_RULES {}", literal(rules)));
            }
        }
        out
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let mut out = format!("{}, {}", self.encoding, self.collate);
        if self.ctype != self.collate {
            out.push_str(&format!(" ({})", self.ctype));
        }
        if let Some(own) = &self.own {
            out.push_str(&format!(", {own}"));
        }
        out
    }
}

/// Columns of [`Entry`] for a server's version: providers came with 15, their names moved in 17.
fn columns(version: i32) -> String {
    let provider = match version {
        v if v >= 170_000 => "datlocprovider::text, datlocale, daticurules",
        v if v >= 160_000 => "datlocprovider::text, daticulocale, daticurules",
        v if v >= 150_000 => "datlocprovider::text, daticulocale, null::text",
        _ => "'c'::text, null::text, null::text",
    };
    format!(
        "d.oid, datname::text, pg_catalog.pg_get_userbyid(datdba)::text, \
         pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, \
         {provider}, datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database')"
    )
}

fn entry(row: &Row) -> Entry {
    Entry {
        oid: row.get(0),
        name: row.get(1),
        owner: row.get(2),
        locale: Locale {
            encoding: row.get(3),
            collate: row.get(4),
            ctype: row.get(5),
            provider: row.get(6),
            own: row.get(7),
            rules: row.get(8),
        },
        connections: row.get(9),
        comment: Comment::parse(row.get(10)),
    }
}

async fn version(reader: &Reader) -> Result<i32, SqlError> {
    let rows = reader.rows("select current_setting('server_version_num')::int", &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// A database by its name.
///
/// # Errors
/// In the server's words.
pub(super) async fn by_name(reader: &Reader, name: &str) -> Result<Option<Entry>, SqlError> {
    let columns = columns(version(reader).await?);
    let sql = format!("select {columns} from pg_catalog.pg_database d where datname = $1");
    Ok(reader.rows(&sql, &[&name]).await?.first().map(entry))
}

/// A database by its number, which a rename does not change.
///
/// # Errors
/// In the server's words.
pub(super) async fn by_oid(reader: &Reader, oid: u32) -> Result<Option<Entry>, SqlError> {
    let columns = columns(version(reader).await?);
    let sql = format!("select {columns} from pg_catalog.pg_database d where d.oid = $1");
    Ok(reader.rows(&sql, &[&oid]).await?.first().map(entry))
}

/// The statement that writes the comment of a database.
pub(super) fn comment_statement(name: &str, comment: &Comment) -> String {
    let text = comment.to_text().map_or_else(|| "NULL".to_owned(), |text| literal(&text));
    format!("COMMENT ON DATABASE {} IS {text}", ident(name))
}

/// Writes the comment of a database.
///
/// # Errors
/// In the server's words.
pub(super) async fn set_comment(
    writer: &Writer,
    name: &str,
    comment: &Comment,
) -> Result<(), SqlError> {
    writer.run(&comment_statement(name, comment)).await
}

/// What is in a database that a new one has not: at most six things, in words. Empty where it is
/// empty.
///
/// # Errors
/// In the server's words.
pub(super) async fn contents(reader: &Reader) -> Result<Vec<String>, SqlError> {
    // What `initdb` made has numbers below 16384, also in each database that is made from a
    // template without additions. Large objects may have any number.
    const CATALOGS: &[&str] = &[
        "pg_class",
        "pg_proc",
        "pg_type",
        "pg_namespace",
        "pg_extension",
        "pg_cast",
        "pg_operator",
        "pg_opclass",
        "pg_opfamily",
        "pg_collation",
        "pg_conversion",
        "pg_ts_config",
        "pg_ts_dict",
        "pg_ts_parser",
        "pg_ts_template",
        "pg_language",
        "pg_event_trigger",
        "pg_publication",
        "pg_foreign_data_wrapper",
        "pg_foreign_server",
        "pg_am",
        "pg_transform",
        "pg_statistic_ext",
    ];
    let mut parts: Vec<String> = CATALOGS
        .iter()
        .map(|catalog| {
            format!(
                "select '{catalog}'::regclass::oid as class, oid from pg_catalog.{catalog} \
                 where oid >= 16384"
            )
        })
        .collect();
    parts.push(
        "select 'pg_largeobject'::regclass::oid, oid from pg_catalog.pg_largeobject_metadata"
            .to_owned(),
    );
    let sql = format!(
        "select i.type || coalesce(' ' || i.identity, '') from ({}) o, \
         lateral pg_catalog.pg_identify_object(o.class, o.oid, 0) i \
         where i.type is not null \
         and coalesce(i.schema, case when i.type = 'schema' then i.name end, '') \
             !~ '^pg_(toast|temp|toast_temp)' \
         and not exists (select from pg_catalog.pg_depend e where e.classid = o.class \
                         and e.objid = o.oid and e.deptype in ('i', 'e')) \
         order by 1 limit 6",
        parts.join(" union all ")
    );
    Ok(reader.rows(&sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The first few of several things, in one line.
pub(super) fn some(things: &[String]) -> String {
    match things.get(..5) {
        Some(first) if things.len() > 5 => format!("{} and more", first.join(", ")),
        _ => things.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_locale_has_one_spelling() {
        assert_eq!(one_spelling("C.UTF-8"), one_spelling("C.utf8"));
        assert_eq!(one_spelling("de_DE.ISO-8859-1@euro"), "de_DE.iso88591@euro");
        assert_ne!(one_spelling("de_DE.UTF-8"), one_spelling("de_AT.UTF-8"));
        assert_eq!(one_spelling("C"), "C");
    }

    #[test]
    fn some_of_many() {
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(some(&many), "0, 1, 2, 3, 4 and more");
        assert_eq!(some(&many[..5]), "0, 1, 2, 3, 4");
        assert_eq!(some(&[]), "");
    }
}
