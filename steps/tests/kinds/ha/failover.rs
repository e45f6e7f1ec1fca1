//! `ha.failover`.

use serde_json::json;
use workplan_engine::kind::{Past, Seen};

use super::{PROBE, of_cluster};
use crate::support::{ClusterSite, build, has_cluster, interrupted, step};

#[tokio::test]
async fn a_primary_that_is_killed_is_replaced_and_comes_back_as_a_standby() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let failover = step("ha.failover", of_cluster(json!({"fault": "kill", "window": "60s"})));
    let hands = site.world.hands(Past::Never);
    let told =
        serde_json::to_string(&failover.preview(&hands, &failover.observe(&hands).await).await);
    assert!(told.unwrap().contains("at no moment do two nodes take writes"));
    let old = site.leading().pop().unwrap();
    let applied = failover.apply(&hands).await.unwrap();
    let found = &applied.outputs;
    assert_eq!(found["old_primary"], json!(old));
    assert_eq!(site.leading(), [found["new_primary"].as_str().unwrap()]);
    assert_ne!(found["new_primary"], json!(old));
    assert_eq!(found["old_primary_role"], json!("standby"));
    assert_eq!(found["max_primaries"], json!(1));
    assert!(found["recovery_s"].as_f64() > Some(0.0), "{found:?}");
    assert!(found["redundancy_s"].as_f64() >= found["recovery_s"].as_f64(), "{found:?}");
    assert!(found["lost_rows"].is_u64() && found["acknowledged_rows"].as_u64() > Some(0));
    assert!(found["client_errors"].as_array().is_some_and(|all| !all.is_empty()), "{found:?}");
    // Who led, in order: the old one, nobody, the new one.
    let primaries = serde_json::to_string(&found["primaries"]).unwrap();
    let at = |name: &str| primaries.find(name).unwrap_or_else(|| panic!("{name}: {primaries}"));
    assert!(at(&old) < at("none") && at("none") < at(found["new_primary"].as_str().unwrap()));
    assert!(site.ask(PROBE).is_empty());
}

/// The shipped values survive a server that neither answers nor hangs up. Without one of them the
/// pooler waits for it, and so does every client: that is told as what it is.
#[tokio::test]
async fn a_frozen_primary_is_replaced_and_a_pooler_that_hangs_with_it_is_named() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let freeze =
        |window| step("ha.failover", of_cluster(json!({"fault": "freeze", "window": window})));
    let hands = site.world.hands(Past::Never);
    let found = freeze("40s").apply(&hands).await.unwrap().outputs;
    assert_eq!(found["recovered"], json!(true));
    assert_eq!(found["max_primaries"], json!(1));
    assert_eq!(found["old_primary_role"], json!("standby"));
    site.deploy(|values| {
        let text = values["pgpool"]["configuration"].as_str().unwrap().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with("failover_command"));
        let without: String = lines.map(|line| format!("{line}\n")).collect();
        assert_ne!(without.len(), text.len());
        values["pgpool"]["configuration"] = json!(without);
    });
    let error = freeze("25s").apply(&hands).await.unwrap_err();
    let said = error.said.join("\n");
    assert!(said.contains("did not work again within 25s"), "{error:?}");
    assert!(said.contains("no answer within 2s"), "{error:?}");
    // All of it was mended nevertheless.
    assert_eq!(error.outputs["old_primary_role"], json!("standby"), "{error:?}");
    assert_eq!(site.leading().len(), 1);
    assert!(site.ask(PROBE).is_empty());
    site.deploy(|_| {});
}

#[tokio::test]
async fn nothing_is_broken_that_is_not_whole() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let failover = step("ha.failover", of_cluster(json!({"fault": "kill"})));
    let hands = site.world.hands(Past::Never);
    site.set_password("app", "another");
    let error = failover.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("is not whole, so nothing was broken"), "{error}");
    assert!(site.all_up());
    drop(site);
    // Somebody's own database of the probe's name is left alone.
    let site = ClusterSite::lend();
    site.sql("create database workplan_failover_probe");
    let error = failover.apply(&site.world.hands(Past::Never)).await.unwrap_err();
    let left = site.ask(PROBE);
    let seen = failover.observe(&site.world.look(interrupted())).await.seen;
    site.sql("drop database workplan_failover_probe");
    assert!(error.what.contains("was not made by a failover test"), "{error}");
    assert_eq!(left.len(), 1);
    assert!(matches!(seen, Seen::Half(_) | Seen::Absent), "{seen:?}");
}

#[test]
fn parameters_are_checked() {
    let given = json!({"fault": "kill", "window": "10ms", "app": "gitea", "max_lost_rows": -1});
    let problems = build("ha.failover", of_cluster(given)).err().unwrap();
    let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(found, ["window", "app", "max_lost_rows"]);
}
