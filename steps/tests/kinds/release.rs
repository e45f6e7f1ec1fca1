//! `release.deploy` and `release.part_gone` on the platform `local`, with a real server.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use workplan_engine::kind::{ErrorCause, Past, Prepared, Seen, Step, With};
use workplan_platform::values::Values;
use workplan_platform::{ReleaseRef, ReleaseSpec, Traffic};

use super::fixture::Fixture;
use crate::cancel_when;
use crate::support::{LocalWorld, World, block, build, interrupted, step, succeeded, with};

const PASSWORD: &str = "hunter22-and-more";

fn at() -> ReleaseRef {
    ReleaseRef { namespace: "platform".to_owned(), name: "valkey".to_owned() }
}

fn given() -> Value {
    json!({
        "release": "valkey",
        "namespace": "platform",
        "chart": "valkey",
        "values": ["values.yaml"],
        "timeout": "90s",
    })
}

/// A Valkey that runs with other values than the step's.
pub(crate) struct Deploy(LocalWorld);

impl Deploy {
    pub(crate) async fn new() -> Self {
        let world = LocalWorld::new();
        let old = json!({"architecture": "standalone", "auth": {"password": PASSWORD}});
        let mut values = Values::plain(old.as_object().unwrap().clone());
        values.conceal(&["auth", "password"]);
        let spec = ReleaseSpec {
            at: at(),
            chart: "valkey".to_owned(),
            version: None,
            values,
            quarantine: false,
            timeout: Duration::from_secs(90),
        };
        world.operate_as("helm").deploy(&spec).await.unwrap();
        world.0.write(
            "values.yaml",
            &format!(
                "architecture: standalone\nauth:\n  password: {PASSWORD}\n\
                 commonConfiguration: |\n  maxmemory 64mb\n"
            ),
        );
        Self(world)
    }

    async fn incarnation(&self) -> String {
        let workloads = self.0.operate_as("test").workloads(&at()).await.unwrap();
        workloads[0].instances[0].incarnation.clone()
    }

    fn newest(&self) -> Value {
        let record = self.0.record("valkey").unwrap();
        record["revisions"].as_array().unwrap().last().unwrap().clone()
    }
}

#[async_trait]
impl Fixture for Deploy {
    fn world(&self) -> &World {
        &self.0.0
    }

    fn with(&self) -> With {
        with(given())
    }

    fn release(&self) {}

    /// Killed directly after the operation was recorded as begun.
    async fn cut_off(&self, _step: &dyn Step) {
        let identity = self.0.0.look(Past::Never).identity.to_string();
        self.0.set_record("valkey", |record| {
            let revisions = record["revisions"].as_array_mut().unwrap();
            let mut next = revisions.last().unwrap().clone();
            next["revision"] = json!(revisions.len() + 1);
            next["status"] = json!("pending-upgrade");
            next["made_by"] = json!(identity);
            next["values_digest"] = json!("hmac:0");
            revisions.push(next);
        });
    }

    fn is_there(&self) -> bool {
        let objects = self.0.file_of("valkey", "objects.json");
        objects.is_some_and(|path| fs::read_to_string(path).unwrap().contains("maxmemory 64mb"))
            && self.newest()["status"] == "deployed"
    }

    /// Somebody upgrades it.
    fn put_foreign(&self) {
        self.0.set_record("valkey", |record| {
            let revisions = record["revisions"].as_array_mut().unwrap();
            let mut next = revisions.last().unwrap().clone();
            let number = revisions.len() + 1;
            next["revision"] = json!(number);
            next["made_by"] = json!("somebody");
            next["values_digest"] = json!("hmac:0");
            revisions.push(next);
            let old = self.0.file_of("valkey", "values/1.json").unwrap();
            fs::copy(&old, old.with_file_name(format!("{number}.json"))).unwrap();
        });
    }

