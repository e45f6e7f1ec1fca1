//! The recipe `gitea` with a real Gitea on a real PostgreSQL.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use workplan_engine::kind::Hands;
use workplan_engine::process::{Account, ServiceSpec};
use workplan_platform::{Endpoint, Operate, ReleaseRef, Traffic, View};

use crate::support::{Ground, LONG, at, deploy, incarnations, spec, trial};

/// All that has a meaning in `app.ini`, a URL or a shell, and more than one byte a letter.
const PASSWORD: &str = "p'%:/ `#;\"é日本$x\\";
const ADMIN: &str = "a'%:/ `#;\"é日本$x\\-9A";

pub(crate) fn trials() -> Vec<Trial> {
    let all = vec![
        trial("gitea_starts_answers_and_keeps_its_secrets", it_starts_answers_and_keeps),
        trial("gitea_that_does_not_come_up_says_why", one_that_does_not_come_up),
        trial("traffic_is_shut_without_cutting_anybody_off", traffic_is_shut),
        trial("gitea_values_that_cannot_be_are_refused", values_that_cannot_be),
    ];
    if there() {
        return all;
    }
    // Loud, since otherwise nobody would know what was not proven.
    let left_out: Vec<String> = all.iter().map(|t| t.name().to_owned()).collect();
    say(&format!(
        "SKIPPED, there is no Gitea on this machine (`make setup`): {}",
        left_out.join(", ")
    ));
    Vec::new()
}

#[expect(clippy::print_stderr, reason = "for whoever runs the tests")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn there() -> bool {
    let home = std::env::var("HOME").unwrap_or_default();
    let caches = ["/var/cache/workplan-gitea".into(), format!("{home}/.cache/workplan/gitea")];
    let built = |cache: &String| {
        std::fs::read_dir(cache)
            .into_iter()
            .flatten()
            .flatten()
            .any(|version| version.path().join(".complete").exists())
    };
    caches.iter().any(built)
        || ["/usr/local/bin/gitea", "/usr/bin/gitea"]
            .iter()
            .any(|p| std::fs::exists(p).unwrap_or(false))
}

/// A PostgreSQL with a database for Gitea; gives its port. It ends with the ground.
async fn postgres(ground: &Ground, port: u16) -> u16 {
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().next().unwrap();
    let bin = bin.path().join("bin");
    let account = if Account::current().is_root() {
        Account::named("postgres").unwrap().unwrap()
    } else {
        Account::current()
    };
    let home = ground.dir().join("pg");
    std::fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(account.uid), Some(account.gid)).unwrap();
    let data = home.join("data");
    let run = |program: &str, args: &[&str]| {
        use std::os::unix::process::CommandExt;
        let done = Command::new(bin.join(program))
            .args(args)
            .current_dir(&home)
            .uid(account.uid)
            .gid(account.gid)
            .output()
            .unwrap();
        assert!(done.status.success(), "{program}: {done:?}");
    };
    run(
        "initdb",
        &["-D", data.to_str().unwrap(), "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"],
    );
    let hands = Hands::new(ground.look("pg"), None);
    hands
        .serve(ServiceSpec {
            program: bin.join("postgres"),
            args: [
                "-D",
                data.to_str().unwrap(),
                "-p",
                &port.to_string(),
                "-k",
                home.to_str().unwrap(),
            ]
            .into_iter()
            .chain(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .map(str::to_owned)
            .collect(),
            env: Vec::new(),
            cwd: home.clone(),
            account: Some(account),
            log: home.join("log"),
            entry: ground.dir().join("pg.service.json"),
            what: Value::Null,
        })
        .await
        .unwrap();
    let end = tokio::time::Instant::now() + LONG;
    let up = || {
        Command::new(bin.join("pg_isready"))
            .args(["-qh", "127.0.0.1", "-p", &port.to_string()])
            .status()
    };
    while !up().unwrap().success() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // By standard input: a test below looks at the arguments of all processes.
    let sql = home.join("sql");
    let quoted = PASSWORD.replace('\'', "''");
    let text = format!(
        "create role gitea login password '{quoted}';\ncreate database gitea owner gitea;\n"
    );
    std::fs::write(&sql, text).unwrap();
    let (socket, port_text) = (home.to_str().unwrap(), port.to_string());
    run("psql", &["-h", socket, "-p", &port_text, "-U", "postgres", "-wqf", sql.to_str().unwrap()]);
    // From now on a password counts.
    std::fs::write(
        data.join("pg_hba.conf"),
        "host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n",
    )
    .unwrap();
    run("pg_ctl", &["-D", data.to_str().unwrap(), "reload"]);
    port
}

