//! The recipe `postgresql-ha`: a real cluster of three with its pooler.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio_postgres::SimpleQueryMessage;
use workplan_engine::kind::Secret;
use workplan_platform::local::LocalOperate;
use workplan_platform::sql::{Login, Reader, SqlError, Writer};
use workplan_platform::values::written;
use workplan_platform::{
    Endpoint, Fault, Operate, PartRef, PlatformError, ReleaseRef, SecretKey, View, deployed,
};

use crate::support::{Ground, LONG, at, deploy, incarnations, spec, trial, until};

const DEADLINE: Duration = Duration::from_secs(5);
/// Characters that one or the other of the files and tools would read as its own.
const HARD: &str = "p'%:/ \\#\"wörd=";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_cluster_comes_up_and_takes_logins", a_cluster_comes_up_and_takes_logins),
        trial("a_cluster_that_cannot_start_says_why", one_that_cannot_start),
        trial("faults_are_mended", faults_are_mended),
    ]
}

/// What a values file would keep encrypted.
const SECRETS: &[&[&str]] = &[
    &["postgresql", "password"],
    &["postgresql", "postgresPassword"],
    &["postgresql", "repmgrPassword"],
    &["pgpool", "adminPassword"],
    &["pgpool", "srCheckPassword"],
    &["pgpool", "customUsers", "passwords"],
];

/// The values that are shipped, with names and passwords that try more.
pub(crate) fn values() -> Value {
    let shipped = include_bytes!("../../../helm/postgresql-ha-values.yaml").to_vec();
    let shipped = written(Path::new("postgresql-ha-values.yaml"), shipped).unwrap();
    let mut values = Value::Object(shipped.tree);
    for (part, more) in [
        (
            "postgresql",
            json!({
                "username": "gitea",
                "database": "gitea",
                "password": HARD,
                "postgresPassword": format!("postgres-{HARD}"),
                "repmgrPassword": format!("repmgr-{HARD}"),
            }),
        ),
        (
            "pgpool",
            json!({
                "adminPassword": format!("admin-{HARD}"),
                "srCheckPassword": format!("check-{HARD}"),
                "customUsers": {"usernames": "app;other", "passwords": "app-p'%:/ \\wörd;other"},
                "numInitChildren": 8,
            }),
        ),
    ] {
        let Value::Object(more) = more else { unreachable!() };
        values[part].as_object_mut().unwrap().extend(more);
    }
    values
}

pub(crate) fn release() -> ReleaseRef {
    at("platform", "postgresql-ha")
}

async fn login(
    view: &dyn View,
    endpoint: &Endpoint,
    user: &(String, SecretKey),
    database: &str,
) -> Login {
    Login {
        endpoint: endpoint.clone(),
        user: user.0.clone(),
        password: Some(deployed(view, &user.1).await.unwrap()),
        database: database.to_owned(),
        application: "test".to_owned(),
    }
}

/// A cluster of three, deployed.
async fn cluster(ground: &Ground) -> (LocalOperate, PartRef) {
    let operate = ground.operate("T01.deploy");
    let wanted = spec(&release(), "postgresql-ha", values(), SECRETS);
    assert_eq!(deploy(&operate, &wanted).await, 1);
    let part = PartRef { release: release(), part: None };
    (operate, part)
}

async fn superuser(view: &dyn View, part: &PartRef) -> Writer {
    let ha = view.postgres(part).await.unwrap();
    let login = login(view, &ha.pooler.unwrap(), &ha.superuser, "postgres").await;
    Writer::connect(view, &login, DEADLINE).await.unwrap()
}

/// Which nodes say that they lead, and how many standbys receive from the first of them.
async fn primaries(view: &dyn View, part: &PartRef) -> (Vec<String>, i64) {
    let ha = view.postgres(part).await.unwrap();
    let (mut leading, mut streaming) = (Vec::new(), 0);
    for node in &ha.nodes {
        let login = login(view, &node.endpoint, &ha.superuser, "postgres").await;
        let Ok(reader) = Reader::connect(view, &login, DEADLINE).await else { continue };
        let sql = "select pg_is_in_recovery(), (select count(*) from pg_stat_replication)";
        let Ok(rows) = reader.rows(sql, &[]).await else { continue };
        if !rows[0].get::<_, bool>(0) {
            leading.push(node.name.clone());
            streaming = rows[0].get(1);
        }
    }
    (leading, streaming)
}

/// Whether every node has a role: a standby may be behind.
async fn known_everywhere(view: &dyn View, part: &PartRef, role: &str) -> Option<()> {
    let ha = view.postgres(part).await.unwrap();
    for node in &ha.nodes {
        let login = login(view, &node.endpoint, &ha.superuser, "postgres").await;
        let reader = Reader::connect(view, &login, DEADLINE).await.unwrap();
        let sql = "select from pg_roles where rolname = $1";
        reader.rows(sql, &[&role]).await.unwrap().first()?;
    }
    Some(())
}

