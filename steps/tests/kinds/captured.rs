//! `values.capture` and `secret.require`, with the real `sops` and a real server.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use workplan_engine::kind::{Past, Seen, Step, With};
use workplan_platform::values::{self, Values};
use workplan_platform::{ReleaseRef, ReleaseSpec};

use super::fixture::Fixture;
use super::values::{has_sops, key, rules};
use crate::support::{GitRepo, LocalWorld, World, build, step, with};

const PASSWORD: &str = "p'%:/ ä\"x$(id)";

fn at() -> ReleaseRef {
    ReleaseRef { namespace: "default".to_owned(), name: "gitea".to_owned() }
}

/// A release whose values have those of a part, and whose Secret has the name that the part's
/// would have; a repository for the file.
pub(crate) struct Captured {
    world: LocalWorld,
    repo: GitRepo,
}

impl Captured {
    pub(crate) async fn new() -> Self {
        Self::with(json!({
            "auth": {"password": PASSWORD},
            "valkey": {
                "enabled": true,
                "architecture": "standalone",
                "primary": {"persistence": {"size": "1Gi"}},
            },
        }))
        .await
    }

    async fn with(given: Value) -> Self {
        let mut world = LocalWorld::new();
        let inner = std::mem::replace(&mut world.0, World::new());
        world.0 = inner
            .with_value("repos", json!({"platform": "platform"}))
            .with_value("sops", json!({"age_key_file": key("one.key")}))
            .with_secret("env:OTHER", "another");
        let repo = GitRepo::new(&world.0.path("platform"));
        rules(&repo);
        repo.commit("Rules");
        let this = Self { world, repo };
        this.deploy(given).await;
        this
    }

    async fn deploy(&self, given: Value) {
        let spec = ReleaseSpec {
            at: at(),
            chart: "valkey".to_owned(),
            version: None,
            values: Values::plain(given.as_object().unwrap().clone()),
            quarantine: false,
            timeout: Duration::from_secs(90),
        };
        self.world.operate_as("helm").deploy(&spec).await.unwrap();
    }

    fn step(&self, more: Value) -> Box<dyn Step> {
        step("values.capture", given(more))
    }

    async fn read(&self) -> Values {
        let look = self.world.0.look(Past::Never);
        values::read(&look, &self.repo.path("app.sops.yaml")).await.unwrap()
    }

    async fn seen(&self, step: &dyn Step) -> Seen {
        step.observe(&self.world.0.look(Past::Never)).await.seen
    }

    async fn run(&self, step: &dyn Step) {
        let hands = self.world.0.hands(Past::Never);
        let applied = step.apply(&hands).await.unwrap();
        let seen = step.verify(&hands, &applied).await;
        assert_eq!(seen.seen, Seen::Done);
    }
}

fn given(more: Value) -> Value {
    let mut given = json!({
        "release": "gitea",
        "namespace": "default",
        "part": "valkey",
        "into": "platform:app.sops.yaml",
        "set": {"image.repository": "bitnamilegacy/valkey"},
    });
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    given
}

#[async_trait]
impl Fixture for Captured {
    fn world(&self) -> &World {
        &self.world.0
    }

    fn with(&self) -> With {
        with(given(json!({"commit": "Capture the values"})))
    }

    fn release(&self) {}

    /// Killed between the write and the commit.
    async fn cut_off(&self, _step: &dyn Step) {
        self.run(&*self.step(json!({}))).await;
    }

    fn is_there(&self) -> bool {
        let committed = self.repo.git(&["ls-tree", "--name-only", "HEAD"]);
        committed.contains("app.sops.yaml") && self.repo.read("app.sops.yaml").is_some()
    }

    fn put_foreign(&self) {
        self.repo.write("app.sops.yaml", "theirs: 1\n");
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        [("repo".to_owned(), self.repo.fingerprint())].into()
    }
}

