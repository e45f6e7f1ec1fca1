//! What a backup is made of, and what is left when it cannot be made.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use workplan_engine::kind::{ErrorCause, Hands, Past, Seen, StepError};

use super::lab::{
    Lab, MARKER, by_tcp, conninfo, database, names, piped, quoted, skipped, text, there,
};
use crate::support::{PASSWORD, Postgres, step, succeeded};

/// All of it that the real tools read back; nothing of it in plain.
#[tokio::test]
async fn a_backup_is_read_by_age_and_pg_restore_alone() {
    let (Some(pg), true) = (Postgres::shared(), there("age")) else { return };
    let lab = Lab::new();
    let (db, owner) = database(pg);
    let with = json!({"databases": by_tcp(pg, &db), "files": ["plain.conf"]});
    let applied = lab.create(with).await.unwrap();
    let backup = text(&applied, "backup");
    let folder = lab.folder(&backup);
    let manifest = lab.manifest(&backup);

    assert_eq!(manifest["schema"], "workplan/backup/v1");
    assert_eq!(manifest["recipients"], json!([lab.public]));
    assert_eq!(manifest["identity"], format!("workplan:{}:T01.x:1", lab.world.run));
    let server = &manifest["servers"][0];
    let own = pg.psql("postgres", "select system_identifier from pg_control_system()");
    assert_eq!(server["system_identifier"], own);
    let tables = server["databases"][0]["tables"].as_array().unwrap();
    let rows = |name: &str| tables.iter().find(|t| t["name"] == name).map(|t| t["rows"].clone());
    assert_eq!(rows("sp ace; --"), Some(json!(4)));
    assert_eq!(rows("days_new"), Some(json!(30)));
    assert_eq!((rows("days"), rows("counted")), (None, None));
    assert_eq!(applied.outputs["tables"], json!(tables.len()));

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&lab.layer())), (0o700, 0o700));
    let mut kinds = Vec::new();
    for member in manifest["members"].as_array().unwrap() {
        let path = folder.join(member["name"].as_str().unwrap());
        let cipher = fs::read(&path).unwrap();
        assert_eq!(member["bytes"], json!(cipher.len()));
        let sum = piped(&mut Command::new("sha256sum"), &cipher);
        assert!(String::from_utf8(sum).unwrap().starts_with(member["sha256"].as_str().unwrap()));
        assert_eq!(mode(&path), 0o600);
        let plain = lab.age(&path);
        assert_eq!(member["plain"]["bytes"], json!(plain.len()));
        match member["kind"].as_str().unwrap() {
            "database" => {
                let list = piped(Command::new(pg.bin().join("pg_restore")).arg("--list"), &plain);
                assert!(String::from_utf8(list).unwrap().contains("TABLE DATA public numbered"));
            }
            "roles" => {
                let sql = String::from_utf8(plain).unwrap();
                assert!(sql.contains(&quoted(&owner)) && sql.contains("SCRAM-SHA-256$"));
            }
            "file" => assert_eq!(plain, MARKER.as_bytes()),
            _ => {}
        }
        kinds.push(member["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["database", "digest_key", "file", "roles"]);
    for name in names(&folder) {
        let bytes = fs::read(folder.join(&name)).unwrap();
        for secret in [MARKER, PASSWORD, "SCRAM-SHA-256"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {name}");
        }
    }
    for spec in lab.world.launcher.specs.lock().unwrap().iter() {
        assert!(!format!("{:?} {:?}", spec.argv, spec.env).contains(PASSWORD), "{:?}", spec.argv);
    }
}

/// What the dump has is what its digests say, though others write all the time.
#[tokio::test]
async fn a_backup_of_a_database_in_use_is_consistent() {
    let Some(pg) = Postgres::shared() else { return };
    let lab = Lab::new();
    let (db, _) = database(pg);
    let sql = "do $$ begin for n in 1..2000000 loop \
        insert into numbered (v) values (n::text); perform nextval('down'); commit; \
        if exists (select from nothing) then return; end if; end loop; end $$";
    let port = pg.port.to_string();
    let mut writer = Command::new(pg.bin().join("psql"))
        .args(["-X", "-q", "-U", "postgres", "-h", "127.0.0.1", "-p", &port, "-d"])
        .args([&conninfo(&db), "-c", sql])
        .env("PGPASSWORD", PASSWORD)
        .spawn()
        .unwrap();
    let count = || pg.psql(&conninfo(&db), "select count(*) from numbered").parse::<u64>().unwrap();
    while count() < 600 {}
    let before = count();
    let applied = lab.create(json!({"databases": [by_tcp(pg, &db)]})).await;
    let after = count();
    pg.psql(&conninfo(&db), "insert into nothing values (1)");
    assert!(writer.wait().unwrap().success());
    let applied = applied.unwrap();
    assert!(before < after, "nobody wrote meanwhile");
    let verified = lab.verify(json!({})).await.unwrap();
    assert_eq!(verified.outputs["backup"], applied.outputs["backup"]);
    assert_eq!(verified.outputs["equal"], true);
}

#[tokio::test]
async fn this_runs_backup_is_enough_and_another_runs_is_not() {
    let lab = Lab::new();
    let with = json!({"files": ["plain.conf"]});
    let create = step("backup.create", with.clone());
    assert_eq!(create.observe(&lab.hands()).await.seen, Seen::Absent);
    let applied = lab.create(with).await.unwrap();
    let seen = create.observe(&lab.hands()).await;
    assert!(seen.is_done() && seen.outputs == applied.outputs, "{seen:?}");

    let mut other = lab.world.look(succeeded());
    other.identity = "workplan:r0:T01.x:1".into();
    assert_eq!(create.observe(&other).await.seen, Seen::Absent);
    other.identity = "workplan:-:T01.x:0".into();
    assert_eq!(create.observe(&other).await.seen, Seen::Absent);
    let young = step("backup.create", json!({"files": ["plain.conf"], "within": "1h"}));
    assert!(young.observe(&other).await.is_done());
    lab.world.write("other.conf", "");
    let wider = json!({"files": ["plain.conf", "other.conf"], "within": "1h"});
    assert_eq!(step("backup.create", wider).observe(&other).await.seen, Seen::Absent);

    let member = lab.folder(&text(&applied, "backup")).join("file-1-plain.conf.age");
    fs::write(&member, "cut").unwrap();
    assert_eq!(create.observe(&lab.hands()).await.seen, Seen::Absent);
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_what_a_live_one_makes_is_not() {
    let lab = Lab::new();
    lab.small().await;
    let layer = lab.layer();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let leave = |id: &str, host: &str, run: &str| {
        let folder = layer.join(format!("{id}.partial"));
        fs::create_dir(&folder).unwrap();
        let owner = json!({"identity": format!("workplan:{run}:T01.x:1"), "host": host, "pid": 1});
        fs::write(folder.join("owner.json"), owner.to_string()).unwrap();
        fs::write(folder.join("x.age"), "half").unwrap();
        folder
    };
    let dead = leave("20250101T000000Z", &host, "r0");
    let ours = leave("20250102T000000Z", &host, "r77");
    let elsewhere = leave("20250103T000000Z", "another-host", "r0");
    let live = leave("20250104T000000Z", &host, "r0");
    let held = fs::File::open(&live).unwrap();
    held.try_lock().unwrap();

    let create = step("backup.create", json!({"files": ["plain.conf"]}));
    let mut look = lab.world.look(Past::Never);
    look.identity = "workplan:r77:T01.x:2".into();
    let hands = Hands::new(look, None);
    let seen = create.observe(&hands).await.seen;
    assert!(matches!(&seen, Seen::Half(what) if what.contains("20250102T000000Z")), "{seen:?}");
    assert!(ours.exists() && dead.exists(), "looking removes nothing");
    create.repair(&hands, &seen).await.unwrap();
    assert!(!ours.exists() && dead.exists() && live.exists());
    assert_eq!(create.observe(&hands).await.seen, Seen::Absent);
    let applied = create.apply(&hands).await.unwrap();
    assert!(!dead.exists() && live.exists() && elsewhere.exists());
    let notes = applied.notes;
    assert!(notes.iter().any(|note| note.contains("20250101T000000Z")), "{notes:?}");
    drop(held);
}

/// A file system that is full after some bytes. Earlier backups stay, nothing of the new one does.
#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing() {
    let lab = Lab::new();
    let layer = lab.layer();
    fs::create_dir_all(&layer).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "none"])
        .arg(&layer)
        .output();
    if !mounted.is_ok_and(|out| out.status.success()) {
        skipped("no tmpfs can be mounted; a full disk is not tested");
        return;
    }
    let earlier = lab.small().await;
    let error = match Postgres::shared() {
        Some(pg) => {
            let (db, _) = database(pg);
            let large =
                "create table large as select md5(n::text) from generate_series(1, 200000) n";
            pg.psql(&conninfo(&db), large);
            lab.create(json!({"databases": by_tcp(pg, &db)})).await
        }
        None => {
            fs::write(lab.world.path("large"), vec![7; 2 << 20]).unwrap();
            lab.create(json!({"files": ["large"]})).await
        }
    };
    let left = names(&layer);
    let whole = lab.verify(json!({})).await;
    assert!(Command::new("umount").arg(&layer).status().unwrap().success());
    let error = error.unwrap_err();
    assert!(error.what.contains("no space is left on its device"), "{error:?}");
    assert!(error.what.contains("is removed, earlier backups are as they were"), "{error:?}");
    assert!(error.help.unwrap().contains("free some space"));
    assert_eq!(left, [".lock".to_owned(), earlier.clone()]);
    assert_eq!(whole.unwrap().outputs["backup"], earlier);
}

