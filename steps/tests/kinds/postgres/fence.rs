//! `postgres.fence`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use workplan_engine::kind::{ErrorCause, Past, Prepared, Seen, Step};

use super::{done, taken_back, world};
use crate::support::{LocalWorld, Postgres, World, build, step, until};

/// A database with its application's role.
struct House {
    server: &'static Postgres,
    database: String,
    role: String,
    world: World,
}

impl House {
    fn new() -> Option<Self> {
        let server = Postgres::shared()?;
        let (database, role) = (server.unique("house of \"it\""), server.unique("o'app"));
        let (d, r) = (quoted(&database), quoted(&role));
        server.psql("postgres", &format!("create role {r} login connection limit 40"));
        server.psql("postgres", &format!("create database {d} owner {r} connection limit 30"));
        server.psql("postgres", &format!("comment on database {d} is 'of \nthe house'"));
        server.psql(&database, "create table t (a int); alter table t owner to current_user");
        Some(Self { server, database, role, world: world() })
    }

    fn with(&self) -> Value {
        json!({"on": self.server.by_tcp(), "database": self.database, "roles": [self.role]})
    }

    fn fence(&self) -> Box<dyn Step> {
        step("postgres.fence", self.with())
    }

    fn admin(&self, sql: &str) -> String {
        self.server.psql("postgres", sql)
    }

    /// All that a fence changes.
    fn print(&self) -> String {
        self.admin(&format!(
            "select datconnlimit, datallowconn, datacl, shobj_description(d.oid, 'pg_database'), \
             a.* from pg_database d, pg_authid a where datname = {} and rolname = {}",
            text(&self.database),
            text(&self.role)
        ))
    }