#[tokio::test]
async fn what_is_baked_into_a_running_part_is_captured_and_compared() {
    if !has_sops() || !LocalWorld::has_valkey() {
        return;
    }
    let captured = Captured::new().await;
    let step = captured.step(json!({"secrets": {"metrics.password": "env:OTHER"}}));
    let look = captured.world.0.look(Past::Never);
    let observation = step.observe(&look).await;
    assert_eq!(observation.seen, Seen::Absent);
    assert_eq!(
        observation.facts.0["captured"].value,
        Some(json!([
            "architecture",
            "primary.persistence.size",
            "image.repository",
            "auth.password",
            "metrics.password",
        ]))
    );
    assert_eq!(observation.facts.0["revision"].value, Some(json!(1)));
    let changes = step.preview(&look, &observation).await;
    let told = serde_json::to_string(&(&observation, &changes)).unwrap();
    assert!(!told.contains("$(id)") && !told.contains("another"), "{told}");

    captured.run(&*step).await;
    let now = captured.read().await;
    assert_eq!(
        Value::Object(now.reveal().clone()),
        json!({
            "architecture": "standalone",
            "primary": {"persistence": {"size": "1Gi"}},
            "image": {"repository": "bitnamilegacy/valkey"},
            "auth": {"password": PASSWORD},
            "metrics": {"password": "another"},
        })
    );
    assert!(now.is_secret(&["auth", "password"]) && !now.is_secret(&["primary"]));
    let text = captured.repo.read("app.sops.yaml").unwrap();
    assert!(text.contains("size: 1Gi") && !text.contains("$(id)"), "{text}");

    // More keys in the file are the user's own; a key that moved is due, and it alone.
    let own = crate::support::step(
        "values.set",
        json!({"file": "platform:app.sops.yaml", "set": {"mine": 1, "architecture": "x"}}),
    );
    captured.run(&*own).await;
    let observation = step.observe(&look).await;
    assert_eq!(observation.seen, Seen::Absent);
    let changes = step.preview(&look, &observation).await;
    assert_eq!(changes.len(), 1);
    assert!(changes[0].path.ends_with(": architecture"), "{changes:?}");
    captured.run(&*step).await;
    assert_eq!(captured.read().await.get(&["mine"]), Some(&json!(1)));
}

#[tokio::test]
async fn a_password_that_the_chart_generated_is_captured() {
    if !has_sops() || !LocalWorld::has_valkey() {
        return;
    }
    let captured = Captured::with(json!({"architecture": "standalone"})).await;
    let whole = captured.step(json!({"part": null}));
    captured.run(&*whole).await;
    let now = captured.read().await;
    let password = now.get(&["auth", "password"]).unwrap().as_str().unwrap();
    assert!(password.len() >= 8 && now.is_secret(&["auth", "password"]));
    assert_eq!(now.get(&["architecture"]), Some(&json!("standalone")));

    let require = |more: Value| {
        let mut given = json!({
            "file": "platform:app.sops.yaml", "keys": ["auth.password"],
            "release": "gitea", "namespace": "default",
        });
        for (key, value) in more.as_object().unwrap() {
            given[key] = value.clone();
        }
        step("secret.require", given)
    };
    let hands = captured.world.0.hands(Past::Never);
    let proof = require(json!({}));
    let applied = proof.apply(&hands).await.unwrap();
    let past = Past::Succeeded { record: "run r1".to_owned(), outputs: applied.outputs };
    let seen = proof.observe(&captured.world.0.look(past.clone())).await;
    assert!(seen.is_done());
    assert_eq!(seen.facts.0["equal"].value, Some(json!(1)));

    // The file moves on: the proof is due again, and says why it does not pass.
    let other = step(
        "values.set",
        json!({"file": "platform:app.sops.yaml", "secrets": {"auth.password": "env:OTHER"}}),
    );
    captured.run(&*other).await;
    assert_eq!(proof.observe(&captured.world.0.look(past)).await.seen, Seen::Absent);
    let error = proof.apply(&hands).await.unwrap_err();
    assert!(
        error.what.contains(
            "`auth.password` in `platform:app.sops.yaml` is another one than in the Secret \
             `default/gitea-valkey` (`valkey-password`)"
        ),
        "{error:?}"
    );
    // Where nothing is deployed, the file alone counts.
    require(json!({"release": "elsewhere"})).apply(&hands).await.unwrap();
    let keys =
        json!({"keys": ["auth.password", "pgpool.srCheckPassword", "pgpool.pgpoolPassword"]});
    let error = require(keys).apply(&hands).await.unwrap_err();
    assert_eq!(error.said.len(), 3, "{error:?}");
    assert!(error.said[1].contains("`pgpool.srCheckPassword` is missing"), "{error:?}");
}

