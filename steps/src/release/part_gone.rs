//! `release.part_gone`: a subchart that runs no more.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Binding, Class, Facts, Kind, Look, OutputType, ParamProblem, ParamSpec, ParamType, Step,
    StepError, With,
};
use workplan_platform::{PartRef, ReleaseRef, Volume, view};

use super::kind::names;
use super::part::{NAMESPACE, RELEASE, part};
use crate::proof::{Answer, Finding, Proof, Question};

/// The proof that nothing of a subchart runs, and that its data is kept.
#[derive(Debug, Clone, Copy)]
pub struct PartGone;

const EVERY: Duration = Duration::from_millis(500);
/// How long what is on its way out may take.
const WAIT: Duration = Duration::from_secs(60);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    ParamSpec {
        name: "part",
        ty: ParamType::String,
        required: true,
        doc: "The subchart that was turned off: `postgresql-ha`.",
    },
    ParamSpec {
        name: "without_volumes",
        ty: ParamType::Bool,
        required: false,
        doc: "The part never had volumes. Without it, none being left is a failure: its data was \
              the way back.",
    },
    ParamSpec {
        name: "wait",
        ty: ParamType::Duration,
        required: false,
        doc: "How long what still runs may take to end; `1m` by default.",
    },
];

impl Kind for PartGone {
    fn name(&self) -> &'static str {
        "release.part_gone"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Asks whether anything of a release's subchart still runs or is wanted, and whether its \
         volumes are kept: a subchart that is turned off loses its workload and keeps its data, \
         which is the way back."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([("volumes".to_owned(), OutputType::List)])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let problems = names(with, &["release", "namespace", "part"]);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Proof {
            question: Gone { at: part(with), without_volumes: with.bool("without_volumes") },
            wait: with.duration("wait").unwrap_or(WAIT),
            every: EVERY,
        }))
    }
}

struct Gone {
    at: PartRef,
    without_volumes: bool,
}

#[async_trait]
impl Question for Gone {
    fn about(&self) -> String {
        format!("the end of {}", self.at)
    }

    fn reads(&self) -> Vec<String> {
        vec![format!("release/{}", self.at.release)]
    }

    async fn ask(&self, look: &Look) -> Result<Answer, StepError> {
        let view = view(look)?;
        let at = &self.at.release;
        let mut findings = Vec::new();
        if view.release(at).await?.is_none() {
            findings.push(Finding::lasting(format!("there is no release {at}")));
        }
        for workload in view.workloads(at).await? {
            if workload.part != self.at.part {
                continue;
            }
            if workload.wanted > 0 {
                let what = format!(
                    "{} of `{}` are wanted: the subchart is on",
                    workload.wanted, workload.name
                );
                let help = "turn the subchart off in the release's values, and deploy it";
                findings.push(Finding::lasting(what).with_help(help));
                continue;
            }
            for instance in &workload.instances {
                findings.push(Finding::passing(format!("`{}` still runs", instance.name)));
            }
        }
        let part = self.at.part.as_deref().unwrap_or_default();
        let kept: Vec<Volume> =
            view.volumes(at).await?.into_iter().filter(|v| is_of(v, at, part)).collect();
        if kept.is_empty() && !self.without_volumes {
            let what = format!(
                "no volume of {} is kept: its data is gone, and with it the way back",
                self.at
            );
            findings.push(
                Finding::lasting(what)
                    .with_help("`without_volumes: true` for a part that never had any"),
            );
        }
        let volumes: Vec<Value> = kept.iter().map(|v| Value::from(v.claim.as_str())).collect();
        let facts = Facts::default().with("volumes", Binding::Informative, volumes.clone());
        let outputs = BTreeMap::from([("volumes".to_owned(), Value::Array(volumes))]);
        Ok(Answer { outputs, facts, findings })
    }
}

/// Whether a volume is a part's, by the name that charts give: `data-RELEASE-PART-COMPONENT-N`.
fn is_of(volume: &Volume, at: &ReleaseRef, part: &str) -> bool {
    let name = format!("-{}-{part}-", at.name);
    format!("-{}-", volume.claim).contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_told_by_its_claim() {
        let at = ReleaseRef { namespace: "default".to_owned(), name: "gitea".to_owned() };
        let volume = |claim: &str| Volume { claim: claim.to_owned(), path: None, used: false };
        let of = |claim: &str| is_of(&volume(claim), &at, "postgresql-ha");
        assert!(of("data-gitea-postgresql-ha-postgresql-0"));
        assert!(!of("gitea-shared-storage"));
        assert!(!of("valkey-data-gitea-valkey-primary-0"));
        assert!(!of("data-postgresql-ha-postgresql-0"));
    }
}
