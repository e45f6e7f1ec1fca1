//! What is there of a copy.

use workplan_engine::kind::{Binding, Facts, Look, Observation, Past, StepError};

use super::plan::{Copied, MARK, Source, Target};
use super::step::{CopyStep, Scene};
use crate::postgres::compare::{Probe, probe};
use crate::postgres::mark::run_of;
use crate::postgres::names;
use crate::postgres::shared::{self, Entry, some};
use crate::postgres::site::{Site, about};

/// What is there.
pub(super) enum Is {
    /// Nothing, or the empty database that is to be filled.
    Absent,
    /// A whole copy of the source as it is now.
    Whole(Box<Entry>),
    /// Something that an attempt left, with its name and mark.
    Half(String),
    /// Something that is not to be touched.
    Foreign(String),
}

impl CopyStep {
    /// The source as it is now; `None` where it cannot be reached.
    async fn source(&self, look: &Look, names: &Target) -> Option<(Source, Probe)> {
        let site = Site::find(look, self.wish.from().ok()?).await.ok()?;
        let reader = site.reader(&names.source).await.ok()?;
        let about = about(&reader).await.ok()?;
        let entry = shared::by_name(&reader, &names.source).await.ok()??;
        let probe = probe(&reader).await.ok()?;
        let source =
            Source { system: about.system, oid: entry.oid, database: names.source.clone() };
        Some((source, probe))
    }

    pub(super) async fn is(&self, look: &Look, scene: &Scene) -> Result<Is, StepError> {
        let Scene { names, to } = scene;
        let reader = to.any_reader().await?;
        let twin = names::staging(&names.name, run_of(&look.identity));
        let entry = shared::by_name(&reader, &names.name).await?;
        let Some(entry) = entry else {
            if names.published.is_none() && shared::by_name(&reader, &twin).await?.is_some() {
                return Ok(Is::Half(format!("`{twin}` was about to become `{}`", names.name)));
            }
            return self.published(look, scene).await;
        };
        let mark = entry.comment.mark(MARK);
        let copied = mark.as_ref().and_then(|mark| mark.read::<Copied>());
        let (Some(mark), Some(copied)) = (mark, copied) else {
            let there = shared::contents(&to.reader(&names.name).await?).await?;
            return Ok(match (there.is_empty(), names.published.is_some()) {
                (true, true) => Is::Half(format!("`{}` was made and not marked", names.name)),
                (true, false) => Is::Absent,
                (false, _) => {
                    Is::Foreign(format!("{} is not empty: {}", to.named(&names.name), some(&there)))
                }
            });
        };
        let ours = mark.is_of(&look.identity);
        if !ours && names.published.is_some() {
            return Ok(Is::Foreign(format!(
                "`{}` belongs to another step, {}",
                names.name, mark.identity
            )));
        }
        if !copied.whole {
            let busy = "select from pg_catalog.pg_stat_activity \
                        where starts_with(application_name, left($1, 63))";
            if !ours && !reader.rows(busy, &[&mark.identity]).await?.is_empty() {
                return Ok(Is::Foreign(format!(
                    "`{}` is being filled by {} now",
                    names.name, mark.identity
                )));
            }
            return Ok(Is::Half(format!("`{}` is filled in part", names.name)));
        }
        let Some((source, written)) = self.source(look, names).await else {
            return Ok(Is::Whole(Box::new(entry)));
        };
        let same = copied.from == source && copied.source_probe.as_ref() == Some(&written);
        Ok(match (same, ours) {
            (true, _) => Is::Whole(Box::new(entry)),
            (false, true) => {
                Is::Half(format!("the source was written to since `{}` was copied", names.name))
            }
            (false, false) => Is::Foreign(format!(
                "`{}` holds a copy of `{}` of an earlier moment, made by {}",
                names.name, copied.from.database, mark.identity
            )),
        })
    }

    /// Without a staging database of this run: whether what it would be published as is a copy of
    /// this source already.
    async fn published(&self, look: &Look, scene: &Scene) -> Result<Is, StepError> {
        let Some(name) = &scene.names.published else { return Ok(Is::Absent) };
        let reader = scene.to.any_reader().await?;
        let Some(entry) = shared::by_name(&reader, name).await? else { return Ok(Is::Absent) };
        let Some(copied) = entry.comment.mark(MARK).and_then(|m| m.read::<Copied>()) else {
            return Ok(Is::Absent);
        };
        let of_it = match self.source(look, &scene.names).await {
            Some((source, now)) => {
                let then = copied.source_probe.as_ref();
                // What is written to the copy is what it was published for. The source was left.
                if copied.from == source && then.is_some_and(|then| now.is_later_than(then)) {
                    return Ok(Is::Foreign(format!(
                        "`{name}` was copied from `{}` and published, and `{}` was written to \
                         since: which of them counts is not known",
                        source.database, source.database
                    )));
                }
                copied.from == source
            }
            // It may be gone for good by now.
            None => copied.from.database == scene.names.source,
        };
        Ok(if of_it && copied.whole { Is::Whole(Box::new(entry)) } else { Is::Absent })
    }

    pub(super) async fn see(&self, look: &Look) -> Result<Observation, StepError> {
        let scene = self.scene(look).await?;
        let system = about(&scene.to.any_reader().await?).await?.system;
        let mut facts = Facts::default().with("server", Binding::Binding, system).with(
            "database",
            Binding::Binding,
            scene.names.name.as_str(),
        );
        if let Some((source, _)) = self.source(look, &scene.names).await {
            facts =
                facts.with("source", Binding::Binding, format!("{}/{}", source.system, source.oid));
        }
        let mut seen = match self.is(look, &scene).await? {
            Is::Absent => Observation::absent(),
            Is::Half(what) => Observation::half(what),
            Is::Foreign(what) => Observation::unknown(what),
            Is::Whole(entry) => {
                let mut seen = Observation::done();
                seen.outputs.insert("staging".to_owned(), self.named(&entry.name)?);
                seen
            }
        };
        if !seen.outputs.is_empty()
            && let Past::Succeeded { outputs, .. } = &look.past
        {
            for (name, value) in outputs {
                seen.outputs.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(seen.with_facts(facts))
    }
}
