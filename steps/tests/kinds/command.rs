//! `command`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Applied, Binding, ErrorCause, Past, Prepared, Seen, StepError, UndoPlan,
};

use crate::support::{World, build, interrupted, step, succeeded};

async fn apply(world: &World, json: Value) -> Result<Applied, StepError> {
    step("command", json).apply(&world.hands(Past::Never)).await
}

async fn seen(world: &World, json: Value, past: Past) -> Seen {
    step("command", json).observe(&world.look(past)).await.seen
}

#[tokio::test]
async fn a_check_says_yes_no_or_nothing_clear() {
    let world = World::new();
    let checked = |check: &str| json!({"run": "true", "check": check});
    assert_eq!(seen(&world, checked("exit 0"), Past::Never).await, Seen::Done);
    assert_eq!(seen(&world, checked("exit 1"), succeeded()).await, Seen::Absent);
    for (check, said) in [
        ("echo 'no route' >&2; exit 2", "the check exited with code 2; it said: no route"),
        ("kill -9 $$", "the check was ended by signal 9 (SIGKILL); it said nothing"),
    ] {
        assert_eq!(seen(&world, checked(check), Past::Never).await, Seen::Unknown(said.to_owned()));
    }
    let seen = seen(&world, checked("no-such-tool-here"), Past::Never).await;
    assert!(
        matches!(&seen, Seen::Unknown(w) if w.contains("code 127") && w.contains("no-such-tool-here")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_check_has_the_steps_timeout_but_at_most_a_minute() {
    let world = World::new();
    let step = step("command", json!({"run": "true", "check": "sleep 60"}));
    let mut look = world.look(Past::Never);
    look.timeout = Some(Duration::from_millis(30));
    let why = "the check did not end within 30ms and was ended; it said nothing";
    assert_eq!(step.observe(&look).await.seen, Seen::Unknown(why.to_owned()));

    let world = World::new();
    let checked = json!({"run": "true", "check": "true"});
    let step = crate::support::step("command", checked);
    let mut look = world.look(Past::Never);
    step.observe(&look).await;
    assert_eq!(world.launcher.last().timeout, Duration::from_secs(60));
    look.timeout = Some(Duration::from_secs(3600));
    step.observe(&look).await;
    assert_eq!(world.launcher.last().timeout, Duration::from_secs(60));
}

#[tokio::test]
async fn a_dry_run_asks_only_a_check_that_changes_nothing() {
    let world = World::new();
    let mut look = world.look(succeeded());
    look.dry_run = true;
    let seen = step("command", json!({"run": "true", "check": "true"})).observe(&look).await;
    assert_eq!((seen.seen, seen.not_looked, world.launcher.count()), (Seen::Absent, true, 0));
    assert_eq!(seen.record, None);
    let readonly = json!({"run": "true", "check": "true", "readonly": true});
    let seen = step("command", readonly).observe(&look).await;
    assert_eq!((seen.seen, seen.not_looked, world.launcher.count()), (Seen::Done, false, 1));
    assert_eq!(seen.facts.0["check"].value, Some(json!(0)));
    assert_eq!(seen.facts.0["check"].class, Binding::Binding);
}

#[tokio::test]
async fn without_a_check_the_record_decides() {
    let world = World::new();
    let plain = json!({"run": "true"});
    let safe = json!({"run": "true", "rerun": "safe"});
    for (past, safe_only, said) in [
        (Past::Never, false, "never tried"),
        (Past::Failed, false, "its last attempt failed"),
        (interrupted(), true, "the engine was killed; it may be run again (`rerun: safe`)"),
    ] {
        let given = if safe_only { safe.clone() } else { plain.clone() };
        let seen = step("command", given).observe(&world.look(past)).await;
        assert_eq!((seen.seen, seen.not_looked), (Seen::Absent, true));
        assert_eq!(seen.record.as_deref(), Some(said));
    }
    assert_eq!(seen(&world, safe.clone(), interrupted()).await, Seen::Absent);
    let why = "the engine was killed; it has no check that could tell what it did";
    assert_eq!(seen(&world, plain.clone(), interrupted()).await, Seen::Unknown(why.to_owned()));
    let claimed = seen(&world, safe, Past::Claimed).await;
    assert!(
        matches!(&claimed, Seen::Unknown(w) if w.starts_with("the task is said to be done, but no evidence"))
    );

    let outputs = BTreeMap::from([("rows".to_owned(), json!(3))]);
    let look =
        world.look(Past::Succeeded { record: "run r0".to_owned(), outputs: outputs.clone() });
    let seen = step("command", plain).observe_now(&look).unwrap();
    assert_eq!((&seen.seen, seen.weak), (&Seen::Done, true));
    assert_eq!(seen.record.as_deref(), Some("run r0"));
    assert_eq!(seen.outputs, outputs);
    assert!(seen.facts.0.is_empty());
    assert_eq!(world.launcher.count(), 0);
}

#[tokio::test]
async fn success_without_a_check_is_weak_and_with_one_it_is_asked() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let plain = step("command", json!({"run": "echo n=1", "outputs": ["n"]}));
    let applied = plain.apply(&hands).await.unwrap();
    let verdict = plain.verify_now(&hands, &applied).unwrap();
    assert_eq!((verdict.is_done(), verdict.weak), (true, true));
    assert_eq!(verdict.outputs["n"], "1");
    assert_eq!(verdict, plain.verify(&hands, &applied).await);

    let checked = step("command", json!({"run": "true", "check": "test -e made"}));
    let applied = checked.apply(&hands).await.unwrap();
    assert!(checked.verify_now(&hands, &applied).is_none());
    assert_eq!(checked.verify(&hands, &applied).await.seen, Seen::Absent);
    world.write("made", "");
    let verdict = checked.verify(&hands, &applied).await;
    assert_eq!((verdict.is_done(), verdict.weak), (true, false));
}

#[tokio::test]
async fn a_failure_is_told_with_its_code_its_words_and_what_to_do() {
    let world = World::new();
    let error =
        apply(&world, json!({"run": "\n  echo 'disk is full'; exit 2\n"})).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::Failed);
    assert_eq!(error.what, "`T01.x` exited with code 2 (`echo 'disk is full'; exit 2`)");
    assert_eq!(error.said, ["disk is full"]);
    let long = format!("exit 2 # {}", "x".repeat(80));
    let error = apply(&world, json!({"run": long})).await.unwrap_err();
    assert_eq!(error.what, "`T01.x` exited with code 2");

    let error = apply(&world, json!({"run": "no-such-tool-here"})).await.unwrap_err();
    assert_eq!(error.help.as_deref(), Some("command not found; is it installed and on PATH?"));
    let error = apply(&world, json!({"run": "kill -15 $$"})).await.unwrap_err();
    assert_eq!(error.what, "`T01.x` was ended by signal 15 (SIGTERM) (`kill -15 $$`)");

    let mut look = world.look(Past::Never);
    look.timeout = Some(Duration::from_millis(30));
    let hands = workplan_engine::kind::Hands::new(look, None);
    let error = step("command", json!({"run": "sleep 60"})).apply(&hands).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::TimedOut);
    assert_eq!(error.what, "`T01.x` did not end within 30ms and was ended (`sleep 60`)");
}

