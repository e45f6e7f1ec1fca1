//! `app.check`: the proof that an application works.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::digest::Digest;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Past, Prepared, Resources, Seen, Step, StepError, UndoPlan,
    With,
};
use workplan_platform::{self as platform, AppView, PlatformError, View};

use super::api::Api;
use super::proof::{self, Proof, TOLD};
use super::site::{Account, Site, endpoint};
use super::target::{NAMESPACE, RELEASE, Target};

/// Logs in, writes, pushes and clones.
///
/// The evidence is bound to the release's values and to what the running application reads from
/// its configuration: where one of them changed, the proof is due again.
#[derive(Debug, Clone, Copy)]
pub struct AppCheck;

/// The deadline of each part that is given none.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a look for what a killed attempt left may take.
const LOOK: Duration = Duration::from_secs(3);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    ParamSpec {
        name: "through",
        ty: ParamType::OneOf(&["inside", "outside"]),
        required: false,
        doc: "`outside` (the default) goes through the ingress as users do; `inside` asks the pod \
              itself, also while it is in quarantine.",
    },
    ParamSpec {
        name: "timeout",
        ty: ParamType::Duration,
        required: false,
        doc: "Deadline of each part (a login, a push); `15s` by default.",
    },
];

impl Kind for AppCheck {
    fn name(&self) -> &'static str {
        "app.check"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Proves that a Gitea works: its administrator logs in by the form and by the API, makes a \
         repository, pushes to it, clones it and removes it, each within a deadline; a hang is a \
         failure that names its part. `/api/healthz` alone is not enough: it passes on a read-only \
         standby. In the database it leaves the time of the last login and sequences that went on."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        let mut outputs: BTreeMap<String, OutputType> =
            TOLD.iter().map(|(_, name)| ((*name).to_owned(), OutputType::Int)).collect();
        for name in ["version", "subject"] {
            outputs.insert(name.to_owned(), OutputType::String);
        }
        outputs
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let target = Target::read(with, TIMEOUT)?;
        Ok(Box::new(CheckStep { target, outside: with.str("through") != Some("inside") }))
    }
}

struct CheckStep {
    target: Target,
    outside: bool,
}

impl CheckStep {
    fn through(&self) -> &'static str {
        if self.outside { "outside" } else { "inside" }
    }

    /// What the evidence is bound to.
    async fn subject(&self, view: &dyn View, app: &AppView) -> Result<Digest, PlatformError> {
        let release = view.release(&self.target.at).await?;
        let Some(release) = release else {
            return Err(PlatformError::Missing(format!(
                "there is no release `{}`",
                self.target.at
            )));
        };
        Ok(Digest::of_json(&json!({
            "chart": release.chart,
            "values": release.values_digest,
            "config": app.config,
            "through": self.through(),
        })))
    }

    /// Whether the evidence still stands.
    async fn stands(
        &self,
        look: &Look,
        outputs: &BTreeMap<String, Value>,
    ) -> Result<Observation, PlatformError> {
        let view = platform::view(look)?;
        let app = view.app(&self.target.at).await?;
        let now = self.subject(&*view, &app).await?.to_string();
        let facts = facts(outputs);
        if outputs.get("subject").and_then(Value::as_str) != Some(&now) {
            return Ok(Observation::absent().with_facts(facts));
        }
        let mut seen = Observation::done().with_facts(facts);
        seen.outputs.clone_from(outputs);
        Ok(seen)
    }

    /// What an attempt that was cut off left; nothing where that cannot be asked.
    async fn left(&self, look: &Look) -> Result<Vec<String>, StepError> {
        let mut left = Vec::new();
        let folder = proof::folder(look);
        if folder.exists() {
            left.push(format!("the folder `{}`", folder.display()));
        }
        let view = platform::view(look)?;
        let app = view.app(&self.target.at).await?;
        let account = Account::admin(look, &*view, &app).await?;
        let basic = account.basic(look);
        // Past the ingress: what is left is there whether or not anybody gets in.
        let site = Site::at(&*view, &app.inside).await?;
        let api = Api { site: &site, user: &account.user, basic: &basic, within: LOOK };
        let asked = async {
            let (user_id, _) = api.whoami().await?;
            proof::left(look, api, user_id).await
        };
        let repositories = asked.await.unwrap_or_default();
        left.extend(repositories.iter().map(|r| format!("the repository `{}`", r.full_name)));
        Ok(left)
    }
}

