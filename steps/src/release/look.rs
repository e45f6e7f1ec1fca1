//! What is there of a release, against what is wanted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use workplan_engine::kind::{Binding, Change, Facts, Look, Past, Seen};
use workplan_platform::{
    Object, PlatformError, Release, ReleaseSpec, ReleaseStatus, Rendered, View, Workload,
};

/// A release as it is.
pub(super) struct Found {
    pub(super) release: Option<Release>,
    /// Whether the release on record has the wanted values; `false` where there is none.
    pub(super) same_values: bool,
    pub(super) workloads: Vec<Workload>,
    /// Another release that this one would take the data from; a sentence.
    pub(super) second: Option<String>,
}

impl Found {
    /// Asks the platform.
    ///
    /// # Errors
    /// When it cannot say.
    pub(super) async fn ask(view: &dyn View, spec: &ReleaseSpec) -> Result<Self, PlatformError> {
        let release = view.release(&spec.at).await?;
        let (mut same_values, mut workloads, mut second) = (false, Vec::new(), None);
        match &release {
            None => second = second_of(view, spec).await?,
            Some(_) => {
                let values = view.release_values(&spec.at).await?;
                same_values = values.is_some_and(|v| {
                    without_nulls(v.reveal()) == without_nulls(spec.values.reveal())
                });
                workloads = view.workloads(&spec.at).await?;
            }
        }
        Ok(Self { release, same_values, workloads, second })
    }

    /// The verdict.
    pub(super) fn judge(&self, look: &Look, spec: &ReleaseSpec) -> Seen {
        let at = &spec.at;
        let Some(release) = &self.release else {
            return self.second.clone().map_or(Seen::Absent, Seen::Unknown);
        };
        if release.status.is_pending() {
            let who = release.made_by.as_deref().unwrap_or("somebody");
            let what = format!(
                "revision {} of {at} was begun by {who} and did not end (`{}`)",
                release.revision,
                word(release.status)
            );
            // Somebody else may still be at it.
            return match who.starts_with("workplan:") {
                true => Seen::Half(what),
                false => Seen::Unknown(format!("{what}; wait for them, or roll it back by hand")),
            };
        }
        if release.chart != spec.chart {
            return Seen::Unknown(format!(
                "{at} is a release of the chart `{}`, not of `{}`",
                release.chart, spec.chart
            ));
        }
        let version = spec.version.as_ref().is_none_or(|v| *v == release.chart_version);
        if !self.same_values || !version || release.status != ReleaseStatus::Deployed {
            return Seen::Absent;
        }
        if self.workloads.iter().all(Workload::is_ready) && self.stopped().is_empty() {
            return Seen::Done;
        }
        let running = self.workloads.iter().filter(|w| w.wanted > 0).all(Workload::is_ready);
        if running && made_in_this_run(look) {
            // This run deployed it and has scaled it down since: an outage is open.
            return Seen::Done;
        }
        Seen::Absent
    }

    /// Workloads that are scaled to nothing.
    fn stopped(&self) -> Vec<&str> {
        self.workloads.iter().filter(|w| w.wanted == 0).map(|w| w.name.as_str()).collect()
    }

    /// What was seen.
    pub(super) fn facts(&self) -> Facts {
        let facts = Facts::default().with("exists", Binding::Binding, self.release.is_some());
        let Some(release) = &self.release else { return facts };
        let why = |w: &Workload| {
            let first = w.instances.iter().find(|i| !i.ready).and_then(|i| i.why.clone());
            let ready = w.instances.iter().filter(|i| i.ready).count();
            let why = first.map_or_else(String::new, |why| format!(": {why}"));
            format!("{} {ready}/{}{why}", w.name, w.wanted)
        };
        let workloads: Vec<Value> = self.workloads.iter().map(|w| Value::from(why(w))).collect();
        facts
            .with("revision", Binding::Binding, release.revision)
            .with("chart", Binding::Binding, release.chart.clone())
            .with("chart_version", Binding::Informative, release.chart_version.clone())
            .with("status", Binding::Binding, word(release.status))
            .with("same_values", Binding::Informative, self.same_values)
            .with("workloads", Binding::Informative, workloads)
    }
}

/// Whether the step's record is of the run that asks.
fn made_in_this_run(look: &Look) -> bool {
    let run = look.identity.split(':').nth(1).unwrap_or_default();
    match &look.past {
        Past::Succeeded { record, .. } => {
            !run.is_empty() && record.split_whitespace().any(|word| word == run)
        }
        _ => false,
    }
}

/// The word that Helm has for a status.
pub(super) fn word(status: ReleaseStatus) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Values as Helm takes them: a key that is `null` is one that is not there.
fn without_nulls(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            Value::Object(inner) => (key.clone(), Value::Object(without_nulls(inner))),
            other => (key.clone(), other.clone()),
        })
        .collect()
}

/// Why an install would be a second one of what runs elsewhere; `None` where it would not.
async fn second_of(view: &dyn View, spec: &ReleaseSpec) -> Result<Option<String>, PlatformError> {
    for other in view.releases().await? {
        if other.chart != spec.chart || other.at.namespace == spec.at.namespace {
            continue;
        }
        let shared = match database(spec.values.reveal()) {
            Some(wanted) => {
                let values = view.release_values(&other.at).await?.unwrap_or_default();
                database(values.reveal()) == Some(wanted)
            }
            None => false,
        };
        if other.at.name == spec.at.name || shared {
            return Ok(Some(format!(
                "{} would install a second `{}` with an empty volume{}: it runs in the namespace \
                 `{}` as {}; deploy it there, or uninstall that one first",
                spec.at,
                spec.chart,
                if shared { " on the same database" } else { "" },
                other.at.namespace,
                other.at
            )));
        }
    }
    Ok(None)
}

