//! `postgres.publish`: a copy gets its name.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Prepared, Resources, Step, StepError, UndoPlan, With,
};
use workplan_platform::Database;
use workplan_platform::sql::Writer;

use super::compare::{Proof, probe};
use super::copy::{Copied, MARK as COPY};
use super::in_words;
use super::mark::Comment;
use super::names::{self, ident};
use super::shared::{self, Entry};
use super::site::{
    SHORT, Site, about, bounded, database_param, end_all_sessions, is_open, not_started,
};

/// The word of the mark on a database that was published.
pub(super) const MARK: &str = "publish";

/// What the mark says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Published {
    /// Its name before.
    pub(super) staging: String,
    /// What proved it equal to its source. From here a later look knows, also without a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
}

/// Gives a staging database the name that it is for.
#[derive(Debug, Clone, Copy)]
pub struct Publish;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "on",
        ty: ParamType::Value,
        required: true,
        doc: "The server: an entry of the target's `databases`, a release, or a URL.",
    },
    ParamSpec {
        name: "staging",
        ty: ParamType::Value,
        required: true,
        doc: "The database that was copied: the output `staging` of `postgres.copy`.",
    },
    ParamSpec {
        name: "database",
        ty: ParamType::String,
        required: false,
        doc: "The name that it gets, where `on` names none. No database of that name may be there.",
    },
    ParamSpec {
        name: "proof",
        ty: ParamType::String,
        required: false,
        doc: "What proved it equal: the output `proof` of `postgres.compare`. A copy that was \
              written to since is then refused, and the proof stays with the database.",
    },
];

impl Kind for Publish {
    fn name(&self) -> &'static str {
        "postgres.publish"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Gives a copy its name: one change of the catalog, after whoever is connected to it was \
         ended. A database that has that name is never touched. Taken back, it has its staging name \
         again."
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
        let staging = database_param(with, "staging", &mut problems);
        if staging.as_ref().is_some_and(|staging| staging.database.is_none()) {
            problems.push(
                ParamProblem::new("staging", "`staging` names a server and no database of it")
                    .with_help("give the output `staging` of `postgres.copy`"),
            );
        }
        let database = with
            .str("database")
            .map(str::to_owned)
            .or_else(|| on.as_ref().and_then(|on| on.database.clone()));
        match database.as_deref() {
            Some(name) => problems
                .extend(names::problem(name).map(|problem| {
                    ParamProblem::new("database", format!("`database`: {problem}"))
                })),
            None if on.is_some() => problems.push(
                ParamProblem::new("on", "`on` names a server and no database of it")
                    .with_help("give `database`, or name it in the URL"),
            ),
            None => {}
        }
        let proof = match with.0.get("proof") {
            Some(value) if !is_open(value) => {
                let proof = value.as_str().and_then(|text| serde_json::from_str(text).ok());
                if proof.is_none() {
                    let what = "`proof` is no output `proof` of `postgres.compare`";
                    problems.push(ParamProblem::new("proof", what));
                }
                proof
            }
            _ => None,
        };
        if problems.is_empty() {
            Ok(Box::new(PublishStep { on, staging, database, proof }))
        } else {
            Err(problems)
        }
    }
}

struct PublishStep {
    on: Option<Database>,
    staging: Option<Database>,
    database: Option<String>,
    proof: Option<Proof>,
}

/// What was there before, for the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    system: String,
    /// The database that gets the name, where it was there already.
    oid: Option<u32>,
    staging: String,
}

/// What a look found.
struct View {
    site: Site,
    system: String,
    /// Has the name.
    named: Option<Entry>,
    /// Has the staging name, and another one than the name.
    staging: Option<Entry>,
}

enum Back {
    Left(Box<Entry>),
    Before,
    Changed(String),
}

/// Whether it is a copy of ours that is whole.
fn is_whole(entry: &Entry) -> bool {
    let copied = entry.comment.mark(COPY).and_then(|mark| mark.read::<Copied>());
    copied.is_some_and(|copied| copied.whole)
}

impl PublishStep {
    fn on(&self) -> Result<&Database, StepError> {
        self.on.as_ref().ok_or_else(|| not_started("`on` has no value yet"))
    }

    fn name(&self) -> Result<&str, StepError> {
        self.database.as_deref().ok_or_else(|| not_started("`on` names no database"))
    }

    fn staging(&self) -> Result<(&Database, &str), StepError> {
        let spec =
            self.staging.as_ref().ok_or_else(|| not_started("`staging` has no value yet"))?;
        let name = spec.database.as_deref();
        Ok((spec, name.ok_or_else(|| not_started("`staging` names no database"))?))
    }