#[tokio::test]
async fn old_backups_go_and_the_last_that_passed_stays() {
    let lab = Lab::with(|target| target["backup"]["keep"] = json!({"count": 2}));
    let first = lab.small().await;
    lab.verify(json!({})).await.unwrap();
    let mut all = vec![first.clone()];
    for _ in 0..3 {
        all.push(lab.small().await);
    }
    assert_eq!(lab.backups(), [first.as_str(), &all[2], &all[3]]);

    lab.verify(json!({})).await.unwrap();
    let create = step("backup.create", json!({"files": ["plain.conf"], "keep": {"count": 1}}));
    let changes = create.preview(&lab.hands(), &create.observe(&lab.hands()).await).await;
    let gone: Vec<&str> =
        changes.iter().filter(|c| c.op == "delete").map(|c| c.path.as_str()).collect();
    assert_eq!(gone.len(), 2, "{changes:?}");
    assert!(gone[0].ends_with(&all[2]) && gone[1].ends_with(&first));
    let applied = create.apply(&lab.hands()).await.unwrap();
    assert_eq!(lab.backups(), [all[3].as_str(), &text(&applied, "backup")]);
}

#[tokio::test]
async fn a_backup_that_is_read_is_not_removed() {
    let lab = Lab::with(|target| target["backup"]["keep"] = json!({"count": 1}));
    let first = lab.small().await;
    let reader = fs::File::open(lab.folder(&first)).unwrap();
    reader.try_lock_shared().unwrap();
    let notes = lab.create(json!({"files": ["plain.conf"]})).await.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("somebody reads it")), "{notes:?}");
    assert!(lab.folder(&first).join("manifest.json").exists());
}