/// Whether two standbys follow this one and repmgr has it on record: it does so when its `standby
/// follow` has ended. A fault before that finds a repmgrd that is still busy with the last one.
async fn redundant(view: &dyn View, part: &PartRef, leader: &str) -> Option<()> {
    if primaries(view, part).await != (vec![leader.to_owned()], 2) {
        return None;
    }
    let ha = view.postgres(part).await.unwrap();
    let node = ha.nodes.iter().find(|n| n.name == leader)?;
    let login = login(view, &node.endpoint, &ha.superuser, "repmgr").await;
    let reader = Reader::connect(view, &login, DEADLINE).await.ok()?;
    let sql = "select count(*) from repmgr.nodes s join repmgr.nodes p on s.upstream_node_id = p.node_id \
               where s.active and p.active and p.type = 'primary' and p.node_name = $1";
    let rows = reader.rows(sql, &[&leader]).await.ok()?;
    (rows[0].get::<_, i64>(0) == 2).then_some(())
}

async fn a_cluster_comes_up_and_takes_logins(ground: Arc<Ground>) {
    let (operate, part) = cluster(&ground).await;
    for workload in operate.workloads(&part.release).await.unwrap() {
        assert!(workload.is_ready(), "{workload:?}");
    }
    assert_eq!(
        primaries(&operate, &part).await,
        (vec!["postgresql-ha-postgresql-0".to_owned()], 2)
    );
    let ha = operate.postgres(&part).await.unwrap();
    assert_eq!(ha.missing, [""; 0]);
    let pooler = ha.pooler.clone().unwrap();
    let writer = superuser(&operate, &part).await;
    let app = "create role app login password $$app-p'%:/ \\wörd$$";
    writer.run(app).await.unwrap();
    writer.run("create role other login password 'other'").await.unwrap();
    // The pooler asks standbys for a login, too.
    until("the roles on every node", || known_everywhere(&operate, &part, "other")).await;
    // Every user that the pooler was told of, with the deployed password.
    let names: Vec<&str> = ha.pool_users.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["postgres", "gitea", "app", "other"]);
    for user in &ha.pool_users {
        let login = login(&operate, &pooler, user, "postgres").await;
        let reader = Reader::connect(&operate, &login, DEADLINE).await.unwrap();
        let rows = reader.rows("select current_user::text", &[]).await.unwrap();
        assert_eq!(rows[0].get::<_, &str>(0), user.0);
    }
    let answer = writer.client().simple_query("show pool_nodes").await.unwrap();
    let states: Vec<(&str, &str)> = answer
        .iter()
        .filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some((row.get("status")?, row.get("pg_role")?)),
            _ => None,
        })
        .collect();
    assert_eq!(states, [("up", "primary"), ("up", "standby"), ("up", "standby")]);
    // The cluster's own users, on every node.
    let own = [ha.superuser.clone(), ha.sr_check.clone().unwrap(), ha.replication.clone().unwrap()];
    for node in &ha.nodes {
        for user in &own {
            let login = login(&operate, &node.endpoint, user, "postgres").await;
            let reader = Reader::connect(&operate, &login, DEADLINE).await.unwrap();
            let sql = "select rolsuper, pg_has_role('pg_monitor', 'member') from pg_roles \
                       where rolname = current_user";
            let rows = reader.rows(sql, &[]).await.unwrap();
            assert_eq!(rows[0].get::<_, bool>(0), user.0 != "sr_check_user", "{}", user.0);
            assert!(rows[0].get::<_, bool>(1), "{}", user.0);
        }
    }
    let owner = ha.pool_users.iter().find(|(name, _)| name == "gitea").unwrap();
    let login_owner = login(&operate, &pooler, owner, "gitea").await;
    let owning = Writer::connect(&operate, &login_owner, DEADLINE).await.unwrap();
    owning.run("create table t (n int)").await.unwrap();
    let mut wrong = login(&operate, &pooler, &ha.superuser, "postgres").await;
    wrong.password = Some(Secret::new(*b"wrong"));
    for endpoint in [&pooler, &ha.nodes[0].endpoint] {
        wrong.endpoint = endpoint.clone();
        let refused = Reader::connect(&operate, &wrong, DEADLINE).await.err().unwrap();
        assert!(matches!(refused, SqlError::Refused { .. }), "{refused}");
    }
    // The same values again change nothing; no password is where it should not be.
    let wanted = spec(&part.release, "postgresql-ha", values(), SECRETS);
    let rendered = operate.render(&wanted).await.unwrap();
    assert_eq!(operate.objects(&part.release).await.unwrap(), rendered.objects);
    assert!(!format!("{rendered:?}").contains("wörd"), "{rendered:#?}");
    let before = incarnations(&operate, &part.release).await;
    assert_eq!(deploy(&operate, &wanted).await, 1);
    assert_eq!(incarnations(&operate, &part.release).await, before);
    for (path, text) in ground.readable_by_all() {
        assert!(!text.contains("wörd"), "{}", path.display());
    }
    for (path, text) in ground.files("log") {
        // What the test itself did is in the servers' logs, of course.
        let text = text.replace(app, "");
        assert!(!text.contains("wörd") && !text.contains("SCRAM-SHA-256$"), "{}", path.display());
    }
    // A part that goes takes its own pods along and no others.
    let mut fewer = values();
    fewer["pgpool"]["replicaCount"] = json!(0);
    let fewer = spec(&part.release, "postgresql-ha", fewer, SECRETS);
    assert_eq!(deploy(&operate, &fewer).await, 2);
    let nodes: Vec<_> = before.into_iter().filter(|(n, _)| !n.contains("pgpool")).collect();
    assert_eq!(incarnations(&operate, &part.release).await, nodes);
}

