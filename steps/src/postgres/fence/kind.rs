//! Parameters and outputs of `postgres.fence`.

use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::step::FenceStep;
use crate::postgres::names;
use crate::postgres::site::database_param;

/// Keeps everybody but superusers out of a database.
#[derive(Debug, Clone, Copy)]
pub struct Fence;

/// How long sessions may take to end where it is not given.
const WAIT: Duration = Duration::from_secs(20);

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "on",
        ty: ParamType::Value,
        required: true,
        doc: "The server: an entry of the target's `databases`, a release, or a URL. The primary \
              itself is closed, past any pooler; its standbys follow.",
    },
    ParamSpec {
        name: "database",
        ty: ParamType::String,
        required: false,
        doc: "The database, where `on` names none.",
    },
    ParamSpec {
        name: "roles",
        ty: ParamType::Strings,
        required: true,
        doc: "The roles that the application logs in as. They cannot log in to any database of the \
              server while the fence is up. A superuser is refused: it cannot be kept out.",
    },
    ParamSpec {
        name: "wait",
        ty: ParamType::Duration,
        required: false,
        doc: "How long sessions may take to end; `20s` by default. One that does not is a failure.",
    },
];

impl Kind for Fence {
    fn name(&self) -> &'static str {
        "postgres.fence"
    }

    fn class(&self) -> Class {
        Class::Bracket
    }

    fn about(&self) -> &'static str {
        "Keeps everybody but superusers out of a database: the roles lose their login, the database \
         takes no connection, and who is connected is ended. Refused while a prepared transaction, a \
         subscription or a superuser's job could still write. What was before stands in the \
         database's comment, and taking it back opens exactly that again."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("position", OutputType::String),
            ("ended", OutputType::Int),
            ("connected", OutputType::List),
        ]
        .map(|(name, ty)| (name.to_owned(), ty))
        .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let on = database_param(with, "on", &mut problems);
        let database = with.str("database").map(str::to_owned);
        let mut roles = with.strings("roles");
        roles.sort();
        roles.dedup();
        if roles.is_empty() {
            problems.push(ParamProblem::new("roles", "`roles` names no role"));
        }
        for (key, name) in
            database.iter().map(|d| ("database", d)).chain(roles.iter().map(|r| ("roles", r)))
        {
            if let Some(problem) = names::problem(name) {
                problems.push(ParamProblem::new(key, format!("`{key}`: {problem}")));
            }
        }
        if on.as_ref().is_some_and(|on| on.database.is_none()) && database.is_none() {
            problems.push(
                ParamProblem::new("on", "`on` names a server and no database of it")
                    .with_help("give `database`, or name it in the URL"),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let wait = with.duration("wait").unwrap_or(WAIT);
        Ok(Box::new(FenceStep { on, database, roles, wait }))
    }
}
