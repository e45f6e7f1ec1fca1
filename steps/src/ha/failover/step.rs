//! One `ha.failover` step.

use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;

use workplan_engine::kind::{
    Applied, Binding, Change, ErrorCause, Facts, Hands, Look, Observation, Past, Prepared,
    Resources, Seen, Step, StepError, UndoPlan,
};
use workplan_platform::sql::Reader;
use workplan_platform::{Fault, PartRef, PlatformError, ReleaseRef, deployed, operate, view};

use super::course::Course;
use super::criteria::{Criteria, word};
use super::place::PROBE_DATABASE;
use super::subject::subject;

/// One `ha.failover` step.
pub(super) struct FailoverStep {
    pub(super) at: PartRef,
    pub(super) fault: Fault,
    pub(super) window: Duration,
    pub(super) app: Option<ReleaseRef>,
    pub(super) max_lost_rows: Option<u64>,
}

const DEADLINE: Duration = Duration::from_secs(5);

impl FailoverStep {
    fn criteria(&self) -> Criteria {
        Criteria::new(self.fault, self.window, self.max_lost_rows, self.app.is_some())
    }

    /// What an interrupted test left: nodes that are down, the writer's database.
    async fn left(&self, look: &Look) -> Result<Vec<String>, PlatformError> {
        let view = view(look)?;
        let ha = view.postgres(&self.at).await?;
        let (topology, _) = crate::ha::inspect(&*view, &ha, &look.identity, &[], DEADLINE).await;
        let mut left: Vec<String> = ha
            .nodes
            .iter()
            .filter(|n| !topology.roles.contains_key(&n.name))
            .map(|n| format!("`{}` does not answer", n.name))
            .collect();
        let Some(primary) = topology.primary.as_ref() else {
            left.push("no single node leads".to_owned());
            return Ok(left);
        };
        if let Some(node) = ha.nodes.iter().find(|n| n.name == *primary) {
            let login = workplan_platform::sql::Login {
                endpoint: node.endpoint.clone(),
                user: ha.superuser.0.clone(),
                password: Some(deployed(&*view, &ha.superuser.1).await?),
                database: "postgres".to_owned(),
                application: look.identity.to_string(),
            };
            let reader = Reader::connect(&*view, &login, DEADLINE).await?;
            let sql = "select 1 from pg_catalog.pg_database where datname = $1";
            if !reader.rows(sql, &[&PROBE_DATABASE]).await?.is_empty() {
                left.push(format!("the database `{PROBE_DATABASE}` is there"));
            }
        }
        Ok(left)
    }
}

#[async_trait]
impl Step for FailoverStep {
    fn resources(&self) -> Resources {
        let release = format!("release/{}", self.at.release);
        Resources {
            reads: vec![release.clone()],
            writes: vec![format!("{release}/availability")],
            claimed: true,
        }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    async fn observe(&self, look: &Look) -> Observation {
        match &look.past {
            Past::Succeeded { record, outputs } => {
                let now = async { subject(&*view(look)?, &self.at).await };
                match now.await {
                    Err(error) => Observation::unknown(error.to_string()),
                    Ok(now) => {
                        let same = outputs.get("subject").and_then(Value::as_str) == Some(&now);
                        let facts = Facts::default().with("subject", Binding::Binding, now);
                        if !same {
                            return Observation::absent().with_facts(facts);
                        }
                        let mut seen = Observation::done().with_facts(facts);
                        seen.outputs.clone_from(outputs);
                        seen.record = Some(record.clone());
                        seen
                    }
                }
            }
            Past::Interrupted(_) | Past::Failed => match self.left(look).await {
                Err(error) => Observation::unknown(error.to_string()),
                Ok(left) if left.is_empty() => Observation::absent(),
                Ok(left) => Observation::half(format!(
                    "an earlier test did not come to its end: {}",
                    left.join("; ")
                )),
            },
            Past::Never | Past::Claimed => Observation::absent(),
        }
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "run".to_owned(),
            path: format!("{} of the primary of {}", word(self.fault), self.at),
            before: None,
            after: Some(Value::from(self.criteria().sentences())),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let course = Course {
            operate: operate(hands)?,
            hands,
            at: &self.at,
            app: self.app.as_ref(),
            criteria: self.criteria(),
        };
        let ended = tokio::select! {
            biased;
            () = hands.cancel().cancelled() => None,
            ended = course.run() => Some(ended),
        };
        match ended {
            Some(ended) => ended,
            // Nothing can be started any more. What is left is found and mended by the next
            // attempt, before it does anything else.
            None => {
                let what = format!("`{}` was ended because the run was cancelled", hands.step);
                Err(StepError::new(ErrorCause::Cancelled, what).with_help(format!(
                    "a node of {} may be down or frozen; `resume` brings it back first",
                    self.at
                )))
            }
        }
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        self.verify_now(look, applied).unwrap_or_else(Observation::absent)
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        let mut facts = Facts::default();
        for (name, value) in &applied.outputs {
            let class = if name == "subject" { Binding::Binding } else { Binding::Informative };
            facts = facts.with(name, class, value.clone());
        }
        let mut seen = Observation::done().with_facts(facts);
        seen.outputs.clone_from(&applied.outputs);
        Some(seen)
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let course = Course {
            operate: operate(hands)?,
            hands,
            at: &self.at,
            app: None,
            criteria: self.criteria(),
        };
        course.clean_up().await
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
