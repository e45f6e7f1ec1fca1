//! When a `postgres.compare` compares, and what counts as evidence.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Past, Prepared, Resources, Step,
    StepError, UndoPlan,
};
use workplan_platform::Database;

use super::difference::{self, Difference};
use super::probe::probe;
use super::proof::{Proof, Subject, Was};
use super::sides::{Sides, Verdict, compare};
use crate::postgres::copy::{Copied, MARK};
use crate::postgres::guard::Guard;
use crate::postgres::portrait::Roles;
use crate::postgres::publish;
use crate::postgres::shared::Entry;
use crate::postgres::site::{Site, about, bounded, not_started};
use crate::postgres::{in_words, shared};

/// Differences that a message repeats.
const SAID: usize = 8;

/// One `postgres.compare` step.
pub(super) struct CompareStep {
    pub(super) from: Option<Database>,
    pub(super) to: Option<Database>,
    pub(super) database: Option<String>,
    pub(super) roles: Roles,
    pub(super) jobs: usize,
}

/// What became of a side since.
enum Since {
    Same,
    /// It has another name now: the copy was published, and what is written to it is not the
    /// proof's business any more.
    Renamed(String),
    Changed(String),
}

impl CompareStep {
    fn side<'s>(
        &'s self,
        key: &str,
        side: &'s Option<Database>,
    ) -> Result<(&'s Database, &'s str), StepError> {
        let spec = side.as_ref().ok_or_else(|| not_started(format!("`{key}` has no value yet")))?;
        let name = spec.database.as_deref().or(self.database.as_deref());
        Ok((spec, name.ok_or_else(|| not_started(format!("`{key}` names no database")))?))
    }

    async fn prove(&self, look: &Look) -> Result<Verdict, StepError> {
        let (from, source) = self.side("from", &self.from)?;
        let (to, copy) = self.side("to", &self.to)?;
        let (from, to) = tokio::try_join!(Site::find(look, from), Site::find(look, to))?;
        let entry = entry(&from, source).await?;
        let copied = entry_of(&to, copy).await?;
        let mut roles = self.roles.clone();
        let mut owner = None;
        let mut notes = Vec::new();
        if let Some(copied) = copied {
            for (old, new) in copied.roles {
                notes.push(format!("`{old}` of the source is `{new}` in the copy"));
                roles.entry(old).or_insert(new);
            }
            owner = copied.owner.filter(|owner| *owner != entry.owner);
            notes.extend(
                owner.iter().map(|owner| format!("`{owner}` owns the copy, as was wished")),
            );
        }
        let guard = Guard::of(&from, &entry).await?;
        let sides = Sides {
            from: (&from, source),
            to: (&to, copy),
            roles: &roles,
            owner: owner.as_deref(),
            jobs: self.jobs,
        };
        let mut verdict = Box::pin(compare(&sides)).await?;
        drop(guard);
        notes.append(&mut verdict.notes);
        verdict.notes = notes;
        Ok(verdict)
    }

    /// Whether what a proof was about is still so.
    async fn since(&self, look: &Look, spec: &Database, was: &Was) -> Result<Since, StepError> {
        let site = Site::find(look, spec).await?;
        let reader = site.any_reader().await?;
        if about(&reader).await?.system != was.system {
            return Ok(Since::Changed("another server answers there".to_owned()));
        }
        let Some(now) = shared::by_oid(&reader, was.oid).await? else {
            return Ok(Since::Changed(format!("the database `{}` is gone", was.database)));
        };
        if now.name != was.database {
            return Ok(Since::Renamed(now.name));
        }
        let probe = probe(&site.reader(&now.name).await?).await?;
        Ok(if probe == was.probe {
            Since::Same
        } else {
            Since::Changed(format!("`{}` was written to since", now.name))
        })
    }

    async fn look_again(
        &self,
        look: &Look,
        record: &str,
        outputs: &BTreeMap<String, Value>,
    ) -> Result<Observation, StepError> {
        let subject = outputs.get("subject").and_then(Value::as_str);
        let Some(subject) = subject.and_then(|text| serde_json::from_str::<Subject>(text).ok())
        else {
            return Ok(Observation::absent());
        };
        let done = || {
            let mut seen = Observation::done().with_facts(facts(outputs));
            seen.record = Some(record.to_owned());
            seen.outputs.clone_from(outputs);
            seen
        };
        let (to, _) = self.side("to", &self.to)?;
        match self.since(look, to, &subject.to).await? {
            Since::Renamed(_) => return Ok(done()),
            Since::Changed(how) => return Ok(due(&how)),
            Since::Same => {}
        }
        let (from, _) = self.side("from", &self.from)?;
        Ok(match self.since(look, from, &subject.from).await? {
            Since::Same => done(),
            Since::Renamed(name) => due(&format!("the source is called `{name}` now")),
            Since::Changed(how) => due(&how),
        })
    }
}

