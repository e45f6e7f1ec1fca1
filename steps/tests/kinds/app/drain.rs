//! `app.drain`.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use workplan_engine::kind::{Past, Seen};
use workplan_platform::Traffic;

use super::{HANG, traffic_of};
use crate::support::{ADMIN, GiteaSite, has_gitea, step, until};

#[tokio::test]
async fn it_waits_for_those_inside_and_says_how_many_they_were() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let drain = step("app.drain", json!({"release": "gitea", "timeout": "90s"}));
    let hands = site.world.hands(Past::Never);
    let request = site.begin_request();
    let finish = async {
        until("the way in is shut", || traffic_of(&site) == Traffic::Shut).await;
        drop(request);
    };
    let (drained, ()) = tokio::join!(drain.apply(&hands), finish);
    let drained = drained.unwrap();
    assert_eq!(drained.outputs["in_flight"], json!(1));
    assert_eq!(drained.outputs["queues"], json!("flushed"));
    assert!(drain.verify(&hands, &drained).await.is_done());
}

#[tokio::test]
async fn a_writer_that_will_not_go_is_refused_and_not_cut_off() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    let drain = step("app.drain", json!({"release": "gitea", "timeout": "1s"}));
    let hands = site.world.hands(Past::Never);
    let prepared = drain.prepare(&hands).await.unwrap();
    let mut request = site.begin_request();
    let began = Instant::now();
    let error = drain.apply(&hands).await.unwrap_err();
    assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
    let said = "1 connection in flight to `default/gitea` did not end: 127.0.0.1:";
    assert!(error.what.starts_with(said), "{error}");
    assert!(error.what.ends_with(", after 1s"), "{error}");
    // It is let go on, and others are let in again.
    drain.undo(&hands, &prepared).await.unwrap();
    assert_eq!(traffic_of(&site), Traffic::Open);
    use std::io::{Read, Write};
    request.write_all(&[b'x'; 90]).unwrap();
    request.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = [0; 9];
    request.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 ");
}

#[tokio::test]
async fn a_queue_that_does_not_end_is_named_with_its_size() {
    if !has_gitea() {
        return;
    }
    let site = GiteaSite::lend();
    site.deploy(|values| {
        values["gitea"]["config"]["webhook"] =
            json!({"ALLOWED_HOST_LIST": "*", "DELIVER_TIMEOUT": 300});
    });
    // Whoever delivers there waits for an answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = async |method, path: &str, body| ask(&site, method, path, body).await;
    api(Method::POST, "/user/repos", json!({"name": "hooked", "auto_init": true})).await;
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let hook = json!({"type": "gitea", "active": true, "events": ["push"],
        "config": {"url": url, "content_type": "json"}});
    let repo = format!("/repos/{}/hooked", ADMIN.0);
    let id = api(Method::POST, &format!("{repo}/hooks"), hook).await["id"].as_i64().unwrap();
    api(Method::POST, &format!("{repo}/hooks/{id}/tests"), json!({})).await;
    let (delivery, _) = silent.accept().unwrap();

    let drain = step("app.drain", json!({"release": "gitea", "timeout": "1s"}));
    let hands = site.world.hands(Past::Never);
    let prepared = drain.prepare(&hands).await.unwrap();
    let error = drain.apply(&hands).await.unwrap_err();
    let said = "the queues of `default/gitea` were not flushed within 5s: `webhook_sender` (";
    assert!(error.what.starts_with(said), "{error}");
    assert!(error.what.ends_with(" waiting, 1 worker at work)"), "{error}");
    drain.undo(&hands, &prepared).await.unwrap();
    assert_eq!(traffic_of(&site), Traffic::Open);
    drop((silent, delivery));
    api(Method::DELETE, &repo, json!({})).await;
}

/// Asks Gitea's API as its administrator.
async fn ask(site: &GiteaSite, method: Method, path: &str, body: Value) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    let url = format!("http://{}/api/v1{path}", site.address(false));
    let request = client.build().unwrap().request(method, url);
    let request = request.basic_auth(ADMIN.0, Some(ADMIN.1)).timeout(HANG);
    let body = request.header("content-type", "application/json").body(body.to_string());
    let answer = body.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null)
}

#[tokio::test]
async fn one_that_does_not_run_is_drained_when_it_is_shut() {
    if !has_gitea() {
        return;
    }
    use workplan_platform::Operate;
    let site = GiteaSite::lend();
    let drain = step("app.drain", json!({"release": "gitea", "timeout": "90s"}));
    let hands = site.world.hands(Past::Never);
    let long = Duration::from_secs(180);
    site.operate().scale(&crate::support::gitea(), "gitea", 0, long).await.unwrap();
    assert_eq!(drain.observe(&hands).await.seen, Seen::Absent);
    let drained = drain.apply(&hands).await.unwrap();
    assert_eq!(drained.outputs["queues"], json!("not running"));
    assert!(drain.observe(&hands).await.is_done());
}
