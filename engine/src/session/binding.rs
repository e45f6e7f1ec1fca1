//! What a saved plan is bound to.

use std::collections::BTreeMap;

use serde_json::json;

use crate::digest::Digest;
use crate::kind::{Observation, Seen};

/// Digest of what a plan is bound to: the verdict and the binding facts.
pub(super) fn binding_of(seen: &Observation) -> Digest {
    let verdict = match &seen.seen {
        Seen::Absent => "absent",
        Seen::Done => "done",
        Seen::Half(_) => "half",
        Seen::Unknown(_) => "unknown",
    };
    let facts: BTreeMap<&String, &Digest> =
        seen.facts.binding().map(|(name, fact)| (name, &fact.digest)).collect();
    Digest::of_json(&json!([verdict, facts]))
}
