//! What is there of a fence, how it is put up, and how it is opened again.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Applied, Binding, Change, ErrorCause, Facts, Hands, Look, Observation, Past, Prepared,
    Resources, Seen, Step, StepError, UndoPlan,
};
use workplan_platform::sql::{Reader, SqlError, Writer};
use workplan_platform::{Database, PlatformError};

use super::mark::{Fenced, MARK};
use super::obstacles;
use super::sessions::{SESSIONS, Session, end_all, of_run, session};
use crate::postgres::in_words;
use crate::postgres::mark::Mark;
use crate::postgres::names::ident;
use crate::postgres::shared::{self, Entry, some};
use crate::postgres::site::{Site, about, bounded, is_pooled, not_started};

/// One `postgres.fence` step.
pub(super) struct FenceStep {
    pub(super) on: Option<Database>,
    pub(super) database: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) wait: Duration,
}

/// What was there before any fence of ours, for the journal. The mark says the same, so that a
/// process without the journal can open, too.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    system: String,
    oid: u32,
    #[serde(flatten)]
    open: Fenced,
}

/// A role as the server has it.
struct Role {
    login: bool,
    superuser: bool,
}

/// What a look found.
struct View {
    site: Site,
    system: String,
    entry: Entry,
    /// All roles that are wanted or that a fence of ours closed; `None` for one that is not there.
    roles: BTreeMap<String, Option<Role>>,
    sessions: Vec<Session>,
    prepared: i64,
}

enum Back {
    /// As this step left it.
    Left,
    /// As it was before.
    Before,
    Changed(String),
}

impl View {
    fn mark(&self) -> Option<Mark> {
        self.entry.comment.mark(MARK)
    }

    fn fenced(&self) -> Option<Fenced> {
        self.mark().and_then(|mark| mark.read())
    }

    /// What keeps a fence from being closed: limit and logins; `None` where it is.
    fn gap(&self, roles: &[String]) -> Option<String> {
        if self.entry.connections != 0 {
            return Some(format!("`{}` takes connections", self.entry.name));
        }
        let open = |role: &&String| {
            self.roles.get(*role).is_some_and(|r| r.as_ref().is_some_and(|r| r.login))
        };
        roles.iter().find(open).map(|role| format!("`{role}` can log in"))
    }

    /// What is so of `open` again.
    fn is_open_as(&self, open: &Fenced) -> bool {
        self.entry.connections == open.connections
            && open.roles.iter().all(|(role, login)| self.login(role) == Some(*login))
    }

    fn login(&self, role: &str) -> Option<bool> {
        self.roles.get(role)?.as_ref().map(|role| role.login)
    }
}

impl FenceStep {
    fn on(&self) -> Result<&Database, StepError> {
        self.on.as_ref().ok_or_else(|| not_started("`on` has no value yet"))
    }

    fn name(&self) -> Result<&str, StepError> {
        let name = self.database.as_deref().or(self.on()?.database.as_deref());
        name.ok_or_else(|| not_started("`on` names no database"))
    }

    /// Whether the server was taken away: what is not there is not written to.
    async fn is_gone(&self, look: &Look) -> Result<Option<String>, StepError> {
        let on = self.on()?;
        let view = on.view(look).map_err(StepError::from)?;
        Ok(match on.server(look, &*view).await {
            Err(PlatformError::Missing(what)) => Some(what),
            _ => None,
        })
    }

    async fn view(&self, look: &Look) -> Result<View, StepError> {
        let (site, name) = (Site::find(look, self.on()?).await?, self.name()?);
        let reader = site.any_reader().await?;
        let system = about(&reader).await?.system;
        let entry = shared::by_name(&reader, name).await?;
        let entry =
            entry.ok_or_else(|| not_started(format!("there is no {}", site.named(name))))?;
        let fenced = entry.comment.mark(MARK).and_then(|mark| mark.read::<Fenced>());
        let mut wanted = self.roles.clone();
        wanted.extend(fenced.into_iter().flat_map(|fenced| fenced.roles.into_keys()));
        let roles = roles(&reader, &wanted).await?;
        let run = of_run(&look.identity);
        let sessions = reader.rows(SESSIONS, &[&name, &run]).await?.iter().map(session).collect();
        let sql = "select count(*) from pg_catalog.pg_prepared_xacts where database = $1";
        let rows = reader.rows(sql, &[&name]).await?;
        let prepared = rows.first().map_or(0, |row| row.get(0));
        Ok(View { site, system, entry, roles, sessions, prepared })
    }

