//! `postgres.copy` when something breaks.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::sync::Arc;

use workplan_engine::kind::{Past, Seen, Step, StepError};

use super::{done, world};
use crate::support::{PASSWORD, Postgres, World, interrupted, step, until};

/// A source and a target, each on a server.
struct Copying<'s> {
    source: &'s Postgres,
    target: &'s Postgres,
    database: String,
    world: World,
}

impl<'s> Copying<'s> {
    fn new(source: &'s Postgres, target: &'s Postgres) -> Self {
        let database = source.unique("source of faults");
        source.psql("postgres", &format!("create database \"{database}\""));
        let rows = "create table t (id serial primary key, t text); \
                    insert into t (t) select 'row ' || g from generate_series(1, 100) g";
        source.psql(&database, rows);
        Self { source, target, database, world: world() }
    }

    fn with(&self) -> Value {
        let mut from = self.source.by_tcp();
        from["database"] = json!(self.database);
        json!({"from": from, "to": self.target.by_tcp(), "database": self.name()})
    }

    fn step(&self) -> Box<dyn Step> {
        step("postgres.copy", self.with())
    }

    fn name(&self) -> String {
        format!("{} new", self.database)
    }

    fn staging(&self) -> String {
        format!("{}__wp_{}", self.name(), self.world.run)
    }

    fn ours(&self) -> String {
        format!(
            "from pg_stat_activity where starts_with(application_name, 'workplan:{}:')",
            self.world.run
        )
    }

    /// A server notices a moment later that the repair itself has hung up.
    async fn no_session_stays(&self, server: &Postgres) {
        let left = format!("select count(*) {}", self.ours());
        until("no session is left", || server.psql("postgres", &left) == "0").await;
    }

    /// All databases that a copy could touch.
    fn print(&self) -> String {
        let sql = format!(
            "select oid, datname, datdba, shobj_description(oid, 'pg_database') from pg_database \
             where starts_with(datname, '{}') order by 1",
            self.name()
        );
        self.target.psql("postgres", &sql)
    }

    /// A copy that waits for a table of the source, and a lock that makes it.
    async fn in_the_middle<T>(
        &self,
        then: impl AsyncFnOnce(tokio::task::JoinHandle<Result<(), StepError>>) -> T,
    ) -> T {
        let lock = self.source.hold(&self.database, "lock table t");
        let copy: Arc<dyn Step> = Arc::from(self.step());
        let hands = self.world.hands(Past::Never);
        let task = tokio::spawn(async move { copy.apply(&hands).await.map(drop) });
        let waits = format!("select count(*) > 0 {} and wait_event_type = 'Lock'", self.ours());
        until("the copy waits", || self.source.psql("postgres", &waits) == "t").await;
        let out = then(task).await;
        drop(lock);
        out
    }

    /// What is there after an attempt that ended early goes, and the next attempt comes to its end.
    async fn begins_afresh(&self) {
        let copy = self.step();
        let hands = self.world.hands(interrupted());
        let seen = copy.observe(&hands).await.seen;
        assert!(matches!(seen, Seen::Half(_)), "{seen:?}");
        copy.repair(&hands, &seen).await.unwrap();
        assert_eq!(self.print(), "");
        self.no_session_stays(self.target).await;
        assert_eq!(copy.observe(&hands).await.seen, Seen::Absent);
        let (_, applied) = done(&*copy, &hands).await.unwrap();
        assert_eq!(applied.outputs["rows"], json!(100));
    }
}

