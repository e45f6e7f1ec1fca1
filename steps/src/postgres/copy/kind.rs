//! Parameters and outputs of `postgres.copy`.

use std::collections::BTreeMap;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::plan::Wish;
use super::step::CopyStep;
use crate::postgres::params;
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
        let database = params::name(with, "database", &mut problems);
        let owner = params::name(with, "owner", &mut problems);
        params::must_name_one("from", from.as_ref(), database.as_deref(), &mut problems);
        let jobs = params::jobs(with, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let wish = Wish { from, to, database, owner, roles: with.map("roles"), jobs };
        Ok(Box::new(CopyStep { wish }))
    }
}
