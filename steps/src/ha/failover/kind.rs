//! Parameters of `ha.failover`.

use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};
use workplan_platform::{Fault, ReleaseRef};

use super::step::FailoverStep;
use crate::ha::PART;
use crate::release::{NAMESPACE, RELEASE, part};

/// Injects a fault into the primary and proves that the service comes back.
#[derive(Debug, Clone, Copy)]
pub struct HaFailover;

/// How long the service may be away where the plan does not say.
const WINDOW: Duration = Duration::from_secs(60);

const PARAMS: &[ParamSpec] = &[
    RELEASE,
    NAMESPACE,
    PART,
    ParamSpec {
        name: "fault",
        ty: ParamType::OneOf(&["kill", "fast-stop", "freeze", "pod-delete"]),
        required: true,
        doc: "`kill` (SIGKILL for the whole server), `fast-stop` (a planned shutdown), `freeze` \
              (it neither answers nor hangs up) or `pod-delete` (Kubernetes alone).",
    },
    ParamSpec {
        name: "window",
        ty: ParamType::Duration,
        required: false,
        doc: "How long until writes must work again; `60s` by default. Redundancy has as long \
              again.",
    },
    ParamSpec {
        name: "app",
        ty: ParamType::String,
        required: false,
        doc: "A release whose users must be able to log in again within the window, as \
              `namespace/name`.",
    },
    ParamSpec {
        name: "max_lost_rows",
        ty: ParamType::Int,
        required: false,
        doc: "How many acknowledged rows may be lost. Without it: none with `fast-stop`; with the \
              other faults they are counted and told, since asynchronous replication cannot \
              promise more.",
    },
];

impl Kind for HaFailover {
    fn name(&self) -> &'static str {
        "ha.failover"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Injects a fault into the primary of a PostgreSQL with replication and a pooler while a \
         writer and a reader go on through the pooler, measures what clients saw, brings the old \
         primary back as a standby and proves that one node alone takes writes. A hang is a \
         failure with a name. It stands until the release changes."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("recovered", OutputType::Bool),
            ("recovery_s", OutputType::Number),
            ("reads_s", OutputType::Number),
            ("redundancy_s", OutputType::Number),
            ("login_s", OutputType::Number),
            ("lost_rows", OutputType::Int),
            ("acknowledged_rows", OutputType::Int),
            ("max_primaries", OutputType::Int),
            ("samples", OutputType::Int),
            ("primaries", OutputType::List),
            ("client_errors", OutputType::List),
            ("old_primary", OutputType::String),
            ("old_primary_role", OutputType::String),
            ("new_primary", OutputType::String),
            ("subject", OutputType::String),
        ]
        .into_iter()
        .map(|(name, ty)| (name.to_owned(), ty))
        .collect()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let window = with.duration("window").unwrap_or(WINDOW);
        if window < Duration::from_secs(1) {
            problems.push(ParamProblem::new("window", "`window` is under a second"));
        }
        let app = match with.str("app").map(|app| app.split_once('/')) {
            None => None,
            Some(Some((namespace, name))) if !namespace.is_empty() && !name.is_empty() => {
                Some(ReleaseRef { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            Some(_) => {
                problems.push(
                    ParamProblem::new("app", "`app` does not name a release")
                        .with_help("write `namespace/name`, for example `default/gitea`"),
                );
                None
            }
        };
        if with.int("max_lost_rows").is_some_and(|n| n < 0) {
            problems.push(ParamProblem::new("max_lost_rows", "`max_lost_rows` is below zero"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let fault = match with.str("fault") {
            Some("fast-stop") => Fault::FastStop,
            Some("freeze") => Fault::Freeze,
            Some("pod-delete") => Fault::PodDelete,
            _ => Fault::Kill,
        };
        Ok(Box::new(FailoverStep {
            at: part(with),
            fault,
            window,
            app,
            max_lost_rows: with.int("max_lost_rows").and_then(|n| u64::try_from(n).ok()),
        }))
    }
}
