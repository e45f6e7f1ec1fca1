//! Every object of a database with its properties.

use std::collections::BTreeMap;

use workplan_platform::sql::{Row, SqlError};

use super::frozen::{Frozen, LONG};
use super::normal::normal;
use crate::postgres::mark::Comment;
use crate::postgres::names::ident;
use crate::postgres::shared::one_spelling;

/// A property of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facet {
    /// What is compared.
    pub(crate) value: String,
    /// It may hold a password: it is compared and not shown.
    pub(crate) secret: bool,
}

/// An object: a table, a column, a function, a right, …
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// What it belongs to: a column's table.
    pub(crate) parent: Option<String>,
    /// Its properties by name; `exists` is one that each has.
    pub(crate) facets: BTreeMap<String, Facet>,
}

/// All objects by kind and name: `table public.users`, `column public.users.id`.
pub(crate) type Catalog = BTreeMap<String, Object>;

/// Roles that have another name on the other side.
pub(crate) type Roles = BTreeMap<String, String>;

const COMMON: &str = include_str!("catalog/common.sql");

/// The queries for a server's version.
fn queries(version: i32) -> Vec<&'static str> {
    let mut all = vec![
        include_str!("catalog/database.sql"),
        include_str!("catalog/relations.sql"),
        include_str!("catalog/columns.sql"),
        include_str!("catalog/constraints.sql"),
        include_str!("catalog/indexes.sql"),
        include_str!("catalog/triggers.sql"),
        include_str!("catalog/functions.sql"),
        include_str!("catalog/types.sql"),
        include_str!("catalog/operators.sql"),
        include_str!("catalog/others.sql"),
        include_str!("catalog/sequences.sql"),
        include_str!("catalog/rights.sql"),
        include_str!("catalog/words.sql"),
    ];
    if version >= 140_000 {
        all.push(include_str!("catalog/functions_14.sql"));
    }
    all.push(if version >= 150_000 {
        include_str!("catalog/published.sql")
    } else {
        include_str!("catalog/published_before_15.sql")
    });
    all
}

/// Reads the catalog. `roles` gives the other side's names of roles, for the source of a copy with
/// a map of roles.
///
/// # Errors
/// In the server's words.
pub(crate) async fn catalog(frozen: &Frozen, roles: &Roles) -> Result<Catalog, SqlError> {
    let mut all = Catalog::new();
    for query in queries(frozen.about.version) {
        let rows = frozen.leader().rows_within(LONG, &format!("{COMMON}\n{query}"), &[]).await?;
        rows.iter().for_each(|row| add(&mut all, row, roles));
    }
    if let Some(database) = all.get_mut("database") {
        unmark(database);
    }
    Ok(all)
}

fn add(all: &mut Catalog, row: &Row, roles: &Roles) {
    let text = |at: usize| row.try_get::<_, Option<String>>(at).ok().flatten();
    let (Some(object), Some(name), Some(value)) = (text(0), text(2), text(3)) else { return };
    let object = all.entry(renamed(&object, roles)).or_default();
    if let Some(parent) = text(1) {
        object.parent = Some(parent);
    }
    let (name, value, secret) = match name.as_bytes().first() {
        Some(b'~') => (&name[1..], normal(&value), false),
        Some(b'#') => (&name[1..], value, true),
        _ => (name.as_str(), value, false),
    };
    let facet = Facet { value: renamed(&value, roles), secret };
    object.facets.insert(renamed(name, roles), facet);
}

/// Puts names of roles in, as the other side has them.
fn renamed(text: &str, roles: &Roles) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1}') {
        let Some((role, left)) = after.split_once('\u{2}') else { break };
        out.push_str(before);
        out.push_str(&ident(roles.get(role).map_or(role, String::as_str)));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// Takes our marks out of a database's comment, and what a fence of ours changed back to what it
/// was before.
fn unmark(database: &mut Object) {
    for name in ["collation", "character type"] {
        if let Some(facet) = database.facets.get_mut(name) {
            facet.value = one_spelling(&facet.value);
        }
    }
    let Some(facet) = database.facets.remove("comment") else { return };
    let comment = Comment::parse(Some(&facet.value));
    if let Some(fence) = comment.mark(crate::postgres::fence::MARK)
        && let Some(fenced) = fence.read::<crate::postgres::fence::Fenced>()
    {
        let value = fenced.connections.to_string();
        database.facets.insert("connections".to_owned(), Facet { value, secret: false });
    }
    if let Some(value) = comment.text {
        database.facets.insert("comment".to_owned(), Facet { value, secret: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_renamed_and_nothing_else() {
        let roles = Roles::from([("old".to_owned(), "ne\"w".to_owned())]);
        let text = "\u{1}old\u{2}=r/\u{1}postgres\u{2} old";
        assert_eq!(renamed(text, &roles), "\"ne\"\"w\"=r/\"postgres\" old");
        assert_eq!(renamed("a \u{1}broken", &roles), "a \u{1}broken");
    }
}
