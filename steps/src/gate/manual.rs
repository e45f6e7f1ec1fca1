//! `manual`: a person does it.

use async_trait::async_trait;
use serde_json::Value;

use workplan_engine::kind::{
    Applied, Change, Class, ErrorCause, Hands, Kind, Look, Observation, ParamProblem, ParamSpec,
    ParamType, Past, Prepared, Resources, Step, StepError, UndoPlan, Wait, With,
};

use super::waits_for_a_person;

/// Waits until a person says that it is done.
///
/// A person's word with a reason is evidence, not weak evidence: it may prove a "Done when"
/// clause, and stands while the step's meaning is unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Manual;

const PARAMS: &[ParamSpec] = &[ParamSpec {
    name: "instructions",
    ty: ParamType::String,
    required: true,
    doc: "What the person does.",
}];

impl Kind for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "A person does it and says so with `workplan resolve RUN STEP --done --reason …`."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let instructions = with.str("instructions").unwrap_or_default();
        if instructions.trim().is_empty() {
            return Err(vec![ParamProblem::new(
                "instructions",
                "`instructions` is empty: a person must know what to do",
            )]);
        }
        Ok(Box::new(Work { instructions: instructions.to_owned() }))
    }
}

struct Work {
    instructions: String,
}

impl Work {
    fn recall(look: &Look) -> Observation {
        match &look.past {
            Past::Succeeded { record, outputs } => {
                let mut seen = Observation::done();
                seen.record = Some(record.clone());
                seen.outputs.clone_from(outputs);
                seen
            }
            // Whatever came between, the same person is asked the same thing.
            Past::Never | Past::Failed | Past::Interrupted(_) | Past::Claimed => {
                Observation::absent()
            }
        }
    }
}

#[async_trait]
impl Step for Work {
    fn resources(&self) -> Resources {
        // What a person touches is theirs to know; nobody could write it down here.
        Resources { claimed: true, ..Resources::default() }
    }

    fn waits(&self) -> Option<Wait> {
        Some(Wait::Manual { instructions: self.instructions.clone() })
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Cannot("a person did it".to_owned())
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        Some(Self::recall(look))
    }

    async fn observe(&self, look: &Look) -> Observation {
        Self::recall(look)
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "ask".to_owned(),
            path: look.step.to_string(),
            before: None,
            after: Some(Value::from(self.instructions.as_str())),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        Err(waits_for_a_person(&hands.step))
    }

    async fn undo(&self, hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Err(StepError::new(
            ErrorCause::NotStarted,
            format!("`{}` was done by a person; a person takes it back", hands.step),
        ))
    }
}
