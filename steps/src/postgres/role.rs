//! `postgres.role`: a role with its password.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Prepared, Resources, Secret, SecretRef, Step, StepError,
    UndoPlan, With,
};
use workplan_platform::Database;
use workplan_platform::sql::{Reader, SqlError, Writer};

use super::mark::Comment;
use super::names::{self, ident, literal};
use super::scram;
use super::site::{About, Site, about, bounded, database_param, not_started};
use super::{in_words, keyed};

/// The word of the mark on a role that we made.
const MARK: &str = "role";

/// Makes a role be there, with this password.
#[derive(Debug, Clone, Copy)]
pub struct Role;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "on",
        ty: ParamType::Value,
        required: true,
        doc: "The server: an entry of the target's `databases`, a release, or a URL.",
    },
    ParamSpec { name: "name", ty: ParamType::String, required: true, doc: "The role." },
    ParamSpec {
        name: "password",
        ty: ParamType::Secret,
        required: false,
        doc: "Its password. The server gets a SCRAM verifier, never the password itself; without \
              it the role has none.",
    },
    ParamSpec {
        name: "login",
        ty: ParamType::Bool,
        required: false,
        doc: "Whether it may log in; `true` where a password is given, else `false`.",
    },
    ParamSpec {
        name: "createdb",
        ty: ParamType::Bool,
        required: false,
        doc: "Whether it may create databases; `false` by default.",
    },
    ParamSpec {
        name: "connections",
        ty: ParamType::Int,
        required: false,
        doc: "How many connections it may have; without it as many as the server has.",
    },
];

impl Kind for Role {
    fn name(&self) -> &'static str {
        "postgres.role"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a role be there with this password. A role that is there already is brought to it, \
         and undo gives it back what it had; one that this step made is dropped by undo if it \
         owns nothing."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([("name".to_owned(), OutputType::String)])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let on = database_param(with, "on", &mut problems);
        let name = with.str("name").unwrap_or_default().to_owned();
        if let Some(problem) = names::problem(&name) {
            problems.push(ParamProblem::new("name", format!("`name`: {problem}")));
        }
        if name.starts_with("pg_") {
            problems
                .push(ParamProblem::new("name", "names that begin with `pg_` are the server's"));
        }
        let connections = with.int("connections").unwrap_or(-1);
        let connections =
            i32::try_from(connections).ok().filter(|n| *n >= -1).unwrap_or_else(|| {
                problems.push(ParamProblem::new("connections", "`connections` is 0 or more"));
                -1
            });
        let password = with.str("password").and_then(|text| SecretRef::parse(text).ok());
        let login = if with.has("login") { with.bool("login") } else { password.is_some() };
        if !problems.is_empty() {
            return Err(problems);
        }
        let createdb = with.bool("createdb");
        Ok(Box::new(RoleStep { on, name, password, wanted: Has { login, createdb, connections } }))
    }
}

/// What a role has beside its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Has {
    login: bool,
    createdb: bool,
    connections: i32,
}

impl Has {
    fn options(self) -> String {
        let no = |is: bool| if is { "" } else { "NO" };
        format!(
            "{}LOGIN {}CREATEDB CONNECTION LIMIT {}",
            no(self.login),
            no(self.createdb),
            self.connections
        )
    }
}

struct RoleStep {
    on: Option<Database>,
    name: String,
    password: Option<SecretRef>,
    wanted: Has,
}

/// A role as it is.
struct Found {
    oid: u32,
    has: Has,
    superuser: bool,
    comment: Comment,
    /// The stored verifier; `None` where we may not see it.
    stored: Option<Option<String>>,
}

/// Whether a password is the role's.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Password {
    Same,
    Other,
    /// Says why it cannot be told.
    Unseen(String),
}

/// What was there before, for the journal. The old verifier is kept beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// The server.
    system: String,
    role: Option<Old>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Old {
    oid: u32,
    has: Has,
    /// Of the stored verifier, keyed with the new password.
    stored: Option<String>,
}

impl RoleStep {
    fn on(&self) -> Result<&Database, StepError> {
        self.on.as_ref().ok_or_else(|| not_started("`on` has no value yet"))
    }

    async fn password(&self, look: &Look) -> Result<Option<Secret>, StepError> {
        match &self.password {
            Some(reference) => {
                Ok(Some(look.secret(reference).await.map_err(|e| not_started(e.to_string()))?))
            }
            None => Ok(None),
        }
    }