/// Dropping a future is what a kill leaves: nobody tells the server that nobody waits any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_leaves_sessions_that_the_next_one_ends() {
    let Some(server) = Postgres::shared() else { return };
    let copying = Copying::new(server, server);
    copying
        .in_the_middle(async |task| {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            // Whatever the dead engine's sessions still do, they hold what the next one needs.
            let half = copying.print();
            assert!(half.contains("\"whole\":false"), "{half}");
            let copy = copying.step();
            let hands = copying.world.hands(interrupted());
            let seen = copy.observe(&hands).await.seen;
            assert!(matches!(seen, Seen::Half(_)), "{seen:?}");
            copy.repair(&hands, &seen).await.unwrap();
            copying.no_session_stays(server).await;
            assert_eq!(copying.print(), "");
        })
        .await;
    let hands = copying.world.hands(interrupted());
    done(&*copying.step(), &hands).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_dies_is_named_and_the_half_copy_goes() {
    let Some(target) = Postgres::shared() else { return };
    let source = Postgres::own("").unwrap();
    let copying = Copying::new(&source, target);
    let error = copying
        .in_the_middle(async |task| {
            kill(Pid::from_raw(source.postmaster()), Signal::SIGQUIT).unwrap();
            task.await.unwrap().unwrap_err()
        })
        .await;
    let said = format!("{error} {:?}", error.said);
    assert!(said.contains(&source.port.to_string()) || said.contains("terminat"), "{said}");
    let hands = copying.world.hands(interrupted());
    let copy = copying.step();
    let seen = copy.observe(&hands).await.seen;
    assert!(matches!(seen, Seen::Half(_)), "{seen:?}");
    copy.repair(&hands, &seen).await.unwrap();
    assert_eq!(copying.print(), "");
    let error = copy.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("failed to connect to 127.0.0.1"), "{error}");
    assert_eq!(copying.print(), "", "nothing is made for a source that does not answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_crashes_is_waited_for_by_nobody_and_filled_afresh() {
    let Some(source) = Postgres::shared() else { return };
    let target = Postgres::own("").unwrap();
    let copying = Copying::new(source, &target);
    let (task,) = copying
        .in_the_middle(async |task| {
            let pid = format!("select pid {} limit 1", copying.ours());
            let pid: i32 = target.psql("postgres", &pid).parse().unwrap();
            // The server takes all others down and recovers.
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            until("it is back", || target.try_psql("postgres", "select 1").is_ok()).await;
            // It ends when the source gives its rows, not before.
            (task,)
        })
        .await;
    task.await.unwrap().unwrap_err();
    copying.begins_afresh().await;
}

/// A file that cannot grow is what a full disk is to the server: SQLSTATE 53100 for both.
#[tokio::test]
async fn no_space_is_said_as_such_and_what_was_begun_goes() {
    let Some(source) = Postgres::shared() else { return };
    let target = Postgres::own("-f 39071").unwrap();
    let copying = Copying::new(source, &target);
    let grow = "alter table t alter t set storage external; \
                insert into t (t) select repeat('x', 1000000) from generate_series(1, 30)";
    source.psql(&copying.database, grow);
    let hands = copying.world.hands(Past::Never);
    let copy = copying.step();
    let error = copy.apply(&hands).await.unwrap_err();
    let said = format!("{error} {:?} {:?}", error.said, error.help);
    assert!(said.contains("could not extend file") && said.contains("make room"), "{said}");
    let seen = copy.observe(&hands).await.seen;
    assert!(matches!(seen, Seen::Half(_)), "{seen:?}");
    copy.repair(&hands, &seen).await.unwrap();
    assert_eq!(copying.print(), "");
}

#[tokio::test]
async fn a_database_of_that_name_without_our_mark_is_never_touched() {
    let Some(server) = Postgres::shared() else { return };
    let copying = Copying::new(server, server);
    let named = copying.name();
    let mut filled = copying.with();
    filled.as_object_mut().unwrap().remove("database");
    filled["to"]["database"] = json!(named);
    for (database, with) in [(copying.staging(), copying.with()), (named, filled)] {
        server.psql("postgres", &format!("create database \"{database}\""));
        server.psql(&database, "create table theirs (a int); insert into theirs values (1)");
        let before = copying.print();
        let copy = step("postgres.copy", with);
        let hands = copying.world.hands(Past::Never);
        let seen = copy.observe(&hands).await.seen;
        assert!(matches!(&seen, Seen::Unknown(why) if why.contains("is not empty")), "{seen:?}");
        assert!(copy.apply(&hands).await.unwrap_err().what.contains("table public.theirs"));
        copy.repair(&hands, &seen).await.unwrap_err();
        assert_eq!(copying.print(), before);
        assert_eq!(server.psql(&database, "select a from theirs"), "1");
        server.psql("postgres", &format!("drop database \"{database}\" with (force)"));
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_and_nothing_is_made() {
    let Some(server) = Postgres::shared() else { return };
    let mut copying = Copying::new(server, server);
    let refs = [("env:PGPW", PASSWORD), ("env:WRONG", "not this one")];
    for (reference, value) in refs {
        copying.world = copying.world.with_secret(reference, value);
    }
    for side in ["from", "to"] {
        let mut with = copying.with();
        with[side]["password"] = json!("env:WRONG");
        let copy = step("postgres.copy", with);
        let hands = copying.world.hands(Past::Never);
        let error = copy.apply(&hands).await.unwrap_err();
        assert!(error.what.contains("refused the login of `postgres`"), "{side}: {error}");
        assert!(!format!("{error:?}").contains("not this one"));
        if side == "to" {
            let seen = copy.observe(&hands).await.seen;
            let refused = |why: &String| why.contains("refused the login");
            assert!(matches!(&seen, Seen::Unknown(why) if refused(why)), "{seen:?}");
        }
        assert_eq!(copying.print(), "");
    }
}
