//! A proof that only reads: asked in an attempt, and again whenever it is looked at.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Change, ErrorCause, Facts, Hands, Look, Observation, Past, Prepared, Resources, Step,
    StepError, UndoPlan,
};

/// What was found.
pub(crate) struct Answer {
    /// What the step gives to later ones.
    pub(crate) outputs: BTreeMap<String, Value>,
    /// What was seen.
    pub(crate) facts: Facts,
    /// Why it does not pass; empty where it does.
    pub(crate) findings: Vec<Finding>,
}

/// One reason why a proof does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A sentence without a closing period.
    pub(crate) what: String,
    /// Time may mend it: it is asked again while `wait` lasts.
    pub(crate) may_pass: bool,
    /// What to do, where that is known.
    pub(crate) help: Option<String>,
}

impl Finding {
    /// Only somebody's hand can mend it.
    pub(crate) fn lasting(what: impl Into<String>) -> Self {
        Self { what: what.into(), may_pass: false, help: None }
    }

    /// It may be so for a moment only.
    pub(crate) fn passing(what: impl Into<String>) -> Self {
        Self { what: what.into(), may_pass: true, help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What is asked.
#[async_trait]
pub(crate) trait Question: Send + Sync {
    /// What is asked, for the preview and for errors: `postgresql-ha in platform`.
    fn about(&self) -> String;

    /// The resources that are looked at.
    fn reads(&self) -> Vec<String>;

    /// Asks, with a deadline on each wait. Reads only.
    ///
    /// # Errors
    /// When nothing could be asked at all.
    async fn ask(&self, look: &Look) -> Result<Answer, StepError>;
}

/// A step over a question.
pub(crate) struct Proof<Q> {
    pub(crate) question: Q,
    /// How long it is asked again while what is found may pass.
    pub(crate) wait: Duration,
    /// The time between two asks.
    pub(crate) every: Duration,
}

impl<Q: Question> Proof<Q> {
    async fn series(&self, look: &Look) -> Result<Answer, StepError> {
        let began = Instant::now();
        let end = began + self.wait;
        loop {
            let answer = self.question.ask(look).await;
            let last = match answer {
                Ok(answer) if answer.findings.is_empty() => return Ok(answer),
                Ok(answer) => {
                    let lasting = answer.findings.iter().any(|f| !f.may_pass);
                    let error = refusal(&self.question.about(), answer.findings, began.elapsed());
                    if lasting {
                        return Err(error);
                    }
                    error
                }
                Err(error) => error,
            };
            if Instant::now() + self.every > end {
                return Err(last);
            }
            tokio::time::sleep(self.every).await;
        }
    }

    fn passed(applied: &Applied) -> Observation {
        let mut seen = Observation::done();
        for (name, value) in &applied.outputs {
            seen.facts =
                seen.facts.with(name, workplan_engine::kind::Binding::Informative, value.clone());
        }
        seen.outputs.clone_from(&applied.outputs);
        seen
    }
}

fn refusal(about: &str, findings: Vec<Finding>, after: Duration) -> StepError {
    let first = findings.first().map_or("", |f| f.what.as_str());
    let more = match findings.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let mut error = StepError::failed(format!(
        "{about} does not pass: {first}{more} (asked for {})",
        duration::human(after)
    ));
    error.help = findings.iter().find_map(|f| f.help.clone());
    error.said = findings.into_iter().map(|f| f.what).collect();
    error
}

#[async_trait]
impl<Q: Question> Step for Proof<Q> {
    fn resources(&self) -> Resources {
        Resources { reads: self.question.reads(), writes: Vec::new(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        match look.past {
            Past::Succeeded { .. } => None,
            // Not asked before it is due: what answers now may be what an earlier step replaces.
            _ => Some(Observation::absent()),
        }
    }

    async fn observe(&self, look: &Look) -> Observation {
        let Past::Succeeded { record, .. } = &look.past else { return Observation::absent() };
        let answer = tokio::select! {
            biased;
            () = look.cancel().cancelled() => {
                return Observation::unknown("the run was cancelled while it was asked");
            }
            answer = self.question.ask(look) => answer,
        };
        match answer {
            Err(error) => Observation::unknown(error.to_string()),
            Ok(answer) if !answer.findings.is_empty() => {
                Observation::absent().with_facts(answer.facts)
            }
            Ok(answer) => {
                let mut seen = Observation::done().with_facts(answer.facts);
                seen.record = Some(record.clone());
                seen.outputs = answer.outputs;
                seen
            }
        }
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "ask".to_owned(),
            path: self.question.about(),
            before: None,
            after: None,
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let answer = tokio::select! {
            biased;
            () = hands.cancel().cancelled() => {
                let why = format!("`{}` was ended because the run was cancelled", hands.step);
                return Err(StepError::new(ErrorCause::Cancelled, why));
            }
            answer = self.series(hands) => answer?,
        };
        Ok(Applied { outputs: answer.outputs, ..Applied::default() })
    }

    async fn verify(&self, _look: &Look, applied: &Applied) -> Observation {
        Self::passed(applied)
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        Some(Self::passed(applied))
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
