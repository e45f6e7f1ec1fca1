//! `ha.check` and `smoke`: what would make a failover hang is named before any, within seconds.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use workplan_engine::kind::{Applied, Past, StepError};

use super::of_cluster;
use crate::support::{ClusterSite, build, has_cluster, step};

/// The longest that a finding may take.
const SECONDS: Duration = Duration::from_secs(20);

async fn check(site: &ClusterSite, more: serde_json::Value) -> Result<Applied, StepError> {
    step("ha.check", of_cluster(more)).apply(&site.world.hands(Past::Never)).await
}

/// What is wrong, each a sentence.
async fn findings(site: &ClusterSite) -> Vec<String> {
    let began = Instant::now();
    let error = check(site, json!({"users": ["app"]})).await.unwrap_err();
    assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
    assert!(error.help.is_some(), "{error:?}");
    error.said
}

#[tokio::test]
async fn a_whole_cluster_passes_and_an_unknown_user_is_named() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let found = check(&site, json!({"users": ["app"], "wait": "10s"})).await.unwrap().outputs;
    assert_eq!(found["nodes"], json!(3));
    assert_eq!(found["streaming"], json!(2));
    assert_eq!(found["clients"], json!("app"));
    assert_eq!(found["primary"].as_str(), site.leading().pop().as_deref());
    let error = check(&site, json!({"users": ["nobody"]})).await.unwrap_err();
    assert!(error.what.contains("no `pool_passwd` entry for `nobody`"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_named_with_its_key() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    // A rotated password: the role has another one than the Secret.
    for (user, who) in [
        ("app", "a client"),
        ("repmgr", "the replication manager"),
        ("sr_check_user", "the pooler's streaming-replication check"),
    ] {
        let sql = "select rolpassword from pg_authid where rolname = ";
        let old = site.ask(&format!("{sql}'{user}'")).pop().unwrap();
        site.set_password(user, "another");
        let said = findings(&site).await.join("\n");
        site.set_password(user, &old);
        assert!(said.contains(&format!("refuses `{user}` ({who})")), "{user}: {said}");
        assert!(said.contains("with the deployed password (Secret `platform/"), "{user}: {said}");
        assert!(!said.contains("another"), "{said}");
    }
    restart_pooler(&site);
}

/// Without its check's login it has given up all nodes.
fn restart_pooler(site: &ClusterSite) {
    site.pooler().signal(nix::sys::signal::Signal::SIGKILL);
    site.deploy(|_| {});
}

#[tokio::test]
async fn a_missing_entry_of_the_pooler_is_named() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let path = site.file("postgresql-ha-pgpool-0", "pool_passwd");
    let whole = fs::read_to_string(&path).unwrap();
    let without = |user: &str| {
        let lines = whole.lines().filter(|line| !line.starts_with(&format!("{user}:")));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    // A process of the pooler that has found a user in the file once does not read it again, unless
    // it is told to.
    let rewrite = |text: String| {
        fs::write(&path, text).unwrap();
        site.pooler().signal(nix::sys::signal::Signal::SIGHUP);
    };
    // A client's.
    rewrite(without("app"));
    let end = Instant::now() + SECONDS;
    // They hear of it one by one.
    let said = loop {
        match check(&site, json!({"users": ["app"]})).await {
            Err(error) => break error.said.join("\n"),
            Ok(_) => assert!(Instant::now() < end, "a missing entry is not seen"),
        }
    };
    rewrite(whole.clone());
    assert!(said.contains("`pool_passwd` entry for `app` is missing or wrong"), "{said}");
    // The check's own: logins go on until the pooler has given up all nodes.
    rewrite(without("sr_check_user"));
    let end = Instant::now() + SECONDS;
    let said = loop {
        match check(&site, json!({})).await {
            Err(error) => break format!("{error:?}"),
            Ok(_) => assert!(Instant::now() < end, "a check that cannot log in is not seen"),
        }
    };
    rewrite(whole.clone());
    restart_pooler(&site);
    assert!(said.contains("cannot log in") && said.contains("sr-check-password"), "{said}");
}

/// Replication goes on in each of these cases; a failover would not happen.
#[tokio::test]
async fn what_the_replication_manager_would_not_do_is_named() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let leader = site.leading().pop().unwrap();
    let mut standbys: Vec<String> = site.ha().nodes.into_iter().map(|n| n.name).collect();
    standbys.retain(|name| *name != leader);
    let [one, other] = &standbys[..] else { panic!("{standbys:?}") };
    let follow = |whom: &str| {
        let sql = "update repmgr.nodes set upstream_node_id = (select node_id from repmgr.nodes \
                   where node_name = ";
        site.sql_in("repmgr", &format!("{sql}'{whom}') where node_name = '{one}'"));
    };
    follow(other);
    let said = findings(&site).await.join("\n");
    follow(&leader);
    let sentence = format!("`{one}` on record as following `{other}`, not `{leader}`");
    assert!(said.contains(&sentence), "{said}");
    // Its daemon alone, as by the OOM killer.
    site.server(other, "repmgrd").signal(nix::sys::signal::Signal::SIGKILL);
    let end = Instant::now() + SECONDS;
    let said = loop {
        // The server hears of it when its process is gone from the table.
        match check(&site, json!({"users": ["app"]})).await {
            Err(error) => break error.said.join("\n"),
            Ok(_) => assert!(Instant::now() < end, "a missing repmgrd is not seen"),
        }
    };
    assert!(said.contains(&format!("repmgrd of `{other}` does not run")), "{said}");
    // A deploy brings it back; and a crash that a server recovers from leaves all as it was.
    site.deploy(|_| {});
    check(&site, json!({"users": ["app"], "wait": "10s"})).await.unwrap();
    let sql = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
    let pid: i32 = site.ask(sql).pop().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    check(&site, json!({"users": ["app"], "wait": "30s"})).await.unwrap();
    assert_eq!(site.leading(), [leader]);
}