#[tokio::test]
async fn sh_and_bash_stop_at_the_first_error() {
    let world = World::new();
    assert!(apply(&world, json!({"run": "false\ntrue"})).await.is_err());
    assert!(apply(&world, json!({"run": "false | true"})).await.is_ok());
    assert!(apply(&world, json!({"run": "false | true", "shell": "bash"})).await.is_err());
    assert!(apply(&world, json!({"run": "[[ a == a ]]", "shell": "bash"})).await.is_ok());
    assert_eq!(world.launcher.last().timeout, Duration::from_secs(3600));
}

#[tokio::test]
async fn outputs_are_typed_and_a_missing_one_is_a_failure() {
    let world = World::new();
    let run = "echo talk; echo rows=1; echo rows=42; echo ok=true; echo name=gitea";
    let outputs = json!({"rows": "int", "ok": "bool", "name": "string"});
    let applied = apply(&world, json!({"run": run, "outputs": outputs})).await.unwrap();
    assert_eq!(applied.outputs["rows"], 42);
    assert_eq!(applied.outputs["ok"], true);
    assert_eq!(applied.outputs["name"], "gitea");
    let error = apply(&world, json!({"run": "echo a=1", "outputs": ["b"]})).await.unwrap_err();
    assert_eq!(error.what, "`T01.x` exited with code 0, but it did not give the output `b`");
    assert_eq!(error.cause, ErrorCause::Failed);
    apply(&world, json!({"run": "true"})).await.unwrap();
    assert!(!world.launcher.last().capture);
}

#[tokio::test]
async fn an_adopted_step_has_the_outputs_that_its_check_or_its_record_gives() {
    let world = World::new();
    let outputs = BTreeMap::from([("n".to_owned(), json!("recorded"))]);
    let past = Past::Succeeded { record: "run r0".to_owned(), outputs };
    let silent = step("command", json!({"run": "true", "check": "true", "outputs": ["n"]}));
    assert_eq!(silent.observe(&world.look(past.clone())).await.outputs["n"], "recorded");
    assert!(silent.observe(&world.look(interrupted())).await.outputs.is_empty());
    let says = step("command", json!({"run": "true", "check": "echo n=seen", "outputs": ["n"]}));
    assert_eq!(says.observe(&world.look(past)).await.outputs["n"], "seen");
}

#[tokio::test]
async fn secrets_reach_the_environment_and_nothing_else() {
    let world = World::new().with_secret("env:PGPW", "hunter22");
    let given = json!({
        "run": "[ \"$PW\" = hunter22 ] && echo \"$PW $HOST\" && exit 3",
        "check": "[ \"$PW\" = hunter22 ]",
        "undo": "[ \"$PW\" = hunter22 ]",
        "env": {"HOST": "db.local"},
        "secrets": {"PW": "env:PGPW"},
    });
    let step = step("command", given);
    let hands = world.hands(Past::Never);
    let seen = step.observe(&hands).await;
    assert!(seen.is_done());
    let error = step.apply(&hands).await.unwrap_err();
    assert_eq!(error.said, ["[redacted] db.local"]);
    step.undo(&hands, &Prepared::default()).await.unwrap();
    let shown = format!("{:?} {seen:?} {error:?}", step.preview(&hands, &seen).await);
    // The script itself compares with the value, so only what was added is looked at.
    assert_eq!(shown.matches("hunter22").count(), 2, "{shown}");
    for spec in world.launcher.specs.lock().unwrap().iter() {
        assert!(!format!("{:?}{:?}", spec.env, spec.secret_env).contains("hunter22"));
        assert_eq!(spec.secret_env.len(), 1);
    }
}

