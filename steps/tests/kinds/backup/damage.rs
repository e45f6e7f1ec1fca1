//! Backups that were changed, cut, exchanged or forged.

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;
use std::process::Command;

use workplan_engine::digest::hex;

use super::lab::{Lab, by_tcp, conninfo, database, piped, text, there};
use crate::support::Postgres;

/// Something that goes wrong with a backup's folder.
type Harm = fn(&Path);

fn first(folder: &Path) -> std::path::PathBuf {
    folder.join("file-1-plain.conf.age")
}

#[tokio::test]
async fn each_member_that_is_not_as_it_was_is_named() {
    let lab = Lab::new();
    lab.world.write("other.conf", "in-plain-nowheer");
    let with = json!({"files": ["plain.conf", "other.conf"]});
    let harms: [(Harm, &[&str]); 5] = [
        (
            |folder| {
                let mut bytes = fs::read(first(folder)).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(first(folder), bytes).unwrap();
            },
            &["`file-1-plain.conf.age` was changed or exchanged"],
        ),
        (
            |folder| {
                let bytes = fs::read(first(folder)).unwrap();
                fs::write(first(folder), &bytes[..bytes.len() - 1]).unwrap();
            },
            &["`file-1-plain.conf.age` has", "bytes instead of"],
        ),
        (|folder| fs::remove_file(first(folder)).unwrap(), &["`file-1-plain.conf.age` is missing"]),
        (
            |folder| {
                let (one, two) = (first(folder), folder.join("file-2-other.conf.age"));
                fs::rename(&one, folder.join("x")).unwrap();
                fs::rename(&two, &one).unwrap();
                fs::rename(folder.join("x"), &two).unwrap();
            },
            &["`file-1-plain.conf.age` ", "`file-2-other.conf.age` "],
        ),
        (
            |folder| {
                let path = folder.join("manifest.json");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replacen("lab", "bal", 1)).unwrap();
            },
            &["the manifest", "was exchanged or changed after it was sealed"],
        ),
    ];
    for (harm, said) in harms {
        let backup = text(&lab.create(with.clone()).await.unwrap(), "backup");
        lab.verify(json!({})).await.unwrap();
        harm(&lab.folder(&backup));
        let error = lab.verify(json!({})).await.unwrap_err();
        for part in said {
            assert!(error.what.contains(part), "{part}: {}", error.what);
        }
        assert!(error.what.contains(&backup), "{}", error.what);
        fs::remove_dir_all(lab.folder(&backup)).unwrap();
    }
}

/// Whoever knows the public key can encrypt for it, but cannot say that it is from us.
#[tokio::test]
async fn a_forged_backup_and_an_old_one_under_a_new_name_are_refused() {
    let lab = Lab::new();
    let good = lab.small().await;
    let forger = Lab::with(|target| target["backup"]["recipients"] = json!([lab.public]));
    forger.world.write("plain.conf", "forged");
    let forged = forger.small().await;
    let name = "20990101T000000Z";
    let place = |from: &Path, id: &str| {
        let to = lab.folder(name);
        drop(fs::remove_dir_all(&to));
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        let path = to.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(id, name)).unwrap();
    };
    place(&forger.folder(&forged), &forged);
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(
        error.what.contains("nothing says that the backup 20990101T000000Z is ours"),
        "{error:?}"
    );
    place(&lab.folder(&good), &good);
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("was exchanged or changed"), "{error:?}");
    fs::remove_file(lab.folder(name).join("manifest.seal")).unwrap();
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("nothing says that the backup"), "{error:?}");
    fs::copy(lab.folder(&good).join("manifest.json"), lab.folder(name).join("manifest.json"))
        .unwrap();
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("its folder was renamed"), "{error:?}");
}

/// The proof must fail on a dump with one changed value, though all else about it is in order: it
/// is encrypted, measured and sealed as the manifest's documentation says.
#[tokio::test]
async fn a_dump_with_one_changed_value_does_not_pass() {
    let (Some(pg), true) = (Postgres::shared(), there("age")) else { return };
    let lab = Lab::new();
    let (db, _) = database(pg);
    let applied = lab.create(json!({"databases": by_tcp(pg, &db)})).await.unwrap();
    let backup = text(&applied, "backup");
    lab.verify(json!({})).await.unwrap();

    let change = "update days set v = v || '.' where v like '% 7'; select nextval('unused'); \
        select lo_put(4713, 10, 'y')";
    pg.psql(&conninfo(&db), change);
    let port = pg.port.to_string();
    let mut dump = Command::new(pg.bin().join("pg_dump"));
    dump.args(["-Fc", "-U", "postgres", "-h", "127.0.0.1", "-p", &port, "-d", &conninfo(&db)]);
    let plain = piped(dump.env("PGPASSWORD", crate::support::PASSWORD), b"");
    forge(&lab, &backup, &plain);

    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("3 differences"), "{error:?}");
    assert_eq!(error.outputs["equal"], false);
    let kinds: Vec<&Value> =
        error.outputs["differences"].as_array().unwrap().iter().map(|d| &d["kind"]).collect();
    assert_eq!(kinds, ["rows", "sequence", "large objects"]);
    let said = error.said.join("\n");
    assert!(said.contains("public.days_old: 30 rows as dumped, but not the same ones"), "{said}");
}

/// Puts another dump into a backup, with everything else in order.
fn forge(lab: &Lab, backup: &str, plain: &[u8]) {
    let folder = lab.folder(backup);
    let digest_key = lab.age(&folder.join("digest.key.age"));
    let mut manifest = lab.manifest(backup);
    let members = manifest["members"].as_array_mut().unwrap();
    let member = members.iter_mut().find(|m| m["kind"] == "database").unwrap();
    let cipher = piped(Command::new("age").args(["-r", &lab.public]), plain);
    member["plain"] = json!({"bytes": plain.len(), "hmac": hmac(&digest_key, plain)});
    member["bytes"] = json!(cipher.len());
    member["sha256"] = json!(hex(&Sha256::digest(&cipher)));
    fs::write(folder.join(member["name"].as_str().unwrap()), cipher).unwrap();
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    let secret = lab.world.read("key.txt").unwrap();
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let seal_key = hmac_bytes(b"workplan/backup/seal/v1", secret.as_bytes());
    let seal = json!({
        "schema": "workplan/backup-seal/v1",
        "seals": [{"key": lab.public, "hmac": hmac(&seal_key, &bytes)}],
    });
    fs::write(folder.join("manifest.json"), bytes).unwrap();
    fs::write(folder.join("manifest.seal"), seal.to_string()).unwrap();
}

fn hmac_bytes(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn hmac(key: &[u8], bytes: &[u8]) -> String {
    hex(&hmac_bytes(key, bytes))
}

/// A wrong dump that PostgreSQL itself refuses, and one that is no dump at all.
#[tokio::test]
async fn what_cannot_be_restored_says_why() {
    let (Some(pg), true) = (Postgres::shared(), there("age")) else { return };
    let lab = Lab::new();
    let (db, _) = database(pg);
    let backup = text(&lab.create(json!({"databases": by_tcp(pg, &db)})).await.unwrap(), "backup");
    forge(&lab, &backup, b"this is no dump");
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("restoring `ba=ck 'up\""), "{error:?}");
    assert!(error.said.iter().any(|line| line.contains("pg_restore: error")), "{error:?}");
    assert!(!lab.folder(&backup).join("verified.json").exists());
}