/// Its first node refuses its configuration, and the others do not wait for it until the deadline.
async fn one_that_cannot_start(ground: Arc<Ground>) {
    let operate = ground.operate("T01.deploy");
    let mut broken = values();
    broken["postgresql"]["extendedConf"] = json!("no_such_setting = on");
    let mut wanted = spec(&release(), "postgresql-ha", broken, SECRETS);
    wanted.timeout = Duration::from_secs(3600);
    let deployed = tokio::time::timeout(LONG, operate.deploy(&wanted)).await;
    let error = deployed.expect("it is said long before the deadline").unwrap_err();
    let PlatformError::Failed { what, said, .. } = &error else { panic!("{error:?}") };
    assert!(what.contains("-postgresql-0/postgresql` has ended before it was ready"), "{what}");
    assert!(said.iter().any(|line| line.contains("no_such_setting")), "{said:?}");
}

async fn faults_are_mended(ground: Arc<Ground>) {
    let (operate, part) = cluster(&ground).await;
    superuser(&operate, &part).await.run("create table t (n int)").await.unwrap();
    let [zero, one] = ["postgresql-ha-postgresql-0", "postgresql-ha-postgresql-1"];
    let mut expected = 0;
    for fault in [Fault::Kill, Fault::Freeze, Fault::FastStop] {
        let (leading, _) = primaries(&operate, &part).await;
        let [node] = &leading[..] else { panic!("{leading:?} lead") };
        operate.fault(&part, node, fault).await.unwrap();
        operate.mend(&part, node, LONG).await.unwrap();
        // Mended means: one of the others leads, and this one receives from it. The third follows
        // when its repmgrd has heard of it.
        let (leading, streaming) = primaries(&operate, &part).await;
        assert!(leading.len() == 1 && streaming > 0, "{fault:?}: {leading:?}, {streaming}");
        assert_ne!(leading[0], *node, "{fault:?}");
        until("all is redundant again", || redundant(&operate, &part, &leading[0])).await;
        until("the pooler takes writes", || async {
            let writer = superuser_now(&operate, &part).await?;
            writer.run("insert into t values (1)").await.ok()
        })
        .await;
        expected += 1;
    }
    // A standby comes back as one.
    let (leading, _) = primaries(&operate, &part).await;
    let standby = if leading[0] == zero { one } else { zero };
    operate.fault(&part, standby, Fault::Kill).await.unwrap();
    operate.mend(&part, standby, LONG).await.unwrap();
    until("the standby is back", || redundant(&operate, &part, &leading[0])).await;
    let error = operate.fault(&part, "nobody", Fault::Kill).await.unwrap_err();
    assert!(error.to_string().contains("has no data node `nobody`"), "{error}");
    // All of it goes and comes back: the data is the volumes', and one leads.
    operate.uninstall(&part.release).await.unwrap();
    assert_eq!(operate.release(&part.release).await.unwrap(), None);
    assert_eq!(ground.living(), [""; 0]);
    let volumes = operate.volumes(&part.release).await.unwrap();
    assert_eq!(volumes.iter().filter(|v| !v.used).count(), 3);
    let wanted = spec(&release(), "postgresql-ha", values(), SECRETS);
    assert_eq!(deploy(&operate, &wanted).await, 1);
    let (again, streaming) = primaries(&operate, &part).await;
    assert_eq!((again, streaming), (leading, 2));
    let writer = superuser(&operate, &part).await;
    let rows = writer.rows("select count(*) from t", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), expected);
}

async fn superuser_now(view: &dyn View, part: &PartRef) -> Option<Writer> {
    let ha = view.postgres(part).await.unwrap();
    let login = login(view, &ha.pooler.unwrap(), &ha.superuser, "postgres").await;
    Writer::connect(view, &login, DEADLINE).await.ok()
}