    async fn see(&self, look: &Look) -> Result<Observation, StepError> {
        if let Some(what) = self.is_gone(look).await? {
            let facts = Facts::default().with("server", Binding::Binding, format!("gone: {what}"));
            let mut seen = Observation::done().with_facts(facts);
            seen.outputs = outputs("", 0, &[]);
            return Ok(seen);
        }
        let view = self.view(look).await?;
        let logins: Vec<Value> = self
            .roles
            .iter()
            .map(|role| json!({"role": role, "login": view.login(role)}))
            .collect();
        let who: Vec<String> = view.sessions.iter().map(|s| s.who.clone()).collect();
        let mut facts = Facts::default()
            .with("server", Binding::Binding, view.system.as_str())
            .with("oid", Binding::Binding, view.entry.oid)
            .with("connection_limit", Binding::Binding, view.entry.connections)
            .with("roles", Binding::Binding, logins)
            .with("connected", Binding::Informative, who.clone())
            .with("prepared_transactions", Binding::Informative, view.prepared);
        let Some(mark) = view.mark() else {
            return Ok(Observation::absent().with_facts(facts));
        };
        facts = facts.with("fenced_by", Binding::Binding, mark.identity.as_str());
        let ours = mark.is_of(&look.identity);
        let seen = match (view.gap(&self.roles), ours) {
            (Some(gap), true) => Seen::Half(format!("the fence was opened in part: {gap}")),
            // Somebody else's: put up anew, and what it says of before is kept.
            (Some(_), false) => Seen::Absent,
            (None, _) => match view.sessions.iter().find(|s| !s.superuser) {
                Some(session) => {
                    Seen::Half(format!("somebody is still connected: {}", session.who))
                }
                None if view.prepared > 0 => {
                    Seen::Half(format!("{} prepared transactions could commit", view.prepared))
                }
                None => Seen::Done,
            },
        };
        let mut seen = Observation::new(seen).with_facts(facts);
        if seen.is_done() {
            let ended = match &look.past {
                Past::Succeeded { outputs, .. } => outputs.clone(),
                _ => BTreeMap::new(),
            };
            seen.outputs = outputs("", 0, &who);
            seen.outputs.extend(ended);
        }
        Ok(seen)
    }

    /// Refuses what a fence cannot do.
    async fn ready(&self, view: &View) -> Result<obstacles::Notes, StepError> {
        let View { site, entry, .. } = view;
        let reader = site.any_reader().await?;
        let place = site.spec.describe();
        if is_pooled(&reader).await? {
            return Err(not_started(format!("{place} is a pooler, not a server"))
                .with_help("name the primary itself"));
        }
        let about = about(&reader).await?;
        if about.standby {
            return Err(not_started(format!("{place} is a standby"))
                .with_help("name the primary: a standby only follows it"));
        }
        if !about.superuser {
            return Err(not_started(format!("`{}` is no superuser at {place}", site.server.user))
                .with_help("a fence lets in superusers alone, and we have to be let in"));
        }
        for role in &self.roles {
            match view.roles.get(role) {
                Some(Some(Role { superuser: false, .. })) => {}
                Some(Some(_)) => {
                    return Err(not_started(format!("the role `{role}` is a superuser"))
                        .with_help(
                            "a superuser passes every fence: take that right away from the \
                             application's role first",
                        ));
                }
                _ => {
                    return Err(not_started(format!("there is no role `{role}` at {place}")));
                }
            }
        }
        obstacles::none(site, &reader, &entry.name).await
    }

