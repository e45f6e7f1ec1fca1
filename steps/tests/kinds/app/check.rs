//! `app.check`.

use serde_json::json;
use std::time::{Duration, Instant};

use workplan_engine::kind::{Applied, ErrorCause, Past, Seen, StepError};

use super::{HANG, folders, set_traffic};
use crate::support::{
    ADMIN, GiteaSite, Postgres, build, gitea, has_gitea, interrupted, step, until,
};

async fn check(site: &GiteaSite, through: &str, timeout: &str) -> Result<Applied, StepError> {
    let with = json!({"release": "gitea", "through": through, "timeout": timeout});
    step("app.check", with).apply(&site.world.hands(Past::Never)).await
}

#[tokio::test]
async fn it_tells_what_it_found_and_leaves_nothing() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    for through in ["inside", "outside"] {
        let found = check(&site, through, "90s").await.unwrap();
        assert!(found.outputs["version"].as_str().unwrap().starts_with("1."), "{found:?}");
        for part in ["api_login_ms", "web_login_ms", "write_ms", "push_ms", "clone_ms"] {
            assert!(found.outputs[part].as_u64().unwrap() > 0, "{part}: {found:?}");
        }
        assert_eq!(site.repositories(), "");
        assert_eq!(site.ask("select count(*) from access_token"), "0");
    }
    // The login is in the environment of git, and nowhere else of what can be read.
    let specs = site.world.launcher.specs.lock().unwrap();
    assert!(specs.iter().any(|s| s.argv.iter().any(|word| word == "push")));
    for spec in specs.iter() {
        let seen = format!("{:?} {:?}", spec.argv, spec.env);
        for secret in [ADMIN.1, "Basic", &ADMIN.1.replace('\'', "%27")] {
            assert!(!seen.contains(secret), "{seen}");
        }
    }
}

#[tokio::test]
async fn evidence_is_bound_to_values_and_configuration() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let with = json!({"release": "gitea", "through": "inside", "timeout": "90s"});
    let check = step("app.check", with);
    let applied = check.apply(&site.world.hands(Past::Never)).await.unwrap();
    let past = || Past::Succeeded { record: "run r0".to_owned(), outputs: applied.outputs.clone() };
    assert!(check.observe(&site.world.look(past())).await.is_done());
    site.deploy(|values| values["gitea"]["config"]["APP_NAME"] = json!("another"));
    assert_eq!(check.observe(&site.world.look(past())).await.seen, Seen::Absent);
    site.deploy(|_| {});
    let seen = check.observe(&site.world.look(past())).await;
    assert_eq!(seen.seen, Seen::Absent, "keys that were dropped stay in app.ini: {seen:?}");
    site.deploy(|values| values["gitea"]["config"]["APP_NAME"] = json!("Gitea"));
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    site.ask("update \"user\" set passwd = 'x'");
    let error = check(&site, "inside", "90s").await.unwrap_err();
    assert!(
        error.what.contains("failed the API login: Gitea does not take the password of `root1`"),
        "{error}"
    );
    assert!(!error.what.contains("healthz"), "{error}");
    assert!(!format!("{error:?}").contains(ADMIN.1));
    // The next start sets it again.
    site.deploy(|values| values["replicaCount"] = json!("1"));
    restart(&site).await;
    check(&site, "inside", "90s").await.unwrap();
}

async fn restart(site: &GiteaSite) {
    use workplan_platform::Operate;
    let operate = site.operate();
    for replicas in [0, 1] {
        operate.scale(&gitea(), "gitea", replicas, Duration::from_secs(180)).await.unwrap();
    }
}

#[tokio::test]
async fn a_hang_is_named_with_its_part() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    site.process().freeze();
    let began = Instant::now();
    let error = check(&site, "inside", "1s").await.unwrap_err();
    assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
    assert!(error.what.contains("failed the health check: "), "{error}");
    assert!(error.what.contains("within 1s"), "{error}");
    assert_eq!(error.cause, ErrorCause::Failed);
}

#[tokio::test]
async fn a_database_that_is_away_is_not_called_a_wrong_password() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let server = Postgres::shared().unwrap();
    let name = site.database();
    server.psql("postgres", &format!("alter database {name} allow_connections false"));
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname";
    server.psql("postgres", &format!("{ended} = '{name}'"));
    let error = check(&site, "inside", "90s").await.unwrap_err();
    server.psql("postgres", &format!("alter database {name} allow_connections true"));
    assert!(error.what.contains("Gitea does not reach its database"), "{error}");
    assert!(!error.what.contains("password"), "{error}");
}

#[tokio::test]
async fn a_shut_way_in_is_named_from_outside_and_no_matter_inside() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    set_traffic(&site, false);
    let error = check(&site, "outside", "90s").await.unwrap_err();
    assert!(error.what.contains("connection refused: nothing listens at"), "{error}");
    check(&site, "inside", "90s").await.unwrap();
}

#[tokio::test]
async fn what_a_killed_check_left_is_seen_and_removed_and_that_of_others_is_not() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let with = json!({"release": "gitea", "through": "inside", "timeout": "90s"});
    let check = step("app.check", with);
    let hands = site.world.hands(Past::Never);
    let made = || site.repositories().contains("workplan-check-");
    let before = folders();
    tokio::select! {
        ended = check.apply(&hands) => panic!("{ended:?}"),
        () = until("the repository is there", made) => {}
    }
    // Another run is at it as well, since a moment ago.
    let theirs = "insert into repository (owner_id, owner_name, lower_name, name, description, \
        is_empty, status, created_unix, updated_unix) select owner_id, owner_name, \
        'workplan-check-other', 'workplan-check-other', 'workplan:other:T01.x:1', is_empty, status, \
        extract(epoch from now()), 0 from repository limit 1";
    site.ask(theirs);
    let seen = check.observe(&site.world.look(interrupted())).await;
    assert!(
        matches!(&seen.seen, Seen::Half(what) if what.contains("the repository `root1/")),
        "{seen:?}"
    );
    check.repair(&hands, &seen.seen).await.unwrap();
    assert_eq!(site.repositories(), "workplan-check-other");
    assert_eq!(folders(), before);
    assert_eq!(check.observe(&site.world.look(interrupted())).await.seen, Seen::Absent);
    // It is old by now, so whoever made it is gone.
    site.ask("update repository set created_unix = created_unix - 3600");
    let applied = check.apply(&hands).await.unwrap();
    assert!(applied.notes[0].contains("`workplan:other:T01.x:1` had left"), "{applied:?}");
    assert_eq!(site.repositories(), "");
}

#[test]
fn parameters_are_checked() {
    let problems = build("app.check", json!({"release": "gitea", "timeout": "0s"})).err().unwrap();
    assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["timeout"]);
}
