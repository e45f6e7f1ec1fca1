//! What is there of a copy, what is done about it, and how it is taken back.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use workplan_engine::kind::{
    Applied, Binding, Change, Facts, Hands, Look, Observation, Prepared, Resources, Seen, Step,
    StepError, UndoPlan,
};
use workplan_platform::Database;
use workplan_platform::sql::Writer;

use super::data::{self, Moved};
use super::finish::{self, Dress};
use super::large;
use super::plan::{Copied, MARK, Source, Target, Wish};
use super::ready::{Ready, ready};
use super::schema::Schema;
use crate::postgres::compare::{Probe, probe};
use crate::postgres::database::{create, drop_database, rename};
use crate::postgres::fence;
use crate::postgres::guard::Guard;
use crate::postgres::in_words;
use crate::postgres::mark::{Comment, run_of};
use crate::postgres::names::{self, ident};
use crate::postgres::portrait::{Frozen, Roles};
use crate::postgres::shared::{self, Entry, some};
use crate::postgres::site::{Site, about, bounded, end_sessions, not_started};

/// One `postgres.copy` step.
pub(super) struct CopyStep {
    pub(super) wish: Wish,
}

/// What is there.
enum Is {
    /// Nothing, or the empty database that is to be filled.
    Absent,
    /// A whole copy of the source as it is now.
    Whole(Box<Entry>),
    /// Something that an attempt left, with its name and mark.
    Half(String),
    /// Something that is not to be touched.
    Foreign(String),
}

/// What was there before, for the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// The target's server.
    system: String,
    /// The database that is filled, where it was there, empty.
    was_there: Option<Old>,
}

/// An empty database.
#[derive(Debug, Serialize, Deserialize)]
struct Old {
    oid: u32,
    owner: String,
    connections: i32,
    comment: Option<String>,
    /// What gives a twin of it what belongs to the database itself.
    dress: Vec<String>,
}

/// Both servers and the names.
struct Scene {
    names: Target,
    to: Site,
}

impl CopyStep {
    async fn scene(&self, look: &Look) -> Result<Scene, StepError> {
        let names = self.wish.target(look)?;
        let to = Site::find(look, self.wish.to()?).await?;
        Ok(Scene { names, to })
    }

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

