//! What a fence changed, in the database itself: another process can open it again.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The word of the mark on a database that is fenced.
pub(in crate::postgres) const MARK: &str = "fence";

/// What the fence changed, as its mark says it: all that is needed to open it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::postgres) struct Fenced {
    /// `CONNECTION LIMIT` before.
    pub(in crate::postgres) connections: i32,
    /// Roles, and whether they could log in before.
    pub(in crate::postgres) roles: BTreeMap<String, bool>,
}
