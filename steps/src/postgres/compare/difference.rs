//! What differs, in words.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::postgres::portrait::{Catalog, Object, Position, Sum};

/// The most differences that are told one by one.
const TOLD: usize = 200;
/// The longest piece of a value that is shown, in characters.
const SHOWN: usize = 120;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// What differs: `table public.users`.
    pub(super) object: String,
    /// In what: `missing`, `extra`, `rows`, `data`, `row`, `position` or a property's name.
    pub(super) kind: String,
    /// A sentence without a closing period.
    pub(super) detail: String,
}

impl Difference {
    pub(super) fn new(object: &str, kind: &str, detail: impl Into<String>) -> Self {
        Self { object: object.to_owned(), kind: kind.to_owned(), detail: detail.into() }
    }

    pub(super) fn line(&self) -> String {
        format!("{}: {}: {}", self.object, self.kind, self.detail)
    }
}

/// Differences as an output; a note says how many more there are.
pub(super) fn to_json(differences: &[Difference]) -> Value {
    let mut list: Vec<Value> = differences
        .iter()
        .take(TOLD)
        .map(|d| json!({"object": d.object, "kind": d.kind, "detail": d.detail}))
        .collect();
    if differences.len() > TOLD {
        let more = differences.len() - TOLD;
        list.push(json!({
            "object": "database", "kind": "more", "detail": format!("{more} more differences"),
        }));
    }
    Value::Array(list)
}

/// What is explained and no difference.
pub(super) type Notes = Vec<String>;

/// What differs in two catalogs.
pub(super) fn of_catalogs(from: &Catalog, to: &Catalog, notes: &mut Notes) -> Vec<Difference> {
    let mut found = Vec::new();
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for name in names {
        match (from.get(name), to.get(name)) {
            (Some(here), None) if follows(here, to, from) => {}
            (None, Some(there)) if follows(there, from, to) => {}
            (Some(here), None) if is_debris(here) => notes.push(format!(
                "{name} is invalid in the source, left by an index build that failed; a dump \
                 passes it by, and so is not in the copy"
            )),
            (Some(here), None) => {
                found.push(one_sided(name, here, "missing", "in the source only"))
            }
            (None, Some(there)) => found.push(one_sided(name, there, "extra", "in the copy only")),
            (Some(here), Some(there)) => found.extend(of_objects(name, here, there)),
            (None, None) => {}
        }
    }
    found
}

/// Whether an object is not on the other side because what it belongs to is not.
fn follows(object: &Object, other: &Catalog, own: &Catalog) -> bool {
    object.parent.as_ref().is_some_and(|p| own.contains_key(p) && !other.contains_key(p))
}

/// Whether an object is an index that a failed build left behind.
fn is_debris(object: &Object) -> bool {
    object.facets.get("valid").is_some_and(|f| f.value == "no")
}

fn one_sided(name: &str, object: &Object, kind: &str, words: &str) -> Difference {
    // Some things are nothing but their one property: rights that somebody changed.
    match object.facets.iter().next() {
        Some((only, facet)) if !object.facets.contains_key("exists") => {
            let value = if facet.secret { "(not shown)".to_owned() } else { shown(&facet.value) };
            Difference::new(name, only, format!("{words}: {value}"))
        }
        _ => Difference::new(name, kind, words),
    }
}

fn of_objects(name: &str, here: &Object, there: &Object) -> Vec<Difference> {
    let facets: BTreeSet<&String> = here.facets.keys().chain(there.facets.keys()).collect();
    facets
        .into_iter()
        .filter_map(|facet| {
            let (a, b) = (here.facets.get(facet), there.facets.get(facet));
            if a == b {
                return None;
            }
            let secret = a.into_iter().chain(b).any(|f| f.secret);
            let detail = match (a, b) {
                _ if secret => "they differ; values that may hold a password are not shown".into(),
                (Some(a), Some(b)) => {
                    let (a, b) = around(&a.value, &b.value);
                    format!("source: {a}; copy: {b}")
                }
                (Some(a), None) => format!("source: {}; copy: none", shown(&a.value)),
                (None, Some(b)) => format!("source: none; copy: {}", shown(&b.value)),
                (None, None) => return None,
            };
            Some(Difference::new(name, facet, detail))
        })
        .collect()
}

/// A value, cut where it is long.
fn shown(value: &str) -> String {
    let mut out: String = value.chars().take(SHOWN).collect();
    if out.len() < value.len() {
        out.push('…');
    }
    out.replace('\n', " ")
}

