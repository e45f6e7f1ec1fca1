//! `http.check`.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use workplan_engine::kind::{Applied, Binding, ErrorCause, Hands, Past, Seen, StepError, UndoPlan};

use crate::support::{Answer, Server, TlsServer, World, build, interrupted, step, succeeded};

async fn ask(json: Value) -> Result<Applied, StepError> {
    step("http.check", json).apply(&World::new().hands(Past::Never)).await
}

#[tokio::test]
async fn it_asks_until_it_passes() {
    let server = Server::start(&[
        Answer::Say(503, "no"),
        Answer::Say(200, "starting"),
        Answer::Say(200, "ready"),
    ])
    .await;
    let given = json!({"url": server.url, "contains": "ready", "wait": "20s", "every": "1ms"});
    let check = step("http.check", given);
    let world = World::new();
    let hands = world.hands(Past::Never);
    let applied = check.apply(&hands).await.unwrap();
    assert_eq!((&applied.outputs["status"], &applied.outputs["tries"]), (&json!(200), &json!(3)));
    let verdict = check.verify_now(&hands, &applied).unwrap();
    assert_eq!((verdict.is_done(), verdict.weak), (true, false));
    assert_eq!(verdict.facts.0["status"].class, Binding::Binding);
    assert_eq!(verdict.facts.0["sha256"].class, Binding::Informative);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(check.undo_plan(), UndoPlan::NotNeeded);
}

#[tokio::test]
async fn a_failure_says_what_was_expected_what_came_and_how_often() {
    let server = Server::start(&[Answer::Say(503, "data\u{1b}[2Jbase is down")]).await;
    let error = ask(json!({"url": server.url, "status": "2xx"})).await.unwrap_err();
    assert!(
        error
            .what
            .starts_with("`T01.x` did not pass: expected status 2xx, got 503 (asked once in "),
        "{error}"
    );
    assert_eq!(error.said, ["data [2Jbase is down"]);
    assert_eq!(error.cause, ErrorCause::Failed);
    let given = json!({"url": server.url, "status": "503", "contains": "up", "wait": "30ms", "every": "10ms"});
    let error = ask(given).await.unwrap_err();
    assert!(
        error.what.contains("status 503 is right, but `up` is not in the body (asked "),
        "{error}"
    );
    assert!(server.requests().len() > 2);
}

#[tokio::test]
async fn no_answer_is_told_in_plain_words() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let said = |e: StepError| e.what;
    let refused = said(ask(json!({"url": format!("http://{closed}/")})).await.unwrap_err());
    assert!(
        refused.contains(&format!("connection refused: nothing listens at {closed} ")),
        "{refused}"
    );

    let silent = Server::start(&[Answer::Hang]).await;
    let hung = said(ask(json!({"url": silent.url, "timeout": "30ms"})).await.unwrap_err());
    assert!(
        hung.contains("no complete answer from 127.0.0.1:") && hung.contains("within 30ms"),
        "{hung}"
    );

    let noise = Server::start(&[Answer::Noise]).await;
    let odd = said(ask(json!({"url": noise.url})).await.unwrap_err());
    assert!(odd.contains("no answer from 127.0.0.1:"), "{odd}");

    // Too long for a name server to be asked: it fails the same way without a network.
    let host = format!("{}.invalid", "a".repeat(64));
    let name = said(ask(json!({"url": format!("http://{host}/")})).await.unwrap_err());
    assert!(name.contains(&format!("the name `{host}` cannot be resolved: ")), "{name}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (tls, ()) = tokio::join!(ask(json!({"url": url, "insecure": true})), plain);
    let tls = said(tls.unwrap_err());
    assert!(tls.contains("TLS with 127.0.0.1:"), "{tls}");
}

#[tokio::test]
async fn what_passed_is_asked_again_and_counts_only_while_it_passes() {
    let server = Server::start(&[Answer::Say(200, "fine")]).await;
    let world = World::new();
    let check = step("http.check", json!({"url": server.url, "contains": "fine"}));
    for past in [Past::Never, Past::Failed, interrupted(), Past::Claimed] {
        assert_eq!(check.observe(&world.look(past)).await.seen, Seen::Absent);
    }
    assert!(server.requests().is_empty(), "it is not asked before it is due");
    let seen = check.observe(&world.look(succeeded())).await;
    assert_eq!((seen.is_done(), seen.weak, seen.record.as_deref()), (true, false, Some("run r0")));
    assert_eq!(seen.facts.0["status"].value, Some(json!(200)));
    server.say(&[Answer::Say(500, "fine")]);
    let seen = check.observe(&world.look(succeeded())).await;
    assert_eq!((seen.seen, seen.facts.0["status"].value.clone()), (Seen::Absent, Some(json!(500))));
}