/// The database that an application of its own volume uses: its server and its name.
fn database(values: &Map<String, Value>) -> Option<(&str, &str)> {
    let database = values.get("gitea")?.get("config")?.get("database")?;
    Some((database.get("HOST")?.as_str()?, database.get("NAME")?.as_str()?))
}

/// What a deploy would change, object by object.
pub(super) fn changes(rendered: &Rendered, live: &[Object], at: &str) -> Vec<Change> {
    let key = |o: &Object| (o.kind.clone(), o.name.clone());
    let new: BTreeMap<_, _> = rendered.objects.iter().map(|o| (key(o), &o.body)).collect();
    let old: BTreeMap<_, _> = live.iter().map(|o| (key(o), &o.body)).collect();
    let mut all: Vec<_> = new.keys().chain(old.keys()).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .flat_map(|name| {
            let (before, after) = (old.get(name).copied(), new.get(name).copied());
            let (kind, object) = name;
            let path = format!("{at} {kind}/{object}");
            let whole = |op: &str| Change {
                op: op.to_owned(),
                path: path.clone(),
                before: before.cloned(),
                after: after.cloned(),
            };
            match (before, after) {
                (None, _) => vec![whole("create")],
                (Some(_), None) => vec![whole("delete")],
                (Some(before), Some(after)) if before == after => Vec::new(),
                (Some(before @ Value::Object(_)), Some(after @ Value::Object(_))) => {
                    let mut found = Vec::new();
                    differences(&path, ": ", before, after, &mut found);
                    found
                }
                _ => vec![whole("update")],
            }
        })
        .collect()
}

/// The parts of a mapping or a list, with their place in it.
type Parts<'v> = Vec<(String, &'v Value)>;

/// The leaves in which two values differ, a change each: `RELEASE StatefulSet/NAME: spec.replicas`.
/// Elements of lists are named by their `name`, where all have one.
fn differences(path: &str, dot: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    let name = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
    let named = |list: &[Value]| list.iter().all(|v| name(v).is_some());
    let (old, new): (Parts<'_>, Parts<'_>) = match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let parts = |map: &Map<String, Value>| {
                map.iter().map(|(k, _)| format!("{dot}{k}")).collect::<Vec<_>>()
            };
            (
                parts(old).into_iter().zip(old.values()).collect(),
                parts(new).into_iter().zip(new.values()).collect(),
            )
        }
        (Value::Array(old), Value::Array(new)) => {
            let by_name = named(old) && named(new);
            let part = |(index, v): (usize, _)| match name(v) {
                Some(name) if by_name => (format!("[{name}]"), v),
                _ => (format!("[{index}]"), v),
            };
            (old.iter().enumerate().map(part).collect(), new.iter().enumerate().map(part).collect())
        }
        _ => {
            let (before, after) = (Some(before.clone()), Some(after.clone()));
            found.push(Change { op: "update".to_owned(), path: path.to_owned(), before, after });
            return;
        }
    };
    let of = |all: &[(String, &Value)], part: &str| {
        all.iter().find(|(p, _)| p == part).map(|(_, v)| (*v).clone())
    };
    let mut parts: Vec<&String> = old.iter().chain(&new).map(|(part, _)| part).collect();
    parts.sort();
    parts.dedup();
    for part in parts {
        let (path, before, after) = (format!("{path}{part}"), of(&old, part), of(&new, part));
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => differences(&path, ".", &before, &after, found),
            (before, after) => {
                found.push(Change { op: "update".to_owned(), path, before, after });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, body: Value) -> Object {
        Object { kind: "Service".to_owned(), name: name.to_owned(), body }
    }

    #[test]
    fn each_object_that_differs_is_a_change() {
        let rendered = Rendered {
            objects: vec![object("a", json!(1)), object("b", json!(2)), object("c", json!(3))],
            ..Rendered::default()
        };
        let live = [object("b", json!(2)), object("c", json!(4)), object("d", json!(5))];
        let found: Vec<String> = changes(&rendered, &live, "ns/r")
            .iter()
            .map(|c| format!("{} {}", c.op, c.path))
            .collect();
        let wanted = ["create ns/r Service/a", "update ns/r Service/c", "delete ns/r Service/d"];
        assert_eq!(found, wanted);
    }

    #[test]
    fn of_an_object_that_differs_each_leaf_is_told() {
        let body = |image: &str, more: Value| json!({"spec": {"replicas": 3, "containers": [{"name": "a", "image": image}]}, "x": more});
        let rendered = Rendered {
            objects: vec![object("b", body("i:2", json!({"new": 1})))],
            ..Rendered::default()
        };
        let found: Vec<String> = changes(&rendered, &[object("b", body("i:1", json!({})))], "ns/r")
            .iter()
            .map(|c| format!("{}: {:?} {:?}", c.path, c.before, c.after))
            .collect();
        assert_eq!(
            found,
            [
                "ns/r Service/b: spec.containers[a].image: Some(String(\"i:1\")) Some(String(\"i:2\"))",
                "ns/r Service/b: x.new: None Some(Number(1))",
            ]
        );
    }

    #[test]
    fn a_null_is_no_value() {
        let map = |v: Value| v.as_object().cloned().unwrap_or_default();
        assert_eq!(
            without_nulls(&map(json!({"a": null, "b": {"c": null, "d": 1}}))),
            map(json!({"b": {"d": 1}}))
        );
    }
}