    async fn view(&self, look: &Look) -> Result<View, StepError> {
        let ((there, staging), name) = (self.staging()?, self.name()?);
        let site = Site::find(look, self.on()?).await?;
        let reader = site.any_reader().await?;
        let system = about(&reader).await?.system;
        if there.place != site.spec.place {
            let other = Site::find(look, there).await?;
            if about(&other.any_reader().await?).await?.system != system {
                return Err(not_started(format!(
                    "`on` and `staging` are not one server: {} and {}",
                    site.spec.describe(),
                    there.describe()
                )));
            }
        }
        let named = shared::by_name(&reader, name).await?;
        let staging = match staging == name {
            true => None,
            false => shared::by_name(&reader, staging).await?,
        };
        Ok(View { site, system, named, staging })
    }

    async fn see(&self, look: &Look) -> Result<Observation, StepError> {
        let view = self.view(look).await?;
        let ((_, staging), name) = (self.staging()?, self.name()?);
        let mut facts = Facts::default().with("server", Binding::Binding, view.system.as_str());
        if let Some(entry) = view.named.as_ref().or(view.staging.as_ref()) {
            facts = facts.with("oid", Binding::Binding, entry.oid).with(
                "name",
                Binding::Binding,
                entry.name.as_str(),
            );
        }
        let mut seen = match (&view.named, &view.staging) {
            (None, _) => Observation::absent(),
            (Some(named), beside) => match named.comment.mark(MARK) {
                Some(mark) if beside.is_none() => {
                    facts = facts.with("published_by", Binding::Informative, mark.identity);
                    Observation::done()
                }
                // It was copied into its own name.
                None if staging == name && is_whole(named) => Observation::done(),
                Some(mark) => Observation::unknown(format!(
                    "`{name}` was published by {} before, and `{staging}` is beside it",
                    mark.identity
                )),
                None => Observation::unknown(taken(&view.site, name)),
            },
        };
        if seen.is_done() {
            seen.outputs = self.outputs()?;
        }
        Ok(seen.with_facts(facts))
    }

    /// How a later step names it.
    fn outputs(&self) -> Result<BTreeMap<String, Value>, StepError> {
        let mut spec = self.on()?.clone();
        spec.database = Some(self.name()?.to_owned());
        // A password may be the word `postgres` as well, and would be taken out of the text.
        spec.user = spec.user.filter(|user| user != "postgres");
        Ok(BTreeMap::from([("database".to_owned(), Value::from(spec.to_json()))]))
    }

    async fn publish(&self, hands: &Hands, view: &View) -> Result<Applied, StepError> {
        let ((_, staging), name) = (self.staging()?, self.name()?);
        let View { site, .. } = view;
        if view.named.is_some() {
            return Err(not_started(taken(site, name))
                .with_help("look whose it is; drop or rename it by hand where that is wanted"));
        }
        let entry = view
            .staging
            .as_ref()
            .ok_or_else(|| not_started(format!("there is no {}", site.named(staging))))?;
        if !is_whole(entry) {
            return Err(not_started(format!("`{staging}` is no whole copy of ours")));
        }
        self.still_proven(view, entry).await?;
        let writer = site.any_writer(staging).await?;
        site.end_earlier(&writer).await?;
        let published = Published { staging: staging.to_owned(), proof: self.proof.clone() };
        let comment = entry.comment.clone().with(&hands.identity, MARK, &published);
        rename(&writer, (staging, name), &comment).await?;
        Ok(Applied { outputs: self.outputs()?, ..Applied::default() })
    }

    /// Refuses a copy that is not what was proven equal.
    async fn still_proven(&self, view: &View, entry: &Entry) -> Result<(), StepError> {
        let Some(proof) = &self.proof else { return Ok(()) };
        let to = &proof.subject.to;
        let changed = if (to.system.as_str(), to.oid) != (view.system.as_str(), entry.oid) {
            format!("`{}` is not the database that was compared", entry.name)
        } else if probe(&view.site.reader(&entry.name).await?).await? != to.probe {
            format!("`{}` was written to since it was compared", entry.name)
        } else {
            return Ok(());
        };
        Err(not_started(changed).with_help("copy and compare it again"))
    }