fn values(port: u16) -> Value {
    json!({
        "postgresql-ha": {"enabled": false},
        "valkey-cluster": {"enabled": false},
        "ingress": {"enabled": true, "hosts": [{"host": "git.example.com"}]},
        "gitea": {
            "admin": {"username": "root1", "password": ADMIN, "email": "root1@example.test"},
            "config": {
                "APP_NAME": "Grüße",
                "database": {
                    "DB_TYPE": "postgres",
                    "HOST": format!("127.0.0.1:{port}"),
                    "NAME": "gitea",
                    "USER": "gitea",
                    "PASSWD": PASSWORD,
                },
            },
        },
        "externalDatabase": {"host": "nowhere"},
        "resources": {"limits": {"memory": "1Gi"}},
    })
}

const SECRET: &[&[&str]] =
    &[&["gitea", "config", "database", "PASSWD"], &["gitea", "admin", "password"]];

fn gitea() -> ReleaseRef {
    at("default", "gitea")
}

async fn get(
    endpoint: &Endpoint,
    view: &dyn View,
    path: &str,
    login: Option<&str>,
) -> (u16, String) {
    use base64::Engine as _;
    let way = view.reach(endpoint).await.unwrap();
    let login = login.map(|l| {
        format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(l))
    });
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n",
        login.unwrap_or_default()
    );
    let mut stream = tokio::net::TcpStream::connect(way.address).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    (text[9..12].parse().unwrap(), text)
}

async fn it_starts_answers_and_keeps(ground: Arc<Ground>) {
    let port = postgres(&ground, ground.port(30)).await;
    let operate = ground.operate("T02.deploy");
    let wanted = spec(&gitea(), "gitea", values(port), SECRET);
    let rendered = operate.render(&wanted).await.unwrap();
    let ignored: Vec<&str> = rendered.ignored.iter().map(|i| i.key.as_str()).collect();
    assert_eq!(ignored, ["externalDatabase", "resources.limits.memory"]);
    let notes = rendered.notes.join("\n");
    for said in ["`git.example.com` is 127.0.0.1:", "the queue is a file", "the chart 1.27.0"] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let shown = serde_json::to_string(&rendered.objects).unwrap();
    assert!(!shown.contains("日本"), "{shown}");

    let watch = Arguments::watch();
    assert_eq!(deploy(&operate, &wanted).await, 1);
    let app = operate.app(&gitea()).await.unwrap();
    assert_eq!(app.workload, "gitea");
    let outside = app.outside.clone().unwrap();
    for endpoint in [&app.inside, &outside] {
        let (status, text) = get(endpoint, &operate, "/api/healthz", None).await;
        assert_eq!(status, 200, "{text}");
        let login = format!("root1:{ADMIN}");
        let (status, text) = get(endpoint, &operate, "/api/v1/user", Some(&login)).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("\"is_admin\":true"), "{text}");
        assert_eq!(get(endpoint, &operate, "/api/v1/user", Some("root1:x")).await.0, 401);
    }
    let config = &app.config;
    assert_eq!(config["database"]["HOST"], format!("127.0.0.1:{port}"));
    assert_eq!(config["DEFAULT"]["APP_NAME"], "Grüße");
    assert!(config["database"]["PASSWD"].starts_with("hmac:"));
    assert!(config["security"]["SECRET_KEY"].starts_with("hmac:"));
    assert_eq!(config["queue"]["TYPE"], "level");
    let (admin, key) = app.admin.clone().unwrap();
    assert_eq!(admin, "root1");
    let secret = operate.secret(&key.namespace, &key.secret).await.unwrap().unwrap();
    assert_eq!(secret[&key.key].reveal(), ADMIN.as_bytes());

    // Deploying it again touches nothing; another password of the administrator's restarts it, and
    // what only `app.ini` has stays.
    let before = incarnations(&operate, &gitea()).await;
    assert_eq!(before.len(), 2, "{before:?}");
    assert_eq!(deploy(&operate, &wanted).await, 1);
    assert_eq!(incarnations(&operate, &gitea()).await, before);
    let mut other = values(port);
    other["gitea"]["admin"]["password"] = json!("another-Pass1");
    deploy(&operate, &spec(&gitea(), "gitea", other, SECRET)).await;
    let (status, _) = get(&outside, &operate, "/api/v1/user", Some("root1:another-Pass1")).await;
    assert_eq!(status, 200);
    let tokens =
        get(&outside, &operate, "/api/v1/users/root1/tokens", Some("root1:another-Pass1")).await;
    assert!(tokens.1.trim_end().ends_with("[]"), "{}", tokens.1);
    let after = operate.app(&gitea()).await.unwrap().config;
    assert_eq!(after["security"], config["security"]);

    let argv = ["gitea", "manager", "flush-queues"].map(str::to_owned);
    let flushed = operate.exec(&gitea(), "gitea", &argv, LONG).await.unwrap();
    assert_eq!(
        (flushed.code, String::from_utf8_lossy(&flushed.stdout).trim()),
        (Some(0), "Flushed")
    );

    operate.scale(&gitea(), "gitea", 0, LONG).await.unwrap();
    assert_eq!(get(&outside, &operate, "/", None).await.0, 503);
    assert_eq!(operate.app(&gitea()).await.unwrap().config["security"], config["security"]);
    operate.scale(&gitea(), "gitea", 1, LONG).await.unwrap();
    assert_eq!(get(&outside, &operate, "/api/healthz", None).await.0, 200);

    assert_eq!(watch.seen(), Vec::<String>::new(), "passwords among arguments");
    operate.uninstall(&gitea()).await.unwrap();
    let volumes = operate.volumes(&gitea()).await.unwrap();
    assert_eq!(volumes[0].claim, "gitea-shared-storage");
    assert!(volumes[0].path.as_ref().unwrap().join("gitea/conf/app.ini").exists());
}