    /// What it consists of; revisions count on.
    fn fingerprint(&self) -> BTreeMap<String, String> {
        let objects = self.0.file_of("valkey", "objects.json").unwrap();
        let newest = self.newest();
        [
            ("objects", fs::read_to_string(objects).unwrap()),
            ("values", newest["values_digest"].to_string()),
            ("status", newest["status"].to_string()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }
}

/// A part that runs, and is then turned off. A server of the chart `valkey` stands for it, which is
/// on record as a part of the release: the chart with real parts needs a Gitea to start.
pub(crate) struct Gone(LocalWorld);

const PART: &str = "gitea-valkey-primary";

fn gitea() -> ReleaseRef {
    ReleaseRef { namespace: "default".to_owned(), name: "gitea".to_owned() }
}

impl Gone {
    pub(crate) async fn new() -> Self {
        let world = LocalWorld::new();
        let values = json!({"architecture": "standalone", "auth": {"enabled": false}});
        let spec = ReleaseSpec {
            at: gitea(),
            chart: "valkey".to_owned(),
            version: None,
            values: Values::plain(values.as_object().unwrap().clone()),
            quarantine: false,
            timeout: Duration::from_secs(90),
        };
        world.operate_as("helm").deploy(&spec).await.unwrap();
        let this = Self(world);
        // Turned off, and still on its way out.
        this.change(|object| {
            object["body"]["part"] = json!("valkey");
            object["body"]["replicas"] = json!(0);
        });
        this
    }

    fn change(&self, change: impl Fn(&mut Value)) {
        let path = self.0.file_of("gitea", "objects.json").unwrap();
        let mut objects: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for object in objects.as_array_mut().unwrap() {
            if object["name"] == PART && object["body"].get("replicas").is_some() {
                change(object);
            }
        }
        fs::write(path, objects.to_string()).unwrap();
    }

    fn scale(&self, number: u32) {
        let operate = self.0.operate_as("helm");
        block(async {
            let long = Duration::from_secs(90);
            operate.scale(&gitea(), PART, number, long).await.unwrap();
        });
    }

    fn running(&self) -> usize {
        let operate = self.0.operate_as("test");
        let workloads = block(async { operate.workloads(&gitea()).await.unwrap() });
        workloads.iter().map(|w| w.instances.len()).sum()
    }
}

#[async_trait]
impl Fixture for Gone {
    fn world(&self) -> &World {
        &self.0.0
    }

    fn with(&self) -> With {
        with(json!({"release": "gitea", "namespace": "default", "part": "valkey", "wait": "1m"}))
    }

    fn release(&self) {
        self.scale(0);
    }

    async fn cut_off(&self, step: &dyn Step) {
        let hands = self.0.0.hands(Past::Never);
        let error = cancel_when(step, &hands, "it is asked", || true).await;
        assert_eq!(error.cause, ErrorCause::Cancelled, "{error}");
    }

    fn is_there(&self) -> bool {
        self.running() == 0
    }

    /// Somebody turns it on again.
    fn put_foreign(&self) {
        self.scale(1);
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        [("running".to_owned(), self.running().to_string())].into()
    }
}

#[tokio::test]
async fn a_part_that_runs_is_wanted_or_lost_its_data_is_not_gone() {
    if !LocalWorld::has_valkey() {
        return;
    }
    let gone = Gone::new().await;
    let part = |more: Value| {
        let mut given = json!({"release": "gitea", "namespace": "default", "part": "valkey"});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step("release.part_gone", given)
    };
    let hands = gone.world().hands(Past::Never);
    let error = part(json!({"wait": "0s"})).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("`gitea-valkey-primary-0` still runs"), "{error}");
    gone.scale(0);
    let found = part(json!({})).apply(&hands).await.unwrap();
    assert_eq!(found.outputs["volumes"], json!(["valkey-data-gitea-valkey-primary-0"]));
    // It would be started again.
    gone.change(|object| object["body"]["replicas"] = json!(1));
    let error = part(json!({})).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("1 of `gitea-valkey-primary` are wanted"), "{error}");
    gone.change(|object| object["body"]["replicas"] = json!(0));
    // A part of which nothing is left, its data included.
    let other = |more: Value| {
        let mut given = json!({"release": "gitea", "namespace": "default", "part": "mariadb"});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step("release.part_gone", given)
    };
    let error = other(json!({})).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("no volume of default/gitea#mariadb is kept"), "{error}");
    other(json!({"without_volumes": true})).apply(&hands).await.unwrap();
}

async fn run(world: &World, step: &dyn Step) -> Prepared {
    let hands = world.hands(Past::Never);
    assert_eq!(step.observe(&hands).await.seen, Seen::Absent);
    let prepared = step.prepare(&hands).await.unwrap();
    let applied = step.apply(&hands).await.unwrap();
    let verdict = step.verify(&hands, &applied).await;
    assert!(verdict.is_done(), "{verdict:?}");
    prepared
}

