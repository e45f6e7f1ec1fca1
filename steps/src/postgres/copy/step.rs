//! Copying a database.

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;

use workplan_engine::kind::{
    Applied, Change, Hands, Look, Observation, Prepared, Resources, Seen, Step, StepError, UndoPlan,
};
use workplan_platform::Database;
use workplan_platform::sql::Writer;

use super::data::{self, Moved};
use super::finish::{self, Dress};
use super::large;
use super::plan::{Copied, MARK, Source, Target, Wish};
use super::ready::{Ready, ready};
use super::schema::Schema;
use super::state::Is;
use crate::postgres::compare::probe;
use crate::postgres::database::create;
use crate::postgres::fence;
use crate::postgres::guard::Guard;
use crate::postgres::in_words;
use crate::postgres::mark::Comment;
use crate::postgres::names::ident;
use crate::postgres::portrait::Frozen;
use crate::postgres::shared;
use crate::postgres::site::{Site, bounded, not_started};

/// One `postgres.copy` step.
pub(super) struct CopyStep {
    pub(super) wish: Wish,
}

/// Both servers and the names.
pub(super) struct Scene {
    pub(super) names: Target,
    pub(super) to: Site,
}

impl CopyStep {
    pub(super) async fn scene(&self, look: &Look) -> Result<Scene, StepError> {
        let names = self.wish.target(look)?;
        let to = Site::find(look, self.wish.to()?).await?;
        Ok(Scene { names, to })
    }

    /// How a later step names the copy.
    pub(super) fn named(&self, database: &str) -> Result<Value, StepError> {
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
    pub(super) async fn end_earlier(&self, look: &Look, to: &Site) -> Result<(), StepError> {
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
}

pub(super) fn limit_of(database: &str, limit: i32) -> String {
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
            Prepared::of(&self.before(look, &scene).await?)
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
