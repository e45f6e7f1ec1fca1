//! The digest of a real server: what changes it, and what does not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use workplan_platform::sql::Writer;
use workplan_platform::{Endpoint, Network, Server};

use super::cluster::{Way, server};
use crate::lab::digest::Secrets;
use crate::lab::digest::document::Document;
use crate::lab::digest::keyed::Key;

const DEADLINE: Duration = Duration::from_secs(30);

/// A server on a socket, gone with its folder.
struct Postgres {
    folder: tempfile::TempDir,
    child: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The newest server's programs; `None`, and loudly so, where there are none.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path().join("bin")))
        .filter(|bin| bin.join("postgres").is_file())
        .collect();
    found.sort();
    if found.is_empty() {
        eprintln!("SKIPPED: there is no PostgreSQL server on this machine");
    }
    found.pop()
}

/// A command as somebody who may run PostgreSQL.
fn unprivileged(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

impl Postgres {
    fn start(bin: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let made = unprivileged(&bin.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--no-locale", "-E", "UTF8"])
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let child = unprivileged(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, child }
    }

    fn server(&self) -> Server {
        let at = Endpoint::Address { host: self.folder.path().display().to_string(), port: 5432 };
        Server {
            primary: at.clone(),
            nodes: vec![at],
            user: "postgres".to_owned(),
            password: None,
            database: None,
        }
    }

    async fn writer(&self, database: &str) -> Writer {
        let until = std::time::Instant::now() + DEADLINE;
        loop {
            let login = self.server().login(database, "test");
            match Writer::connect(&Network, &login, DEADLINE).await {
                Ok(writer) => return writer,
                Err(error) if std::time::Instant::now() > until => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn content(&self, secrets: &Secrets) -> Value {
        let found = self.server();
        let way = Way { view: &Network, server: &found, identity: "test" };
        server(&way, secrets).await.map_err(|failure| failure.message).unwrap()
    }
}

fn digest(content: &Value) -> String {
    let mut document = Document::default();
    document.put("postgres", content.clone());
    document.digest()
}

const BEGIN: &[&str] = &[
    "create role app login password 'it''s 100%:/ ü' connection limit 20",
    "create role reader",
    "grant reader to app",
    "create database shop owner app",
];

const SHOP: &str = r#"
    create table "user" (id serial primary key, name text, is_admin bool, last_login_unix bigint,
        updated_unix bigint);
    insert into "user" (name, is_admin, last_login_unix, updated_unix)
        values ('ann', true, 1, 1), ('bob', false, 1, 1), (null, false, 1, 1), ('', false, 1, 1);
    create table repository (id serial primary key, size bigint, raw bytea, at timestamptz);
    insert into repository (size, raw, at) select n, '\xff00', 'epoch' from generate_series(1, 50) n;
    create view large as select * from repository where size > 10;
    create function twice(n int) returns int language sql as 'select n * 2';
    create index "IDX_size" on repository (size) where size > 3;
    alter table repository add constraint positive check (size > 0);
    comment on table repository is 'things';
    select lo_from_bytea(4711, 'large');
"#;

/// What must change the digest, with what takes it back.
const CHANGES: &[(&str, &str)] = &[
    ("update repository set size = 99 where id = 7", "update repository set size = 7 where id = 7"),
    ("update \"user\" set name = '' where id = 3", "update \"user\" set name = null where id = 3"),
    (
        "update \"user\" set last_login_unix = 2 where name = 'bob'",
        "update \"user\" set last_login_unix = 1 where name = 'bob'",
    ),
    (
        "update repository set raw = '\\xff01' where id = 1",
        "update repository set raw = '\\xff00' where id = 1",
    ),
    ("insert into repository values (51, 51, '', 'epoch')", "delete from repository where id = 51"),
    ("alter table repository add column x int", "alter table repository drop column x"),
    ("alter index \"IDX_size\" rename to other", "alter index other rename to \"IDX_size\""),
    ("grant select on large to reader", "revoke select on large from reader"),
    ("alter table repository owner to app", "alter table repository owner to postgres"),
    ("comment on table repository is 'other'", "comment on table repository is 'things'"),
    (
        "create or replace function twice(n int) returns int language sql as 'select n * 3'",
        "create or replace function twice(n int) returns int language sql as 'select n * 2'",
    ),
    ("select setval('user_id_seq', 40)", "select setval('user_id_seq', 4)"),
    ("select setval('repository_id_seq', 3)", "select setval('repository_id_seq', 50)"),
    ("alter sequence user_id_seq increment 2", "alter sequence user_id_seq increment 1"),
    ("select lo_put(4711, 0, 'L')", "select lo_put(4711, 0, 'l')"),
    ("alter role app nologin", "alter role app login"),
    ("alter role app password 'other'", "alter role app password 'it''s 100%:/ ü'"),
    ("revoke reader from app", "grant reader to app"),
    ("alter database shop connection limit 0", "alter database shop connection limit -1"),
    ("alter database shop set work_mem = '5MB'", "alter database shop reset work_mem"),
    ("create extension pgcrypto", "drop extension pgcrypto"),
    ("create role other", "drop role other"),
];

/// What must not.
const MOVES: &[&str] = &[
    "update \"user\" set last_login_unix = 77, updated_unix = 78 where name = 'ann'",
    "select nextval('repository_id_seq')",
    "alter role app password 'it''s 100%:/ ü'",
    "update repository set size = size",
    "vacuum full repository",
    "analyze",
];

#[test]
fn every_change_shows_and_nothing_else_does() {
    let Some(bin) = programs() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let postgres = Postgres::start(&bin);
        let writer = postgres.writer("postgres").await;
        for statement in BEGIN {
            writer.run(statement).await.unwrap();
        }
        let shop = postgres.writer("shop").await;
        shop.run(SHOP).await.unwrap();
        let mut secrets = Secrets::new(Key::new(b"key"));
        secrets.values.insert("it's 100%:/ ü".as_bytes().to_vec());

        let content = postgres.content(&secrets).await;
        let app = &content["shared"]["roles"]["app"];
        assert!(app["password"].as_str().unwrap().starts_with("hmac:"), "{app}");
        let before = digest(&content);
        assert_eq!(digest(&postgres.content(&secrets).await), before);
        for (change, back) in CHANGES {
            if change.starts_with("create extension")
                && shop.run("create extension pgcrypto; drop extension pgcrypto").await.is_err()
            {
                eprintln!("SKIPPED: there is no extension pgcrypto on this machine");
                continue;
            }
            shop.run(change).await.unwrap();
            assert_ne!(digest(&postgres.content(&secrets).await), before, "{change}");
            shop.run(back).await.unwrap();
            assert_eq!(digest(&postgres.content(&secrets).await), before, "{back}");
        }
        for moved in MOVES {
            shop.run(moved).await.unwrap();
            assert_eq!(digest(&postgres.content(&secrets).await), before, "{moved}");
        }
    });
}
