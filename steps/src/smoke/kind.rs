//! The kind and what it asks.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Binding, Class, Facts, Kind, Look, OutputType, ParamProblem, ParamSpec, ParamType, Step,
    StepError, With,
};
use workplan_platform::{PartRef, PlatformError, ReleaseRef, ReleaseStatus, View, view};

use crate::ha::inspect;
use crate::proof::{Answer, Finding, Proof, Question};

/// Asks each release whether it is on record as deployed and whether its workload really answers.
#[derive(Debug, Clone, Copy)]
pub struct Smoke;

const DEADLINE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(500);

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "releases",
        ty: ParamType::Strings,
        required: true,
        doc: "The releases, each as `namespace/name`.",
    },
    ParamSpec {
        name: "wait",
        ty: ParamType::Duration,
        required: false,
        doc: "How long it is asked again while what is wrong may pass by itself; `0s` by default.",
    },
];

impl Kind for Smoke {
    fn name(&self) -> &'static str {
        "smoke"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Asks releases whether they work: on record as deployed, every workload ready, and for \
         each PostgreSQL in them the pooler itself, not just the nodes behind it."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([
            ("releases".to_owned(), OutputType::Int),
            ("workloads".to_owned(), OutputType::Int),
            ("poolers".to_owned(), OutputType::Int),
        ])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let mut releases = Vec::new();
        for text in with.strings("releases") {
            match text.split_once('/') {
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                    releases.push(ReleaseRef {
                        namespace: namespace.to_owned(),
                        name: name.to_owned(),
                    });
                }
                _ => problems.push(
                    ParamProblem::new("releases", format!("`{text}` does not name a release"))
                        .with_help("write `namespace/name`, for example `platform/postgresql-ha`"),
                ),
            }
        }
        if releases.is_empty() && problems.is_empty() {
            problems.push(ParamProblem::new("releases", "no release is named"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Proof {
            question: Ask { releases },
            wait: with.duration("wait").unwrap_or_default(),
            every: EVERY,
        }))
    }
}

struct Ask {
    releases: Vec<ReleaseRef>,
}

#[derive(Default)]
struct Seen {
    workloads: usize,
    poolers: usize,
    findings: Vec<Finding>,
}

#[async_trait]
impl Question for Ask {
    fn about(&self) -> String {
        let names: Vec<String> = self.releases.iter().map(ToString::to_string).collect();
        format!("smoke test of {}", names.join(", "))
    }

    fn reads(&self) -> Vec<String> {
        self.releases.iter().map(|r| format!("release/{r}")).collect()
    }

    async fn ask(&self, look: &Look) -> Result<Answer, StepError> {
        let view = view(look)?;
        let mut seen = Seen::default();
        for at in &self.releases {
            release(&*view, at, &look.identity, &mut seen).await?;
        }
        let outputs = BTreeMap::from([
            ("releases".to_owned(), Value::from(self.releases.len())),
            ("workloads".to_owned(), Value::from(seen.workloads)),
            ("poolers".to_owned(), Value::from(seen.poolers)),
        ]);
        let facts = outputs.iter().fold(Facts::default(), |facts, (name, value)| {
            facts.with(name, Binding::Informative, value.clone())
        });
        Ok(Answer { outputs, facts, findings: seen.findings })
    }
}

async fn release(
    view: &dyn View,
    at: &ReleaseRef,
    identity: &str,
    seen: &mut Seen,
) -> Result<(), PlatformError> {
    let Some(release) = view.release(at).await? else {
        seen.findings.push(Finding::lasting(format!("there is no release {at}")));
        return Ok(());
    };
    if release.status != ReleaseStatus::Deployed {
        seen.findings.push(Finding::passing(format!(
            "{at} is not `deployed` but `{}`",
            serde_json::to_value(release.status)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default()
        )));
    }
    let workloads = view.workloads(at).await?;
    seen.workloads += workloads.len();
    for workload in workloads.iter().filter(|w| !w.is_ready()) {
        seen.findings.push(Finding::passing(format!("{at}: {}", workload.readiness())));
    }
    let mut parts: Vec<Option<String>> =
        workloads.iter().filter(|w| w.component == "pgpool").map(|w| w.part.clone()).collect();
    parts.dedup();
    for part in parts {
        let ha = view.postgres(&PartRef { release: at.clone(), part }).await?;
        let (_, findings) = inspect(view, &ha, identity, &[], DEADLINE).await;
        seen.poolers += 1;
        seen.findings.extend(findings);
    }
    Ok(())
}