#[tokio::test]
async fn when_the_part_is_gone_the_file_stands() {
    if !has_sops() || !LocalWorld::has_valkey() {
        return;
    }
    let captured = Captured::new().await;
    let step = captured.step(json!({}));
    captured.run(&*step).await;
    captured.world.operate_as("helm").uninstall(&at()).await.unwrap();
    let seen = step.observe(&captured.world.0.look(Past::Never)).await;
    assert_eq!(seen.seen, Seen::Done);
    let notes = seen.facts.0["notes"].value.as_ref().unwrap().to_string();
    assert!(notes.contains("is not there any more"), "{notes}");

    fs::remove_file(captured.repo.path("app.sops.yaml")).unwrap();
    let unknown = captured.seen(&*step).await;
    let Seen::Unknown(why) = &unknown else { panic!("{unknown:?}") };
    assert!(why.contains("nothing can be captured"), "{why}");
}

/// A file that has the secret or not.
pub(crate) struct Required(World);

impl Required {
    pub(crate) fn new() -> Self {
        let world = World::new().with_value("sops", json!({"age_key_file": key("one.key")}));
        world.write("x.sops.yaml", "global: {}\n");
        Self(world)
    }
}

#[async_trait]
impl Fixture for Required {
    fn world(&self) -> &World {
        &self.0
    }

    fn with(&self) -> With {
        with(json!({"file": "x.sops.yaml", "keys": ["global.postgresql.password"]}))
    }

    fn release(&self) {
        fs::copy(key("regex.sops.yaml"), self.0.path("x.sops.yaml")).unwrap();
    }

    async fn cut_off(&self, step: &dyn Step) {
        let error = step.apply(&self.0.hands(Past::Never)).await.unwrap_err();
        assert!(error.what.contains("is missing in `x.sops.yaml`"), "{error:?}");
    }

    fn is_there(&self) -> bool {
        self.0.read("x.sops.yaml").is_some_and(|text| text.contains("ENC["))
    }

    fn put_foreign(&self) {
        self.0.write("x.sops.yaml", "global: {postgresql: {password: open}}\n");
    }
}

#[tokio::test]
async fn a_required_secret_is_there_encrypted_and_not_empty() {
    let fixture = Required::new();
    fixture.release();
    let ask = async |keys: Value| {
        let step = step("secret.require", json!({"file": "x.sops.yaml", "keys": keys}));
        step.apply(&fixture.0.hands(Past::Never)).await
    };
    ask(json!(["global.postgresql.password", "users.1.password", "auth.password"])).await.unwrap();
    for (key, says) in [
        ("global.postgresql.username", "is not encrypted"),
        ("blank", "is empty"),
        ("nothing", "is missing"),
        ("users", "is not one value"),
        ("pgpool.pgpoolPassword", "is missing"),
    ] {
        let error = ask(json!([key])).await.unwrap_err();
        assert!(error.what.contains(says), "{key}: {error:?}");
    }
    let error = ask(json!(["pgpool.pgpoolPassword"])).await.unwrap_err();
    assert!(error.help.unwrap().contains("`postgresql.password` in the values"));

    let stranger = World::new().with_value("sops", json!({"age_key_file": key("stranger.key")}));
    fs::copy(key("regex.sops.yaml"), stranger.path("x.sops.yaml")).unwrap();
    let step = step("secret.require", json!({"file": "x.sops.yaml", "keys": ["auth.password"]}));
    let error = step.apply(&stranger.hands(Past::Never)).await.unwrap_err();
    assert!(error.what.contains("`auth.password` could not be read: there is no key"), "{error:?}");
    fs::remove_file(stranger.path("x.sops.yaml")).unwrap();
    assert!(step.apply(&stranger.hands(Past::Never)).await.is_err());
}

#[test]
fn what_is_wrong_with_the_parameters_is_told_at_once() {
    for (kind, given, keys) in [
        (
            "values.capture",
            json!({"release": "", "namespace": "a", "into": ""}),
            vec!["into", "release"],
        ),
        (
            "values.capture",
            json!({"release": "r", "namespace": "a", "into": "f", "set": 1}),
            vec!["set"],
        ),
        ("secret.require", json!({"file": "f", "keys": []}), vec!["keys"]),
        (
            "secret.require",
            json!({"file": "f", "keys": ["a..b"], "namespace": "x"}),
            vec!["keys", "namespace"],
        ),
    ] {
        let problems = build(kind, given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
}
