//! `values.set`, with the real `sops`.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use workplan_engine::kind::{Look, Past, Prepared, Seen, Step};
use workplan_platform::values::{self, Values};

use crate::support::{GitRepo, World, build, interrupted, step};

const PASSWORD: &str = "p'%:/ ä\"x$(id)";

fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform/tests/sops/fixtures").join(name)
}

/// Whether the `sops` program is there; says loudly where it is not.
fn has_sops() -> bool {
    let there = World::new().look(Past::Never).program("sops").is_some();
    if !there {
        eprintln!("SKIPPED: `sops` is not on the PATH; `make setup` builds it");
    }
    there
}

/// A repository with the rules for SOPS files, a key for them, and secrets to put into them.
fn world() -> (World, GitRepo) {
    let world = World::new()
        .with_repos(&["platform"])
        .with_value("sops", json!({"age_key_file": key("one.key")}))
        .with_secret("env:PW", PASSWORD)
        .with_secret("env:OTHER", "another");
    let repo = GitRepo::new(&world.path("platform"));
    let key = fs::read_to_string(key("one.key")).unwrap();
    let recipient = key.split_whitespace().find(|w| w.starts_with("age1")).unwrap();
    let rule =
        |file: &str, more: &str| format!("  - path_regex: {file}\n    age: {recipient}\n{more}");
    let rules = format!(
        "creation_rules:\n{}{}",
        rule("(app|new)\\.sops\\.yaml$", "    encrypted_regex: '[pP]assword$'\n"),
        rule("all\\.sops\\.yaml$", ""),
    );
    repo.write(".sops.yaml", &rules);
    repo.commit("Rules");
    (world, repo)
}

/// The same with a SOPS file made by other hands.
async fn with_file() -> (World, GitRepo) {
    let (world, repo) = world();
    let made = step(
        "values.set",
        json!({
            "file": "platform:app.sops.yaml",
            "set": {"db": {"host": "old", "port": 5432}, "users": [{"name": "ann"}]},
            "secrets": {"db.password": "env:OTHER", "admin.password": "env:OTHER"},
        }),
    );
    run(&world, &*made).await;
    let text = repo.read("app.sops.yaml").unwrap();
    repo.write("app.sops.yaml", &format!("# Kept.\n{text}"));
    repo.commit("A file");
    (world, repo)
}

/// Runs a step; gives what it prepared, and the record of its success.
async fn run(world: &World, step: &dyn Step) -> (Prepared, Past) {
    let hands = world.hands(Past::Never);
    let prepared = step.prepare(&hands).await.unwrap();
    let applied = step.apply(&hands).await.unwrap();
    let seen = step.verify(&hands, &applied).await;
    assert_eq!(seen.seen, Seen::Done);
    assert_eq!(seen.outputs, applied.outputs);
    (prepared, Past::Succeeded { record: "run r1".to_owned(), outputs: applied.outputs })
}

async fn seen(look: &Look, step: &dyn Step) -> Seen {
    step.observe(look).await.seen
}

async fn read(world: &World, repo: &GitRepo, name: &str) -> Values {
    values::read(&world.look(Past::Never), &repo.path(name)).await.unwrap()
}

fn change(more: Value) -> Box<dyn Step> {
    let mut given = json!({
        "file": "platform:app.sops.yaml",
        "set": {"db.host": "new", "db.pool.size": 5, "users.0.name": "bob"},
        "secrets": {"db.password": "env:PW"},
        "remove": ["db.port"],
    });
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    step("values.set", given)
}

