//! Parameters and outputs of `postgres.copy`.

use std::collections::BTreeMap;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::plan::Wish;
use super::step::CopyStep;
use crate::postgres::names;
use crate::postgres::site::database_param;

/// Copies a database, whole.
#[derive(Debug, Clone, Copy)]
pub struct Copy;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "from",
        ty: ParamType::Value,
        required: true,
        doc: "The source: an entry of the target's `databases`, a release, or a URL. It is read on \
              the primary itself, past any pooler.",
    },
    ParamSpec {
        name: "to",
        ty: ParamType::Value,
        required: true,
        doc: "Where the copy goes. If it names a database and `database` is not given, that one is \
              filled; it must be empty, or not be there. Otherwise the copy is a staging database \
              `NAME__wp_RUN`, which `postgres.publish` gives its name.",
    },
    ParamSpec {
        name: "database",
        ty: ParamType::String,
        required: false,
        doc: "The database, where `from` names none, and the name that the copy will be published \
              under.",
    },
    ParamSpec {
        name: "owner",
        ty: ParamType::String,
        required: false,
        doc: "The role that owns the copy; that of the source by default. What is in it keeps its \
              owners.",
    },
    ParamSpec {
        name: "roles",
        ty: ParamType::Map,
        required: false,
        doc: "Roles of the source that have another name at the copy.",
    },
    ParamSpec {
        name: "jobs",
        ty: ParamType::Int,
        required: false,
        doc: "Streams of rows, and indexes that are built, at the same time; `2` by default.",
    },
];

/// Streams at the same time.
const JOBS: usize = 2;
/// The most streams.
const JOBS_MAX: i64 = 64;

impl Kind for Copy {
    fn name(&self) -> &'static str {
        "postgres.copy"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Copies a database from server to server: definitions, rows, large objects, sequences, \
         rights, comments and settings, all of one moment. It stops at the first error. What an \
         interrupted copy left is dropped and begun afresh, if it carries the run's name and mark."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("staging", OutputType::String),
            ("tables", OutputType::Int),
            ("rows", OutputType::Int),
            ("bytes", OutputType::Int),
            ("seconds", OutputType::Number),
        ]
        .map(|(name, ty)| (name.to_owned(), ty))
        .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let from = database_param(with, "from", &mut problems);
        let to = database_param(with, "to", &mut problems);
        let database = with.str("database").map(str::to_owned);
        let owner = with.str("owner").map(str::to_owned);
        for (key, name) in [("database", &database), ("owner", &owner)] {
            if let Some(problem) = name.as_deref().and_then(names::problem) {
                problems.push(ParamProblem::new(key, format!("`{key}`: {problem}")));
            }
        }
        if from.as_ref().is_some_and(|f| f.database.is_none()) && database.is_none() {
            problems.push(
                ParamProblem::new("from", "`from` names a server and no database of it")
                    .with_help("give `database`, or name it in the URL"),
            );
        }
        let jobs = match with.int("jobs") {
            None => JOBS,
            Some(jobs) => match usize::try_from(jobs) {
                Ok(count) if (1..=JOBS_MAX).contains(&jobs) => count,
                _ => {
                    let message = format!("`jobs` is a number from 1 to {JOBS_MAX}");
                    problems.push(ParamProblem::new("jobs", message));
                    JOBS
                }
            },
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let wish = Wish { from, to, database, owner, roles: with.map("roles"), jobs };
        Ok(Box::new(CopyStep { wish }))
    }
}
