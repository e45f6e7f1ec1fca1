//! Both databases at one moment each, and all that is compared of them.

use std::collections::BTreeMap;

use workplan_engine::digest::Digest;
use workplan_engine::kind::StepError;

use super::difference::{self, Difference, Notes};
use super::probe::{Probe, probe};
use super::proof::{Subject, Was};
use super::{control, drill};
use crate::postgres::names::ident;
use crate::postgres::portrait::{
    Catalog, Column, Frozen, Object, Position, Roles, Rows, Sum, Table, catalog, digest_all, large,
    positions, sum, tables,
};
use crate::postgres::site::Site;

/// The name that all large objects go by.
const LARGE_OBJECTS: &str = "large objects";

/// What is to be compared.
pub(super) struct Sides<'a> {
    pub(super) from: (&'a Site, &'a str),
    pub(super) to: (&'a Site, &'a str),
    /// The copy's names of the source's roles, where they differ.
    pub(super) roles: &'a Roles,
    /// The copy's owner, where it is not to be that of the source.
    pub(super) owner: Option<&'a str>,
    /// Sessions on each side.
    pub(super) jobs: usize,
}

/// What the comparison came to.
pub(super) struct Verdict {
    pub(super) differences: Vec<Difference>,
    pub(super) notes: Notes,
    pub(super) digest: Digest,
    pub(super) tables: usize,
    pub(super) rows: i64,
    pub(super) control: String,
    pub(super) subject: Subject,
}

/// One side, read.
struct Side {
    frozen: Frozen,
    probe: Probe,
    catalog: Catalog,
    tables: BTreeMap<String, Table>,
    positions: BTreeMap<String, Position>,
    large: i64,
}

/// A table, or what counts as one, on both sides.
struct Unit {
    object: String,
    here: Vec<(Table, Rows)>,
    there: Vec<(Table, Rows)>,
    columns: Vec<Column>,
}

impl Side {
    async fn read(
        site: &Site,
        database: &str,
        jobs: usize,
        roles: &Roles,
    ) -> Result<Self, StepError> {
        // Before the snapshot, so that what is written after it counts as written since.
        let probe = probe(&site.reader(database).await?).await?;
        let frozen = Frozen::open(site, database, jobs).await?;
        let positions = positions(&frozen).await?;
        let catalog = catalog(&frozen, roles).await?;
        let tables = tables(&frozen).await?;
        let large = large::count(&frozen).await?;
        Ok(Self { frozen, probe, catalog, tables, positions, large })
    }

    fn subject(&self) -> Was {
        Was {
            system: self.frozen.about.system.clone(),
            database: self.frozen.database.clone(),
            oid: self.frozen.oid,
            probe: self.probe.clone(),
        }
    }
}

