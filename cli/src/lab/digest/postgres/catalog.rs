//! Definitions, as sorted lines.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use workplan_platform::sql::Reader;

use crate::failure::Failure;
use crate::lab::digest::no;

/// What a database is made of.
pub(super) const OF_A_DATABASE: &str = include_str!("catalog.sql");
/// What the databases of a server share.
pub(super) const OF_A_SERVER: &str = include_str!("cluster.sql");

/// Asks all queries of a text.
pub(super) async fn lines(reader: &Reader, text: &str) -> Result<BTreeMap<String, Value>, Failure> {
    let mut out = BTreeMap::new();
    for (name, query) in sections(text) {
        let rows = reader.rows(query, &[]).await.map_err(no)?;
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| without_marks(row.get::<_, Option<&str>>(0).unwrap_or_default()))
            .collect();
        lines.sort();
        out.insert(name.to_owned(), json!(lines));
    }
    Ok(out)
}

/// The queries of a text with their names.
fn sections(text: &str) -> Vec<(&str, &str)> {
    text.split("-- [")
        .skip(1)
        .filter_map(|section| section.split_once("]\n"))
        .map(|(name, query)| (name, query.trim()))
        .collect()
}

/// A text without the run that wrote a mark, `workplan:<run>:<step>:<attempt> WORD {…}`, and without
/// what the mark keeps for later looks: numbers of servers and databases, names with the run in them.
pub(super) fn without_marks(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, mark)) = rest.split_once("workplan:") {
        out.push_str(before);
        out.push_str("workplan:…");
        let end = mark.find(|c: char| !c.is_ascii_alphanumeric() && !":._-@".contains(c));
        rest = end.map_or("", |end| &mark[end..]);
        let line = rest.split('\n').next().unwrap_or_default();
        if let Some(at) = line.find(" {").filter(|_| line.ends_with('}')) {
            out.push_str(&line[..at]);
            rest = &rest[line.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// A database's name without the run that it is the copy of: `NAME__wp_<run>`.
pub(super) fn without_run(name: &str) -> String {
    match name.split_once("__wp_") {
        Some((front, _)) => format!("{front}__wp_…"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_a_query() {
        for text in [OF_A_DATABASE, OF_A_SERVER] {
            let found = sections(text);
            assert!(found.len() >= 5);
            for (name, query) in found {
                assert!(query.starts_with("select "), "{name}: {query}");
            }
        }
        assert_eq!(sections(OF_A_DATABASE).len(), OF_A_DATABASE.matches("\n-- [").count());
    }

    #[test]
    fn who_wrote_it_does_not_count() {
        assert_eq!(
            without_marks("comment workplan:1m7x60:T02.copy:2 on it"),
            "comment workplan:… on it"
        );
        assert_eq!(without_marks("plain"), "plain");
        assert_eq!(
            without_marks("Theirs {x}\nworkplan:1m7x60:T02.publish:1 publish {\"oid\":7}\nlast"),
            "Theirs {x}\nworkplan:… publish\nlast"
        );
    }
}