#[tokio::test]
async fn what_runs_as_wanted_is_left_alone_and_what_died_is_started() {
    if !LocalWorld::has_valkey() {
        return;
    }
    let valkey = Deploy::new().await;
    let world = valkey.world();
    let deploy = step("release.deploy", given());
    let seen = deploy.observe(&world.look(Past::Never)).await;
    assert_eq!(seen.facts.0["same_values"].value, Some(json!(false)));
    let changes = deploy.preview(&world.look(Past::Never), &seen).await;
    let told = serde_json::to_string(&changes).unwrap();
    assert!(told.contains("maxmemory 64mb") && !told.contains(PASSWORD), "{told}");
    assert!(changes.iter().any(|c| c.op == "update" && c.path.contains("ConfigMap/")), "{told}");
    let prepared = run(world, &*deploy).await;
    assert!(!prepared.undo.to_string().contains(PASSWORD));
    let before = valkey.incarnation().await;
    // The server dies; the record still says `deployed`.
    let (pid, _) = before.split_once([' ', ':', '@', '/', '-']).unwrap_or((&before, ""));
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::support::until("it is gone", || nix::sys::signal::kill(pid, None).is_err()).await;
    let seen = deploy.observe(&world.look(succeeded())).await;
    assert_eq!(seen.seen, Seen::Absent, "{:?}", seen.facts);
    let applied = deploy.apply(&world.hands(succeeded())).await.unwrap();
    assert_eq!(applied.outputs["changed"], json!(false));
    assert_eq!(deploy.observe(&world.look(succeeded())).await.seen, Seen::Done);
    assert_ne!(valkey.incarnation().await, before);
}

#[tokio::test]
async fn what_a_run_installed_is_uninstalled_and_its_volumes_stay() {
    if !LocalWorld::has_valkey() {
        return;
    }
    let local = LocalWorld::new();
    let world = &local.0;
    let deploy = step("release.deploy", given());
    // Its values are written by an earlier step.
    let seen = deploy.observe(&world.look(Past::Never)).await;
    assert_eq!(seen.seen, Seen::Absent);
    let error = deploy.apply(&world.hands(Past::Never)).await.unwrap_err();
    assert!(error.what.contains("values.yaml"), "{error}");
    world.write("values.yaml", "architecture: standalone\nauth: {enabled: false}\n");
    let set = json!({"primary.replicaCount": "1"});
    let mut more = given();
    more["set"] = set;
    let deploy = step("release.deploy", more);
    let prepared = run(world, &*deploy).await;
    let view = local.operate_as("test");
    assert_eq!(view.traffic(&at()).await.unwrap_or(Traffic::None), Traffic::None);
    deploy.undo(&world.hands(succeeded()), &prepared).await.unwrap();
    assert!(view.release(&at()).await.unwrap().is_none());
    assert_eq!(view.volumes(&at()).await.unwrap().len(), 1);
    let back = deploy.look_back(&world.look(succeeded()), &prepared).await;
    assert_eq!(back.seen, Seen::Absent);
}

#[tokio::test]
async fn a_second_one_in_another_namespace_is_refused() {
    if !LocalWorld::has_valkey() {
        return;
    }
    let valkey = Deploy::new().await;
    let mut other = given();
    other["namespace"] = json!("apps");
    let deploy = step("release.deploy", other);
    let seen = deploy.observe(&valkey.world().look(Past::Never)).await.seen;
    let Seen::Unknown(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("second `valkey` with an empty volume"), "{why}");
    assert!(why.contains("namespace `platform`"), "{why}");
    assert!(deploy.apply(&valkey.world().hands(Past::Never)).await.is_err());
}

#[tokio::test]
async fn an_operation_of_somebody_else_is_waited_for() {
    if !LocalWorld::has_valkey() {
        return;
    }
    let valkey = Deploy::new().await;
    valkey.cut_off(&*step("release.deploy", given())).await;
    let deploy = step("release.deploy", given());
    let look = valkey.world().look(interrupted());
    assert!(matches!(deploy.observe(&look).await.seen, Seen::Half(_)));
    valkey.0.set_record("valkey", |record| {
        record["revisions"][1]["made_by"] = json!("helm");
    });
    let seen = deploy.observe(&look).await.seen;
    let Seen::Unknown(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("begun by helm and did not end (`pending-upgrade`)"), "{why}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let given = json!({
        "release": "A", "namespace": "", "chart": "bitnami/valkey", "timeout": "0s",
        "set": {"a..b": "1", "c": "2"}, "secrets": {"c": "env:C"},
    });
    let problems = build("release.deploy", given).err().unwrap_or_default();
    let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(found, ["release", "namespace", "chart", "timeout", "set", "secrets"]);
}