impl CompareStep {
    /// Without a record: whether the copy was published with a proof that it is one of this source.
    /// Users write to it since, so it can never be proven again.
    async fn kept(&self, look: &Look) -> Result<Option<Observation>, StepError> {
        let (to, name) = self.side("to", &self.to)?;
        let site = Site::find(look, to).await?;
        let reader = site.any_reader().await?;
        let Some(entry) = shared::by_name(&reader, name).await? else { return Ok(None) };
        let Some(mark) = entry.comment.mark(publish::MARK) else { return Ok(None) };
        let published = mark.read::<publish::Published>();
        let Some(proof) = published.and_then(|published| published.proof) else { return Ok(None) };
        let Subject { from, to } = &proof.subject;
        if (&to.system, to.oid) != (&about(&reader).await?.system, entry.oid) {
            return Ok(None);
        }
        let (spec, source) = self.side("from", &self.from)?;
        let same = match self.identity_of(look, spec, source).await {
            Some(identity) => identity == (from.system.clone(), from.oid),
            // It may be gone for good by now.
            None => from.database == source,
        };
        if !same {
            return Ok(None);
        }
        let record = format!("the mark of {} on `{name}`", mark.identity);
        let outputs = proof.outputs(&record);
        let mut seen = Observation::done().with_facts(facts(&outputs));
        seen.outputs = outputs;
        seen.record = Some(record);
        Ok(Some(seen))
    }

    async fn identity_of(&self, look: &Look, spec: &Database, name: &str) -> Option<(String, u32)> {
        let site = Site::find(look, spec).await.ok()?;
        let reader = site.any_reader().await.ok()?;
        let system = about(&reader).await.ok()?.system;
        Some((system, shared::by_name(&reader, name).await.ok()??.oid))
    }
}

async fn entry(site: &Site, name: &str) -> Result<Entry, StepError> {
    let entry = shared::by_name(&site.any_reader().await?, name).await?;
    entry.ok_or_else(|| not_started(format!("there is no {}", site.named(name))))
}

/// What the mark on a copy of ours says; `None` for any other database.
async fn entry_of(site: &Site, name: &str) -> Result<Option<Copied>, StepError> {
    let entry = entry(site, name).await?;
    Ok(entry.comment.mark(MARK).and_then(|mark| mark.read()))
}

/// A proof that is to be made again.
fn due(why: &str) -> Observation {
    Observation::absent().with_facts(Facts::default().with("since", Binding::Binding, why))
}

fn facts(outputs: &BTreeMap<String, Value>) -> Facts {
    let mut facts = Facts::default();
    for (name, class) in [
        ("digest", Binding::Binding),
        ("tables", Binding::Informative),
        ("rows", Binding::Informative),
    ] {
        if let Some(value) = outputs.get(name) {
            facts = facts.with(name, class, value.clone());
        }
    }
    facts
}

fn outputs(verdict: &Verdict) -> BTreeMap<String, Value> {
    let notes: Vec<Value> = verdict.notes.iter().map(|note| json!({"note": note})).collect();
    let proof = match verdict.differences.is_empty() {
        true => json!(Proof {
            digest: verdict.digest.to_string(),
            tables: verdict.tables,
            rows: verdict.rows,
            subject: verdict.subject.clone(),
        })
        .to_string(),
        false => String::new(),
    };
    [
        ("equal", Value::from(verdict.differences.is_empty())),
        ("digest", Value::from(verdict.digest.as_str())),
        ("tables", Value::from(verdict.tables)),
        ("rows", Value::from(verdict.rows)),
        ("differences", difference::to_json(&verdict.differences)),
        ("notes", Value::from(notes)),
        ("control", Value::from(verdict.control.as_str())),
        ("subject", Value::from(json!(verdict.subject).to_string())),
        ("proof", Value::from(proof)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[async_trait]
impl Step for CompareStep {
    fn resources(&self) -> Resources {
        let reads = [&self.from, &self.to].into_iter().flatten().filter_map(|side| {
            let name = side.database.as_deref().or(self.database.as_deref())?;
            Some(side.resource(name))
        });
        Resources { reads: reads.collect(), writes: Vec::new(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    async fn observe(&self, look: &Look) -> Observation {
        // Reading all rows is for an attempt.
        let seen = bounded(look, async {
            match &look.past {
                Past::Succeeded { record, outputs } => {
                    Box::pin(self.look_again(look, record, outputs)).await
                }
                _ => Ok(Box::pin(self.kept(look)).await?.unwrap_or_else(Observation::absent)),
            }
        });
        seen.await.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, _look: &Look, seen: &Observation) -> Vec<Change> {
        if seen.is_done() {
            return Vec::new();
        }
        [("from", &self.from), ("to", &self.to)]
            .into_iter()
            .filter_map(|(key, side)| {
                let (spec, name) = self.side(key, side).ok()?;
                Some(Change {
                    op: "read".to_owned(),
                    path: format!("database {name} at {}", spec.describe()),
                    before: None,
                    after: None,
                })
            })
            .collect()
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let verdict = bounded(hands, Box::pin(self.prove(hands))).await?;
        let outputs = outputs(&verdict);
        if verdict.differences.is_empty() {
            return Ok(Applied { outputs, notes: verdict.notes, ..Applied::default() });
        }
        let count = verdict.differences.len();
        let things = if count == 1 { "difference" } else { "differences" };
        let mut error = StepError::failed(format!("the copy is not equal: {count} {things}"))
            .with_outputs(outputs);
        error.said = verdict.differences.iter().take(SAID).map(Difference::line).collect();
        if count > SAID {
            error.said.push(format!("… and {} more", count - SAID));
        }
        Err(error)
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        self.verify_now(look, applied).unwrap_or_else(Observation::absent)
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        let mut seen = Observation::done().with_facts(facts(&applied.outputs));
        seen.outputs.clone_from(&applied.outputs);
        Some(seen)
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
