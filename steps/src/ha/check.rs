//! `ha.check`.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Binding, Class, Facts, Kind, Look, OutputType, ParamProblem, ParamSpec, ParamType, Step,
    StepError, With,
};
use workplan_platform::{PartRef, view};

use super::{PART, Topology, inspect};
use crate::proof::{Answer, Proof, Question};
use crate::release::{NAMESPACE, RELEASE, part};

/// Says whether a PostgreSQL with replication and a pooler could survive a fault, before any.
#[derive(Debug, Clone, Copy)]
pub struct HaCheck;

/// Of each single question; long against what an answer takes, short against a person's patience.
const DEADLINE: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_millis(500);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    PART,
    ParamSpec {
        name: "users",
        ty: ParamType::Strings,
        required: false,
        doc: "Users that must be able to log in through the pooler. Others that the pooler knows \
              are tried as well, where their role is there already.",
    },
    ParamSpec {
        name: "deadline",
        ty: ParamType::Duration,
        required: false,
        doc: "How long a single question may take; `3s` by default.",
    },
    ParamSpec {
        name: "wait",
        ty: ParamType::Duration,
        required: false,
        doc: "How long it is asked again while what is wrong may pass by itself (a node that is \
              still starting); `0s` by default. A refused login does not pass by itself.",
    },
];

impl Kind for HaCheck {
    fn name(&self) -> &'static str {
        "ha.check"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Asks every PostgreSQL node and the pooler: exactly one primary by SQL, all standbys \
         stream, the replication manager runs beside each and has them on record as what they are, \
         the pooler's roles equal the real ones, and the pooler's check user, the replication user \
         and all client users can log in with the deployed passwords. It names what would make a \
         failover hang or not happen, before any failover."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([
            ("primary".to_owned(), OutputType::String),
            ("nodes".to_owned(), OutputType::Int),
            ("streaming".to_owned(), OutputType::Int),
            ("clients".to_owned(), OutputType::String),
        ])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let deadline = with.duration("deadline").unwrap_or(DEADLINE);
        Ok(Box::new(Proof {
            question: Check { at: part(with), users: with.strings("users"), deadline },
            wait: with.duration("wait").unwrap_or_default(),
            every: EVERY,
        }))
    }
}

struct Check {
    at: PartRef,
    users: Vec<String>,
    deadline: Duration,
}

#[async_trait]
impl Question for Check {
    fn about(&self) -> String {
        format!("high availability of {}", self.at)
    }

    fn reads(&self) -> Vec<String> {
        vec![format!("release/{}", self.at.release)]
    }

    async fn ask(&self, look: &Look) -> Result<Answer, StepError> {
        let view = view(look)?;
        let ha = view.postgres(&self.at).await?;
        let (topology, findings) =
            inspect(&*view, &ha, &look.identity, &self.users, self.deadline).await;
        let outputs = outputs(&topology);
        let facts = outputs.iter().fold(Facts::default(), |facts, (name, value)| {
            facts.with(name, Binding::Informative, value.clone())
        });
        Ok(Answer { outputs, facts, findings })
    }
}

fn outputs(topology: &Topology) -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("primary".to_owned(), Value::from(topology.primary.clone().unwrap_or_default())),
        ("nodes".to_owned(), Value::from(topology.roles.len())),
        ("streaming".to_owned(), Value::from(topology.streaming)),
        ("clients".to_owned(), Value::from(topology.clients.join(", "))),
    ])
}
