//! `app.stop`: an application that does not run.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, ParamProblem,
    ParamSpec, ParamType, Prepared, Resources, Seen, Step, StepError, UndoPlan, With,
};
use workplan_platform::{self as platform, AppView, PlatformError, View, Workload};

use super::api::{self, Health};
use super::sessions::sessions;
use super::site::Site;
use super::target::{NAMESPACE, RELEASE, Target, until};

/// Scales an application to nothing, and makes sure that nothing of it is left.
#[derive(Debug, Clone, Copy)]
pub struct AppStop;

/// How long a stop or a start may take that gives no deadline.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a stranger on its port may take to go before a person is asked.
const GOES: Duration = Duration::from_secs(5);
/// Between two looks at that.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a port is asked whether somebody answers.
const PORT: Duration = Duration::from_secs(2);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    ParamSpec {
        name: "timeout",
        ty: ParamType::Duration,
        required: false,
        doc: "How long it may take to end, and to be back when this is taken back; `2m` by default.",
    },
];

impl Kind for AppStop {
    fn name(&self) -> &'static str {
        "app.stop"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Scales an application to nothing and proves that it is gone: no process, its port closed, \
         none of its sessions at work in its database where that can be asked. One that was started \
         again behind our back is seen. Taken back, it runs as before and answers."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        Ok(Box::new(StopStep { target: Target::read(with, TIMEOUT)? }))
    }
}

struct StopStep {
    target: Target,
}

/// What was seen of an application.
struct State {
    app: AppView,
    workload: Workload,
    /// Somebody answers at its port.
    answers: bool,
}

impl State {
    /// Somebody answers, and it is none of its pods.
    fn is_strange(&self) -> bool {
        self.answers && self.workload.instances.is_empty()
    }

    /// That somebody answers, and who, as far as that can be told.
    async fn stranger(&self, view: &dyn View) -> String {
        let who = view.listener(&self.app.inside).await;
        let who = who.map(|who| format!(" ({who})")).unwrap_or_default();
        format!("something answers at {}{who}", self.app.inside)
    }
}

impl StopStep {
    async fn state(&self, view: &dyn View) -> Result<State, PlatformError> {
        let (app, workload) = self.target.find(view).await?;
        let answers = is_open(view, &app).await?;
        Ok(State { app, workload, answers })
    }

    async fn seen(&self, look: &Look) -> Result<Observation, PlatformError> {
        let view = platform::view(look)?;
        let state = self.state(&*view).await?;
        let running: Vec<Value> =
            state.workload.instances.iter().map(|i| Value::from(&*i.incarnation)).collect();
        let mut facts = Facts::default()
            .with("replicas", Binding::Binding, state.workload.wanted)
            .with("running", Binding::Binding, running);
        let seen = if !state.workload.instances.is_empty() || state.workload.wanted > 0 {
            Seen::Absent
        } else if state.answers {
            Seen::Unknown(format!(
                "`{}` is scaled to nothing, but {}",
                self.target.at,
                state.stranger(&*view).await
            ))
        } else {
            // The pods are gone; whether the server has noticed is another question.
            match sessions(look, &*view, &state.app).await {
                Ok(Some(sessions)) => {
                    facts = facts.with("sessions", Binding::Informative, sessions.all);
                    if sessions.busy > 0 {
                        Seen::Half(format!(
                            "`{}` is gone, but {} of its sessions still work in its database",
                            self.target.at, sessions.busy
                        ))
                    } else {
                        Seen::Done
                    }
                }
                Ok(None) => Seen::Done,
                Err(why) => {
                    let why = format!("not asked: {why}");
                    facts = facts.with("sessions", Binding::Informative, why);
                    Seen::Done
                }
            }
        };
        Ok(Observation::new(seen).with_facts(facts))
    }

    /// Waits until a look says that it is stopped.
    async fn gone(&self, hands: &Hands, within: Duration) -> Result<(), StepError> {
        until(hands, within, || async {
            match self.seen(hands).await?.seen {
                Seen::Done => Ok(None),
                Seen::Absent => Ok(Some(format!("`{}` still runs", self.target.at))),
                Seen::Half(what) | Seen::Unknown(what) => Ok(Some(what)),
            }
        })
        .await
        .map_err(|error| {
            error.with_help("see who that is (`pg_stat_activity`, `ss -ltnp`), and end it")
        })
    }