/// Looks at the arguments of all processes, again and again.
struct Arguments {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Arguments {
    fn watch() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !told.load(Ordering::Relaxed) {
                for process in std::fs::read_dir("/proc").unwrap().flatten() {
                    let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                    let words = String::from_utf8_lossy(&words).into_owned();
                    if words.contains("日本") || words.contains("another-Pass1") {
                        seen.push(words);
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Self { stop, thread }
    }

    fn seen(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn one_that_does_not_come_up(ground: Arc<Ground>) {
    let operate = ground.operate("T02.deploy");
    let mut broken = values(1);
    broken["gitea"]["config"]["database"]["DB_RETRIES"] = json!(1);
    let mut wanted = spec(&gitea(), "gitea", broken, SECRET);
    wanted.timeout = LONG;
    let error = operate.deploy(&wanted).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("connection refused"), "{text}");
    assert!(!text.contains("日本"), "{text}");
}

async fn traffic_is_shut(ground: Arc<Ground>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let port = postgres(&ground, ground.port(30)).await;
    let operate = ground.operate("T02.deploy");
    let mut wanted = spec(&gitea(), "gitea", values(port), SECRET);
    wanted.quarantine = true;
    deploy(&operate, &wanted).await;
    assert_eq!(operate.traffic(&gitea()).await.unwrap(), Traffic::Shut);
    let app = operate.app(&gitea()).await.unwrap();
    let outside = operate.reach(&app.outside.clone().unwrap()).await.unwrap().address;
    assert!(tokio::net::TcpStream::connect(outside).await.is_err());
    assert_eq!(get(&app.inside, &operate, "/api/healthz", None).await.0, 200);
    assert_eq!(operate.connections(&gitea()).await.unwrap(), Some(Vec::new()));

    operate.set_traffic(&gitea(), true).await.unwrap();
    operate.set_traffic(&gitea(), true).await.unwrap();
    assert_eq!(operate.traffic(&gitea()).await.unwrap(), Traffic::Open);
    // A login that is being sent.
    let mut slow = tokio::net::TcpStream::connect(outside).await.unwrap();
    let head = "POST /user/login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 22\r\n\r\nuser_name=";
    slow.write_all(head.as_bytes()).await.unwrap();
    let end = tokio::time::Instant::now() + LONG;
    while operate.connections(&gitea()).await.unwrap().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    operate.set_traffic(&gitea(), false).await.unwrap();
    assert_eq!(operate.traffic(&gitea()).await.unwrap(), Traffic::Shut);
    assert!(tokio::net::TcpStream::connect(outside).await.is_err());
    assert_eq!(operate.connections(&gitea()).await.unwrap().unwrap().len(), 1);
    // It is opened again beside the one who is still inside.
    operate.set_traffic(&gitea(), true).await.unwrap();
    operate.set_traffic(&gitea(), false).await.unwrap();
    slow.write_all(b"x&password=y").await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(slow);
    while !operate.connections(&gitea()).await.unwrap().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn values_that_cannot_be(ground: Arc<Ground>) {
    let operate = ground.operate("T02.deploy");
    let refused = async |change: fn(&mut Value)| {
        let mut values = values(1);
        change(&mut values);
        let error = operate.render(&spec(&gitea(), "gitea", values, SECRET)).await.unwrap_err();
        error.to_string()
    };
    let both = refused(|v| {
        v["valkey-cluster"]["enabled"] = json!(true);
        v["valkey"] = json!({"enabled": true});
    });
    assert!(both.await.contains("`valkey-cluster.enabled` and `valkey.enabled` exclude"));
    let none = refused(|v| v["gitea"]["config"] = json!({})).await;
    assert!(none.contains("`gitea.config.database` names none"), "{none}");
    let quoted = refused(|v| v["gitea"]["config"]["database"]["PASSWD"] = json!("\"x\"")).await;
    assert!(quoted.contains("`PASSWD` in section `database`"), "{quoted}");
    let listed = refused(|v| v["gitea"]["config"]["server"] = json!({"X": []})).await;
    assert!(listed.contains("`gitea.config.server.X` is not a text"), "{listed}");
}
