//! `traffic.open`.

use serde_json::json;

use workplan_engine::kind::{Past, Seen};

use super::set_traffic;
use crate::support::{GiteaSite, has_gitea, step};

#[tokio::test]
async fn open_means_that_it_answers() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let open = step("traffic.open", json!({"release": "gitea", "timeout": "1s"}));
    let look = site.world.look(Past::Never);
    assert!(open.observe(&look).await.is_done());
    site.process().freeze();
    let seen = open.observe(&look).await;
    assert_eq!(seen.seen, Seen::Absent);
    let trouble = seen.facts.0["trouble"].value.clone().unwrap();
    assert!(trouble.as_str().unwrap().contains("no complete answer"), "{trouble}");
    set_traffic(&site, false);
    let hands = site.world.hands(Past::Never);
    let error = open.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("does not answer from outside"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_counted_is_said() {
    if !has_gitea() {
        return;
    }
    // Its database is not one of the platform's.
    let site = GiteaSite::lend();
    let open = step("traffic.open", json!({"release": "gitea"}));
    let outputs = [("opened_at".to_owned(), json!(1))].into();
    let past = Past::Succeeded { record: "run r0".to_owned(), outputs };
    let seen = open.observe(&site.world.look(past)).await;
    let told = seen.facts.0["since_opening"].value.clone().unwrap();
    assert_eq!(told, json!("not counted: its database is none of this platform"));
}

#[tokio::test]
async fn without_a_way_in_there_is_nothing_to_open() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    site.deploy(|values| values["ingress"]["enabled"] = json!(false));
    let open = step("traffic.open", json!({"release": "gitea"}));
    let hands = site.world.hands(Past::Never);
    assert_eq!(open.observe(&hands).await.seen, Seen::Absent);
    let error = open.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("make no way in from outside"), "{error}");
    assert!(error.help.unwrap().contains("`ingress.enabled`"));
}
