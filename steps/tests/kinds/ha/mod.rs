//! Kinds that ask or try the high availability of a real PostgreSQL with repmgr and pgpool.

mod check;
mod failover;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use async_trait::async_trait;
use serde_json::{Value, json};
use workplan_engine::kind::{ErrorCause, Past, Step, With};

use super::fixture::Fixture;
use crate::cancel_when;
use crate::support::{ClusterSite, World, until, with};

/// What each of these is tried in. It is lent when it is first used: the contract makes all
/// fixtures before it uses one.
struct Lent {
    kind: &'static str,
    site: OnceLock<ClusterSite>,
    /// How often a node was promoted, at the beginning.
    before: OnceLock<usize>,
}

/// The fixture of a kind of this family.
pub(crate) fn fixture(kind: &str) -> Option<Box<dyn Fixture>> {
    let kind = ["ha.check", "ha.failover", "smoke"].into_iter().find(|k| *k == kind)?;
    Some(Box::new(Lent { kind, site: OnceLock::new(), before: OnceLock::new() }))
}

/// The parameters that name the cluster, and more.
fn of_cluster(more: Value) -> Value {
    let mut given = json!({"release": "postgresql-ha", "namespace": "platform"});
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    given
}

/// How often a node was promoted.
fn promotions(site: &ClusterSite) -> usize {
    site.logs().matches("selected new timeline ID").count()
}

const PROBE: &str = "select datname from pg_database where datname = 'workplan_failover_probe'";

impl Lent {
    fn site(&self) -> &ClusterSite {
        self.site.get_or_init(|| {
            let site = ClusterSite::lend();
            self.before.set(promotions(&site)).unwrap();
            site
        })
    }

    /// Whether somebody of this run logged in as a user.
    fn saw(&self, user: &str) -> bool {
        let run = format!("application_name=workplan:{}:T01.x:", self.site().world.run);
        self.site().logs().lines().any(|line| {
            line.contains(&run) && line.contains(&format!("connection authorized: user={user} "))
        })
    }
}

#[async_trait]
impl Fixture for Lent {
    fn world(&self) -> &World {
        &self.site().world
    }

    fn with(&self) -> With {
        with(match self.kind {
            "smoke" => json!({"releases": ["platform/postgresql-ha"]}),
            "ha.check" => of_cluster(json!({"users": ["app"], "deadline": "5s"})),
            _ => of_cluster(json!({"fault": "fast-stop", "window": "40s"})),
        })
    }

    fn release(&self) {
        self.site().pooler().thaw();
    }

    async fn cut_off(&self, step: &dyn Step) {
        let site = self.site();
        let hands = site.world.hands(Past::Never);
        if self.kind == "ha.failover" {
            // As by a kill, with a node down: nothing is mended, nothing is tidied up.
            tokio::select! {
                ended = step.apply(&hands) => panic!("{ended:?}"),
                () = until("a node is down", || !site.all_up()) => {}
            }
            return;
        }
        // The pooler is asked last; while it says nothing, the asking goes on.
        site.pooler().freeze();
        let nodes = || self.saw("repmgr");
        let error = cancel_when(step, &hands, "the nodes were asked", nodes).await;
        assert_eq!(error.cause, ErrorCause::Cancelled, "{error}");
    }

    fn is_there(&self) -> bool {
        let site = self.site();
        match self.kind {
            "ha.failover" => {
                promotions(site) > *self.before.get().unwrap()
                    && site.all_up()
                    && site.ask(PROBE).is_empty()
            }
            // A proof's effect is that it was given all of its answers.
            _ => self.saw("app"),
        }
    }

    fn put_foreign(&self) {
        let site = self.site();
        if self.kind == "ha.failover" {
            // Somebody deploys it with other values.
            return site.deploy(|values| values["pgpool"]["numInitChildren"] = json!(16));
        }
        site.set_password("app", "theirs");
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let site = self.site();
        let roles =
            site.ask("select rolname || coalesce(rolpassword, '') from pg_authid order by 1");
        let databases = site.ask("select datname from pg_database order by 1");
        [
            ("leading", site.leading().len().to_string()),
            ("up", site.all_up().to_string()),
            ("roles", roles.join("\n")),
            ("databases", databases.join("\n")),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }
}