#[tokio::test]
async fn a_sops_file_is_changed_and_what_is_plain_in_it_stays_plain() {
    if !has_sops() {
        return;
    }
    let (world, repo) = with_file().await;
    let before = repo.read("app.sops.yaml").unwrap();
    let step = change(json!({}));
    let observation = step.observe(&world.look(Past::Never)).await;
    assert_eq!(observation.seen, Seen::Absent);

    let changes = step.preview(&world.look(Past::Never), &observation).await;
    let shown: Vec<(&str, &str)> =
        changes.iter().map(|c| (c.op.as_str(), c.path.rsplit_once(": ").unwrap().1)).collect();
    assert_eq!(
        shown,
        [
            ("update", "db.host"),
            ("create", "db.pool.size"),
            ("update", "users.0.name"),
            ("update", "db.password"),
            ("delete", "db.port"),
        ]
    );
    assert_eq!((&changes[0].before, &changes[0].after), (&Some(json!("old")), &Some(json!("new"))));
    assert_ne!(changes[3].before, changes[3].after);
    let again = step.preview(&world.look(Past::Never), &observation).await;
    assert_eq!(changes, again, "what is shown does not change by itself");
    let told = serde_json::to_string(&(&observation, &changes)).unwrap();
    assert!(!told.contains("another") && !told.contains("$(id)"), "{told}");
    assert_eq!(repo.read("app.sops.yaml").unwrap(), before);

    let (prepared, past) = run(&world, &*step).await;
    let now = read(&world, &repo, "app.sops.yaml").await;
    assert_eq!(
        Value::Object(now.reveal().clone()),
        json!({
            "db": {"host": "new", "password": PASSWORD, "pool": {"size": 5}},
            "users": [{"name": "bob"}],
            "admin": {"password": "another"},
        })
    );
    let text = repo.read("app.sops.yaml").unwrap();
    assert!(text.starts_with("# Kept.\n") && text.contains("host: new"), "{text}");
    assert!(!text.contains("another") && !text.contains("$(id)"), "{text}");
    // What was not asked for keeps its very cipher text.
    let kept = |text: &str| {
        text.lines().find(|l| l.trim_start().starts_with("password: ")).map(str::to_owned)
    };
    let admin = |text: &str| kept(text.split_once("admin:").unwrap().1).unwrap();
    assert_eq!(admin(&text), admin(&before));
    for spec in world.launcher.specs.lock().unwrap().iter() {
        let argv = format!("{:?}", spec.argv);
        assert!(!argv.contains("$(id)") && !argv.contains("another"), "{argv}");
    }

    let told = serde_json::to_string(&prepared.undo).unwrap();
    assert!(!told.contains("another") && !told.contains("ENC["), "{told}");
    // With and without the record of the success.
    for past in [past, interrupted()] {
        let look = world.look(past);
        assert_eq!(step.look_back(&look, &prepared).await.seen, Seen::Done);
    }
    let hands = world.hands(interrupted());
    for _ in 0..2 {
        step.undo(&hands, &prepared).await.unwrap();
        assert_eq!(repo.read("app.sops.yaml").unwrap(), before);
        assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Absent);
    }
    assert!(repo.is_clean());
}

#[tokio::test]
async fn what_others_changed_since_is_not_taken_back() {
    if !has_sops() {
        return;
    }
    let (world, repo) = with_file().await;
    let ours = change(json!({}));
    let (prepared, past) = run(&world, &*ours).await;
    let theirs =
        step("values.set", json!({"file": "platform:app.sops.yaml", "set": {"theirs": 1}}));
    run(&world, &*theirs).await;
    let text = repo.read("app.sops.yaml").unwrap();
    // It is as this step wants it all the same.
    assert_eq!(seen(&world.look(Past::Never), &*ours).await, Seen::Done);
    for past in [past, interrupted()] {
        let hands = world.hands(past);
        let seen = ours.look_back(&hands, &prepared).await.seen;
        assert!(matches!(&seen, Seen::Unknown(why) if why.contains("somebody else")), "{seen:?}");
        assert!(ours.undo(&hands, &prepared).await.is_err());
        assert_eq!(repo.read("app.sops.yaml").unwrap(), text);
    }
}

