//! What a verification proves, and what it leaves.

use serde_json::json;
use std::fs;

use workplan_engine::kind::{ErrorCause, Past, Seen};

use super::lab::{Lab, by_tcp, conninfo, database, names, text};
use crate::support::{Postgres, step};

#[tokio::test]
async fn a_backup_passes_when_it_was_restored_and_is_equal() {
    let Some(pg) = Postgres::shared() else { return };
    let lab = Lab::scratch();
    let (db, _) = database(pg);
    let with =
        json!({"databases": [by_tcp(pg, &db), by_tcp(pg, "postgres")], "files": ["plain.conf"]});
    let made = lab.create(with).await.unwrap();
    let manifest = fs::read(lab.folder(&text(&made, "backup")).join("manifest.json")).unwrap();
    let verified = lab.verify(json!({})).await.unwrap();
    for name in ["backup", "manifest", "tables", "rows"] {
        assert_eq!(verified.outputs[name], made.outputs[name], "{name}");
    }
    assert_eq!(
        (&verified.outputs["equal"], &verified.outputs["differences"]),
        (&json!(true), &json!([]))
    );
    let folder = lab.folder(&text(&made, "backup"));
    assert_eq!(
        fs::read(folder.join("manifest.json")).unwrap(),
        manifest,
        "the manifest is untouched"
    );
    let mark: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("verified.json")).unwrap()).unwrap();
    assert_eq!(mark["verified"]["manifest"], made.outputs["manifest"]);
    // The scratch server is gone, and nothing of it was anywhere but there.
    assert_eq!(names(&lab.world.path("scratch")), [""; 0]);
    assert!(!running(&lab), "the scratch server still runs");
}

/// Whether a process of a scratch server of this world is there.
fn running(lab: &Lab) -> bool {
    let scratch = lab.world.path("scratch").display().to_string();
    cmdlines().any(|words| words.contains(&scratch))
}

/// What the processes of this machine say that they do.
fn cmdlines() -> impl Iterator<Item = String> {
    fs::read_dir("/proc").unwrap().flatten().map(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ")
    })
}

#[tokio::test]
async fn a_cancelled_verification_leaves_no_server_and_no_data() {
    let Some(pg) = Postgres::shared() else { return };
    let lab = Lab::scratch();
    let (db, _) = database(pg);
    // Restoring this index takes longer than the test looks.
    let slow = "create function slow(text) returns text immutable language plpgsql as \
        $$ begin perform pg_sleep(600); return $1; end $$; create table sleepy (v text); \
        create index on sleepy (slow(v)); \
        alter table sleepy disable trigger all; update pg_index set indisready = false, \
        indisvalid = false where indrelid = 'sleepy'::regclass; insert into sleepy values ('x'); \
        update pg_index set indisready = true, indisvalid = true where indrelid = 'sleepy'::regclass";
    pg.psql(&conninfo(&db), slow);
    let backup = text(&lab.create(json!({"databases": by_tcp(pg, &db)})).await.unwrap(), "backup");
    let verify = step("backup.verify", json!({}));
    let hands = lab.hands();
    let restoring =
        || cmdlines().any(|words| words.contains(&db) && words.contains("CREATE INDEX"));
    let error = crate::cancel_when(&*verify, &hands, "the restore begins", restoring).await;
    assert_eq!(error.cause, ErrorCause::Cancelled, "{error:?}");
    crate::support::until("the server's end", || {
        !running(&lab) && names(&lab.world.path("scratch")).is_empty()
    })
    .await;
    assert!(!lab.folder(&backup).join("verified.json").exists());
}

#[tokio::test]
async fn the_record_stands_for_that_backup_alone() {
    let lab = Lab::new();
    let first = lab.small().await;
    let verify = step("backup.verify", json!({}));
    let applied = lab.verify(json!({})).await.unwrap();
    let past = || Past::Succeeded { record: "run r1".to_owned(), outputs: applied.outputs.clone() };
    assert!(verify.observe(&lab.world.look(past())).await.is_done());
    // Looking is no proof where this step has none.
    assert_eq!(verify.observe(&lab.world.look(Past::Never)).await.seen, Seen::Absent);
    let second = lab.small().await;
    assert_eq!(verify.observe(&lab.world.look(past())).await.seen, Seen::Absent);
    let named = step("backup.verify", json!({"backup": first}));
    assert!(named.observe(&lab.world.look(past())).await.is_done());
    fs::remove_file(lab.folder(&first).join("file-1-plain.conf.age")).unwrap();
    assert_eq!(named.observe(&lab.world.look(past())).await.seen, Seen::Absent);
    let error = lab.verify(json!({"backup": "20200101T000000Z"})).await.unwrap_err();
    assert!(error.help.unwrap().contains(&second));
}
