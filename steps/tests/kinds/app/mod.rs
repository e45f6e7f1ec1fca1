//! Kinds of an application, with a real Gitea.

mod check;
mod drain;
mod stop;
mod traffic;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use workplan_engine::kind::{ErrorCause, Past, Step, With};
use workplan_platform::{Operate, Traffic, View};

use super::fixture::Fixture;
use crate::cancel_when;
use crate::support::{GiteaSite, SOON, World, block, gitea, until, with};

/// What each of these is tried in. It is lent when it is first used: the contract makes all
/// fixtures before it uses one.
struct Lent {
    kind: &'static str,
    site: OnceLock<GiteaSite>,
    /// What was there at the beginning.
    before: OnceLock<String>,
    held: Mutex<Option<TcpStream>>,
    foreign: Mutex<Option<TcpListener>>,
}

/// The fixture of a kind of this family.
pub(crate) fn fixture(kind: &str) -> Option<Box<dyn Fixture>> {
    let kinds = ["app.check", "app.drain", "app.stop", "traffic.open"];
    let kind = kinds.into_iter().find(|k| *k == kind)?;
    Some(Box::new(Lent {
        kind,
        site: OnceLock::new(),
        before: OnceLock::new(),
        held: Mutex::new(None),
        foreign: Mutex::new(None),
    }))
}

/// What is in the database of checks that passed.
const MADE: &str = "select last_value::text || is_called from repository_id_seq";

impl Lent {
    fn site(&self) -> &GiteaSite {
        self.site.get_or_init(|| {
            let site = GiteaSite::lend();
            if self.kind == "traffic.open" {
                set_traffic(&site, false);
            }
            self.before.set(site.ask(MADE)).unwrap();
            site
        })
    }

    fn objects(&self) -> std::path::PathBuf {
        self.site().world.place.path("world/default/releases/gitea/objects.json")
    }
}

fn set_traffic(site: &GiteaSite, open: bool) {
    block(async { site.operate().set_traffic(&gitea(), open).await.unwrap() });
}

fn traffic_of(site: &GiteaSite) -> Traffic {
    block(async { site.operate().traffic(&gitea()).await.unwrap() })
}

/// Whether somebody answers there.
fn is_open(site: &GiteaSite, outside: bool) -> bool {
    TcpStream::connect(site.address(outside)).is_ok()
}

/// What stays on this machine of a check that was cut off.
fn folders() -> Vec<String> {
    let all = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("workplan-check-")).collect()
}

#[async_trait]
impl Fixture for Lent {
    fn world(&self) -> &World {
        &self.site().world
    }

    fn with(&self) -> With {
        let mut all = json!({"release": "gitea", "timeout": "90s"});
        if self.kind == "app.check" {
            all["through"] = json!("inside");
        }
        with(all)
    }

    fn release(&self) {
        drop(self.held.lock().unwrap().take());
        self.site().process().thaw();
    }

    async fn cut_off(&self, step: &dyn Step) {
        let site = self.site();
        let hands = site.world.hands(Past::Never);
        match self.kind {
            "app.check" => {
                // As by a kill: nothing of the attempt goes on, nothing is tidied up.
                let made = || site.repositories().contains("workplan-check-");
                tokio::select! {
                    ended = step.apply(&hands) => panic!("{ended:?}"),
                    () = until("the repository is there", made) => {}
                }
            }
            "app.drain" => {
                *self.held.lock().unwrap() = Some(site.begin_request());
                let shut = || traffic_of(site) == Traffic::Shut;
                let error = cancel_when(step, &hands, "the way in is shut", shut).await;
                assert_eq!(error.cause, ErrorCause::Cancelled, "{error}");
            }
            "app.stop" => {
                // Killed between the record of what is wanted and the end of the process.
                let objects = std::fs::read_to_string(self.objects()).unwrap();
                let mut objects: Value = serde_json::from_str(&objects).unwrap();
                for object in objects.as_array_mut().unwrap() {
                    if object["name"] == "gitea" && object["body"].get("replicas").is_some() {
                        object["body"]["replicas"] = json!(0);
                    }
                }
                std::fs::write(self.objects(), objects.to_string()).unwrap();
            }
            _ => {
                site.process().freeze();
                let open = || traffic_of(site) == Traffic::Open;
                let error = cancel_when(step, &hands, "the way in is open", open).await;
                assert_eq!(error.cause, ErrorCause::Cancelled, "{error}");
            }
        }
    }

    fn is_there(&self) -> bool {
        let site = self.site();
        match self.kind {
            "app.check" => {
                let made = site.ask(MADE) != *self.before.get().unwrap();
                made && site.repositories().is_empty()
            }
            "app.drain" => traffic_of(site) == Traffic::Shut && site.connections() == 0,
            "app.stop" => site.running() == (0, 0) && !is_open(site, false),
            _ => traffic_of(site) == Traffic::Open && !site.process().is_frozen(),
        }
    }

    fn put_foreign(&self) {
        let site = self.site();
        if self.kind == "app.stop" {
            // Somebody else's server has its port.
            *self.foreign.lock().unwrap() = Some(TcpListener::bind(site.address(false)).unwrap());
            return;
        }
        // Somebody deploys it without a way in, and so with another configuration.
        site.deploy(|values| values["ingress"]["enabled"] = json!(false));
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let site = self.site();
        let mut all = BTreeMap::from([
            ("repositories".to_owned(), site.repositories()),
            ("traffic".to_owned(), format!("{:?}", traffic_of(site))),
            ("running".to_owned(), format!("{:?}", site.running())),
            ("port".to_owned(), is_open(site, false).to_string()),
        ]);
        if self.kind == "app.check" {
            all.insert("folders".to_owned(), folders().join(" "));
        }
        all
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.foreign.lock().unwrap().take());
    }
}

/// The longest that a hang may take to be told, in tests that make one.
const HANG: Duration = SOON;
