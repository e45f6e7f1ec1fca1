//! Holding a plan to its policies.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use super::reader::{Effect, Pattern, Policy, Rule};
use crate::plan::{Plan, PlanStep};
use crate::text::{Diagnostic, Diagnostics};

/// A proof without which a workplan is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDemand {
    /// The policy and its rule: `D3/failover-before-finished`.
    pub rule: String,
    /// Why, in the team's words.
    pub message: String,
    /// The step that the rule is about.
    pub because: String,
    /// The steps of which each must have passed; empty where the plan has none.
    pub proofs: Vec<String>,
}

/// What the policies say of a plan.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What a `finished` needs.
    pub demands: Vec<PlanDemand>,
    /// What is not allowed, and what cannot be finished.
    pub diagnostics: Diagnostics,
}

/// Judges a plan. `front` is the workplan's front matter.
#[must_use]
pub fn judge(plan: &Plan, policies: &[Policy], front: &BTreeMap<String, String>) -> Judgement {
    let mut out = Judgement::default();
    for policy in policies {
        for rule in &policy.rules {
            for step in plan.steps.iter().filter(|s| !s.retired && fits(&rule.when, s)) {
                apply(plan, policy, rule, step, front, &mut out);
            }
        }
    }
    out
}

fn apply(
    plan: &Plan,
    policy: &Policy,
    rule: &Rule,
    step: &PlanStep,
    front: &BTreeMap<String, String>,
    out: &mut Judgement,
) {
    let name = format!("{}/{}", policy.name, rule.id);
    match &rule.effect {
        Effect::FinishedNeeds { proof, same } => {
            let proofs: Vec<String> = plan
                .steps
                .iter()
                .filter(|s| !s.retired && fits(proof, s))
                .filter(|s| same.iter().all(|key| s.with.0.get(key) == step.with.0.get(key)))
                .map(|s| s.id.clone())
                .collect();
            if proofs.is_empty() {
                let message = format!(
                    "{name}: `{}` needs a passed `{}`, and this plan has none for it; the workplan \
                     cannot be finished",
                    step.id,
                    proof.uses.join("` or `")
                );
                out.diagnostics.push(
                    Diagnostic::warning("policy-no-proof", &rule.file, rule.span, message)
                        .with_help(rule.message.clone()),
                );
            }
            out.demands.push(PlanDemand {
                rule: name,
                message: rule.message.clone(),
                because: step.id.clone(),
                proofs,
            });
        }
        Effect::OnlyIn(wanted) => {
            let stranger = wanted
                .iter()
                .find(|(key, values)| front.get(*key).is_none_or(|value| !values.contains(value)));
            if let Some((key, values)) = stranger {
                let is =
                    front.get(key).map_or("none is given".to_owned(), |v| format!("it is `{v}`"));
                let message = format!(
                    "{name}: `{}` is allowed only in workplans whose `{key}` is `{}`; {is}",
                    step.id,
                    values.join("` or `")
                );
                out.diagnostics.push(
                    Diagnostic::error("policy-forbids", &rule.file, rule.span, message)
                        .with_help(rule.message.clone()),
                );
            }
        }
    }
}

fn fits(pattern: &Pattern, step: &PlanStep) -> bool {
    pattern.uses.contains(&step.kind)
        && pattern.with.iter().all(|(key, values)| {
            let text = match step.with.0.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => return false,
            };
            values.contains(&text)
        })
}