    fn enters(&self) -> Result<String, String> {
        self.server.try_psql_as(&self.role, &self.database, "select 'in'")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

#[tokio::test]
async fn users_are_out_until_it_is_opened_and_a_superuser_is_let_in() {
    let Some(house) = House::new() else { return };
    let before = house.print();
    let hands = house.world.hands(Past::Never);
    let idle = house.server.hold_as(&house.role, &house.database, "rollback; select 1");
    let elsewhere = house.server.hold_as(&house.role, "postgres", "select 1");
    let fence = house.fence();
    let seen = fence.observe(&hands).await;
    assert_eq!(seen.seen, Seen::Absent);
    let changes = fence.preview(&hands, &seen).await;
    assert_eq!(
        changes.iter().map(|c| c.op.as_str()).collect::<Vec<_>>(),
        ["update", "update", "delete"]
    );

    let (prepared, applied) = done(&*fence, &hands).await.unwrap();
    assert_eq!(applied.outputs["ended"], json!(1));
    assert_eq!(applied.outputs["connected"], json!([]));
    assert!(applied.outputs["position"].as_str().is_some_and(|at| at.contains('/')));
    assert!(house.enters().unwrap_err().contains("not permitted to log in"));
    house.admin(&format!("alter role {} login", quoted(&house.role)));
    assert!(house.enters().unwrap_err().contains("too many connections"));
    let seen = fence.observe(&hands).await.seen;
    assert!(matches!(&seen, Seen::Half(what) if what.contains("can log in")), "{seen:?}");
    fence.repair(&hands, &seen).await.unwrap();
    assert_eq!(fence.observe(&hands).await.seen, Seen::Done);
    assert_eq!(house.server.psql(&house.database, "select 'in'"), "in");
    // Only what concerns the database counts.
    let there =
        format!("select count(*) from pg_stat_activity where usename = {}", text(&house.role));
    assert_eq!(house.admin(&there), "1");

    taken_back(&*fence, &hands, &prepared).await;
    assert_eq!(house.print(), before);
    assert_eq!(house.enters().unwrap(), "in");
    drop((idle, elsewhere));
}

#[tokio::test]
async fn another_process_opens_it_and_another_run_does_not() {
    let Some(house) = House::new() else { return };
    let off = house.server.unique("off");
    house.admin(&format!("create role {off} nologin"));
    let before = house.print();
    let mut with = house.with();
    with["roles"] = json!([house.role, off]);
    let hands = house.world.hands(Past::Never);
    let (prepared, _) = done(&*step("postgres.fence", with.clone()), &hands).await.unwrap();
    drop(hands);

    let other = world();
    let theirs = other.hands(Past::Never);
    let fence = step("postgres.fence", with.clone());
    let seen = fence.observe(&theirs).await;
    assert_eq!(seen.seen, Seen::Done, "whoever put it up");
    let by = seen.facts.0["fenced_by"].value.clone().unwrap();
    assert!(by.as_str().unwrap().contains(&house.world.run), "{by}");
    assert!(matches!(fence.look_back(&theirs, &prepared).await.seen, Seen::Unknown(_)));
    assert!(fence.undo(&theirs, &prepared).await.is_err());

    // What the journal kept is told from what the database says: the journal's copy is older here.
    let again = house.world.hands(Past::Never);
    taken_back(&*step("postgres.fence", with), &again, &prepared).await;
    assert_eq!(house.print(), before);
    assert_eq!(
        house.admin(&format!("select rolcanlogin from pg_roles where rolname = '{off}'")),
        "f"
    );
}

/// A fence that a dead run left and somebody opened in part: what was before it is not forgotten.
#[tokio::test]
async fn a_fence_of_a_dead_run_is_put_up_anew_and_opened_as_before_it() {
    let Some(house) = House::new() else { return };
    let before = house.print();
    done(&*house.fence(), &house.world.hands(Past::Never)).await.unwrap();
    house.admin(&format!("alter database {} connection limit 5", quoted(&house.database)));

    let other = world();
    let hands = other.hands(Past::Never);
    let fence = house.fence();
    assert_eq!(fence.observe(&hands).await.seen, Seen::Absent);
    let (prepared, _) = done(&*fence, &hands).await.unwrap();
    taken_back(&*fence, &hands, &prepared).await;
    assert_eq!(house.print(), before);
}

#[tokio::test]
async fn what_a_fence_could_not_keep_out_is_refused_before_anything_is_done() {
    let Some(house) = House::new() else { return };
    let (server, d) = (house.server, &house.database);
    let boss = server.unique("boss");
    server.psql("postgres", &format!("create role {boss} superuser login"));
    let hands = house.world.hands(Past::Never);
    let before = house.print();
    let refused = async |with: Value, words: &str| {
        let error = step("postgres.fence", with).apply(&hands).await.unwrap_err();
        assert_eq!(error.cause, ErrorCause::NotStarted, "{error}");
        assert!(error.what.contains(words), "{error}");
        assert!(error.help.is_some() || words.contains("no role"), "{error}");
        assert_eq!(house.print(), before, "{words}");
    };
    let roles = |role: &str| {
        let mut with = house.with();
        with["roles"] = json!([role]);
        with
    };
    refused(roles(&boss), "is a superuser").await;
    refused(roles("nobody of that name"), "there is no role").await;
    let mut as_app = house.with();
    as_app["on"]["user"] = json!(house.role);
    as_app["on"]["host"] = server.by_socket(None)["host"].clone();
    refused(as_app, "is no superuser").await;

    server.psql(d, "begin; insert into t values (1); prepare transaction 'left over'");
    refused(house.with(), "prepared transactions: `left over`").await;
    server.psql(d, "rollback prepared 'left over'");

    let sub = server.unique("sub");
    let far = "connection 'host=/nowhere' publication p with (connect = false, slot_name = none)";
    server.psql(d, &format!("create subscription {sub} {far}"));
    server.psql("postgres", &format!("update pg_subscription set subenabled = true, subslotname = 'x' where subname = '{sub}'"));
    refused(house.with(), "a subscription writes").await;
    server.psql("postgres", &format!("update pg_subscription set subenabled = false, subslotname = null where subname = '{sub}'"));
    server.psql(d, &format!("drop subscription {sub}"));

    // pg_cron itself is not in every installation; its table is what is asked.
    server.psql(
        d,
        "create schema cron; create table cron.job (jobid int, username text, database text, active bool)",
    );
    let job =
        |who: &str| format!("insert into cron.job values (7, {}, {}, true)", text(who), text(d));
    server.psql(d, &job(&boss));
    refused(house.with(), "as a superuser: job 7").await;
    server.psql(d, &format!("truncate cron.job; {}", job(&house.role)));

    server.psql(d, "select pg_create_logical_replication_slot('of_the_house', 'test_decoding')");
    let applied = house.fence().apply(&hands).await.unwrap();
    server.psql(d, "select pg_drop_replication_slot('of_the_house')");
    let said = applied.notes.join("\n");
    assert!(said.contains("slot `of_the_house`") && said.contains("pg_cron's job 7"), "{said}");
}

/// A process that is stopped takes no signal: told in time, by number, and the way back is open.
#[tokio::test]
async fn a_writer_that_does_not_go_is_a_failure_with_a_name() {
    let Some(house) = House::new() else { return };
    let before = house.print();
    let writing = house.server.hold_as(&house.role, &house.database, "create temp table x ()");
    let find =
        format!("select pid from pg_stat_activity where datname = {}", text(&house.database));
    let pid: i32 = house.admin(&find).parse().unwrap();
    struct Woken(Pid);
    impl Drop for Woken {
        fn drop(&mut self) {
            // Where it is gone already, so much the better.
            let _ = kill(self.0, Signal::SIGCONT);
        }
    }
    let woken = Woken(Pid::from_raw(pid));
    kill(woken.0, Signal::SIGSTOP).unwrap();

    let mut with = house.with();
    with["wait"] = json!("200ms");
    let fence = step("postgres.fence", with);
    let hands = house.world.hands(Past::Never);
    let prepared = fence.prepare(&hands).await.unwrap();
    let error = fence.apply(&hands).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::Failed);
    assert!(error.what.contains("still there after 200ms"), "{error}");
    assert!(
        error.said[0].contains(&format!("process {pid}: `test` as `{}`", house.role)),
        "{error:?}"
    );
    let seen = fence.observe(&hands).await.seen;
    assert!(matches!(&seen, Seen::Half(what) if what.contains("still connected")), "{seen:?}");
    assert!(house.enters().is_err(), "nobody else comes in meanwhile");

    taken_back(&*fence, &hands, &prepared).await;
    assert_eq!(house.print(), before);
    drop(woken);
    until("the process goes when it wakes", || house.admin(&find).is_empty()).await;
    drop(writing);
}

#[tokio::test]
async fn what_somebody_changed_meanwhile_is_not_overwritten() {
    let Some(house) = House::new() else { return };
    let hands = house.world.hands(Past::Never);
    let fence = house.fence();
    let (prepared, _) = done(&*fence, &hands).await.unwrap();
    house.admin(&format!("alter database {} connection limit 5", quoted(&house.database)));
    let now = house.print();
    let seen = fence.look_back(&hands, &prepared).await.seen;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("is 5 now")), "{seen:?}");
    assert!(fence.undo(&hands, &prepared).await.is_err());
    assert_eq!(house.print(), now);
}

#[tokio::test]
async fn a_server_that_was_taken_away_is_written_to_by_nobody() {
    let world = LocalWorld::new();
    let on = json!({"release": "gone", "namespace": "default"});
    let fence = step("postgres.fence", json!({"on": on, "database": "d", "roles": ["app"]}));
    let seen = fence.observe(&world.0.look(Past::Never)).await;
    assert_eq!(seen.seen, Seen::Done);
    let said = seen.facts.0["server"].value.clone().unwrap();
    assert!(said.as_str().unwrap().starts_with("gone"), "{said}");
    assert!(fence.undo(&world.0.hands(Past::Never), &Prepared::default()).await.is_err());
}

#[test]
fn what_is_wrong_is_told_at_once() {
    for (given, key) in [
        (json!({"on": "postgresql://h/d", "roles": []}), "roles"),
        (json!({"on": "postgresql://h/d", "roles": ["r".repeat(64)]}), "roles"),
        (json!({"on": {"host": "h"}, "roles": ["r"]}), "on"),
    ] {
        let problems = build("postgres.fence", given).err().unwrap();
        assert_eq!(problems[0].key, key);
    }
}
