//! `postgres.role`.

use serde_json::{Value, json};

use workplan_engine::kind::{Past, Prepared, Seen};

use crate::support::{PASSWORD, Postgres, World, build, step};

fn world() -> World {
    World::new()
        .of_new_run()
        .with_secret("env:PGPW", PASSWORD)
        .with_secret("env:NEW", "n\u{e9}w pass'\\\"")
        .with_secret("env:OTHER", "other")
}

/// Whether a role can log in over TCP, where the server asks for the password.
async fn can_log_in(server: &Postgres, world: &World, role: &str, password: &str) -> bool {
    let on = json!({
        "host": "127.0.0.1", "port": server.port, "user": role, "password": password,
        "database": "postgres",
    });
    // What logs in with it to look at something is the kind itself.
    let probe = step("postgres.role", json!({"on": on, "name": "nobody of that name"}));
    probe.observe(&world.look(Past::Never)).await.seen == Seen::Absent
}

#[tokio::test]
async fn the_password_works_and_never_reaches_the_server() {
    let Some(server) = Postgres::shared() else { return };
    let world = world();
    let name = server.unique("it's \"quoted\"");
    server.psql("postgres", "alter system set log_statement = 'all'; select pg_reload_conf()");
    let role =
        step("postgres.role", json!({"on": server.by_tcp(), "name": name, "password": "env:NEW"}));
    let hands = world.hands(Past::Never);
    role.apply(&hands).await.unwrap();
    assert!(can_log_in(server, &world, &name, "env:NEW").await);
    assert!(!can_log_in(server, &world, &name, "env:OTHER").await);
    let log = server.log();
    let about: Vec<&str> = log.lines().filter(|line| line.contains("quoted")).collect();
    assert!(!about.is_empty(), "statements are logged");
    let secret = |line: &&&str| line.contains("SCRAM") || line.contains("w pass");
    assert_eq!(about.iter().find(secret), None);
    let seen = role.observe(&hands).await;
    assert_eq!(seen.seen, Seen::Done);
    let said = serde_json::to_string(&seen.facts).unwrap();
    assert!(!said.contains("SCRAM") && !said.contains("w pass"), "{said}");
}

#[tokio::test]
async fn a_role_that_was_there_gets_back_what_it_had() {
    let Some(server) = Postgres::shared() else { return };
    let world = world();
    let name = server.unique("old");
    let made = "login createdb connection limit 3 password 'other'";
    server
        .psql("postgres", &format!("create role {name} {made}; comment on role {name} is 'hers'"));
    let print = format!(
        "select rolpassword, rolcreatedb, rolconnlimit, rolcanlogin, \
         shobj_description(oid, 'pg_authid') from pg_authid where rolname = '{name}'"
    );
    let before = server.psql("postgres", &print);
    let role =
        step("postgres.role", json!({"on": server.by_tcp(), "name": name, "password": "env:NEW"}));
    let hands = world.hands(Past::Never);
    let seen = role.observe(&hands).await;
    assert_eq!(seen.seen, Seen::Absent);
    let changes = role.preview(&hands, &seen).await;
    let paths: Vec<&str> = changes.iter().map(|c| c.path.as_str()).collect();
    let place = format!("127.0.0.1:{}", server.port);
    let (options, password) =
        (format!("role {name} options at {place}"), format!("role {name} password at {place}"));
    assert_eq!(paths, [options.as_str(), password.as_str()]);
    assert_eq!(changes[0].before, Some(json!("LOGIN CREATEDB CONNECTION LIMIT 3")));

    let prepared = role.prepare(&hands).await.unwrap();
    let kept = prepared.undo.to_string();
    assert!(!kept.contains("SCRAM"), "{kept}");
    role.apply(&hands).await.unwrap();
    assert!(can_log_in(server, &world, &name, "env:NEW").await);
    role.undo(&hands, &prepared).await.unwrap();
    assert_eq!(server.psql("postgres", &print), before);
    assert!(can_log_in(server, &world, &name, "env:OTHER").await);
}

#[tokio::test]
async fn undo_keeps_a_role_that_owns_something() {
    let Some(server) = Postgres::shared() else { return };
    let world = world();
    let name = server.unique("owner");
    let role =
        step("postgres.role", json!({"on": server.by_tcp(), "name": name, "password": "env:NEW"}));
    let hands = world.hands(Past::Never);
    let prepared = role.prepare(&hands).await.unwrap();
    role.apply(&hands).await.unwrap();
    server.psql("postgres", &format!("create schema \"{name}\" authorization {name}"));
    let error = role.undo(&hands, &prepared).await.unwrap_err();
    assert!(error.what.contains("owns something"), "{error}");
    server.psql("postgres", &format!("drop schema \"{name}\""));
    role.undo(&hands, &prepared).await.unwrap();
}

#[tokio::test]
async fn a_superuser_is_left_alone() {
    let Some(server) = Postgres::shared() else { return };
    let world = world();
    let name = server.unique("boss");
    server.psql("postgres", &format!("create role {name} superuser login"));
    let role =
        step("postgres.role", json!({"on": server.by_tcp(), "name": name, "password": "env:NEW"}));
    let hands = world.hands(Past::Never);
    for error in [role.prepare(&hands).await.unwrap_err(), role.apply(&hands).await.unwrap_err()] {
        assert!(error.what.contains("it is a superuser"), "{error}");
    }
}

/// Without a look at what is stored, logging in is the proof; a server that lets anybody in gives
/// none.
#[tokio::test]
async fn who_is_no_superuser_proves_the_password_by_logging_in() {
    let Some(server) = Postgres::shared() else { return };
    let world = world();
    let (maker, name) = (server.unique("maker"), server.unique("made"));
    server.psql("postgres", &format!("create role {maker} createrole login password 'other'"));
    let as_maker = |host: Value| {
        let on = json!({"host": host, "port": server.port, "user": maker, "password": "env:OTHER"});
        step("postgres.role", json!({"on": on, "name": name, "password": "env:NEW"}))
    };
    let role = as_maker(json!("127.0.0.1"));
    let hands = world.hands(Past::Never);
    assert_eq!(role.observe(&hands).await.seen, Seen::Absent);
    let prepared: Prepared = role.prepare(&hands).await.unwrap();
    role.apply(&hands).await.unwrap();
    assert_eq!(role.observe(&hands).await.seen, Seen::Done);
    let by_socket = as_maker(server.by_socket(None)["host"].clone());
    let seen = by_socket.observe(&hands).await.seen;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("no password")), "{seen:?}");
    server.psql("postgres", &format!("alter role {name} password 'changed'"));
    assert_eq!(role.observe(&hands).await.seen, Seen::Absent);
    assert!(role.undo(&hands, &prepared).await.is_err());
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let on = json!("postgresql://h/d");
    for (given, key) in [
        (json!({"on": "mysql://h", "name": "a"}), "on"),
        (json!({"on": on, "name": ""}), "name"),
        (json!({"on": on, "name": "pg_mine"}), "name"),
        (json!({"on": on, "name": "n".repeat(64)}), "name"),
        (json!({"on": on, "name": "a", "connections": -7}), "connections"),
    ] {
        let problems = build("postgres.role", given).err().unwrap();
        assert_eq!(problems[0].key, key);
    }
    assert!(build("postgres.role", json!({"on": "${{ steps.x.outputs.y }}", "name": "a"})).is_ok());
}
