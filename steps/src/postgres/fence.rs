//! `postgres.fence`: nobody but us writes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The word of the mark on a database that is fenced.
pub(super) const MARK: &str = "fence";

/// What the fence changed, as its mark says it: all that is needed to open it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fenced {
    /// `CONNECTION LIMIT` before.
    pub(super) connections: i32,
    /// Roles, and whether they could log in before.
    pub(super) roles: BTreeMap<String, bool>,
}