#[tokio::test]
async fn a_write_without_its_commit_is_finished() {
    if !has_sops() {
        return;
    }
    let (world, repo) = with_file().await;
    repo.write("README.md", "In the middle of other work.\n");
    let committed = repo.read("app.sops.yaml").unwrap();
    let step = change(json!({"commit": "New database"}));
    let hands = world.hands(interrupted());
    let prepared = step.prepare(&hands).await.unwrap();
    // The write alone, as a kill would leave it.
    run(&world, &*change(json!({}))).await;
    let half = seen(&hands, &*step).await;
    assert!(matches!(&half, Seen::Half(why) if why.contains("not committed")), "{half:?}");
    step.repair(&hands, &half).await.unwrap();
    assert_eq!(seen(&hands, &*step).await, Seen::Done);
    assert!(repo.message().contains("New database") && repo.message().contains("Workplan-Step:"));
    assert_eq!(repo.git(&["status", "--porcelain"]), " M README.md\n");

    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Done);
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!(repo.read("app.sops.yaml").unwrap(), committed);
    assert!(repo.message().starts_with("Revert \"New database\""));
    assert_eq!(repo.git(&["status", "--porcelain"]), " M README.md\n");
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Absent);

    // Somebody's own uncommitted work on the file is not swept into a commit.
    let text = repo.read("app.sops.yaml").unwrap();
    repo.write("app.sops.yaml", &format!("{text}# mine\n"));
    let unknown = seen(&hands, &*step).await;
    assert!(matches!(&unknown, Seen::Unknown(why) if why.contains("not committed")), "{unknown:?}");
}

#[tokio::test]
async fn a_file_that_is_missing_is_made_by_the_rules() {
    if !has_sops() {
        return;
    }
    let (world, repo) = world();
    let given = |file: &str| {
        json!({
            "file": format!("platform:{file}"),
            "set": {"replicas": 3, "image.repository": "bitnamilegacy/pgpool", "off": "yes"},
            "secrets": {"auth.password": "env:PW"},
        })
    };
    let made = step("values.set", given("new.sops.yaml"));
    let observation = made.observe(&world.look(Past::Never)).await;
    assert_eq!(observation.seen, Seen::Absent);
    let (prepared, past) = run(&world, &*made).await;
    let text = repo.read("new.sops.yaml").unwrap();
    assert!(text.contains("repository: bitnamilegacy/pgpool") && text.contains("password: ENC["));
    let now = read(&world, &repo, "new.sops.yaml").await;
    assert_eq!(now.get(&["off"]), Some(&json!("yes")));
    assert!(now.is_secret(&["auth", "password"]) && !now.is_secret(&["image"]));
    assert_eq!(now.get(&["auth", "password"]), Some(&json!(PASSWORD)));
    made.undo(&world.hands(past), &prepared).await.unwrap();
    assert!(repo.is_clean());

    // No rule for the file, a rule that encrypts too little, a name that is none of SOPS.
    let no_rule = step("values.set", given("unruly.sops.yaml"));
    let error = no_rule.apply(&world.hands(Past::Never)).await.unwrap_err();
    assert!(error.help.as_ref().unwrap().contains("creation_rules"), "{error:?}");
    let mut open = given("new.sops.yaml");
    open["secrets"] = json!({"auth.token": "env:PW"});
    let error = step("values.set", open).apply(&world.hands(Past::Never)).await.unwrap_err();
    assert!(error.what.contains("leave `auth.token` unencrypted"), "{error:?}");
    let seen = seen(&world.look(Past::Never), &*step("values.set", given("plain.yaml"))).await;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("sops.yaml")), "{seen:?}");
    assert!(repo.is_clean(), "nothing was written");
}

#[tokio::test]
async fn a_rule_that_leaves_a_secret_open_is_refused_before_it_is_written() {
    if !has_sops() {
        return;
    }
    let (world, repo) = with_file().await;
    let before = repo.read("app.sops.yaml").unwrap();
    let step = step(
        "values.set",
        json!({"file": "platform:app.sops.yaml", "secrets": {"db.token": "env:PW"}}),
    );
    let error = step.apply(&world.hands(Past::Never)).await.unwrap_err();
    assert!(error.what.contains("leave `db.token` unencrypted"), "{error:?}");
    assert_eq!(repo.read("app.sops.yaml").unwrap(), before);
    assert!(repo.is_clean());
}

