//! `postgres.database`: an empty database with its owner.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Prepared, Resources, Seen, Step, StepError, UndoPlan, With,
};
use workplan_platform::Database as Spec;
use workplan_platform::sql::Writer;

use super::in_words;
use super::mark::{Comment, run_of};
use super::names::{self, ident};
use super::shared::{self, Entry, Locale};
use super::site::{SHORT, Site, about, bounded, database_param, end_all_sessions, not_started};

/// The word of the mark on a database that this kind made.
pub(super) const MARK: &str = "database";

/// Makes an empty database be there.
#[derive(Debug, Clone, Copy)]
pub struct Database;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "on",
        ty: ParamType::Value,
        required: true,
        doc: "The server: an entry of the target's `databases`, a release, or a URL.",
    },
    ParamSpec { name: "name", ty: ParamType::String, required: true, doc: "The database." },
    ParamSpec {
        name: "owner",
        ty: ParamType::String,
        required: true,
        doc: "The role that owns it. Since PostgreSQL 15 only the owner may create tables in the \
              schema `public`; all rights on the database are not enough.",
    },
    ParamSpec {
        name: "like",
        ty: ParamType::Value,
        required: false,
        doc: "Another database, as in `on`, whose encoding and locale it gets; without it those \
              of the server's `template0`.",
    },
];

impl Kind for Database {
    fn name(&self) -> &'static str {
        "postgres.database"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a database be there, made from `template0`, with its owner, encoding and locale. \
         Undo drops one that this step made only while nothing is in it."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([("database".to_owned(), OutputType::String)])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let on = database_param(with, "on", &mut problems);
        let like = database_param(with, "like", &mut problems);
        let mut name = |key: &str| {
            let name = with.str(key).unwrap_or_default().to_owned();
            if let Some(problem) = names::problem(&name) {
                problems.push(ParamProblem::new(key, format!("`{key}`: {problem}")));
            }
            name
        };
        let (database, owner) = (name("name"), name("owner"));
        if let Some(like) = &like
            && like.database.is_none()
        {
            problems
                .push(ParamProblem::new("like", "`like` names a server and no `database` of it"));
        }
        if problems.is_empty() {
            Ok(Box::new(DatabaseStep { on, name: database, owner, like }))
        } else {
            Err(problems)
        }
    }
}

struct DatabaseStep {
    on: Option<Spec>,
    name: String,
    owner: String,
    like: Option<Spec>,
}

/// What was there before, for the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    system: String,
    /// Number and owner, where it was there.
    database: Option<(u32, String)>,
}

/// What a look found.
struct View {
    site: Site,
    system: String,
    version: i32,
    found: Option<Entry>,
    /// The one that is being made; it gets its name when it is whole.
    nascent: Option<Entry>,
}

enum Back {
    Left,
    Before,
    Changed(String),
}

impl DatabaseStep {
    fn on(&self) -> Result<&Spec, StepError> {
        self.on.as_ref().ok_or_else(|| not_started("`on` has no value yet"))
    }

    fn nascent(&self, look: &Look) -> String {
        names::staging(&self.name, run_of(&look.identity))
    }

    async fn view(&self, look: &Look) -> Result<View, StepError> {
        let site = Site::find(look, self.on()?).await?;
        let reader = site.any_reader().await?;
        let about = about(&reader).await?;
        let found = shared::by_name(&reader, &self.name).await?;
        let nascent = shared::by_name(&reader, &self.nascent(look)).await?;
        let (system, version) = (about.system, about.version);
        Ok(View { site, system, version, found, nascent })
    }

    /// The encoding and locale of `like`.
    async fn wanted_locale(&self, look: &Look) -> Result<Option<Locale>, StepError> {
        let Some(like) = &self.like else { return Ok(None) };
        let name = like.database.clone().unwrap_or_default();
        let site = Site::find(look, like).await?;
        let entry = shared::by_name(&site.any_reader().await?, &name).await?;
        match entry {
            Some(entry) => Ok(Some(entry.locale)),
            None => Err(not_started(format!("there is no {}", site.named(&name)))),
        }
    }

    async fn see(&self, look: &Look) -> Result<Observation, StepError> {
        let view = self.view(look).await?;
        let locale = self.wanted_locale(look).await?;
        let mut facts = Facts::default()
            .with("server", Binding::Binding, view.system.as_str())
            .with("exists", Binding::Binding, view.found.is_some());
        if let Some(locale) = &locale {
            facts = facts.with("wanted_locale", Binding::Binding, locale.describe());
        }
        if let Some(nascent) = &view.nascent {
            let what = format!("`{}` was left behind by an attempt of this step", nascent.name);
            return Ok(Observation::half(what).with_facts(facts));
        }
        let Some(found) = &view.found else {
            return Ok(Observation::absent().with_facts(facts));
        };
        facts = facts
            .with("oid", Binding::Binding, found.oid)
            .with("owner", Binding::Binding, found.owner.as_str())
            .with("locale", Binding::Binding, found.locale.describe());
        let seen = match locale {
            Some(locale) if locale != found.locale => Seen::Unknown(format!(
                "the database `{}` is there with {}, wanted is {}; that cannot be changed",
                self.name,
                found.locale.describe(),
                locale.describe()
            )),
            _ if found.owner == self.owner => Seen::Done,
            _ => Seen::Absent,
        };
        let mut seen = Observation::new(seen).with_facts(facts);
        if seen.is_done() {
            seen.outputs = self.outputs();
        }
        Ok(seen)
    }

