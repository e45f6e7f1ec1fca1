//! A database moves: fence, copy, compare, publish, and all of it back.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use workplan_engine::kind::{Applied, Hands, Past, Seen, Step};

use super::{done, past, taken_back, world};
use crate::support::{Postgres, World, build, step};

/// Two servers in one: the source, and the name that the copy will have.
struct Move {
    server: &'static Postgres,
    old: String,
    new: String,
    role: String,
    world: World,
}

impl Move {
    fn new() -> Option<Self> {
        let server = Postgres::shared()?;
        let (old, role) = (server.unique("old home"), server.unique("dweller"));
        server.psql("postgres", &format!("create role \"{role}\" login"));
        server.psql("postgres", &format!("create database \"{old}\" owner \"{role}\""));
        server.psql("postgres", &format!("comment on database \"{old}\" is 'home'"));
        let make = "create table t (id serial primary key, t text); \
                    insert into t (t) select 'row ' || g from generate_series(1, 100) g";
        server.try_psql_as(&role, &old, make).unwrap();
        Some(Self { server, new: format!("{old} new"), old, role, world: world() })
    }

    fn fence(&self) -> Box<dyn Step> {
        let with = json!({"on": self.server.by_tcp(), "database": self.old, "roles": [self.role]});
        step("postgres.fence", with)
    }

    fn from(&self) -> Value {
        let mut from = self.server.by_tcp();
        from["database"] = json!(self.old);
        from
    }

    fn copy(&self) -> Box<dyn Step> {
        let to = self.server.by_tcp();
        step("postgres.copy", json!({"from": self.from(), "to": to, "database": self.new}))
    }

    fn compare(&self, copied: &BTreeMap<String, Value>) -> Box<dyn Step> {
        step("postgres.compare", json!({"from": self.from(), "to": copied["staging"]}))
    }

    fn publish(&self, staging: &Value, proof: Option<&Value>) -> Box<dyn Step> {
        let mut with =
            json!({"on": self.server.by_tcp(), "staging": staging, "database": self.new});
        if let Some(proof) = proof {
            with["proof"] = proof.clone();
        }
        step("postgres.publish", with)
    }

    /// All that belongs to the two databases and the role, in the server's shared catalog.
    fn print(&self) -> String {
        let sql = format!(
            "select datname, d.oid, datdba, datconnlimit, datacl, \
             shobj_description(d.oid, 'pg_database') from pg_database d \
             where starts_with(datname, '{0}') order by 1; \
             select * from pg_authid where rolname = '{1}'",
            self.old, self.role
        );
        self.server.psql("postgres", &sql)
    }

    fn writes(&self, database: &str) -> Result<String, String> {
        self.server.try_psql_as(&self.role, database, "insert into t (t) values ('new')")
    }
}

#[tokio::test]
async fn it_moves_and_stays_moved_and_goes_back() {
    let Some(home) = Move::new() else { return };
    let before = home.print();
    // Each attempt of the engine has another identity; here one step stands for all.
    let hands = home.world.hands(Past::Never);
    let fence = home.fence();
    let (fenced, _) = done(&*fence, &hands).await.unwrap();
    let copy = home.copy();
    let (copied, made) = done(&*copy, &hands).await.unwrap();
    let compare = home.compare(&made.outputs);
    let (_, proof) = done(&*compare, &hands).await.unwrap();
    assert_eq!(fence.observe(&hands).await.seen, Seen::Done, "reading opens nothing");
    let publish = home.publish(&made.outputs["staging"], Some(&proof.outputs["proof"]));
    let (published, named) = done(&*publish, &hands).await.unwrap();
    let names =
        format!("select datname from pg_database where starts_with(datname, '{}')", home.old);
    let names = home.server.psql("postgres", &format!("{names} order by 1"));
    assert_eq!(names, format!("{}\n{}", home.old, home.new));

    // A second look of the same run, of another run with the journal, and of one without.
    home.writes(&home.old).unwrap_err();
    home.server.psql(&home.new, "insert into t (t) values ('by users')");
    let other = world();
    for (who, pasts) in [
        ("the same run", [past(&made), past(&proof), past(&named)]),
        ("without a journal", [Past::Never, Past::Never, Past::Never]),
    ] {
        for world in [&home.world, &other] {
            everything_stands(&home, world, pasts.clone(), who).await;
        }
    }
    // Opened, and users at work: what holds then is what comes after.
    fence.undo(&hands, &fenced).await.unwrap();
    everything_stands(&home, &other, [past(&made), past(&proof), past(&named)], "opened").await;
    everything_stands(&home, &other, [Past::Never, Past::Never, Past::Never], "opened").await;
    // Written to in both places: somebody has to say which counts.
    home.writes(&home.old).unwrap();
    let seen = home.copy().observe(&other.look(past(&made))).await.seen;
    assert!(
        matches!(&seen, Seen::Unknown(why) if why.contains("which of them counts")),
        "{seen:?}"
    );

    taken_back(&*publish, &hands, &published).await;
    taken_back(&*copy, &hands, &copied).await;
    assert_eq!(fence.look_back(&hands, &fenced).await.seen, Seen::Absent);
    assert_eq!(home.print(), before);
    assert!(home.writes(&home.old).is_ok());
}

