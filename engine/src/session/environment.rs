//! The environment of children: the engine's own, less what is secret.

use std::collections::BTreeSet;

use crate::kind::{BaseEnv, secret_variables};
use crate::plan::Plan;

/// Takes every variable out that some secret reference of the plan or the target names. The one
/// child that needs it gets it back.
pub(crate) fn without_secrets(env: &BaseEnv, plan: &Plan) -> BaseEnv {
    let steps = plan.steps.iter().map(|s| &s.with);
    let checks = plan.preconditions.iter().map(|p| &p.with);
    let mut names: BTreeSet<String> =
        secret_variables(steps.chain(checks).flat_map(|with| with.0.values()))
            .into_iter()
            .collect();
    names.extend(plan.target.hides.iter().cloned());
    BaseEnv(env.0.iter().filter(|(k, _)| !names.contains(&*k.to_string_lossy())).cloned().collect())
}
