//! Parameters and outputs of `postgres.compare`.

use std::collections::BTreeMap;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::step::CompareStep;
use crate::postgres::params;
use crate::postgres::site::database_param;

/// Proves that two databases are equal, or says what differs.
#[derive(Debug, Clone, Copy)]
pub struct Compare;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "from",
        ty: ParamType::Value,
        required: true,
        doc: "The source: an entry of the target's `databases`, a release, or a URL.",
    },
    ParamSpec {
        name: "to",
        ty: ParamType::Value,
        required: true,
        doc: "The copy, named in the same ways; the output `staging` of `postgres.copy` is one.",
    },
    ParamSpec {
        name: "database",
        ty: ParamType::String,
        required: false,
        doc: "The database, on each side that does not name one itself.",
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
        doc: "Sessions that read at the same time, on each side; `2` by default.",
    },
];

impl Kind for Compare {
    fn name(&self) -> &'static str {
        "postgres.compare"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Proves that two databases are equal: every row by a digest of 128 bits, every object with \
         its properties and rights, sequences, large objects and settings. It reads one moment of \
         each side, changes nothing, and first shows on changed rows that it would see a change."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("equal", OutputType::Bool),
            ("digest", OutputType::String),
            ("tables", OutputType::Int),
            ("rows", OutputType::Int),
            ("differences", OutputType::List),
            ("notes", OutputType::List),
            ("control", OutputType::String),
            ("subject", OutputType::String),
            ("proof", OutputType::String),
        ]
        .map(|(name, ty)| (name.to_owned(), ty))
        .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let from = database_param(with, "from", &mut problems);
        let to = database_param(with, "to", &mut problems);
        let database = params::name(with, "database", &mut problems);
        for (key, side) in [("from", &from), ("to", &to)] {
            params::must_name_one(key, side.as_ref(), database.as_deref(), &mut problems);
        }
        let jobs = params::jobs(with, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(CompareStep { from, to, database, roles: with.map("roles"), jobs }))
    }
}