    async fn found(&self, reader: &Reader, about: &About) -> Result<Option<Found>, SqlError> {
        let stored = if about.superuser {
            "(select rolpassword from pg_catalog.pg_authid a where a.oid = r.oid)"
        } else {
            "null::text"
        };
        let sql = format!(
            "select r.oid, rolcanlogin, rolcreatedb, rolconnlimit, rolsuper, \
             pg_catalog.shobj_description(r.oid, 'pg_authid'), {stored} \
             from pg_catalog.pg_roles r where rolname = $1"
        );
        let rows = reader.rows(&sql, &[&self.name]).await?;
        Ok(rows.first().map(|row| Found {
            oid: row.get(0),
            has: Has { login: row.get(1), createdb: row.get(2), connections: row.get(3) },
            superuser: row.get(4),
            comment: Comment::parse(row.get(5)),
            stored: about.superuser.then(|| row.get(6)),
        }))
    }

    /// Whether a role has the wanted password: by the stored verifier, or else by logging in.
    async fn judge(&self, site: &Site, found: &Found, password: Option<&Secret>) -> Password {
        let Some(password) = password else {
            return match &found.stored {
                Some(None) => Password::Same,
                Some(Some(_)) => Password::Other,
                None => Password::Unseen("whether it has a password is shown to superusers".into()),
            };
        };
        match &found.stored {
            Some(Some(stored)) => match scram::matches(stored, password.reveal()) {
                Some(true) => Password::Same,
                // One that is kept as MD5 is replaced by a better one.
                Some(false) | None => Password::Other,
            },
            Some(None) => Password::Other,
            None => self.by_login(site, password).await,
        }
    }

    async fn by_login(&self, site: &Site, password: &Secret) -> Password {
        let database = site.server.database.clone().unwrap_or_else(|| "postgres".to_owned());
        let attempt = async |password: &Secret| {
            let mut login = site.login(&database);
            login.user.clone_from(&self.name);
            login.password = Some(password.clone());
            Reader::connect(&*site.view, &login, super::site::SHORT).await
        };
        let refused = |error: &SqlError| matches!(error, SqlError::Refused { why, .. } if why.contains("password"));
        // A server that lets anybody in proves nothing: a wrong password must be refused.
        let wrong = Secret::new([password.reveal(), b" (not this one)"].concat());
        let control = attempt(&wrong).await;
        if control.is_ok() {
            let why = "the server asks this machine for no password, and what is stored is shown \
                       to superusers only";
            return Password::Unseen(why.to_owned());
        }
        match attempt(password).await {
            Ok(_) => Password::Same,
            Err(error) if refused(&error) => Password::Other,
            Err(error) => Password::Unseen(error.to_string()),
        }
    }

    async fn look(&self, look: &Look) -> Result<(Site, About, Option<Found>), StepError> {
        let site = Site::find(look, self.on()?).await?;
        let reader = site.any_reader().await?;
        let about = about(&reader).await?;
        let found = self.found(&reader, &about).await?;
        Ok((site, about, found))
    }

    async fn see(&self, look: &Look) -> Result<Observation, StepError> {
        let password = self.password(look).await?;
        let (site, about, found) = self.look(look).await?;
        let facts = Facts::default().with("server", Binding::Binding, about.system.as_str()).with(
            "exists",
            Binding::Binding,
            found.is_some(),
        );
        let Some(found) = found else { return Ok(Observation::absent().with_facts(facts)) };
        let judged = self.judge(&site, &found, password.as_ref()).await;
        let word = match &judged {
            Password::Same => "as wanted",
            Password::Other => "another",
            Password::Unseen(_) => "not seen",
        };
        let facts = facts
            .with("password", Binding::Binding, word)
            .with("options", Binding::Binding, found.has.options())
            .with("made_by", Binding::Informative, maker(&found));
        let mut seen = match judged {
            Password::Unseen(why) => Observation::unknown(format!(
                "the role `{}` is there, but its password cannot be told: {why}",
                self.name
            )),
            Password::Same if found.has == self.wanted => Observation::done(),
            Password::Same | Password::Other => Observation::absent(),
        };
        if seen.is_done() {
            seen.outputs = self.outputs();
        }
        Ok(seen.with_facts(facts))
    }

    fn outputs(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([("name".to_owned(), Value::from(self.name.as_str()))])
    }

