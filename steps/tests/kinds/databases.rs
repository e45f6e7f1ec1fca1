//! Worlds with a database server for the contract of `postgres.*`.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{ErrorCause, Past, Step, With};

use super::fixture::Fixture;
use crate::cancel_when;
use crate::support::{PASSWORD, Postgres, World, until, with};

/// A world in which SQL says what is there.
struct OnServer {
    world: World,
    server: &'static Postgres,
    with: Value,
    /// Takes a lock that the step has to wait for.
    lock: (String, String),
    /// `t` where the effect is there.
    there: String,
    /// Puts another thing in its place, statement by statement.
    foreign: Vec<(String, String)>,
    /// All of the server that the step could change.
    print: String,
    /// A text in the server's log that says that the effect is there, for what changes nothing.
    logged: Option<String>,
}

impl OnServer {
    fn ask(&self, sql: &str) -> String {
        self.server.psql("postgres", sql)
    }
}

#[async_trait]
impl Fixture for OnServer {
    fn world(&self) -> &World {
        &self.world
    }

    fn with(&self) -> With {
        with(self.with.clone())
    }

    fn release(&self) {}

    async fn cut_off(&self, step: &dyn Step) {
        let lock = self.server.hold(&self.lock.0, &self.lock.1);
        let ours = format!(
            "from pg_stat_activity where application_name like 'workplan:{}:T01.x:%'",
            self.world.run
        );
        let waits = format!("select count(*) > 0 {ours} and wait_event_type = 'Lock'");
        let hands = self.world.hands(Past::Never);
        let blocked = || self.ask(&waits) == "t";
        let error = cancel_when(step, &hands, "the step waits for the lock", blocked).await;
        assert_eq!(error.cause, ErrorCause::Cancelled, "{error}");
        drop(lock);
        let left = format!("select count(*) {ours}");
        until("a cancelled step leaves no session", || self.ask(&left) == "0").await;
    }

    fn is_there(&self) -> bool {
        match &self.logged {
            Some(text) => self.server.log().contains(text),
            None => self.ask(&self.there) == "t",
        }
    }

    fn put_foreign(&self) {
        for (database, sql) in &self.foreign {
            self.server.psql(database, sql);
        }
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("server".to_owned(), self.ask(&self.print))])
    }
}

fn world() -> World {
    World::new()
        .of_new_run()
        .with_secret("env:PGPW", PASSWORD)
        .with_secret("env:APPPW", "pass of the app")
}

/// The fixture of one of the kinds.
pub(super) fn fixture(kind: &str) -> Option<Box<dyn Fixture>> {
    let server = Postgres::shared()?;
    Some(match kind {
        "postgres.compare" => Box::new(compare(server)),
        "postgres.copy" => Box::new(copy(server)),
        "postgres.database" => Box::new(database(server)),
        "postgres.fence" => Box::new(fence(server)),
        "postgres.publish" => Box::new(publish(server)),
        "postgres.role" => Box::new(role(server)),
        _ => return None,
    })
}

fn role(server: &'static Postgres) -> OnServer {
    let name = server.unique("app role");
    let verifier = "(select rolpassword from pg_authid where rolname = r.rolname)";
    OnServer {
        world: world(),
        server,
        with: json!({"on": server.by_tcp(), "name": name, "password": "env:APPPW"}),
        lock: ("postgres".to_owned(), "lock table pg_authid in share mode".to_owned()),
        there: format!(
            "select count(*) = 1 from pg_authid where rolname = '{name}' and rolcanlogin"
        ),
        foreign: vec![(
            "postgres".to_owned(),
            format!("drop role if exists \"{name}\"; create role \"{name}\" login password 'x'"),
        )],
        print: format!(
            "select r.*, {verifier}, shobj_description(oid, 'pg_authid') from pg_roles r \
             where rolname = '{name}'"
        ),
        logged: None,
    }
}

fn database(server: &'static Postgres) -> OnServer {
    let (name, owner) = (server.unique("new db"), server.unique("owner of it"));
    server.psql("postgres", &format!("create role \"{owner}\""));
    let world = world();
    let nascent = format!("{name}__wp_{}", world.run);
    OnServer {
        world,
        server,
        with: json!({"on": server.by_tcp(), "name": name, "owner": owner}),
        // `CREATE DATABASE` reads its template's row, and nobody else may be about to change it.
        lock: ("postgres".to_owned(), "lock table pg_database in share mode".to_owned()),
        there: format!("select count(*) = 1 from pg_database where datname = '{name}'"),
        foreign: vec![
            ("postgres".to_owned(), format!("drop database if exists \"{name}\"")),
            ("postgres".to_owned(), format!("create database \"{name}\"")),
        ],
        print: format!(
            "select datname, datdba, oid, shobj_description(oid, 'pg_database') from pg_database \
             where datname in ('{name}', '{nascent}')"
        ),
        logged: None,
    }
}