#[tokio::test]
async fn a_missing_key_of_the_secret_is_named() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    let ha = site.ha();
    let (user, key) = ha.sr_check.unwrap();
    let folder = site.world.place.path("world/platform/secrets");
    let name = |path: &std::path::Path| path.to_string_lossy().contains(&key.secret);
    let files: Vec<_> =
        fs::read_dir(&folder).unwrap().flatten().map(|e| e.path()).filter(|p| name(p)).collect();
    assert!(!files.is_empty(), "{folder:?} has no {}", key.secret);
    let kept: Vec<_> = files.iter().map(|f| (f, fs::read(f).unwrap())).collect();
    files.iter().for_each(|f| fs::remove_file(f).unwrap());
    let said = findings(&site).await.join("\n");
    kept.iter().for_each(|(f, bytes)| fs::write(f, bytes).unwrap());
    assert!(said.contains(&key.secret) && said.contains("is not there"), "{user}: {said}");
}

#[tokio::test]
async fn a_pooler_that_hangs_is_a_finding_with_a_name() {
    if !has_cluster() {
        return;
    }
    let site = ClusterSite::lend();
    site.pooler().freeze();
    let began = Instant::now();
    let error = check(&site, json!({"deadline": "1s"})).await.unwrap_err();
    let hang = began.elapsed();
    site.pooler().thaw();
    assert!(hang < SECONDS, "{hang:?}");
    assert!(error.what.contains("cannot log in at the pooler"), "{error}");
}

#[test]
fn releases_of_a_smoke_test_are_named_in_full() {
    let problems = build("smoke", json!({"releases": ["gitea", "a/"]})).err().unwrap();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].message.contains("`gitea` does not name a release"));
    assert_eq!(build("smoke", json!({"releases": []})).err().unwrap().len(), 1);
}
