//! How a copy is taken back, whole or in part.

use serde::{Deserialize, Serialize};
use workplan_engine::kind::{Hands, Look, Observation, Prepared, Seen, StepError};
use workplan_platform::sql::Writer;

use super::finish::{self, Dress};
use super::plan::{Copied, MARK};
use super::step::{CopyStep, Scene, limit_of};
use crate::postgres::compare::probe;
use crate::postgres::database::{create, drop_database, rename};
use crate::postgres::mark::{Comment, run_of};
use crate::postgres::names::{self, ident};
use crate::postgres::portrait::Roles;
use crate::postgres::shared;
use crate::postgres::site::{Site, about, end_sessions};

/// What was there before, for the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Before {
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

impl CopyStep {
    /// What is there before the first attempt.
    pub(super) async fn before(&self, look: &Look, scene: &Scene) -> Result<Before, StepError> {
        let Scene { names, to } = scene;
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
        Ok(Before { system, was_there })
    }

    /// Brings what an attempt left to nothing. It has our name and our mark, or nothing in it.
    pub(super) async fn clear(&self, look: &Look, scene: &Scene) -> Result<(), StepError> {
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
    pub(super) async fn back(
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

    pub(super) async fn take_back(
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
