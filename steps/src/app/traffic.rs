//! `traffic.open`: people get in.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Past, Prepared, Resources, Seen, Step, StepError, UndoPlan,
    With,
};
use workplan_platform::{self as platform, PlatformError, Traffic, View};

use super::api::{self, Health};
use super::since::since;
use super::site::{Site, endpoint};
use super::target::{NAMESPACE, RELEASE, Target, until};
use super::word;

/// Leads the ingress to the application and waits until it answers through it.
#[derive(Debug, Clone, Copy)]
pub struct TrafficOpen;

/// How long it may take that gives no deadline.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Deadline of one question.
const ASK: Duration = Duration::from_secs(5);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    ParamSpec {
        name: "timeout",
        ty: ParamType::Duration,
        required: false,
        doc: "How long it may take until the application answers from outside; `30s` by default.",
    },
];

impl Kind for TrafficOpen {
    fn name(&self) -> &'static str {
        "traffic.open"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Opens ingress and SSH of an application and asks it from outside until it answers. Taken \
         back, they are shut. What users did since the opening is counted in the application's \
         database and told whenever it is looked at: it is what going back would lose."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([("opened_at".to_owned(), OutputType::Int)])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        Ok(Box::new(OpenStep { target: Target::read(with, TIMEOUT)? }))
    }
}

struct OpenStep {
    target: Target,
}

impl OpenStep {
    /// Why nobody gets an answer from outside; `None` where all do.
    async fn trouble(&self, view: &dyn View) -> Result<Option<String>, StepError> {
        let app = view.app(&self.target.at).await?;
        let endpoint = endpoint(&app, true)?;
        let site = Site::at(view, &endpoint).await?;
        let answer = timeout(ASK, api::health(&site, ASK)).await;
        Ok(match answer {
            Ok(Ok(Health::Passes)) => None,
            // Without such a page, an answer that no ingress would give is enough.
            Ok(Ok(Health::Unknown(status))) if status < 500 => None,
            Ok(Ok(Health::Unknown(status))) => Some(format!(
                "`{}` does not answer from outside ({endpoint} says {status})",
                self.target.at
            )),
            Ok(Ok(Health::Fails(what))) => Some(format!(
                "`{}` answers from outside ({endpoint}), but fails {}",
                self.target.at,
                what.join(", ")
            )),
            Ok(Err(miss)) => {
                Some(format!("`{}` does not answer from outside: {}", self.target.at, miss.what))
            }
            Err(_) => Some(format!("`{}` hangs when it is asked from outside", self.target.at)),
        })
    }

    async fn seen(&self, look: &Look) -> Result<Observation, StepError> {
        let view = platform::view(look)?;
        let traffic = view.traffic(&self.target.at).await?;
        let mut facts = Facts::default().with("traffic", Binding::Binding, word(traffic));
        let seen = match traffic {
            Traffic::Shut | Traffic::None => Seen::Absent,
            Traffic::Open => match self.trouble(&*view).await? {
                None => Seen::Done,
                Some(trouble) => {
                    facts = facts.with("trouble", Binding::Informative, trouble);
                    Seen::Absent
                }
            },
        };
        let mut seen = Observation::new(seen).with_facts(facts);
        if let Past::Succeeded { outputs, .. } = &look.past {
            seen.outputs.clone_from(outputs);
            seen.facts = self.with_since(look, seen.facts).await;
        }
        Ok(seen)
    }

    /// With what users did since the opening; that it cannot be counted is a fact as well.
    async fn with_since(&self, look: &Look, facts: Facts) -> Facts {
        let Past::Succeeded { outputs, .. } = &look.past else { return facts };
        let Some(at) = outputs.get("opened_at").and_then(Value::as_i64) else { return facts };
        let counted = async {
            let view = platform::view(look)?;
            let app = view.app(&self.target.at).await?;
            since(look, &*view, &app, at).await
        };
        let told = match timeout(ASK, counted).await {
            Ok(Ok(counted)) => counted,
            Ok(Err(why)) => format!("not counted: {why}"),
            Err(_) => "not counted: the database does not answer".to_owned(),
        };
        facts.with("since_opening", Binding::Informative, told)
    }

    async fn traffic(&self, look: &Look) -> Result<Traffic, PlatformError> {
        platform::view(look)?.traffic(&self.target.at).await
    }
}

#[async_trait]
impl Step for OpenStep {
    fn resources(&self) -> Resources {
        let reads = vec![self.target.release()];
        Resources { reads, writes: vec![self.target.traffic()], claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can("the way in is shut where it was shut".to_owned())
    }

    async fn observe(&self, look: &Look) -> Observation {
        self.seen(look).await.unwrap_or_else(|why| Observation::unknown(why.to_string()))
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let before = self.traffic(look).await.ok();
        vec![Change {
            op: "update".to_owned(),
            path: format!("traffic to {}", self.target.at),
            before: before.map(|traffic| Value::from(word(traffic))),
            after: Some(Value::from(word(Traffic::Open))),
        }]
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let traffic = self.traffic(look).await?;
        Ok(Prepared { undo: json!({"traffic": word(traffic)}), bytes: None })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let operate = platform::operate(hands)?;
        // Before anything is opened: whether there is anything to open.
        endpoint(&operate.app(&self.target.at).await?, true)?;
        let opened_at = jiff::Timestamp::now().as_second();
        operate.set_traffic(&self.target.at, true).await?;
        until(hands, self.target.timeout, || self.trouble(&*operate)).await?;
        let outputs = BTreeMap::from([("opened_at".to_owned(), Value::from(opened_at))]);
        Ok(Applied { outputs, ..Applied::default() })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        let mut seen = self.observe(look).await;
        seen.outputs.clone_from(&applied.outputs);
        seen
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let was_open = prepared.undo.get("traffic").and_then(Value::as_str) == Some("open");
        match self.traffic(look).await {
            Err(why) => Observation::unknown(why.to_string()),
            Ok(Traffic::Open) if was_open => Observation::absent(),
            Ok(Traffic::Open) => {
                Observation::done().with_facts(self.with_since(look, Facts::default()).await)
            }
            Ok(Traffic::Shut) => Observation::absent(),
            Ok(Traffic::None) => Observation::unknown(format!(
                "the way in to `{}` was opened, and its values make none any more",
                self.target.at
            )),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        if prepared.undo.get("traffic").and_then(Value::as_str) == Some("open") {
            return Ok(());
        }
        platform::operate(hands)?.set_traffic(&self.target.at, false).await?;
        Ok(())
    }
}