    async fn close(&self, hands: &Hands, view: &View) -> Result<Applied, StepError> {
        let View { site, entry, .. } = view;
        let mut notes = self.ready(view).await?;
        let writer = site.any_writer(&entry.name).await?;
        site.end_earlier(&writer).await?;
        let open = self.before(view);
        let comment = entry.comment.clone().with(&hands.identity, MARK, &open);
        let mut statements: Vec<String> = open
            .roles
            .iter()
            .filter(|(role, _)| view.login(role) == Some(true))
            .map(|(role, _)| format!("ALTER ROLE {} NOLOGIN", ident(role)))
            .collect();
        statements.push(limit(&entry.name, 0));
        statements.push(shared::comment_statement(&entry.name, &comment));
        at_once(&writer, &statements).await?;

        let run = of_run(&hands.identity);
        let ended = end_all(&writer, &entry.name, &run, self.wait).await?;
        // What was prepared while the door was being shut.
        obstacles::prepared(site, &site.any_reader().await?, &entry.name)
            .await
            .map_err(|error| StepError { cause: ErrorCause::Failed, ..error })?;
        let rows = writer.rows("select pg_catalog.pg_current_wal_lsn()::text", &[]).await?;
        let position: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
        notes.extend(ended.back.iter().map(|who| format!("a superuser came again: {who}")));
        let outputs = outputs(&position, ended.count, &ended.back);
        Ok(Applied { outputs, notes, ..Applied::default() })
    }

    /// What was before any fence of ours: what a mark says that is there, else what is there.
    fn before(&self, view: &View) -> Fenced {
        let mut before = view.fenced().unwrap_or_else(|| Fenced {
            connections: view.entry.connections,
            roles: BTreeMap::new(),
        });
        for role in &self.roles {
            let login = view.login(role).unwrap_or(false);
            before.roles.entry(role.clone()).or_insert(login);
        }
        before
    }

    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<(Back, View), StepError> {
        let before: Before = prepared.read()?;
        let view = self.view(look).await?;
        let named = format!("`{}`", view.entry.name);
        let changed = |how: String| Back::Changed(format!("{how}; it is left as it is"));
        let back = match view.mark() {
            _ if before.system != view.system => {
                changed(format!("another server than then answers for {named}"))
            }
            _ if before.oid != view.entry.oid => {
                changed(format!("{named} was made anew since by somebody else"))
            }
            None if view.is_open_as(&before.open) => Back::Before,
            None => changed(format!("{named} is not fenced any more, and not as it was before")),
            Some(mark) if !mark.is_of(&look.identity) => {
                changed(format!("{named} is fenced by {}", mark.identity))
            }
            Some(_) => match self.meddled(&view) {
                Some(how) => changed(how),
                None => Back::Left,
            },
        };
        Ok((back, view))
    }

    /// What somebody changed of a fence of ours, in a way that opening would overwrite.
    fn meddled(&self, view: &View) -> Option<String> {
        let fenced = view.fenced()?;
        if ![0, fenced.connections].contains(&view.entry.connections) {
            let now = view.entry.connections;
            return Some(format!("the connection limit of `{}` is {now} now", view.entry.name));
        }
        fenced.roles.iter().find_map(|(role, before)| match view.login(role) {
            None => Some(format!("the role `{role}` was dropped")),
            Some(true) if !before => Some(format!("the role `{role}` was given a login")),
            _ => None,
        })
    }

    async fn open(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let (back, view) = self.back(hands, prepared).await?;
        match back {
            Back::Before => return Ok(()),
            Back::Changed(how) => return Err(StepError::failed(how)),
            Back::Left => {}
        }
        let fenced = view.fenced().ok_or_else(|| {
            StepError::failed(format!(
                "the mark of the fence on `{}` cannot be read",
                view.entry.name
            ))
        })?;
        let writer = view.site.any_writer(&view.entry.name).await?;
        view.site.end_earlier(&writer).await?;
        let mut statements: Vec<String> = fenced
            .roles
            .iter()
            .filter(|(role, login)| **login && view.login(role) == Some(false))
            .map(|(role, _)| format!("ALTER ROLE {} LOGIN", ident(role)))
            .collect();
        statements.push(limit(&view.entry.name, fenced.connections));
        let comment = view.entry.comment.clone().without(MARK);
        statements.push(shared::comment_statement(&view.entry.name, &comment));
        at_once(&writer, &statements).await?;
        Ok(())
    }
}

fn limit(database: &str, limit: i32) -> String {
    format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", ident(database))
}