#[tokio::test]
async fn a_post_is_never_sent_by_a_look() {
    let server = Server::start(&[Answer::Say(200, "")]).await;
    let world = World::new();
    let check = step("http.check", json!({"url": server.url, "method": "POST"}));
    let seen = check.observe(&world.look(succeeded())).await;
    assert_eq!((seen.seen, seen.not_looked), (Seen::Absent, true));
    let seen = check.observe(&world.look(interrupted())).await.seen;
    assert!(matches!(seen, Seen::Unknown(_)));
    assert!(server.requests().is_empty());
    check.apply(&world.hands(Past::Never)).await.unwrap();
    assert!(server.requests()[0].starts_with("POST / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn redirects_are_the_answer_unless_they_are_followed() {
    let end = Server::start(&[Answer::Say(200, "end")]).await;
    let start = Server::start(&[Answer::Redirect(end.url.clone())]).await;
    assert!(ask(json!({"url": start.url})).await.unwrap_err().what.contains("got 302"));
    ask(json!({"url": start.url, "status": 302})).await.unwrap();
    ask(json!({"url": start.url, "follow": true, "contains": "end"})).await.unwrap();
}

#[tokio::test]
async fn secret_headers_are_sent_redacted_and_kept_from_other_servers() {
    let world = World::new().with_secret("env:TOKEN", "Bearer hunter22");
    let hands = world.hands(Past::Never);
    let server = Server::start(&[Answer::Echo(403)]).await;
    let given = |url: &str| json!({"url": url, "follow": true, "secret_headers": {"Authorization": "env:TOKEN", "X-Token": "env:TOKEN"}});
    let error = step("http.check", given(&server.url)).apply(&hands).await.unwrap_err();
    assert_eq!(error.said, ["[redacted]"]);
    assert!(server.requests()[0].contains("x-token: Bearer hunter22\r\n"));

    let other = Server::start(&[Answer::Echo(200)]).await;
    server.say(&[Answer::Redirect(other.url.clone())]);
    let error = step("http.check", given(&server.url)).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("got 302"), "{error}");
    assert!(other.requests().is_empty());

    let missing = World::new();
    let error = step("http.check", given(&server.url))
        .apply(&missing.hands(Past::Never))
        .await
        .unwrap_err();
    assert_eq!(error.cause, ErrorCause::NotStarted);
    assert!(error.what.contains("env:TOKEN"), "{error}");
}

#[tokio::test]
async fn the_steps_own_timeout_ends_it() {
    let server = Server::start(&[Answer::Hang]).await;
    let world = World::new();
    let mut look = world.look(Past::Never);
    look.timeout = Some(Duration::from_millis(50));
    let check = step("http.check", json!({"url": server.url, "wait": "1h"}));
    let error = check.apply(&Hands::new(look, None)).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::TimedOut);
    assert!(error.what.contains("at its deadline of 50ms"), "{error}");
}

#[tokio::test]
async fn a_file_of_authorities_must_be_one() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let check = step("http.check", json!({"url": "https://127.0.0.1:1/", "ca": "ca.pem"}));
    let error = check.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("ca.pem` cannot be read"), "{error}");
    world.write("ca.pem", "hello");
    let error = check.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("holds no PEM certificate"), "{error}");
    assert_eq!(error.cause, ErrorCause::NotStarted);
}

#[tokio::test]
async fn only_the_named_authority_counts() {
    let server = TlsServer::start().await;
    let world = World::new();
    let hands = world.hands(Past::Never);
    world.write("right.pem", &server.certificate);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    world.write("wrong.pem", &other.cert.pem());
    let ask = |ca: &str, host: &str| {
        step("http.check", json!({"url": format!("https://{host}:{}/", server.port), "ca": ca}))
    };
    ask("right.pem", "localhost").apply(&hands).await.unwrap();
    for (ca, host) in [("wrong.pem", "localhost"), ("right.pem", "127.0.0.1")] {
        let error = ask(ca, host).apply(&hands).await.unwrap_err();
        let said = format!(
            "did not pass: TLS with {host}:{} failed: invalid peer certificate",
            server.port
        );
        assert!(error.what.contains(&said), "{error}");
    }
    let insecure = json!({"url": format!("https://localhost:{}/", server.port), "insecure": true});
    step("http.check", insecure).apply(&hands).await.unwrap();
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (given, keys) in [
        (json!({"url": "ftp://x/"}), vec!["url"]),
        (json!({"url": "x"}), vec!["url"]),
        (json!({"url": "http://u:p@x/"}), vec!["url"]),
        (
            json!({"url": "http://x/", "status": "ok", "method": "HEAD", "contains": "a"}),
            vec!["contains", "status"],
        ),
        (json!({"url": "http://x/", "insecure": true, "ca": "a"}), vec!["insecure"]),
        (json!({"url": "http://x/", "every": "0s", "timeout": "0s"}), vec!["every", "timeout"]),
        (
            json!({"url": "http://x/", "headers": {"a b": "", "c": "\n", "d": ""}, "secret_headers": {"D": "env:D"}}),
            vec!["headers", "headers", "secret_headers"],
        ),
    ] {
        let problems = build("http.check", given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
    assert!(build("http.check", json!({"url": "${{ target.url }}/health"})).is_ok());
}