/// Compares.
///
/// # Errors
/// When a side cannot be read, or the control fails. A difference is no error.
pub(super) async fn compare(sides: &Sides<'_>) -> Result<Verdict, StepError> {
    let none = Roles::new();
    let (mut from, to) = tokio::try_join!(
        Box::pin(Side::read(sides.from.0, sides.from.1, sides.jobs, sides.roles)),
        Box::pin(Side::read(sides.to.0, sides.to.1, sides.jobs, &none))
    )?;
    if let Some(owner) = sides.owner
        && let Some(database) = from.catalog.get_mut("database")
    {
        give(database, owner);
    }
    let mut notes = Notes::new();
    let mut differences = difference::of_catalogs(&from.catalog, &to.catalog, &mut notes);
    control::catalogs(&from.catalog, &to.catalog)?;
    differences.extend(difference::of_sequences(&from.positions, &to.positions));

    let units = units(&from, &to, sides.roles);
    let here: Vec<(&Table, Rows)> = flat(&units, |unit| &unit.here);
    let there: Vec<(&Table, Rows)> = flat(&units, |unit| &unit.there);
    let (sums_here, sums_there) =
        tokio::try_join!(digest_all(&from.frozen, &here), digest_all(&to.frozen, &there))?;
    let sums_here = per_unit(&units, |unit| unit.here.len(), &sums_here);
    let sums_there = per_unit(&units, |unit| unit.there.len(), &sums_there);

    for (unit, (a, b)) in units.iter().zip(sums_here.iter().zip(&sums_there)) {
        let Some(found) = difference::of_rows(&unit.object, *a, *b) else { continue };
        if let Some(note) = explained(unit, &from.frozen, &to.frozen, *a, *b).await? {
            notes.push(note);
            continue;
        }
        differences.push(found);
        let rows = (unit.all(&unit.here), unit.all(&unit.there));
        let key = unit.key();
        let most = a.rows.max(b.rows);
        let lone =
            drill::rows(&unit.object, (&from.frozen, &rows.0), (&to.frozen, &rows.1), &key, most);
        differences.extend(Box::pin(lone).await?);
    }

    let sample = units
        .iter()
        .zip(&sums_there)
        .filter(|(unit, sum)| sum.rows > 0 && !unit.columns.is_empty())
        .filter_map(|(unit, _)| {
            unit.there.iter().min_by_key(|(table, _)| table.bytes).map(|t| (unit, t))
        })
        .filter(|(unit, _)| unit.object != LARGE_OBJECTS)
        .min_by_key(|(_, (table, _))| table.bytes)
        .map(|(unit, (table, _))| (table, unit.columns.as_slice()));
    let control = control::rows(to.frozen.leader(), sample).await?;

    let again = positions(&from.frozen).await?;
    for (name, before) in &from.positions {
        if let Some(now) = again.get(name).filter(|now| *now != before) {
            let detail = format!("it moved in the source meanwhile, from {before} to {now}");
            differences.push(Difference::new(name, "position", detail));
        }
    }
    let sums = units.iter().map(|u| u.object.clone()).zip(sums_here.iter().copied());
    let digest = digest(&mut from, sums.collect());
    let rows = sums_here.iter().map(|sum| sum.rows).sum();
    let tables = units.iter().filter(|unit| unit.object != LARGE_OBJECTS).count();
    let subject = Subject { from: from.subject(), to: to.subject() };
    differences.sort();
    differences.dedup();
    Ok(Verdict { differences, notes, digest, tables, rows, control, subject })
}

/// Says of a database that somebody else owns it, as in the copy.
fn give(database: &mut Object, owner: &str) {
    let Some(facet) = database.facets.get_mut("owner") else { return };
    let old = std::mem::replace(&mut facet.value, ident(owner));
    if let Some(rights) = database.facets.get_mut("privileges") {
        let mut list: Vec<String> = rights
            .value
            .split(", ")
            .map(|right| {
                let (whom, rest) = right.split_once('=').unwrap_or((right, ""));
                let (what, by) = rest.rsplit_once('/').unwrap_or((rest, ""));
                let named = |role: &str| if role == old { ident(owner) } else { role.to_owned() };
                format!("{}={what}/{}", named(whom), named(by))
            })
            .collect();
        list.sort();
        rights.value = list.join(", ");
    }
}

fn flat<'u>(
    units: &'u [Unit],
    side: impl Fn(&'u Unit) -> &'u Vec<(Table, Rows)>,
) -> Vec<(&'u Table, Rows)> {
    units.iter().flat_map(|u| side(u).iter().map(|(t, r)| (t, r.clone()))).collect()
}

fn per_unit(units: &[Unit], count: impl Fn(&Unit) -> usize, sums: &[Sum]) -> Vec<Sum> {
    let mut rest = sums.iter();
    units
        .iter()
        .map(|unit| {
            let mut total = Sum::default();
            rest.by_ref().take(count(unit)).for_each(|sum| total += *sum);
            total
        })
        .collect()
}