    async fn make(&self, hands: &Hands, site: &Site) -> Result<(), StepError> {
        let password = self.password(hands).await?;
        let writer = site.any_writer("").await?;
        site.end_earlier(&writer).await?;
        let reader = site.any_reader().await?;
        let about = about(&reader).await?;
        let found = self.found(&reader, &about).await?;
        if let Some(found) = &found {
            self.refuse_superuser(found)?;
        }
        let verifier = match &password {
            Some(password) => {
                let text = scram::verifier(password.reveal())
                    .map_err(|e| not_started(format!("no random bytes are to be had: {e}")))?;
                // Whoever has it can try passwords against it.
                hands.conceal(&Secret::new(text.as_bytes()));
                Some(text)
            }
            None => None,
        };
        let stored = verifier.as_deref().map_or_else(|| "NULL".to_owned(), literal);
        let verb = if found.is_some() { "ALTER" } else { "CREATE" };
        let role = ident(&self.name);
        let mut sql = format!("{verb} ROLE {role} {} PASSWORD {stored};", self.wanted.options());
        if found.is_none() {
            let comment = Comment::default().with(&hands.identity, MARK, &json!({}));
            sql.push_str(&comment_on(&self.name, &comment));
        }
        quietly(&writer, &about, &sql).await
    }

    /// A password of a superuser is not for an application's plan to set.
    fn refuse_superuser(&self, found: &Found) -> Result<(), StepError> {
        if !found.superuser {
            return Ok(());
        }
        Err(not_started(format!("the role `{}` is there, and it is a superuser", self.name))
            .with_help("choose another name for the application's role"))
    }

    fn stored_digest(&self, stored: Option<&str>, key: Option<&Secret>) -> Option<String> {
        let key = key.map(|k| k.reveal().to_vec()).unwrap_or_default();
        stored.map(|text| keyed(&key, text.as_bytes()))
    }

    /// Whether the role is as this step left it, as it was before, or neither.
    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<Back, StepError> {
        let before: Before = prepared.read()?;
        let password = self.password(look).await?;
        let (site, about, found) = self.look(look).await?;
        let changed = |how: &str| {
            Ok(Back::Changed(format!("the role `{}` {how}; it is left as it is", self.name)))
        };
        if before.system != about.system {
            return changed("is on another server than then");
        }
        let found = match (found, &before.role) {
            (None, None) => return Ok(Back::Before),
            (None, Some(_)) => return changed("was dropped since by somebody else"),
            (Some(found), None) => {
                if !found.comment.mark(MARK).is_some_and(|mark| mark.is_of(&look.identity)) {
                    return changed("was made by somebody else");
                }
                found
            }
            (Some(found), Some(old)) => {
                if found.oid != old.oid {
                    return changed("was made anew since by somebody else");
                }
                let stored = found.stored.clone().flatten();
                let same = self.stored_digest(stored.as_deref(), password.as_ref()) == old.stored;
                if found.has == old.has && same && found.stored.is_some() {
                    return Ok(Back::Before);
                }
                found
            }
        };
        match self.judge(&site, &found, password.as_ref()).await {
            Password::Same if found.has == self.wanted => Ok(Back::Left),
            Password::Unseen(why) => Ok(Back::Changed(why)),
            _ => changed("was changed since by somebody else"),
        }
    }

    async fn take_back(
        &self,
        hands: &Hands,
        site: &Site,
        prepared: &Prepared,
    ) -> Result<(), StepError> {
        let writer = site.any_writer("").await?;
        site.end_earlier(&writer).await?;
        match self.back(hands, prepared).await? {
            Back::Before => return Ok(()),
            Back::Changed(how) => return Err(StepError::failed(how)),
            Back::Left => {}
        }
        let before: Before = prepared.read()?;
        let Some(old) = before.role else { return drop_role(&writer, &self.name).await };
        let stored = match (&old.stored, &prepared.bytes) {
            (None, _) => "NULL".to_owned(),
            (Some(_), Some(bytes)) => {
                hands.conceal(&Secret::new(bytes.clone()));
                literal(&String::from_utf8_lossy(bytes))
            }
            (Some(_), None) => {
                return Err(StepError::failed("the old password is not to be had"));
            }
        };
        let role = ident(&self.name);
        let sql = format!("ALTER ROLE {role} {} PASSWORD {stored};", old.has.options());
        let about = about(&site.any_reader().await?).await?;
        quietly(&writer, &about, &sql).await
    }
}

/// What a role has become since.
enum Back {
    /// As the step left it.
    Left,
    /// As it was before.
    Before,
    /// Neither; says how.
    Changed(String),
}

/// Who made a role, where our mark says so.
fn maker(found: &Found) -> String {
    found.comment.mark(MARK).map_or_else(|| "somebody else".to_owned(), |mark| mark.identity)
}

