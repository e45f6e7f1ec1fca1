//! `gate.approve`: a person decides.

use async_trait::async_trait;
use serde_json::Value;
use std::path::PathBuf;

use workplan_engine::kind::{
    Applied, Change, Class, Hands, Kind, Look, Observation, ParamProblem, ParamSpec, ParamType,
    Prepared, Resources, Step, StepError, UndoPlan, Wait, With,
};

use super::waits_for_a_person;

/// Waits until a person approves or rejects.
///
/// An approval counts for one run. What was allowed on one night says nothing about the next,
/// when the data, the plan and the people may be others.
#[derive(Debug, Clone, Copy)]
pub struct Approve;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "message",
        ty: ParamType::String,
        required: true,
        doc: "What the person decides on.",
    },
    ParamSpec {
        name: "allowed_signers",
        ty: ParamType::String,
        required: false,
        doc: "An `allowed_signers` file: the approval must be an SSH signature that it allows.",
    },
];

impl Kind for Approve {
    fn name(&self) -> &'static str {
        "gate.approve"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Waits for a person's decision, given with `workplan approve` or `workplan reject`. An \
         approval counts for one run."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let message = with.str("message").unwrap_or_default();
        if message.trim().is_empty() {
            return Err(vec![ParamProblem::new(
                "message",
                "`message` is empty: a person must know what to decide on",
            )]);
        }
        if with.str("allowed_signers").is_some_and(str::is_empty) {
            return Err(vec![ParamProblem::new("allowed_signers", "`allowed_signers` is empty")]);
        }
        Ok(Box::new(Gate {
            message: message.to_owned(),
            signers: with.str("allowed_signers").map(PathBuf::from),
        }))
    }
}

struct Gate {
    message: String,
    signers: Option<PathBuf>,
}

#[async_trait]
impl Step for Gate {
    fn resources(&self) -> Resources {
        Resources { claimed: true, ..Resources::default() }
    }

    fn waits(&self) -> Option<Wait> {
        Some(Wait::Gate { message: self.message.clone(), signers: self.signers.clone() })
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, _look: &Look) -> Option<Observation> {
        Some(Observation::absent())
    }

    async fn observe(&self, _look: &Look) -> Observation {
        Observation::absent()
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "ask".to_owned(),
            path: look.step.to_string(),
            before: None,
            after: Some(Value::from(self.message.as_str())),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        Err(waits_for_a_person(&hands.step))
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