#[tokio::test]
async fn secrets_do_not_go_into_plain_files() {
    let (world, repo) = world();
    repo.write("values.yaml", "a: 1\n");
    let step = step(
        "values.set",
        json!({"file": "platform:values.yaml", "secrets": {"password": "env:PW"}}),
    );
    let seen = seen(&world.look(Past::Never), &*step).await;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("not encrypted")), "{seen:?}");
    assert!(step.apply(&world.hands(Past::Never)).await.is_err());
    assert_eq!(repo.read("values.yaml").as_deref(), Some("a: 1\n"));
}

#[tokio::test]
async fn without_a_key_what_can_be_told_is_told() {
    if !has_sops() {
        return;
    }
    let (world, repo) = with_file().await;
    let stranger = world.with_value("sops", json!({"age_key_file": key("stranger.key")}));
    let look = stranger.look(Past::Never);
    // A plain value is wrong: it is due, whatever the secret is.
    assert_eq!(seen(&look, &*change(json!({}))).await, Seen::Absent);
    let secret = step(
        "values.set",
        json!({"file": "platform:app.sops.yaml", "secrets": {"db.password": "env:PW"}}),
    );
    let unknown = seen(&look, &*secret).await;
    let Seen::Unknown(why) = &unknown else { panic!("{unknown:?}") };
    assert!(why.starts_with("`db.password` could not be read: there is no key"), "{why}");
    let plain =
        step("values.set", json!({"file": "platform:app.sops.yaml", "set": {"db.host": "old"}}));
    assert_eq!(seen(&look, &*plain).await, Seen::Done);
    assert!(change(json!({})).apply(&stranger.hands(Past::Never)).await.is_err());
    assert!(repo.is_clean());
}

#[tokio::test]
async fn plain_files_keep_every_other_byte_and_get_theirs_back() {
    let world = World::new();
    let old = "# top\r\nold: 1   # one\r\n\r\ngitea:\r\n  config: {} # here\r\n";
    world.write("values.yaml", old);
    let step = step(
        "values.set",
        json!({
            "file": "values.yaml",
            "set": {"gitea": {"config": {"database": {"HOST": "new:5432"}}}, "flag": false},
            "remove": ["old", "never.there"],
        }),
    );
    let (prepared, past) = run(&world, &*step).await;
    assert_eq!(
        world.read("values.yaml").unwrap(),
        "# top\r\n\r\ngitea:\r\n  config: {database: {HOST: new:5432}} # here\r\nflag: false\r\n"
    );
    for past in [past, interrupted()] {
        assert_eq!(step.look_back(&world.look(past), &prepared).await.seen, Seen::Done);
    }
    step.undo(&world.hands(interrupted()), &prepared).await.unwrap();
    assert_eq!(world.read("values.yaml").unwrap(), old);
    // A parent that is nothing, and one that is another thing.
    world.write("values.yaml", "a:\nb: text\n");
    let step = crate::support::step(
        "values.set",
        json!({"file": "values.yaml", "set": {"a.x": 1, "b.z": 2}}),
    );
    run(&world, &*step).await;
    assert_eq!(world.read("values.yaml").unwrap(), "a:\n  x: 1\nb:\n  z: 2\n");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (given, keys) in [
        (json!({"file": "a"}), vec![""]),
        (json!({"file": "", "set": {"a": 1}}), vec!["file"]),
        (json!({"file": "a/", "set": {"a..b": 1}, "commit": " "}), vec!["file", "commit", "set"]),
        (json!({"file": "a", "set": ["a"]}), vec!["set"]),
        (json!({"file": "a", "set": {"a.b": 1, "a": {"b": {"c": 2}}}}), vec![""]),
        (json!({"file": "a", "set": {"a.b": 1}, "remove": ["a"]}), vec![""]),
        (json!({"file": "a", "secrets": {"a": "env:A"}, "set": {"a": 1}}), vec![""]),
        (json!({"file": "a", "remove": ["a."]}), vec!["remove"]),
    ] {
        let problems = build("values.set", given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
}