    async fn is(&self, look: &Look, scene: &Scene) -> Result<Is, StepError> {
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

    async fn see(&self, look: &Look) -> Result<Observation, StepError> {
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
            && let workplan_engine::kind::Past::Succeeded { outputs, .. } = &look.past
        {
            for (name, value) in outputs {
                seen.outputs.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(seen.with_facts(facts))
    }

    /// How a later step names the copy.
    fn named(&self, database: &str) -> Result<Value, StepError> {
        let mut spec: Database = self.wish.to()?.clone();
        spec.database = Some(database.to_owned());
        // A password may be the word `postgres` as well, and would be taken out of the text.
        spec.user = spec.user.filter(|user| user != "postgres");
        Ok(Value::from(spec.to_json()))
    }

    async fn copy(&self, hands: &Hands, from: &Site, scene: &Scene) -> Result<Applied, StepError> {
        let began = Instant::now();
        let Scene { names, to } = scene;
        self.end_earlier(hands, to).await?;
        match self.is(hands, scene).await? {
            Is::Absent => {}
            Is::Half(what) | Is::Foreign(what) => return Err(not_started(what)),
            // It is done once more because somebody said so.
            Is::Whole(entry) if entry.name == names.name => {
                Box::pin(self.clear(hands, scene)).await?;
            }
            Is::Whole(entry) => {
                return Err(not_started(format!("`{}` is that copy already", entry.name)));
            }
        }
        let ready = Box::pin(ready(hands, &self.wish, names, from, to)).await?;
        let admin = to.any_writer(&names.name).await?;
        let source = Source {
            system: ready.source.system.clone(),
            oid: ready.entry.oid,
            database: names.source.clone(),
        };
        let mut copied = Copied {
            from: source,
            whole: false,
            was_there: ready.existing.is_some(),
            roles: ready.roles.clone(),
            owner: self.wish.owner.clone(),
            source_probe: None,
            own_probe: None,
        };
        let comment = match &ready.existing {
            Some(entry) => entry.comment.clone(),
            None => {
                let locale = Some(&ready.entry.locale);
                // The owner comes with all else that belongs to the database.
                create(&admin, &names.name, &to.server.user, locale, ready.target.version).await?;
                Comment::default()
            }
        };
        let marked = comment.with(&hands.identity, MARK, &copied);
        shared::set_comment(&admin, &names.name, &marked).await?;

        let guard = Guard::of(from, &ready.entry).await?;
        copied.source_probe = Some(probe(&from.reader(&names.source).await?).await?);
        let moved = Box::pin(self.fill(hands, from, to, names, &ready)).await?;
        drop(guard);

        let mut notes = ready.notes.clone();
        self.dress(from, &admin, names, &ready).await?;
        copied.own_probe = Some(probe(&to.reader(&names.name).await?).await?);
        copied.whole = true;
        let comment = Comment::parse(ready.entry.comment.text.as_deref());
        let marked = comment.with(&hands.identity, MARK, &copied);
        // This commit goes to the disk, and with it all that was written before.
        shared::set_comment(&admin, &names.name, &marked).await?;
        if let Some(behind) = finish::replayed(&to.any_reader().await?).await? {
            notes.push(format!("standbys that have not replayed the copy yet: {behind}"));
        }
        let outputs = [
            ("staging", self.named(&names.name)?),
            ("tables", Value::from(moved.tables)),
            ("rows", Value::from(moved.rows)),
            ("bytes", Value::from(moved.bytes)),
            ("seconds", Value::from(round(began.elapsed().as_secs_f64()))),
        ];
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Applied { outputs, notes, ..Applied::default() })
    }

    /// Ends what an earlier attempt may have left running on either server. Both may be one, so no
    /// session of ours is open meanwhile.
    async fn end_earlier(&self, look: &Look, to: &Site) -> Result<(), StepError> {
        let writer = to.any_writer("").await?;
        to.end_earlier(&writer).await?;
        drop(writer);
        // Where the source is gone, so are its sessions.
        if let Ok(from) = Site::find(look, self.wish.from()?).await
            && let Ok(writer) = from.any_writer("").await
        {
            from.end_earlier(&writer).await?;
        }
        Ok(())
    }

    /// Puts everything in.
    async fn fill(
        &self,
        hands: &Hands,
        from: &Site,
        to: &Site,
        names: &Target,
        ready: &Ready,
    ) -> Result<Moved, StepError> {
        let frozen = Frozen::open(from, &names.source, self.wish.jobs).await?;
        let source = (from, names.source.as_str());
        let target = (to, names.name.as_str());
        let schema =
            Box::pin(Schema::dump(hands, ready, source, &frozen.snapshot, self.wish.jobs)).await?;
        let mut writers = Vec::new();
        for _ in frozen.readers() {
            let writer = to.writer(&names.name).await?;
            writer.run(data::PINNED).await?;
            writers.push(writer);
        }
        let Some(first) = writers.first() else { return Ok(Moved::default()) };
        drop_defaults(&frozen, first).await?;
        schema.before_rows(target).await?;
        let mut moved = data::rows(&frozen, &writers, &ready.entry.locale.encoding).await?;
        moved.bytes += large::objects(&frozen, first, &ready.roles).await?;
        finish::sequences(&frozen, first).await?;
        schema.after_rows(target).await?;
        finish::partitioned_indexes(first).await?;
        finish::views(&frozen, first).await?;
        schema.watchers(target).await?;
        finish::statistics(&writers).await?;
        Ok(moved)
    }

    /// What belongs to the database itself.
    async fn dress(
        &self,
        from: &Site,
        admin: &Writer,
        names: &Target,
        ready: &Ready,
    ) -> Result<(), StepError> {
        let dress = Dress::of(&from.reader(&names.source).await?).await?;
        let owner = self.wish.owner.as_deref();
        let mut statements = dress.statements(&names.name, owner, &ready.roles);
        // A fence of ours holds the source's own limit.
        let limit = ready
            .entry
            .comment
            .mark(fence::MARK)
            .and_then(|mark| mark.read::<fence::Fenced>())
            .map_or(ready.entry.connections, |fenced| fenced.connections);
        statements.push(limit_of(&names.name, limit));
        finish::all(admin, &statements).await?;
        Ok(())
    }

    /// Brings what an attempt left to nothing. It has our name and our mark, or nothing in it.
    async fn clear(&self, look: &Look, scene: &Scene) -> Result<(), StepError> {
        let Scene { names, to } = scene;
        self.end_earlier(look, to).await?;
        let admin = to.any_writer(&names.name).await?;
        let reader = to.any_reader().await?;
        let twin = names::staging(&names.name, run_of(&look.identity));
        let Some(entry) = shared::by_name(&reader, &names.name).await? else {
            if names.published.is_none() && shared::by_name(&reader, &twin).await?.is_some() {
                rename(&admin, &twin, &names.name).await?;
            }
            return Ok(());
        };
        let mark = entry.comment.mark(MARK);
        let copied = mark.as_ref().and_then(|mark| mark.read::<Copied>());
        let (Some(mark), Some(copied)) = (mark, copied) else {
            let there = shared::contents(&to.reader(&names.name).await?).await?;
            if names.published.is_none() || !there.is_empty() {
                return Err(StepError::failed(format!("`{}` has no mark of ours", names.name)));
            }
            return drop_database(&admin, &names.name).await;
        };
        end_sessions(&admin, Some(&names.name), &mark.identity).await?;
        drop_subscriptions(to, &names.name, &admin).await?;
        if !copied.was_there {
            return drop_database(&admin, &names.name).await;
        }
        // What belongs to the database itself is given to it last, so it is still its own.
        let dress = Dress::of(&to.reader(&names.name).await?).await?;
        let old = Old {
            oid: entry.oid,
            owner: entry.owner.clone(),
            connections: entry.connections,
            comment: entry.comment.without(MARK).to_text(),
            dress: dress.statements(&twin, None, &Roles::new()),
        };
        self.empty_again(&admin, &names.name, &twin, &old, to).await
    }

    /// Puts an empty twin in the place of a filled database.
    async fn empty_again(
        &self,
        admin: &Writer,
        name: &str,
        twin: &str,
        old: &Old,
        to: &Site,
    ) -> Result<(), StepError> {
        let reader = to.any_reader().await?;
        let version = about(&reader).await?.version;
        let locale = shared::by_name(&reader, name).await?.map(|entry| entry.locale);
        drop_database(admin, twin).await?;
        create(admin, twin, &old.owner, locale.as_ref(), version).await?;
        let mut statements = old.dress.clone();
        statements.push(limit_of(twin, old.connections));
        finish::all(admin, &statements).await?;
        shared::set_comment(admin, twin, &Comment::parse(old.comment.as_deref())).await?;
        drop_database(admin, name).await?;
        rename(admin, twin, name).await
    }

    /// Whether the copy is as this step left it, gone, or neither.
    async fn back(
        &self,
        look: &Look,
        scene: &Scene,
        prepared: &Prepared,
    ) -> Result<Observation, StepError> {
        let Scene { names, to } = scene;
        let before: Before = prepared.read()?;
        let reader = to.any_reader().await?;
        if about(&reader).await?.system != before.system {
            return Ok(Observation::unknown("another server answers there"));
        }
        let twin = names::staging(&names.name, run_of(&look.identity));
        let Some(entry) = shared::by_name(&reader, &names.name).await? else {
            if names.published.is_none() && shared::by_name(&reader, &twin).await?.is_some() {
                return Ok(Observation::half(format!(
                    "`{twin}` was about to become `{}`",
                    names.name
                )));
            }
            let published = match &names.published {
                Some(name) => shared::by_name(&reader, name).await?,
                None => None,
            };
            let ours = published
                .and_then(|entry| entry.comment.mark(MARK))
                .is_some_and(|mark| mark.is_of(&look.identity));
            return Ok(match (ours, before.was_there.is_some()) {
                (true, _) => Observation::unknown(format!(
                    "the copy was published as `{}`; take that back first",
                    names.published.as_deref().unwrap_or_default()
                )),
                (false, true) => {
                    Observation::unknown(format!("`{}` was dropped by somebody else", names.name))
                }
                (false, false) => Observation::absent(),
            });
        };
        let mark = entry.comment.mark(MARK).filter(|mark| mark.is_of(&look.identity));
        let copied = mark.and_then(|mark| mark.read::<Copied>());
        let Some(copied) = copied else {
            let empty = shared::contents(&to.reader(&names.name).await?).await?.is_empty();
            let same = before.was_there.as_ref().is_some_and(|old| {
                (&old.owner, old.connections, &old.comment)
                    == (&entry.owner, entry.connections, &entry.comment.to_text())
            });
            return Ok(if empty && same {
                Observation::absent()
            } else {
                Observation::unknown(format!("`{}` is not what this step made", names.name))
            });
        };
        if !copied.whole {
            return Ok(Observation::half(format!("`{}` is filled in part", names.name)));
        }
        let now = probe(&to.reader(&names.name).await?).await?;
        Ok(if names.published.is_none() && copied.own_probe.as_ref() != Some(&now) {
            Observation::unknown(format!("`{}` was written to since it was copied", names.name))
        } else {
            Observation::done()
        })
    }

    async fn take_back(
        &self,
        hands: &Hands,
        scene: &Scene,
        prepared: &Prepared,
    ) -> Result<(), StepError> {
        let Scene { names, to } = scene;
        match self.back(hands, scene, prepared).await?.seen {
            Seen::Absent => return Ok(()),
            Seen::Unknown(why) => return Err(StepError::failed(why)),
            Seen::Half(_) => return self.clear(hands, scene).await,
            Seen::Done => {}
        }
        let before: Before = prepared.read()?;
        self.end_earlier(hands, to).await?;
        let admin = to.any_writer(&names.name).await?;
        drop_subscriptions(to, &names.name, &admin).await?;
        match before.was_there {
            None => drop_database(&admin, &names.name).await,
            Some(old) => {
                let twin = names::staging(&names.name, run_of(&hands.identity));
                self.empty_again(&admin, &names.name, &twin, &old, to).await
            }
        }
    }
}

fn limit_of(database: &str, limit: i32) -> String {
    format!("alter database {} connection limit {limit}", ident(database))
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// A new database has a schema and a language that its source may have dropped.
async fn drop_defaults(frozen: &Frozen, writer: &Writer) -> Result<(), StepError> {
    for (exists, drop) in [
        ("select from pg_namespace where nspname = 'public'", "drop schema if exists public"),
        ("select from pg_extension where extname = 'plpgsql'", "drop extension if exists plpgsql"),
    ] {
        if frozen.leader().rows(exists, &[]).await?.is_empty() {
            writer.run(drop).await?;
        }
    }
    Ok(())
}

/// A subscription keeps its database from being dropped. The copy's never had a slot of its own: the
/// one that it names is the source's, and stays.
async fn drop_subscriptions(to: &Site, database: &str, admin: &Writer) -> Result<(), StepError> {
    let sql = "select s.subname::text from pg_catalog.pg_subscription s \
               join pg_catalog.pg_database d on d.oid = s.subdbid where d.datname = $1";
    let found = admin.rows(sql, &[&database]).await?;
    if found.is_empty() {
        return Ok(());
    }
    let writer = to.writer(database).await?;
    for row in &found {
        let name = ident(row.get(0));
        writer.run(&format!("alter subscription {name} disable")).await?;
        writer.run(&format!("alter subscription {name} set (slot_name = none)")).await?;
        writer.run(&format!("drop subscription {name}")).await?;
    }
    Ok(())
}

#[async_trait]
impl Step for CopyStep {
    fn resources(&self) -> Resources {
        let from = self.wish.from.as_ref().and_then(|from| {
            let name = from.database.as_deref().or(self.wish.database.as_deref())?;
            Some(from.resource(name))
        });
        Resources {
            reads: from.into_iter().collect(),
            writes: self.wish.resource().into_iter().collect(),
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        let named = self.wish.database.is_none()
            && self.wish.to.as_ref().is_some_and(|to| to.database.is_some());
        UndoPlan::Can(if named {
            "empties the database again, or drops it if it was not there".to_owned()
        } else {
            "drops the staging database".to_owned()
        })
    }

    async fn observe(&self, look: &Look) -> Observation {
        let seen = bounded(look, Box::pin(self.see(look))).await;
        seen.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, look: &Look, seen: &Observation) -> Vec<Change> {
        if matches!(seen.seen, Seen::Done | Seen::Unknown(_)) {
            return Vec::new();
        }
        let (Ok(names), Ok(from), Ok(to)) =
            (self.wish.target(look), self.wish.from(), self.wish.to())
        else {
            return Vec::new();
        };
        vec![Change {
            op: "create".to_owned(),
            path: format!("database {} at {}", names.name, to.describe()),
            before: None,
            after: Some(json!({"copy_of": format!("{} at {}", names.source, from.describe())})),
        }]
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        bounded(look, async {
            let scene = self.scene(look).await?;
            let Scene { names, to } = &scene;
            let reader = to.any_reader().await?;
            let system = about(&reader).await?.system;
            let existing = shared::by_name(&reader, &names.name).await?;
            let twin = names::staging(&names.name, run_of(&look.identity));
            let was_there = match existing.filter(|_| names.published.is_none()) {
                None => None,
                // What an earlier run left half filled was there as well.
                Some(entry) => {
                    let copied = entry.comment.mark(MARK).and_then(|m| m.read::<Copied>());
                    if copied.is_some_and(|copied| !copied.was_there) {
                        None
                    } else {
                        let dress = Dress::of(&to.reader(&names.name).await?).await?;
                        Some(Old {
                            oid: entry.oid,
                            owner: entry.owner,
                            connections: entry.connections,
                            comment: entry.comment.without(MARK).to_text(),
                            dress: dress.statements(&twin, None, &Roles::new()),
                        })
                    }
                }
            };
            Prepared::of(&Before { system, was_there })
        })
        .await
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let scene = self.scene(hands).await?;
        let from = Site::find(hands, self.wish.from()?).await?;
        // Both servers are told when it ends early.
        let copying = Box::pin(self.copy(hands, &from, &scene));
        from.acting(hands, scene.to.acting(hands, copying)).await
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let scene = self.scene(hands).await?;
        scene.to.acting(hands, Box::pin(self.clear(hands, &scene))).await
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let seen = bounded(look, async {
            let scene = self.scene(look).await?;
            self.back(look, &scene, prepared).await
        });
        seen.await.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let scene = self.scene(hands).await?;
        scene.to.acting(hands, Box::pin(self.take_back(hands, &scene, prepared))).await
    }
}