    async fn back(&self, look: &Look, prepared: &Prepared) -> Result<(Back, View), StepError> {
        let before: Before = prepared.read()?;
        let view = self.view(look).await?;
        let name = self.name()?;
        let reader = view.site.any_reader().await?;
        let back = match before.oid {
            _ if before.system != view.system => {
                Back::Changed("another server answers there".to_owned())
            }
            None => Back::Before,
            Some(oid) => match shared::by_oid(&reader, oid).await? {
                None => Back::Changed(format!("what was published as `{name}` is gone")),
                Some(entry) if entry.name == before.staging => Back::Before,
                Some(entry) if entry.name != name => {
                    Back::Changed(format!("what was published as `{name}` is `{}` now", entry.name))
                }
                Some(entry) => match entry.comment.mark(MARK) {
                    Some(mark) if mark.is_of(&look.identity) => match &view.staging {
                        None => Back::Left(Box::new(entry)),
                        Some(other) => Back::Changed(format!(
                            "there is a database `{}` again, whose name `{name}` had before",
                            other.name
                        )),
                    },
                    _ => Back::Changed(format!("`{name}` lost our mark")),
                },
            },
        };
        Ok((back, view))
    }

    async fn take_back(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let (back, view) = self.back(hands, prepared).await?;
        let entry = match back {
            Back::Before => return Ok(()),
            Back::Changed(how) => {
                return Err(StepError::failed(format!("{how}; it is left as it is")));
            }
            Back::Left(entry) => entry,
        };
        let before: Before = prepared.read()?;
        let writer = view.site.any_writer(&entry.name).await?;
        view.site.end_earlier(&writer).await?;
        let comment = entry.comment.clone().without(MARK);
        rename(&writer, (&entry.name, &before.staging), &comment).await
    }
}

fn taken(site: &Site, name: &str) -> String {
    format!("{} is there, and no step published it", site.named(name))
}

/// Name and comment in one change of the catalog. Nobody may be connected meanwhile: who is, is
/// ended, and who comes in between is ended once more.
async fn rename(
    writer: &Writer,
    (from, to): (&str, &str),
    comment: &Comment,
) -> Result<(), StepError> {
    let sql = format!(
        "BEGIN; {}; ALTER DATABASE {} RENAME TO {}; COMMIT",
        shared::comment_statement(from, comment),
        ident(from),
        ident(to)
    );
    let until = tokio::time::Instant::now() + SHORT;
    loop {
        end_all_sessions(writer, from).await?;
        match writer.run(&sql).await {
            // In use by others.
            Err(error) if error.code() == Some("55006") && tokio::time::Instant::now() < until => {
                writer.run("ROLLBACK").await?;
            }
            Err(error) if error.code() == Some("55006") => {
                return Err(StepError::failed(format!(
                    "`{from}` cannot be renamed, somebody connects to it again and again: {error}"
                ))
                .with_help("see who that is in `pg_stat_activity`, and stop it"));
            }
            done => return Ok(done?),
        }
    }
}

#[async_trait]
impl Step for PublishStep {
    fn resources(&self) -> Resources {
        let mut resources = Resources { claimed: true, ..Resources::default() };
        if let (Some(on), Ok(name)) = (&self.on, self.name()) {
            resources.writes.push(on.resource(name));
        }
        resources
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can("gives it its staging name again".to_owned())
    }

    async fn observe(&self, look: &Look) -> Observation {
        let seen = bounded(look, Box::pin(self.see(look))).await;
        seen.unwrap_or_else(|error| Observation::unknown(in_words(&error)))
    }

    async fn preview(&self, _look: &Look, seen: &Observation) -> Vec<Change> {
        let (Ok(on), Ok(name), Ok((_, staging))) = (self.on(), self.name(), self.staging()) else {
            return Vec::new();
        };
        if seen.is_done() {
            return Vec::new();
        }
        vec![Change {
            op: "update".to_owned(),
            path: format!("name of a database at {}", on.describe()),
            before: Some(json!(staging)),
            after: Some(json!(name)),
        }]
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        bounded(look, async {
            let view = self.view(look).await?;
            let staging = self.staging()?.1.to_owned();
            let oid = view.staging.as_ref().map(|entry| entry.oid);
            Prepared::of(&Before { system: view.system, oid, staging })
        })
        .await
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let view = self.view(hands).await?;
        view.site.acting(hands, Box::pin(self.publish(hands, &view))).await
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        match bounded(look, Box::pin(self.back(look, prepared))).await {
            Ok((Back::Left(_), _)) => Observation::done(),
            Ok((Back::Before, _)) => Observation::absent(),
            Ok((Back::Changed(how), _)) => Observation::unknown(how),
            Err(error) => Observation::unknown(in_words(&error)),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let site = Site::find(hands, self.on()?).await?;
        site.acting(hands, Box::pin(self.take_back(hands, prepared))).await
    }
}
