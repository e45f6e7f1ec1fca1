//! The recipe `valkey`, and with it what all recipes share.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use workplan_platform::{Endpoint, Operate, PlatformError, ReleaseStatus, View};

use crate::support::{Ground, LONG, at, deploy, incarnations, spec, trial, until};

const PASSWORD: &str = "p'%:/ \\\"wörd";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("valkey_runs_with_its_password", valkey_runs_with_its_password),
        trial("a_port_that_is_taken_is_named_before_a_start", a_port_that_is_taken_is_named),
        trial("a_server_that_ends_at_its_start_is_started_again", one_that_ends_at_its_start),
    ]
}

fn values() -> Value {
    json!({
        "architecture": "standalone",
        "auth": {"password": PASSWORD},
        "primary": {"resources": {"limits": {"memory": "1Gi"}}},
        "image": {"repository": "bitnamilegacy/valkey"},
    })
}

async fn say(view: &dyn View, line: &[u8]) -> String {
    let service = Endpoint::Service {
        namespace: "platform".to_owned(),
        service: "valkey-primary".to_owned(),
        port: 6379,
    };
    let way = view.reach(&service).await.unwrap();
    let mut stream = TcpStream::connect(way.address).await.unwrap();
    stream.write_all(line).await.unwrap();
    let mut answer = vec![0; 512];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn valkey_runs_with_its_password(ground: Arc<Ground>) {
    let operate = ground.operate("T06.valkey");
    let at = at("platform", "valkey");
    let wanted = spec(&at, "valkey", values(), &[&["auth", "password"]]);
    let rendered = operate.render(&wanted).await.unwrap();
    assert!(!ground.dir().exists(), "a preview writes nothing");
    let ignored: Vec<&str> = rendered.ignored.iter().map(|i| i.key.as_str()).collect();
    assert_eq!(ignored, ["image.repository", "primary.resources.limits.memory"]);
    assert_eq!(deploy(&operate, &wanted).await, 1);
    assert_eq!(say(&operate, b"PING\r\n").await.get(..7), Some("-NOAUTH"));
    let login = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{PASSWORD}\r\n", PASSWORD.len());
    assert_eq!(say(&operate, login.as_bytes()).await, "+OK\r\n");
    let release = operate.release(&at).await.unwrap().unwrap();
    assert_eq!((release.status, release.revision), (ReleaseStatus::Deployed, 1));
    assert_eq!(release.made_by.as_deref(), Some("workplan:r1:T06.valkey:1"));
    let secret = operate.secret("platform", "valkey").await.unwrap().unwrap();
    assert_eq!(secret["valkey-password"].reveal(), PASSWORD.as_bytes());
    // What is there is what a preview wants, and deploying it again changes nothing.
    let rendered = operate.render(&wanted).await.unwrap();
    assert_eq!(operate.objects(&at).await.unwrap(), rendered.objects);
    let before = incarnations(&operate, &at).await;
    assert_eq!(before.len(), 1);
    assert_eq!(deploy(&operate, &wanted).await, 1);
    assert_eq!(incarnations(&operate, &at).await, before);
}

async fn a_port_that_is_taken_is_named(ground: Arc<Ground>) {
    let operate = ground.operate("T06.valkey");
    let at = at("platform", "valkey");
    deploy(&operate, &spec(&at, "valkey", values(), &[&["auth", "password"]])).await;
    let workload = operate.workloads(&at).await.unwrap()[0].clone();
    let service = Endpoint::Service {
        namespace: "platform".to_owned(),
        service: workload.name.clone(),
        port: 6379,
    };
    let address = operate.reach(&service).await.unwrap().address;
    operate.scale(&at, &workload.name, 0, LONG).await.unwrap();
    let taken = std::net::TcpListener::bind(address).unwrap();
    let error = operate.scale(&at, &workload.name, 1, LONG).await.unwrap_err().to_string();
    let (port, pid) = (address.port(), std::process::id());
    let said = format!("port {port} of `valkey-primary-0/valkey` is taken by process {pid} (");
    assert!(error.contains(&said), "{error}");
    assert!(ground.living().iter().all(|line| !line.contains("valkey")), "nothing was started");
    drop(taken);
    operate.scale(&at, &workload.name, 1, LONG).await.unwrap();
    assert!(operate.workloads(&at).await.unwrap()[0].is_ready());
}

/// A file that the server cannot load ends it before it answers.
async fn one_that_ends_at_its_start(ground: Arc<Ground>) {
    const SAYS: &str = "Wrong signature";
    let operate = ground.operate("T06.valkey");
    let at = at("platform", "valkey");
    let mut values = values();
    values["primary"]["persistence"] = json!({"enabled": false});
    deploy(&operate, &spec(&at, "valkey", values, &[&["auth", "password"]])).await;
    let workload = operate.workloads(&at).await.unwrap()[0].name.clone();
    operate.scale(&at, &workload, 0, LONG).await.unwrap();
    let (log, _) = ground.files("/valkey.log").pop().unwrap();
    let starts = || std::fs::read_to_string(&log).unwrap().matches(SAYS).count();
    let dump = log.with_file_name("valkey").join("dump.rdb");
    std::fs::write(&dump, "this is no dump").unwrap();

    // It refuses what it is given: that is said after a few starts, long before the deadline.
    let error = operate.scale(&at, &workload, 1, LONG).await.unwrap_err();
    let PlatformError::Failed { what, said, help } = &error else { panic!("{error:?}") };
    let wanted = "`valkey-primary-0/valkey` has ended before it was ready, 3 times in a row";
    assert_eq!(what, wanted);
    assert!(said.iter().any(|line| line.contains(SAYS)), "{said:?}");
    assert!(help.as_ref().unwrap().contains(log.to_str().unwrap()), "{help:?}");
    assert_eq!(starts(), 3);

    // It ends once and then does not any more: nobody has to ask again.
    let mended = until("another start", async || {
        (starts() > 3).then(|| std::fs::remove_file(&dump).unwrap())
    });
    let (scaled, ()) = tokio::join!(operate.scale(&at, &workload, 1, LONG), mended);
    scaled.unwrap();
    assert!(operate.workloads(&at).await.unwrap()[0].is_ready());
}