    async fn back(&self, hands: &Hands, within: Duration) -> Result<(), StepError> {
        let view = platform::operate(hands)?;
        until(hands, within, || async {
            let state = self.state(&*view).await?;
            if !state.workload.is_ready() {
                let why = state.workload.instances.iter().find_map(|i| i.why.clone());
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                return Ok(Some(format!("`{}` is not ready{why}", self.target.at)));
            }
            let site = Site::at(&*view, &state.app.inside).await?;
            Ok(match api::health(&site, PORT).await {
                Ok(Health::Passes | Health::Unknown(_)) => None,
                Ok(Health::Fails(what)) => {
                    Some(format!("`{}` runs, but fails {}", self.target.at, what.join(", ")))
                }
                Err(miss) => Some(format!("`{}` does not answer: {}", self.target.at, miss.what)),
            })
        })
        .await
    }
}

/// Whether somebody takes connections at the application's own port.
async fn is_open(view: &dyn View, app: &AppView) -> Result<bool, PlatformError> {
    let way = match view.reach(&app.inside).await {
        Ok(way) => way,
        // Without a pod there is no way to one.
        Err(PlatformError::Missing(_)) => return Ok(false),
        Err(why) => return Err(why),
    };
    match timeout(PORT, TcpStream::connect(way.address)).await {
        Ok(connected) => Ok(connected.is_ok()),
        Err(_) => Err(PlatformError::TimedOut(format!(
            "{} neither takes a connection nor refuses it, for {}",
            app.inside,
            duration::format(PORT)
        ))),
    }
}

/// How many there were before.
fn before(prepared: &Prepared) -> u32 {
    let replicas = prepared.undo.get("replicas").and_then(Value::as_u64).unwrap_or_default();
    u32::try_from(replicas).unwrap_or_default()
}

#[async_trait]
impl Step for StopStep {
    fn resources(&self) -> Resources {
        Resources { reads: Vec::new(), writes: vec![self.target.release()], claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can("it is scaled to what it was before, and has to answer".to_owned())
    }

    async fn observe(&self, look: &Look) -> Observation {
        self.seen(look).await.unwrap_or_else(|why| Observation::unknown(why.to_string()))
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let before = async {
            let view = platform::view(look)?;
            Ok::<_, PlatformError>(self.target.find(&*view).await?.1.wanted)
        };
        vec![Change {
            op: "update".to_owned(),
            path: format!("replicas of {}", self.target.at),
            before: before.await.ok().map(Value::from),
            after: Some(Value::from(0)),
        }]
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let view = platform::view(look)?;
        let (_, workload) = self.target.find(&*view).await?;
        let undo = json!({"workload": workload.name, "replicas": workload.wanted});
        Ok(Prepared { undo, bytes: None })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let operate = platform::operate(hands)?;
        let end = Instant::now() + self.target.timeout;
        let (app, _) = self.target.find(&*operate).await?;
        operate.scale(&self.target.at, &app.workload, 0, self.target.timeout).await?;
        self.gone(hands, end.saturating_duration_since(Instant::now())).await?;
        Ok(Applied::default())
    }

    /// What works in the database without a pod is waited for, not ended: it is not known to be
    /// ours.
    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        self.gone(hands, self.target.timeout).await
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let wanted = before(prepared);
        let state = async {
            let view = platform::view(look)?;
            // A stranger on its port may be about to go, and nobody should have to be asked for that.
            let end = Instant::now() + GOES;
            loop {
                let state = self.state(&*view).await?;
                if !state.is_strange() {
                    return Ok((state, String::new()));
                }
                if Instant::now() >= end || look.cancel().is_cancelled() {
                    let who = format!("; {}", state.stranger(&*view).await);
                    return Ok((state, who));
                }
                sleep(AGAIN).await;
            }
        };
        let (state, who) = match state.await {
            Ok(state) => state,
            Err(why) => return Observation::unknown(PlatformError::to_string(&why)),
        };
        let workload = &state.workload;
        if workload.wanted == wanted && workload.is_ready() {
            return Observation::absent();
        }
        if workload.wanted == 0 && workload.instances.is_empty() && !state.answers {
            return Observation::done();
        }
        Observation::unknown(format!(
            "`{}` was stopped, and {} before; now {} are wanted, {} there, and something {} at its port{who}",
            self.target.at,
            if wanted == 1 { "1 ran".to_owned() } else { format!("{wanted} ran") },
            workload.wanted,
            workload.instances.len(),
            if state.answers { "answers" } else { "does not answer" },
        ))
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let operate = platform::operate(hands)?;
        let end = Instant::now() + self.target.timeout;
        let wanted = before(prepared);
        let state = self.state(&*operate).await?;
        if state.answers && state.workload.instances.is_empty() {
            return Err(StepError::failed(format!(
                "{}, and it is not `{}`",
                state.stranger(&*operate).await,
                self.target.at
            ))
            .with_help("end it, then take this back again"));
        }
        operate.scale(&self.target.at, &state.workload.name, wanted, self.target.timeout).await?;
        if wanted == 0 {
            return Ok(());
        }
        self.back(hands, end.saturating_duration_since(Instant::now())).await
    }
}