fn comment_on(role: &str, comment: &Comment) -> String {
    let text = comment.to_text().map_or_else(|| "NULL".to_owned(), |text| literal(&text));
    format!("COMMENT ON ROLE {} IS {text};", ident(role))
}

/// Does statements in one transaction that a log of statements need not hold: a verifier stands in
/// them. Who is no superuser cannot keep them out of the log; the password is in none of them.
async fn quietly(writer: &Writer, about: &About, sql: &str) -> Result<(), StepError> {
    writer.run("BEGIN").await?;
    if about.superuser {
        // A message of its own: the server logs a message whole before it does any of it.
        writer
            .run(
                "SET LOCAL log_statement = 'none'; SET LOCAL log_min_duration_statement = -1; \
                 SET LOCAL log_min_error_statement = 'panic'",
            )
            .await?;
    }
    writer.run(sql).await?;
    writer.run("COMMIT").await?;
    Ok(())
}

#[async_trait]
impl Step for RoleStep {
    fn resources(&self) -> Resources {
        let place = self.on.as_ref().map(|on| format!("role/{}/{}", on.describe(), self.name));
        Resources { reads: Vec::new(), writes: place.into_iter().collect(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can(format!(
            "gives the role `{}` back what it had, or drops it if this step made it and it owns \
             nothing",
            self.name
        ))
    }

    async fn observe(&self, look: &Look) -> Observation {
        let seen = bounded(look, Box::pin(self.see(look))).await;
        seen.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, look: &Look, seen: &Observation) -> Vec<Change> {
        if seen.is_done() {
            return Vec::new();
        }
        let exists =
            seen.facts.0.get("exists").and_then(|f| f.value.as_ref()) == Some(&json!(true));
        let fact = |name: &str| seen.facts.0.get(name).and_then(|f| f.value.clone());
        let place = self.on.as_ref().map(Database::describe).unwrap_or_default();
        let path = |what: &str| format!("role {}{what} at {place}", self.name);
        let _ = look;
        let after = Value::from(self.wanted.options());
        if !exists {
            return vec![Change {
                op: "create".to_owned(),
                path: path(""),
                before: None,
                after: Some(after),
            }];
        }
        let mut changes = Vec::new();
        if fact("options").is_some_and(|options| options != after) {
            changes.push(Change {
                op: "update".to_owned(),
                path: path(" options"),
                before: fact("options"),
                after: Some(after),
            });
        }
        if fact("password") != Some(json!("as wanted")) {
            changes.push(Change {
                op: "update".to_owned(),
                path: path(" password"),
                before: None,
                after: None,
            });
        }
        changes
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        bounded(look, async {
            let password = self.password(look).await?;
            let (_, about, found) = self.look(look).await?;
            let mut bytes = None;
            let role = match found {
                None => None,
                Some(found) => {
                    self.refuse_superuser(&found)?;
                    let Some(stored) = found.stored else {
                        return Err(not_started(format!(
                            "the role `{}` is there, and its stored password, which undo would \
                             have to restore, is shown to superusers only",
                            self.name
                        ))
                        .with_help("let `on` log in as a superuser"));
                    };
                    bytes = stored.as_ref().map(|text| text.as_bytes().to_vec());
                    let stored = self.stored_digest(stored.as_deref(), password.as_ref());
                    Some(Old { oid: found.oid, has: found.has, stored })
                }
            };
            Ok(Prepared { bytes, ..Prepared::of(&Before { system: about.system, role })? })
        })
        .await
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.make(hands, &site))).await?;
        Ok(Applied { outputs: self.outputs(), ..Applied::default() })
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        match bounded(look, self.back(look, prepared)).await {
            Err(error) => Observation::unknown(in_words(&error)),
            Ok(Back::Left) => Observation::done(),
            Ok(Back::Before) => Observation::absent(),
            Ok(Back::Changed(how)) => Observation::unknown(how),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.take_back(hands, &site, prepared))).await
    }
}

/// Drops a role that owns nothing and has no rights anywhere: the server refuses any other.
async fn drop_role(writer: &Writer, name: &str) -> Result<(), StepError> {
    match writer.run(&format!("DROP ROLE {}", ident(name))).await {
        Ok(()) => Ok(()),
        // Dependent objects still exist.
        Err(error) if error.code() == Some("2BP01") => {
            Err(StepError::failed(format!("the role `{name}` owns something or has rights on it"))
                .with_help("undo first what gave it that, a database for example"))
        }
        Err(error) => Err(error.into()),
    }
}