fn facts(outputs: &BTreeMap<String, Value>) -> Facts {
    let mut facts = Facts::default();
    for (name, value) in outputs {
        let class = if name == "subject" { Binding::Binding } else { Binding::Informative };
        facts = facts.with(name, class, value.clone());
    }
    facts
}

#[async_trait]
impl Step for CheckStep {
    fn resources(&self) -> Resources {
        let reads = vec![self.target.release(), self.target.traffic()];
        Resources { reads, writes: Vec::new(), claimed: true }
    }

    fn brings_about(&self) -> Option<String> {
        Some(format!("proof that {} works", self.target.at))
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        match &look.past {
            // Not asked before it is due: what answers now may be what an earlier step replaces.
            Past::Never | Past::Failed | Past::Claimed => Some(Observation::absent()),
            Past::Succeeded { .. } | Past::Interrupted(_) => None,
        }
    }

    async fn observe(&self, look: &Look) -> Observation {
        match &look.past {
            Past::Succeeded { record, outputs } => match self.stands(look, outputs).await {
                Ok(mut seen) => {
                    seen.record = Some(record.clone());
                    seen
                }
                Err(why) => Observation::unknown(why.to_string()),
            },
            // With the application away nothing can be asked; the next attempt looks again.
            Past::Interrupted(_) => match self.left(look).await {
                Ok(left) if !left.is_empty() => Observation::half(format!(
                    "an attempt that was cut off left {}",
                    left.join(", ")
                )),
                Ok(_) | Err(_) => Observation::absent(),
            },
            _ => Observation::absent(),
        }
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        vec![Change {
            op: "ask".to_owned(),
            path: format!("{} from {}", self.target.at, self.through()),
            before: None,
            after: Some(Value::from(
                "login by form and API, repository made, pushed to, cloned and removed",
            )),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let view = platform::operate(hands)?;
        let app = view.app(&self.target.at).await?;
        let subject = self.subject(&*view, &app).await?;
        let account = Account::admin(hands, &*view, &app).await?;
        let endpoint = endpoint(&app, self.outside)?;
        let site = Site::at(&*view, &endpoint).await?;
        let name = format!("`{}` ({}, {endpoint})", self.target.at, self.through());
        let found = Proof::new(hands, name, &site, &account, self.target.timeout).prove().await?;
        let mut outputs = found.outputs();
        outputs.insert("subject".to_owned(), Value::from(subject.to_string()));
        Ok(Applied { outputs, notes: found.notes, log: None })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        // Had the application changed under the check, it would have proved nothing.
        match self.stands(look, &applied.outputs).await {
            Ok(seen) if seen.seen == Seen::Absent => Observation::unknown(format!(
                "the values or the configuration of `{}` changed while it was checked",
                self.target.at
            )),
            Ok(seen) => seen,
            Err(why) => Observation::unknown(why.to_string()),
        }
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let view = platform::operate(hands)?;
        let app = view.app(&self.target.at).await?;
        let account = Account::admin(hands, &*view, &app).await?;
        let basic = account.basic(hands);
        let site = Site::at(&*view, &app.inside).await?;
        let within = self.target.timeout;
        let api = Api { site: &site, user: &account.user, basic: &basic, within };
        let cleaned = async {
            let (user_id, _) = api.whoami().await?;
            proof::clean(hands, api, user_id).await
        };
        match cleaned.await {
            Ok(_) => Ok(()),
            Err(miss) => {
                let what =
                    format!("what an earlier check left could not be removed: {}", miss.what);
                Err(StepError::failed(what))
            }
        }
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
