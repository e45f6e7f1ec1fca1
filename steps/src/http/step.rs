//! When an `http.check` asks, how often, and what counts.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, ErrorCause, Facts, Hands, Look, Observation, Past, Prepared,
    Resources, Step, StepError, UndoPlan,
};

use super::expected::Expected;
use super::request::{Answer, Ready, Request};

/// A later request of a series gets at least this, however little of `wait` is left.
const LEAST: Duration = Duration::from_secs(1);

/// One `http.check` step.
pub(super) struct CheckStep {
    pub(super) request: Request,
    pub(super) expected: Expected,
    /// Of one request.
    pub(super) timeout: Duration,
    /// How long it is asked again.
    pub(super) wait: Duration,
    /// Between two requests.
    pub(super) every: Duration,
}

/// Why a request did not pass, and the beginning of the body if there was one.
struct Miss {
    what: String,
    body: String,
}

impl CheckStep {
    async fn ask(&self, ready: &Ready, timeout: Duration) -> Result<Answer, Miss> {
        let answer = ready.ask(timeout).await.map_err(|what| Miss { what, body: String::new() })?;
        match self.expected.misses(&answer) {
            None => Ok(answer),
            Some(what) => Err(Miss { what, body: ready.excerpt(&answer) }),
        }
    }

    /// Asks until it passes or `wait` is over; says how often it asked.
    async fn series(&self, ready: &Ready, wait: Duration) -> Result<(Answer, u32), (Miss, u32)> {
        let end = Instant::now() + wait;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = end.saturating_duration_since(Instant::now());
            let timeout = if tries == 1 { self.timeout } else { self.timeout.min(left.max(LEAST)) };
            let miss = match self.ask(ready, timeout).await {
                Ok(answer) => return Ok((answer, tries)),
                Err(miss) => miss,
            };
            if Instant::now() + self.every > end {
                return Err((miss, tries));
            }
            tokio::time::sleep(self.every).await;
        }
    }

    /// Asks once more what passed before.
    async fn ask_again(&self, look: &Look, record: &str) -> Observation {
        let ready = match self.request.ready(look).await {
            Ok(ready) => ready,
            Err(e) => return Observation::unknown(e.to_string()),
        };
        let answer = tokio::select! {
            biased;
            () = look.cancel().cancelled() => {
                return Observation::unknown("the run was cancelled while it was asked");
            }
            answer = ready.ask(self.timeout) => answer,
        };
        let Ok(answer) = answer else { return Observation::absent() };
        let outputs = outputs(&answer, 1);
        if self.expected.misses(&answer).is_some() {
            return Observation::absent().with_facts(facts(&outputs));
        }
        let mut seen = Observation::done().with_facts(facts(&outputs));
        seen.record = Some(record.to_owned());
        seen.outputs = outputs;
        seen
    }

    /// The attempt's evidence, without asking a second time.
    fn passed(applied: &Applied) -> Observation {
        let mut seen = Observation::done().with_facts(facts(&applied.outputs));
        seen.outputs.clone_from(&applied.outputs);
        seen
    }
}

fn outputs(answer: &Answer, tries: u32) -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("status".to_owned(), Value::from(answer.status)),
        ("sha256".to_owned(), Value::from(answer.sha256.as_str())),
        ("tries".to_owned(), Value::from(tries)),
    ])
}

fn facts(outputs: &BTreeMap<String, Value>) -> Facts {
    let mut facts = Facts::default();
    for (name, class) in [("status", Binding::Binding), ("sha256", Binding::Informative)] {
        if let Some(value) = outputs.get(name) {
            facts = facts.with(name, class, value.clone());
        }
    }
    facts
}

#[async_trait]
impl Step for CheckStep {
    fn resources(&self) -> Resources {
        let server = reqwest::Url::parse(&self.request.url)
            .map(|url| format!("http/{}", url.origin().ascii_serialization()));
        Resources { reads: server.into_iter().collect(), writes: Vec::new(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        let safe = self.request.method.is_safe();
        match &look.past {
            Past::Succeeded { .. } if safe => None,
            // What passed before cannot be asked again by a look: it is due in each run.
            Past::Succeeded { .. } => {
                let mut seen = Observation::absent();
                seen.not_looked = true;
                Some(seen)
            }
            Past::Interrupted(why) if !safe => {
                Some(Observation::unknown(format!("{why}; a `POST` may have changed something")))
            }
            // Not asked before it is due: what answers now may be what an earlier step replaces.
            Past::Never | Past::Failed | Past::Interrupted(_) | Past::Claimed => {
                Some(Observation::absent())
            }
        }
    }

    async fn observe(&self, look: &Look) -> Observation {
        match (self.observe_now(look), &look.past) {
            (None, Past::Succeeded { record, .. }) => self.ask_again(look, record).await,
            (seen, _) => seen.unwrap_or_else(Observation::absent),
        }
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "ask".to_owned(),
            path: format!("{} {}", self.request.method.name(), self.request.url),
            before: None,
            after: Some(Value::from(self.expected.describe())),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let ready = self.request.ready(hands).await?;
        let began = Instant::now();
        // The step's own deadline, where it is earlier than the end of `wait`.
        let wait = hands.timeout.map_or(self.wait, |t| t.min(self.wait));
        let deadline = hands.timeout.unwrap_or(self.wait + self.timeout + LEAST);
        let ended =
            |cause, why: &str| StepError::new(cause, format!("`{}` was ended {why}", hands.step));
        let series = tokio::select! {
            biased;
            () = hands.cancel().cancelled() => {
                return Err(if hands.timeout.is_some_and(|t| began.elapsed() >= t) {
                    ended(ErrorCause::TimedOut, "at its deadline")
                } else {
                    ended(ErrorCause::Cancelled, "because the run was cancelled")
                });
            }
            series = tokio::time::timeout(deadline, self.series(&ready, wait)) => series,
        };
        let Ok(series) = series else {
            let why = format!("at its deadline of {}", duration::format(deadline));
            return Err(ended(ErrorCause::TimedOut, &why));
        };
        series
            .map(|(answer, tries)| Applied {
                outputs: outputs(&answer, tries),
                ..Applied::default()
            })
            .map_err(|(miss, tries)| {
                let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
                let mut error = StepError::failed(format!(
                    "`{}` did not pass: {} (asked {times} in {})",
                    hands.step,
                    miss.what,
                    duration::human(began.elapsed())
                ));
                error.said = Some(miss.body).filter(|body| !body.is_empty()).into_iter().collect();
                error
            })
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