/// All or nothing: a fence without its mark could not be opened again.
async fn at_once(writer: &Writer, statements: &[String]) -> Result<(), SqlError> {
    writer.run(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await
}

async fn roles(
    reader: &Reader,
    wanted: &[String],
) -> Result<BTreeMap<String, Option<Role>>, SqlError> {
    let sql = "select rolname::text, rolcanlogin, rolsuper from pg_catalog.pg_roles \
               where rolname = any($1)";
    let mut found: BTreeMap<String, Option<Role>> =
        wanted.iter().map(|role| (role.clone(), None)).collect();
    for row in reader.rows(sql, &[&wanted]).await? {
        found.insert(row.get(0), Some(Role { login: row.get(1), superuser: row.get(2) }));
    }
    Ok(found)
}

fn outputs(position: &str, ended: usize, connected: &[String]) -> BTreeMap<String, Value> {
    [
        ("position", Value::from(position)),
        ("ended", Value::from(ended)),
        ("connected", Value::from(connected)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[async_trait]
impl Step for FenceStep {
    fn resources(&self) -> Resources {
        let mut writes = Vec::new();
        if let (Some(on), Ok(name)) = (&self.on, self.name()) {
            writes.push(on.resource(name));
            writes.extend(self.roles.iter().map(|role| format!("role/{}/{role}", on.describe())));
        }
        Resources { reads: Vec::new(), writes, claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can("opens the database again: logins and limit as they were".to_owned())
    }

    async fn observe(&self, look: &Look) -> Observation {
        let seen = bounded(look, Box::pin(self.see(look))).await;
        seen.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, look: &Look, seen: &Observation) -> Vec<Change> {
        if seen.is_done() {
            return Vec::new();
        }
        let Ok(view) = bounded(look, Box::pin(self.view(look))).await else { return Vec::new() };
        let place = view.site.spec.describe();
        let change = |op: &str, path: String, before: Value, after: Value| Change {
            op: op.to_owned(),
            path,
            before: Some(before),
            after: Some(after),
        };
        let mut all: Vec<Change> = self
            .roles
            .iter()
            .filter(|role| view.login(role) == Some(true))
            .map(|role| {
                let path = format!("login of role {role} at {place}, to any of its databases");
                change("update", path, json!(true), json!(false))
            })
            .collect();
        if view.entry.connections != 0 {
            let path = format!("connection limit of {}", view.site.named(&view.entry.name));
            all.push(change("update", path, json!(view.entry.connections), json!(0)));
        }
        if !view.sessions.is_empty() {
            let who: Vec<String> = view.sessions.iter().map(|s| s.who.clone()).collect();
            let path = format!("sessions of {}", view.site.named(&view.entry.name));
            all.push(change("delete", path, json!(some(&who)), Value::Null));
        }
        all
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        bounded(look, async {
            let view = self.view(look).await?;
            let open = self.before(&view);
            Prepared::of(&Before { system: view.system, oid: view.entry.oid, open })
        })
        .await
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let view = self.view(hands).await?;
        view.site.acting(hands, Box::pin(self.close(hands, &view))).await
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        // Closing what is closed changes nothing; what is open in part is shut, who stayed is ended.
        self.apply(hands).await.map(drop)
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        match bounded(look, Box::pin(self.back(look, prepared))).await {
            Ok((Back::Left, _)) => Observation::done(),
            Ok((Back::Before, _)) => Observation::absent(),
            Ok((Back::Changed(how), _)) => Observation::unknown(how),
            Err(error) => Observation::unknown(in_words(&error)),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.open(hands, prepared))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::mark::Comment;

    #[test]
    fn the_mark_is_as_a_process_without_the_journal_reads_it() {
        let roles = BTreeMap::from([("app".to_owned(), true), ("off".to_owned(), false)]);
        let fenced = Fenced { connections: -1, roles };
        let comment = Comment::parse(Some("hers")).with("workplan:r1:T.f:1", MARK, &fenced);
        assert_eq!(
            comment.to_text().as_deref(),
            Some(
                "hers\nworkplan:r1:T.f:1 fence \
                 {\"connections\":-1,\"roles\":{\"app\":true,\"off\":false}}"
            )
        );
        let read = comment.mark(MARK).and_then(|mark| mark.read::<Fenced>());
        assert_eq!(read, Some(fenced));
    }
}