#[tokio::test]
async fn what_cannot_be_backed_up_is_named_and_leaves_nothing() {
    let lab = Lab::new();
    let fails = async |with: Value| -> StepError { lab.create(with).await.unwrap_err() };
    for (with, said) in [
        (json!({"files": ["missing.conf"]}), "missing.conf"),
        (json!({"files": ["backups"]}), "is not a file"),
        (json!({"databases": "gitae"}), "no database `gitae`"),
        (json!({}), "nothing to back up"),
        (json!({"databases": "postgresql://postgres@127.0.0.1:1/x"}), "127.0.0.1:1"),
    ] {
        let error = fails(with.clone()).await;
        assert!(error.what.contains(said), "{with}: {}", error.what);
    }
    if let Some(pg) = Postgres::shared() {
        let error = fails(json!({"databases": by_tcp(pg, "no such")})).await;
        assert!(error.what.contains("no such"), "{}", error.what);
        let (db, owner) = database(pg);
        let mut weak = by_tcp(pg, &db);
        weak["user"] = owner.as_str().into();
        pg.psql("postgres", &format!("alter role {} password '{PASSWORD}'", quoted(&owner)));
        let error = fails(json!({"databases": weak})).await;
        assert!(error.what.contains("pg_dumpall"), "{}", error.what);
        assert!(error.said.iter().any(|line| line.contains("permission denied")), "{error:?}");
    }
    assert!(lab.backups().is_empty());
    assert_eq!(names(&lab.layer()), [".lock"]);
}

#[tokio::test]
async fn a_cancelled_backup_leaves_nothing() {
    let Some(pg) = Postgres::shared() else { return };
    let lab = Lab::new();
    let (db, _) = database(pg);
    let held = pg.hold(&conninfo(&db), "lock table numbered in access exclusive mode");
    let create = step("backup.create", json!({"databases": by_tcp(pg, &db)}));
    let hands = lab.hands();
    let waits = || {
        let sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
            and application_name like 'workplan:%'";
        pg.psql("postgres", sql) != "0"
    };
    let error = crate::cancel_when(&*create, &hands, "it waits for a lock", waits).await;
    drop(held);
    assert_eq!(error.cause, ErrorCause::Cancelled, "{error:?}");
    assert_eq!(names(&lab.layer()), [".lock"]);
}
