//! Where to copy to, and what our mark on it says.

use serde::{Deserialize, Serialize};

use workplan_engine::kind::{Look, StepError};
use workplan_platform::Database;

use crate::postgres::compare::Probe;
use crate::postgres::mark::run_of;
use crate::postgres::names;
use crate::postgres::portrait::Roles;
use crate::postgres::site::not_started;

/// The word of the mark on a copy.
pub(crate) const MARK: &str = "copy";

/// What the mark on a copy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    /// The source.
    pub(crate) from: Source,
    /// It is whole. Until then it may be dropped and begun afresh.
    pub(crate) whole: bool,
    /// The database was there, empty, before; it is emptied again and not dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) was_there: bool,
    /// Roles of the source that have another name here.
    #[serde(default, skip_serializing_if = "Roles::is_empty")]
    pub(crate) roles: Roles,
    /// The database's owner, where it is not that of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// What had been written to the source by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_probe: Option<Probe>,
    /// What had been written to the copy when it was whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_probe: Option<Probe>,
}

/// A database that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) system: String,
    pub(crate) oid: u32,
    pub(crate) database: String,
}

/// What is wanted.
pub(super) struct Wish {
    pub(super) from: Option<Database>,
    pub(super) to: Option<Database>,
    pub(super) database: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) roles: Roles,
    pub(super) jobs: usize,
}

/// Names that follow from a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The source's name.
    pub(super) source: String,
    /// The database that is filled.
    pub(super) name: String,
    /// The name that it will be published under, where it is a staging database.
    pub(super) published: Option<String>,
}

impl Wish {
    pub(super) fn from(&self) -> Result<&Database, StepError> {
        self.from.as_ref().ok_or_else(|| not_started("`from` has no value yet"))
    }

    pub(super) fn to(&self) -> Result<&Database, StepError> {
        self.to.as_ref().ok_or_else(|| not_started("`to` has no value yet"))
    }

    /// With `database`, or where `to` names none: a staging database of this run. Otherwise the one
    /// that `to` names.
    ///
    /// # Errors
    /// When the source is not named.
    pub(super) fn target(&self, look: &Look) -> Result<Target, StepError> {
        let source = self.from()?.database.clone().or_else(|| self.database.clone());
        let source = source.ok_or_else(|| not_started("`from` names no database"))?;
        Ok(match (&self.database, &self.to()?.database) {
            (None, Some(name)) => Target { source, name: name.clone(), published: None },
            (database, _) => {
                let published = database.clone().unwrap_or_else(|| source.clone());
                let name = names::staging(&published, run_of(&look.identity));
                Target { source, name, published: Some(published) }
            }
        })
    }

    /// The name that the copy is known by, without a run: for resources and previews.
    pub(super) fn resource(&self) -> Option<String> {
        let to = self.to.as_ref()?;
        let source = self.from.as_ref().and_then(|from| from.database.clone());
        Some(match (&self.database, &to.database) {
            (None, Some(name)) => to.resource(name),
            (database, _) => {
                let published = database.clone().or(source)?;
                to.resource(&format!("{published}__wp"))
            }
        })
    }
}