/// Copy, compare and publish look as a later run looks at them: done, and changing nothing.
async fn everything_stands(home: &Move, world: &World, pasts: [Past; 3], who: &str) {
    let before = home.print();
    let [copied, proven, published] = pasts;
    let copy = home.copy().observe(&world.look(copied.clone())).await;
    assert_eq!(copy.seen, Seen::Done, "{who}");
    let compare = home.compare(&copy.outputs);
    let proof = compare.observe(&world.look(proven)).await;
    assert_eq!(proof.seen, Seen::Done, "{who}");
    assert_eq!(proof.outputs["rows"], json!(100), "{who}");
    let publish = home.publish(&copy.outputs["staging"], Some(&proof.outputs["proof"]));
    let named = publish.observe(&world.look(published)).await;
    assert_eq!(named.seen, Seen::Done, "{who}");
    // With what the record says of the copy, its staging name.
    if let Past::Succeeded { outputs, .. } = copied {
        let compare = home.compare(&outputs);
        let record = "run r0".to_owned();
        let look = world.look(Past::Succeeded { record, outputs: proof.outputs.clone() });
        assert_eq!(compare.observe(&look).await.seen, Seen::Done, "{who}");
    }
    assert_eq!(home.print(), before, "{who}");
}

async fn copied(home: &Move, hands: &Hands) -> (Applied, Applied) {
    let (_, made) = done(&*home.copy(), hands).await.unwrap();
    let (_, proof) = done(&*home.compare(&made.outputs), hands).await.unwrap();
    (made, proof)
}

#[tokio::test]
async fn a_name_that_is_taken_is_never_touched() {
    let Some(home) = Move::new() else { return };
    let hands = home.world.hands(Past::Never);
    let (made, proof) = copied(&home, &hands).await;
    home.server.psql("postgres", &format!("create database \"{}\"", home.new));
    let before = home.print();
    let publish = home.publish(&made.outputs["staging"], Some(&proof.outputs["proof"]));
    assert!(matches!(publish.observe(&hands).await.seen, Seen::Unknown(_)));
    let error = publish.apply(&hands).await.unwrap_err();
    assert!(error.what.contains("no step published it"), "{error}");
    assert_eq!(home.print(), before);
    // One of ours, of an earlier time, is as taken.
    let mark = r#"workplan:r0:T.p:1 publish {"staging": "x"}"#;
    home.server.psql("postgres", &format!("comment on database \"{}\" is '{mark}'", home.new));
    let seen = publish.observe(&hands).await.seen;
    assert!(
        matches!(&seen, Seen::Unknown(why) if why.contains("published by workplan:r0")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn only_what_was_proven_is_published() {
    let Some(home) = Move::new() else { return };
    let hands = home.world.hands(Past::Never);
    let (made, proof) = copied(&home, &hands).await;
    let staging = made.outputs["staging"].clone();
    let database: Value = serde_json::from_str(staging.as_str().unwrap()).unwrap();
    home.server.psql(database["database"].as_str().unwrap(), "update t set t = 'x' where id = 7");
    let before = home.print();
    let error =
        home.publish(&staging, Some(&proof.outputs["proof"])).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("was written to since it was compared"), "{error}");
    assert_eq!(home.print(), before);

    let mut plain = database.clone();
    plain["database"] = json!(home.old);
    let error = home.publish(&json!(plain.to_string()), None).apply(&hands).await.unwrap_err();
    assert!(error.what.contains("no whole copy of ours"), "{error}");
    assert_eq!(home.print(), before);
}

/// Who is connected to a staging database is in nobody's way but ours.
#[tokio::test]
async fn who_is_connected_is_ended() {
    let Some(home) = Move::new() else { return };
    let hands = home.world.hands(Past::Never);
    let (made, proof) = copied(&home, &hands).await;
    let staging: Value = serde_json::from_str(made.outputs["staging"].as_str().unwrap()).unwrap();
    let at_staging = home.server.hold(staging["database"].as_str().unwrap(), "select 1");
    let publish = home.publish(&made.outputs["staging"], Some(&proof.outputs["proof"]));
    let (prepared, _) = done(&*publish, &hands).await.unwrap();
    let at_name = home.server.hold(&home.new, "select 1");
    taken_back(&*publish, &hands, &prepared).await;
    drop((at_staging, at_name));
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let on = json!("postgresql://h/d");
    for (given, key) in [
        (json!({"on": {"host": "h"}, "staging": "postgresql://h/s"}), "on"),
        (json!({"on": on, "staging": {"host": "h"}}), "staging"),
        (json!({"on": on, "staging": "postgresql://h/s", "database": "n".repeat(64)}), "database"),
        (json!({"on": on, "staging": "postgresql://h/s", "proof": "{}"}), "proof"),
    ] {
        let problems = build("postgres.publish", given).err().unwrap();
        assert_eq!(problems[0].key, key);
    }
    let open = "${{ steps.x.outputs.proof }}";
    assert!(build("postgres.publish", json!({"on": on, "staging": open, "proof": open})).is_ok());
}