    /// How a later step names it.
    fn outputs(&self) -> BTreeMap<String, Value> {
        let Some(mut spec) = self.on.clone() else { return BTreeMap::new() };
        spec.database = Some(self.name.clone());
        BTreeMap::from([("database".to_owned(), Value::from(spec.to_json()))])
    }

    async fn make(&self, hands: &Hands, site: &Site) -> Result<(), StepError> {
        let locale = self.wanted_locale(hands).await?;
        let view = self.view(hands).await?;
        let writer = site.any_writer(&self.name).await?;
        site.end_earlier(&writer).await?;
        let owner = ident(&self.owner);
        if let Some(found) = &view.found {
            if let Some(locale) = locale.filter(|locale| *locale != found.locale) {
                return Err(not_started(format!(
                    "the database `{}` is there with {}, wanted is {}",
                    self.name,
                    found.locale.describe(),
                    locale.describe()
                )));
            }
            writer.run(&format!("ALTER DATABASE {} OWNER TO {owner}", ident(&self.name))).await?;
            return Ok(());
        }
        let nascent = self.nascent(hands);
        create(&writer, &nascent, &self.owner, locale.as_ref(), view.version).await?;
        let comment = Comment::default().with(&hands.identity, MARK, &json!({}));
        shared::set_comment(&writer, &nascent, &comment).await?;
        rename(&writer, &nascent, &self.name).await
    }

    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<(Back, View), StepError> {
        let before: Before = prepared.read()?;
        let view = self.view(look).await?;
        let changed = |how: &str| {
            Back::Changed(format!("the database `{}` {how}; it is left as it is", self.name))
        };
        let back = match (&view.found, &before.database) {
            _ if before.system != view.system => changed("is on another server than then"),
            (None, None) => Back::Before,
            (None, Some(_)) => changed("was dropped since by somebody else"),
            (Some(found), None) => {
                if !found.comment.mark(MARK).is_some_and(|mark| mark.is_of(&look.identity)) {
                    changed("was made by somebody else")
                } else if found.owner == self.owner {
                    Back::Left
                } else {
                    changed("was given to another owner since")
                }
            }
            (Some(found), Some((oid, _))) if found.oid != *oid => {
                changed("was made anew since by somebody else")
            }
            (Some(found), Some((_, owner))) if found.owner == *owner => Back::Before,
            (Some(found), Some(_)) if found.owner == self.owner => Back::Left,
            _ => changed("was given to another owner since"),
        };
        Ok((back, view))
    }

    async fn take_back(
        &self,
        hands: &Hands,
        site: &Site,
        prepared: &Prepared,
    ) -> Result<(), StepError> {
        let writer = site.any_writer(&self.name).await?;
        site.end_earlier(&writer).await?;
        let before: Before = prepared.read()?;
        let (back, view) = self.back(hands, prepared).await?;
        self.clear_nascent(hands, &view, &writer).await?;
        match back {
            Back::Before => return Ok(()),
            Back::Changed(how) => return Err(StepError::failed(how)),
            Back::Left => {}
        }
        let name = ident(&self.name);
        if let Some((_, owner)) = before.database {
            writer.run(&format!("ALTER DATABASE {name} OWNER TO {}", ident(&owner))).await?;
            return Ok(());
        }
        let there = shared::contents(&site.reader(&self.name).await?).await?;
        if !there.is_empty() {
            return Err(StepError::failed(format!(
                "the database `{}` is not empty, it is left: {}",
                self.name,
                shared::some(&there)
            ))
            .with_help("drop it by hand where that is wanted"));
        }
        drop_database(&writer, &self.name).await
    }

    /// Ends what was begun: drops a database that has our name and our mark. One without the mark
    /// is one that an attempt made and could not mark any more, if nothing is in it.
    async fn clear_nascent(
        &self,
        look: &Look,
        view: &View,
        writer: &Writer,
    ) -> Result<(), StepError> {
        let Some(nascent) = &view.nascent else { return Ok(()) };
        let marked = nascent.comment.mark(MARK).is_some_and(|mark| mark.is_of(&look.identity));
        if !marked {
            let there = shared::contents(&view.site.reader(&nascent.name).await?).await?;
            if !there.is_empty() {
                return Err(StepError::failed(format!(
                    "`{}` has no mark of ours and is not empty; it is left: {}",
                    nascent.name,
                    shared::some(&there)
                )));
            }
        }
        drop_database(writer, &nascent.name).await
    }
}