/// Two values around the place where they begin to differ.
fn around(a: &str, b: &str) -> (String, String) {
    let (long_a, long_b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if long_a.len().max(long_b.len()) <= SHOWN {
        return (shown(a), shown(b));
    }
    let same = long_a.iter().zip(&long_b).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(SHOWN / 3);
    let cut = |chars: &[char]| {
        let lead = if start > 0 { "…" } else { "" };
        let piece: String = chars.iter().skip(start).take(SHOWN).collect();
        let tail = if chars.len() > start + SHOWN { "…" } else { "" };
        format!("{lead}{piece}{tail}").replace('\n', " ")
    };
    (cut(&long_a), cut(&long_b))
}

/// What differs in where sequences stand.
pub(super) fn of_sequences(
    from: &BTreeMap<String, Position>,
    to: &BTreeMap<String, Position>,
) -> Vec<Difference> {
    from.iter()
        .filter_map(|(name, here)| {
            let there = to.get(name)?;
            (here != there).then(|| {
                Difference::new(name, "position", format!("source: {here}; copy: {there}"))
            })
        })
        .collect()
}

/// What differs in the rows of a table.
pub(super) fn of_rows(object: &str, here: Sum, there: Sum) -> Option<Difference> {
    if here == there {
        return None;
    }
    Some(if here.rows == there.rows {
        let detail = format!("the rows differ ({} on either side)", here.rows);
        Difference::new(object, "data", detail)
    } else {
        let detail = format!("source: {} rows; copy: {} rows", here.rows, there.rows);
        Difference::new(object, "rows", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::portrait::Facet;

    /// A name, what it belongs to, and its facets.
    type Sample<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, &'a str)]);

    fn catalog(objects: &[Sample<'_>]) -> Catalog {
        objects
            .iter()
            .map(|(name, parent, facets)| {
                let facets = facets
                    .iter()
                    .map(|(n, v)| {
                        let secret = n.starts_with('#');
                        ((*n).to_owned(), Facet { value: (*v).to_owned(), secret })
                    })
                    .collect();
                ((*name).to_owned(), Object { parent: parent.map(str::to_owned), facets })
            })
            .collect()
    }

    fn lines(from: &Catalog, to: &Catalog) -> Vec<String> {
        of_catalogs(from, to, &mut Notes::new()).iter().map(Difference::line).collect()
    }

    #[test]
    fn what_belongs_to_a_missing_table_is_not_told_as_well() {
        let full = catalog(&[
            ("table a", None, &[("exists", "yes")]),
            ("column a.x", Some("table a"), &[("exists", "yes")]),
        ]);
        assert_eq!(lines(&full, &Catalog::new()), ["table a: missing: in the source only"]);
        assert_eq!(lines(&Catalog::new(), &full), ["table a: extra: in the copy only"]);
        let table = catalog(&[("table a", None, &[("exists", "yes")])]);
        assert_eq!(lines(&full, &table), ["column a.x: missing: in the source only"]);
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let one = catalog(&[("server s", None, &[("exists", "yes"), ("#options", "pw=hunter2")])]);
        let two = catalog(&[("server s", None, &[("exists", "yes"), ("#options", "pw=hunter3")])]);
        let told = lines(&one, &two);
        assert!(told.len() == 1 && !told[0].contains("hunter"), "{told:?}");
        assert_eq!(lines(&one, &one), [""; 0]);
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let (a, b) =
            around(&format!("{}one{}", "x".repeat(500), "y".repeat(500)), &"x".repeat(500));
        assert!(a.contains("xone") && a.starts_with('…') && a.ends_with('…'), "{a}");
        assert!(a.chars().count() <= SHOWN + 2 && b.ends_with('x'), "{b}");
    }

    #[test]
    fn an_invalid_index_of_the_source_is_a_note() {
        let debris = catalog(&[("index i", None, &[("exists", "yes"), ("valid", "no")])]);
        let mut notes = Notes::new();
        assert_eq!(of_catalogs(&debris, &Catalog::new(), &mut notes), []);
        assert!(notes[0].contains("index i is invalid"));
        assert_eq!(of_catalogs(&Catalog::new(), &debris, &mut notes).len(), 1);
        let whole = catalog(&[("index i", None, &[("exists", "yes"), ("valid", "yes")])]);
        assert_eq!(lines(&debris, &whole), ["index i: valid: source: no; copy: yes"]);
    }
}
