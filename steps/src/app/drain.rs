//! `app.drain`: nobody comes in, and what was begun is ended.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Past, Prepared, Resources, Seen, Step, StepError, UndoPlan,
    With,
};
use workplan_platform::{self as platform, AppView, Operate, PlatformError, Traffic};

use super::queues;
use super::target::{NAMESPACE, RELEASE, Target, until};
use super::word;
use crate::count::count;

/// Shuts the way in, waits for those that are inside, and has the queues emptied.
#[derive(Debug, Clone, Copy)]
pub struct AppDrain;

/// How long it may take that gives no deadline.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The queues get at least this, however long the requests took.
const LEAST: Duration = Duration::from_secs(5);
/// How long it may take to tell which queue is not empty.
const ASK: Duration = Duration::from_secs(10);
/// Connections that are named in a message.
const NAMED: usize = 5;

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    ParamSpec {
        name: "timeout",
        ty: ParamType::Duration,
        required: false,
        doc: "How long requests in flight and queues may take; `60s` by default.",
    },
];

impl Kind for AppDrain {
    fn name(&self) -> &'static str {
        "app.drain"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Shuts ingress and SSH, waits until the requests in flight have ended, and has Gitea's \
         queues flushed. It refuses when a connection does not end within the deadline, and names \
         it. Taken back, the way in is as before."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([
            ("in_flight".to_owned(), OutputType::Int),
            ("queues".to_owned(), OutputType::String),
            ("traffic".to_owned(), OutputType::String),
        ])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        Ok(Box::new(DrainStep { target: Target::read(with, TIMEOUT)? }))
    }
}

struct DrainStep {
    target: Target,
}

impl DrainStep {
    async fn seen(&self, look: &Look) -> Result<Observation, PlatformError> {
        let view = platform::view(look)?;
        let traffic = view.traffic(&self.target.at).await?;
        let (_, workload) = self.target.find(&*view).await?;
        let facts = Facts::default().with("traffic", Binding::Binding, word(traffic));
        let runs = !workload.instances.is_empty();
        let (seen, outputs) = match (&look.past, traffic) {
            (_, Traffic::Open) => (Seen::Absent, None),
            // As this step left it. A way in that is gone altogether is somebody else's work.
            (Past::Succeeded { outputs, .. }, now)
                if outputs.get("traffic").and_then(Value::as_str) == Some(word(now)) =>
            {
                (Seen::Done, Some(outputs.clone()))
            }
            // What is not there has nothing in flight.
            (_, _) if !runs => (Seen::Done, None),
            // Shut, but nobody knows whether the queues were flushed since.
            (_, _) => (Seen::Absent, None),
        };
        let mut seen = Observation::new(seen).with_facts(facts);
        seen.outputs = outputs.unwrap_or_default();
        Ok(seen)
    }

    /// Waits until nobody is connected. Says how many were at first; `None` where that cannot be
    /// told.
    async fn empty(&self, hands: &Hands, operate: &dyn Operate) -> Result<(), StepError> {
        until(hands, self.target.timeout, || async {
            let Some(left) = operate.connections(&self.target.at).await? else { return Ok(None) };
            Ok((!left.is_empty()).then(|| {
                let named: Vec<&str> = left.iter().take(NAMED).map(String::as_str).collect();
                let more = if left.len() > NAMED { " and others" } else { "" };
                format!(
                    "{} in flight to `{}` did not end: {}{more}",
                    count(left.len(), "connection"),
                    self.target.at,
                    named.join(", ")
                )
            }))
        })
        .await
        .map_err(|error| {
            error.with_help(
                "end what holds them open, or give a longer `timeout`; nothing is lost so far",
            )
        })
    }

    /// Has the queues flushed, and takes no other word for it than Gitea's own.
    async fn flush(
        &self,
        hands: &Hands,
        operate: &dyn Operate,
        app: &AppView,
        within: Duration,
    ) -> Result<(), StepError> {
        let asked = duration::format(Duration::from_secs(within.as_secs().max(1)));
        let argv = ["gitea", "manager", "flush-queues", "--timeout", &asked].map(str::to_owned);
        let ended = operate.exec(&self.target.at, &app.workload, &argv, within + LEAST).await?;
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        if ended.code == Some(0) && said.contains("Flushed") {
            return Ok(());
        }
        let which = match timeout(ASK, queues::busy(hands, operate, app)).await {
            Ok(Ok(busy)) if busy.is_empty() => "; now they are empty".to_owned(),
            Ok(Ok(busy)) => {
                let each: Vec<String> = busy.iter().map(ToString::to_string).collect();
                format!(": {}", each.join(", "))
            }
            Ok(Err(miss)) => format!("; which of them is not known: {}", miss.what),
            Err(_) => "; which of them is not known: Gitea does not answer".to_owned(),
        };
        let mut error = StepError::failed(format!(
            "the queues of `{}` were not flushed within {asked}{which}",
            self.target.at
        ))
        .with_help(
            "its site administration shows them (`/-/admin/monitor/queue`); see to what does not end, or \
             give a longer `timeout`; nothing is lost so far",
        );
        error.said = said.lines().map(str::to_owned).chain(ended.said).collect();
        Err(error)
    }
}