/// Makes a database from `template0`.
///
/// # Errors
/// What is missing, in words, or what the server says.
pub(super) async fn create(
    writer: &Writer,
    name: &str,
    owner: &str,
    locale: Option<&Locale>,
    version: i32,
) -> Result<(), StepError> {
    let options = locale.map_or_else(String::new, |locale| locale.options(version));
    let sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 OWNER {} {options}",
        ident(name),
        ident(owner)
    );
    // Copies files: longer than a catalog change on a slow disk.
    let created = writer.run_within(SHORT * 15, &sql).await;
    created.map_err(|error| match (error.code(), locale) {
        (Some("42704"), _) if error.to_string().contains("role") => {
            StepError::failed(format!("the role `{owner}` is not there, and it is to own `{name}`"))
                .with_help("make it first, with `postgres.role` for example")
        }
        (Some("22023" | "42809" | "42704" | "0A000"), Some(locale)) => {
            let why = error.to_string();
            StepError::failed(format!(
                "a database with {} cannot be made there: {why}",
                locale.describe()
            ))
            .with_help("install that locale on the server's machine, then start the server anew")
        }
        (Some("53100"), _) => StepError::failed(format!("no space is left there: {error}")),
        _ => error.into(),
    })
}

/// Gives a database another name. Nobody may be connected to it.
///
/// # Errors
/// Who is connected, or what the server says.
pub(super) async fn rename(writer: &Writer, from: &str, to: &str) -> Result<(), StepError> {
    writer.run(&format!("ALTER DATABASE {} RENAME TO {}", ident(from), ident(to))).await?;
    Ok(())
}

/// Drops a database after ending what is connected to it.
///
/// # Errors
/// In the server's words.
pub(super) async fn drop_database(writer: &Writer, name: &str) -> Result<(), StepError> {
    let sql = "select from pg_catalog.pg_database where datname = $1 and datistemplate";
    if !writer.rows(sql, &[&name]).await?.is_empty() {
        writer.run(&format!("ALTER DATABASE {} IS_TEMPLATE false", ident(name))).await?;
    }
    end_all_sessions(writer, name).await?;
    writer.run_within(SHORT * 15, &format!("DROP DATABASE IF EXISTS {}", ident(name))).await?;
    Ok(())
}

#[async_trait]
impl Step for DatabaseStep {
    fn resources(&self) -> Resources {
        Resources {
            reads: self
                .like
                .iter()
                .map(|like| like.resource(like.database.as_deref().unwrap_or_default()))
                .collect(),
            writes: self.on.iter().map(|on| on.resource(&self.name)).collect(),
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can(format!(
            "drops the database `{}` if this step made it and nothing is in it",
            self.name
        ))
    }

    async fn observe(&self, look: &Look) -> Observation {
        let seen = bounded(look, Box::pin(self.see(look))).await;
        seen.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, _look: &Look, seen: &Observation) -> Vec<Change> {
        let fact = |name: &str| seen.facts.0.get(name).and_then(|f| f.value.clone());
        let place = self.on.as_ref().map(Spec::describe).unwrap_or_default();
        let path = format!("database {} at {place}", self.name);
        match (&seen.seen, fact("owner")) {
            (Seen::Done | Seen::Unknown(_), _) => Vec::new(),
            (_, Some(owner)) => vec![Change {
                op: "update".to_owned(),
                path: format!("{path} owner"),
                before: Some(owner),
                after: Some(Value::from(self.owner.as_str())),
            }],
            (_, None) => {
                let locale = fact("wanted_locale").unwrap_or_else(|| json!("that of template0"));
                vec![Change {
                    op: "create".to_owned(),
                    path,
                    before: None,
                    after: Some(json!({"owner": self.owner, "locale": locale})),
                }]
            }
        }
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let view = bounded(look, self.view(look)).await?;
        let database = view.found.map(|found| (found.oid, found.owner));
        Prepared::of(&Before { system: view.system, database })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.make(hands, &site))).await?;
        Ok(Applied { outputs: self.outputs(), ..Applied::default() })
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, async {
            let writer = site.any_writer(&self.name).await?;
            site.end_earlier(&writer).await?;
            let view = self.view(hands).await?;
            self.clear_nascent(hands, &view, &writer).await
        })
        .await
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        match bounded(look, self.back(look, prepared)).await {
            Err(error) => Observation::unknown(in_words(&error)),
            Ok((_, View { nascent: Some(nascent), .. })) => {
                Observation::half(format!("`{}` was left behind", nascent.name))
            }
            Ok((Back::Left, _)) => Observation::done(),
            Ok((Back::Before, _)) => Observation::absent(),
            Ok((Back::Changed(how), _)) => Observation::unknown(how),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.take_back(hands, &site, prepared))).await
    }
}