#[tokio::test]
async fn a_missing_secret_or_folder_is_told_before_anything_starts() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    for (given, said) in [
        (
            json!({"run": "touch made", "undo": "true", "check": "true", "secrets": {"PW": "env:PGPW"}}),
            "env:PGPW",
        ),
        (
            json!({"run": "touch made", "undo": "true", "check": "true", "cwd": "nowhere"}),
            "nowhere",
        ),
    ] {
        let step = step("command", given);
        for error in [
            step.apply(&hands).await.map(drop).unwrap_err(),
            step.undo(&hands, &Prepared::default()).await.unwrap_err(),
        ] {
            assert_eq!(error.cause, ErrorCause::NotStarted);
            assert!(error.what.contains(said), "{error}");
        }
        let seen = step.observe(&hands).await.seen;
        assert!(matches!(&seen, Seen::Unknown(why) if why.contains(said)), "{seen:?}");
    }
    assert_eq!((world.launcher.count(), world.names()), (0, Vec::new()));
}

#[tokio::test]
async fn the_working_folder_is_the_workplans_or_one_below() {
    let world = World::new();
    std::fs::create_dir(world.path("sub")).unwrap();
    apply(&world, json!({"run": "touch here"})).await.unwrap();
    apply(&world, json!({"run": "touch there", "cwd": "sub"})).await.unwrap();
    assert!(world.path("here").exists() && world.path("sub/there").exists());
}

#[tokio::test]
async fn undo_runs_its_script_or_says_that_there_is_none() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let prepared = Prepared::default();
    let none = step("command", json!({"run": "true"}));
    assert_eq!(none.undo_plan(), UndoPlan::Cannot("it declares no `undo`".to_owned()));
    assert!(none.undo(&hands, &prepared).await.is_err());
    let asks = step("command", json!({"check": "true"}));
    assert_eq!(asks.undo_plan(), UndoPlan::NotNeeded);
    asks.undo(&hands, &prepared).await.unwrap();
    let fails = step("command", json!({"run": "true", "undo": "echo stuck; exit 4"}));
    assert_eq!(fails.undo_plan(), UndoPlan::Can("runs `echo stuck; exit 4`".to_owned()));
    let error = fails.undo(&hands, &prepared).await.unwrap_err();
    assert_eq!(error.what, "the undo of `T01.x` exited with code 4 (`echo stuck; exit 4`)");
    assert_eq!(error.said, ["stuck"]);
}

#[tokio::test]
async fn a_check_alone_asks_and_changes_nothing() {
    let world = World::new();
    let asks = step("command", json!({"check": "exit 1"}));
    let hands = world.hands(Past::Never);
    let seen = asks.observe(&hands).await;
    assert_eq!(seen.seen, Seen::Absent);
    assert!(asks.preview(&hands, &seen).await.is_empty());
    assert_eq!(asks.apply(&hands).await.unwrap_err().cause, ErrorCause::NotStarted);
    assert!(asks.resources().claimed);
}

#[test]
fn resources_are_a_claim_only_where_they_are_given() {
    assert!(!step("command", json!({"run": "true"})).resources().claimed);
    let claims = step("command", json!({"run": "true", "writes": "file/a", "reads": ["b", "c"]}));
    let resources = claims.resources();
    assert!(resources.claimed);
    assert_eq!(resources.writes, ["file/a"]);
    assert_eq!(resources.reads, ["b", "c"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (given, keys) in [
        (json!({}), vec![""]),
        (json!({"run": " \n"}), vec!["run"]),
        (json!({"run": "true", "readonly": true}), vec!["readonly"]),
        (json!({"check": "true", "undo": "true"}), vec!["undo"]),
        (
            json!({"run": "true", "env": {"1A": "", "A-B": "", "WORKPLAN_RUN": "", "X": ""}, "secrets": {"X": "env:X"}}),
            vec!["env", "env", "env", "secrets"],
        ),
        (json!({"run": "true", "outputs": ["a", "a", "b c"]}), vec!["outputs", "outputs"]),
        (json!({"run": "true", "outputs": {"a": "float"}}), vec!["outputs"]),
        (json!({"run": "", "cwd": "", "outputs": ["-"]}), vec!["run", "cwd", "outputs"]),
    ] {
        let problems = build("command", given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given} {problems:?}");
    }
    let said = &build("command", json!({"run": "true", "readonly": true})).err().unwrap()[0];
    assert_eq!(said.message, "`readonly` says that the check changes nothing; there is no check");
}