/// A small database with something of each kind in it.
fn small(server: &Postgres, stem: &str) -> (String, String) {
    let name = server.unique(stem);
    let table = server.unique("rows_of");
    server.psql("postgres", &format!("create database \"{name}\""));
    server.psql(
        &name,
        &format!(
            "create table {table} (id serial primary key, t text); \
             insert into {table} (t) values ('a'), (null), (''); \
             create index on {table} (t); create view v as select * from {table}; \
             select lo_from_bytea(0, 'large')"
        ),
    );
    (name, table)
}

fn copy(server: &'static Postgres) -> OnServer {
    let (name, table) = small(server, "source db");
    let world = world();
    let staging = format!("{name}__wp_{}", world.run);
    OnServer {
        world,
        server,
        with: json!({"from": server.by_tcp(), "to": server.by_tcp(), "database": name}),
        lock: (name.clone(), format!("lock table {table}")),
        there: format!(
            "select count(*) = 1 from pg_database where datname = '{staging}' \
             and shobj_description(oid, 'pg_database') like '%\"whole\":true%'"
        ),
        foreign: vec![
            ("postgres".to_owned(), format!("drop database if exists \"{staging}\" with (force)")),
            ("postgres".to_owned(), format!("create database \"{staging}\"")),
            (staging, "create table theirs ()".to_owned()),
        ],
        print: format!(
            "select datname, datdba, oid, shobj_description(oid, 'pg_database') from pg_database \
             where starts_with(datname, '{name}') order by 1"
        ),
        logged: None,
    }
}

fn compare(server: &'static Postgres) -> OnServer {
    let (name, table) = small(server, "left db");
    let other = format!("{name} copy");
    server.psql("postgres", &format!("create database \"{other}\" template \"{name}\""));
    for database in [&name, &other] {
        let sql = format!("alter database \"{database}\" set log_statement = 'all'");
        server.psql("postgres", &sql);
    }
    OnServer {
        world: world(),
        server,
        with: json!({"from": server.by_socket(Some(&name)), "to": server.by_socket(Some(&other))}),
        lock: (other.clone(), format!("lock table {table}")),
        there: String::new(),
        foreign: vec![
            ("postgres".to_owned(), format!("drop database \"{other}\" with (force)")),
            ("postgres".to_owned(), format!("create database \"{other}\"")),
        ],
        print: format!(
            "select datname, datdba, oid, shobj_description(oid, 'pg_database') from pg_database \
             where starts_with(datname, '{name}') order by 1"
        ),
        // Rows are digested when all else was read.
        logged: Some(format!("from only public.{table} as t")),
    }
}

fn fence(server: &'static Postgres) -> OnServer {
    let (name, role) = (server.unique("fenced db"), server.unique("its app"));
    server.psql("postgres", &format!("create role \"{role}\" login password 'x'"));
    server.psql("postgres", &format!("create database \"{name}\" owner \"{role}\""));
    let hers = format!("comment on database \"{name}\" is 'hers'");
    server.psql("postgres", &format!("alter database \"{name}\" connection limit 17; {hers}"));
    OnServer {
        world: world(),
        server,
        with: json!({"on": server.by_tcp(), "database": name, "roles": [role]}),
        lock: ("postgres".to_owned(), "lock table pg_authid in share mode".to_owned()),
        there: format!(
            "select datconnlimit = 0 and not rolcanlogin from pg_database, pg_roles \
             where datname = '{name}' and rolname = '{role}'"
        ),
        foreign: vec![
            ("postgres".to_owned(), format!("drop database \"{name}\"")),
            ("postgres".to_owned(), format!("create database \"{name}\"")),
        ],
        print: format!(
            "select d.oid, datname, datconnlimit, datacl, rolname, rolcanlogin, rolconnlimit, \
             shobj_description(d.oid, 'pg_database') from pg_database d, pg_roles \
             where datname = '{name}' and rolname = '{role}'"
        ),
        logged: None,
    }
}

fn publish(server: &'static Postgres) -> OnServer {
    let name = server.unique("published db");
    let staging = format!("{name}__wp_r1");
    let copied = json!({"from": {"system": "1", "oid": 1, "database": "d"}, "whole": true});
    let mark = format!("hers\nworkplan:r1:T01.copy:1 copy {copied}");
    server.psql("postgres", &format!("create database \"{staging}\""));
    server.psql("postgres", &format!("comment on database \"{staging}\" is '{mark}'"));
    let mut spec = server.by_tcp();
    spec["database"] = json!(staging);
    OnServer {
        world: world(),
        server,
        with: json!({"on": server.by_tcp(), "staging": spec.to_string(), "database": name}),
        lock: ("postgres".to_owned(), "lock table pg_database in share mode".to_owned()),
        there: format!("select count(*) = 1 from pg_database where datname = '{name}'"),
        foreign: vec![
            ("postgres".to_owned(), format!("drop database \"{name}\"")),
            ("postgres".to_owned(), format!("create database \"{name}\"")),
        ],
        print: format!(
            "select oid, datname, shobj_description(oid, 'pg_database') from pg_database \
             where starts_with(datname, '{name}') order by 1"
        ),
        logged: None,
    }
}
