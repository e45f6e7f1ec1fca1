//! `app.stop`.

use serde_json::{Value, json};

use workplan_engine::kind::{Past, Prepared, Seen};

use super::is_open;
use crate::support::{GiteaSite, Postgres, gitea, has_gitea, step};

fn with() -> Value {
    json!({"release": "gitea", "timeout": "120s"})
}

#[tokio::test]
async fn one_that_was_started_again_behind_our_back_is_seen() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let stop = step("app.stop", with());
    let hands = site.world.hands(Past::Never);
    let running = stop.observe(&hands).await;
    assert_eq!(running.seen, Seen::Absent);
    let prepared = stop.prepare(&hands).await.unwrap();
    stop.apply(&hands).await.unwrap();
    let stopped = stop.observe(&hands).await;
    assert!(stopped.is_done(), "{stopped:?}");
    // As somebody would with `kubectl scale`.
    use workplan_platform::Operate;
    let long = std::time::Duration::from_secs(180);
    site.operate().scale(&gitea(), "gitea", 1, long).await.unwrap();
    let again = stop.observe(&hands).await;
    assert_eq!(again.seen, Seen::Absent);
    for (one, other) in [(&running, &stopped), (&stopped, &again), (&running, &again)] {
        assert_ne!(one.facts.0["running"], other.facts.0["running"]);
    }
    assert_eq!(stop.look_back(&hands, &prepared).await.seen, Seen::Absent);
}

#[tokio::test]
async fn taken_back_it_answers_on_its_database() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let stop = step("app.stop", with());
    let hands = site.world.hands(Past::Never);
    let prepared = stop.prepare(&hands).await.unwrap();
    stop.apply(&hands).await.unwrap();
    assert!(!is_open(&site, false));
    let journaled = Prepared { undo: prepared.undo.clone(), bytes: None };
    stop.undo(&hands, &journaled).await.unwrap();
    assert_eq!(site.running(), (1, 1));
    let server = Postgres::shared().unwrap();
    let sessions =
        format!("select count(*) > 0 from pg_stat_activity where datname = '{}'", site.database());
    assert_eq!(server.psql("postgres", &sessions), "t");
}

#[tokio::test]
async fn one_that_does_not_come_back_says_why() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let stop = step("app.stop", json!({"release": "gitea", "timeout": "60s"}));
    let hands = site.world.hands(Past::Never);
    let prepared = stop.prepare(&hands).await.unwrap();
    stop.apply(&hands).await.unwrap();
    let server = Postgres::shared().unwrap();
    let allow = |yes: bool| {
        let name = site.database();
        server.psql("postgres", &format!("alter database {name} allow_connections {yes}"));
    };
    allow(false);
    let error = stop.undo(&hands, &prepared).await.unwrap_err();
    allow(true);
    let text = format!("{error:?}");
    assert!(text.contains("is not currently accepting connections"), "{text}");
    stop.undo(&hands, &prepared).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let stop = step("app.stop", json!({"release": "forgejo"}));
    let seen = stop.observe(&site.world.look(Past::Never)).await.seen;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("default/forgejo")), "{seen:?}");
}