/// What is compared as one: a table, or all partitions into which rows come by hash.
fn units(from: &Side, to: &Side, roles: &Roles) -> Vec<Unit> {
    fn by_unit(tables: &BTreeMap<String, Table>) -> BTreeMap<&String, Vec<&Table>> {
        let mut units: BTreeMap<&String, Vec<&Table>> = BTreeMap::new();
        for table in tables.values() {
            units.entry(table.spread.as_ref().unwrap_or(&table.object)).or_default().push(table);
        }
        units
    }
    let (here, there) = (by_unit(&from.tables), by_unit(&to.tables));
    let mut units = Vec::new();
    for (object, tables) in here {
        // A table that is on one side only is told by the catalog.
        let Some(others) = there.get(object) else { continue };
        let columns = tables
            .first()
            .zip(others.first())
            .map(|(one, other)| one.common(other))
            .unwrap_or_default();
        let rows = |tables: &[&Table]| {
            tables.iter().map(|t| ((*t).clone(), t.rows(&columns))).collect::<Vec<_>>()
        };
        let (here, there) = (rows(&tables), rows(others));
        units.push(Unit { object: object.clone(), here, there, columns });
    }
    if from.large > 0 || to.large > 0 {
        let table = || Table {
            object: LARGE_OBJECTS.to_owned(),
            derived: false,
            spread: None,
            name: LARGE_OBJECTS.to_owned(),
            bytes: i64::MAX,
            main: 0,
            ranges: false,
            columns: Vec::new(),
            key: vec!["oid".to_owned()],
        };
        let (here, there) = (large::rows(roles), large::rows(&Roles::new()));
        units.push(Unit {
            object: LARGE_OBJECTS.to_owned(),
            columns: here.columns.clone(),
            here: vec![(table(), here)],
            there: vec![(table(), there)],
        });
    }
    units
}

impl Unit {
    /// All rows of a side as one.
    fn all(&self, side: &[(Table, Rows)]) -> Rows {
        if let [(_, rows)] = side {
            return rows.clone();
        }
        let names: Vec<String> = self.columns.iter().map(|c| ident(&c.name)).collect();
        let each: Vec<String> = side
            .iter()
            .map(|(table, _)| {
                let list: String = names.iter().map(|n| format!(", {n}")).collect();
                format!("select ctid{list} from only {}", table.name)
            })
            .collect();
        let mut columns = self.columns.clone();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        Rows { from: format!("({}) as t", each.join(" union all ")), columns }
    }

    /// The key by which rows of both sides are told to be the same, where both have it.
    fn key(&self) -> Vec<String> {
        let (Some((here, _)), Some((there, _))) = (self.here.first(), self.there.first()) else {
            return Vec::new();
        };
        if here.key == there.key { here.key.clone() } else { Vec::new() }
    }
}

/// A materialised view that was out of date in the source and is up to date in the copy: a restore
/// fills it anew. What its query gives is equal on both sides, and the copy holds just that.
async fn explained(
    unit: &Unit,
    from: &Frozen,
    to: &Frozen,
    here: Sum,
    there: Sum,
) -> Result<Option<String>, StepError> {
    let ([(one, _)], [(other, _)]) = (unit.here.as_slice(), unit.there.as_slice()) else {
        return Ok(None);
    };
    if !one.derived || !other.derived {
        return Ok(None);
    }
    let fresh = async |side: &Frozen, table: &Table| {
        let sql = "select rtrim(pg_get_viewdef($1::text::regclass), ';')";
        let found = side.leader().rows(sql, &[&table.name]).await?;
        let query: String = found.first().map(|row| row.get(0)).unwrap_or_default();
        let mut rows = table.rows(&unit.columns);
        // The names of its columns are the view's, whatever its query calls them.
        let names: Vec<String> = table.columns.iter().map(|c| ident(&c.name)).collect();
        rows.from = format!("({query}) as t ({})", names.join(", "));
        sum(side.leader(), &rows).await.map_err(StepError::from)
    };
    let (now_here, now_there) = tokio::try_join!(fresh(from, one), fresh(to, other))?;
    let stale = now_here != here && now_here == now_there && now_there == there;
    Ok(stale.then(|| {
        format!(
            "{} was out of date in the source; in the copy it is up to date, as a refresh of the \
             source's would make it",
            unit.object
        )
    }))
}

/// A digest of all that was compared of the source. Equal databases have equal ones.
fn digest(from: &mut Side, sums: Vec<(String, Sum)>) -> Digest {
    let mut text = String::new();
    let mut line = |parts: &[&str]| {
        for part in parts {
            text.push_str(&format!("{} {part}\n", part.len()));
        }
    };
    for (name, object) in &from.catalog {
        for (facet, value) in &object.facets {
            line(&["object", name, facet, &value.value]);
        }
    }
    for (name, position) in &from.positions {
        line(&["sequence", name, &position.to_string()]);
    }
    for (name, sum) in sums {
        line(&["rows", &name, &sum.rows.to_string(), &sum.hex()]);
    }
    Digest::of(text.as_bytes())
}