#[async_trait]
impl Step for DrainStep {
    fn resources(&self) -> Resources {
        let reads = vec![self.target.release()];
        Resources { reads, writes: vec![self.target.traffic()], claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can("the way in is opened where it was open".to_owned())
    }

    async fn observe(&self, look: &Look) -> Observation {
        self.seen(look).await.unwrap_or_else(|why| Observation::unknown(why.to_string()))
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let before = async { platform::view(look)?.traffic(&self.target.at).await };
        let shut = Change {
            op: "update".to_owned(),
            path: format!("traffic to {}", self.target.at),
            before: before.await.ok().map(|traffic| Value::from(word(traffic))),
            after: Some(Value::from(word(Traffic::Shut))),
        };
        let flush = Change {
            op: "run".to_owned(),
            path: format!("queues of {}", self.target.at),
            before: None,
            after: Some(Value::from("flushed")),
        };
        vec![shut, flush]
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let traffic = platform::view(look)?.traffic(&self.target.at).await?;
        Ok(Prepared { undo: json!({"traffic": word(traffic)}), bytes: None })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let operate = platform::operate(hands)?;
        let end = Instant::now() + self.target.timeout;
        let (app, workload) = self.target.find(&*operate).await?;
        let mut notes = Vec::new();
        let in_flight = operate.connections(&self.target.at).await?;
        if in_flight.is_none() {
            notes.push("what is in flight cannot be told here".to_owned());
        }
        // Without a way in there is nothing to shut.
        if operate.traffic(&self.target.at).await? == Traffic::Open {
            operate.set_traffic(&self.target.at, false).await?;
        }
        self.empty(hands, &*operate).await?;
        let queues = if workload.instances.is_empty() {
            "not running"
        } else {
            let left = end.saturating_duration_since(Instant::now()).max(LEAST);
            self.flush(hands, &*operate, &app, left).await?;
            "flushed"
        };
        let in_flight = in_flight.map_or(0, |all| all.len());
        let outputs = BTreeMap::from([
            ("in_flight".to_owned(), Value::from(in_flight)),
            ("queues".to_owned(), Value::from(queues)),
            ("traffic".to_owned(), Value::from(word(operate.traffic(&self.target.at).await?))),
        ]);
        Ok(Applied { outputs, notes, log: None })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        let traffic = match platform::view(look) {
            Ok(view) => view.traffic(&self.target.at).await,
            Err(why) => Err(why),
        };
        let mut seen = match traffic {
            Ok(Traffic::Open) => Observation::absent(),
            Ok(Traffic::Shut | Traffic::None) => Observation::done(),
            Err(why) => Observation::unknown(why.to_string()),
        };
        for (name, value) in &applied.outputs {
            seen.facts = seen.facts.with(name, Binding::Informative, value.clone());
        }
        seen.outputs.clone_from(&applied.outputs);
        seen
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let traffic = match platform::view(look) {
            Ok(view) => view.traffic(&self.target.at).await,
            Err(why) => Err(why),
        };
        let was_open = prepared.undo.get("traffic").and_then(Value::as_str) == Some("open");
        match traffic {
            Err(why) => Observation::unknown(why.to_string()),
            Ok(Traffic::Shut | Traffic::None) if !was_open => Observation::absent(),
            Ok(Traffic::Shut) => Observation::done(),
            Ok(Traffic::Open) => Observation::absent(),
            Ok(Traffic::None) => Observation::unknown(format!(
                "`{}` had a way in, and its values make none any more",
                self.target.at
            )),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        if prepared.undo.get("traffic").and_then(Value::as_str) != Some("open") {
            return Ok(());
        }
        platform::operate(hands)?.set_traffic(&self.target.at, true).await?;
        Ok(())
    }
}
