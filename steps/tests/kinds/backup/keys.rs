//! Who can read a backup, and who says that it is ours.

use serde_json::json;
use std::fs;
use std::process::Command;

use super::lab::{Lab, MARKER, decrypt, key_pair, text, there};

const FILE: &str = "file-1-plain.conf.age";

#[tokio::test]
async fn ssh_keys_can_read_and_seal() {
    if !(there("age") && there("ssh-keygen")) {
        return;
    }
    let lab = Lab::with(|target| {
        target["backup"] = json!({"dir": "backups", "layer": "platform", "key": "id"});
        target["sops"] = json!({});
    });
    let key = lab.world.path("id");
    let keygen = |args: &[&str]| {
        let made = Command::new("ssh-keygen").args(args).arg("-f").arg(&key).status();
        assert!(made.unwrap().success());
    };
    keygen(&["-q", "-t", "ed25519", "-N", ""]);
    let public = fs::read_to_string(lab.world.path("id.pub")).unwrap();
    let backup = lab.small().await;
    let recipients = lab.manifest(&backup)["recipients"].clone();
    assert!(public.starts_with(recipients[0].as_str().unwrap()), "{recipients}");
    assert_eq!(decrypt(&key, &lab.folder(&backup).join(FILE)), MARKER.as_bytes());
    // A new comment is no new key.
    keygen(&["-q", "-c", "-C", "another comment", "-N", "", "-P", ""]);
    lab.verify(json!({})).await.unwrap();
}

#[tokio::test]
async fn several_can_read_it_and_each_alone() {
    if !there("age") {
        return;
    }
    let (public, secret) = key_pair();
    let lab = Lab::new();
    lab.world.write("second.txt", &secret);
    let with = json!({"files": ["plain.conf"], "recipients": [lab.public, public]});
    let backup = text(&lab.create(with).await.unwrap(), "backup");
    for key in ["key.txt", "second.txt"] {
        let plain = decrypt(&lab.world.path(key), &lab.folder(&backup).join(FILE));
        assert_eq!(plain, MARKER.as_bytes());
    }
}

#[tokio::test]
async fn recipients_come_from_the_repos_rules_else_from_the_keys_that_are_here() {
    let lab = Lab::with(|target| target["backup"] = json!({"dir": "backups"}));
    let own = lab.small_in("lab").await;
    assert_eq!(lab.manifest_in("lab", &own)["recipients"], json!([lab.public]));
    let (public, _) = key_pair();
    lab.world.write(".sops.yaml", &format!("creation_rules:\n  - age: {public}\n"));
    let ruled = lab.small_in("lab").await;
    assert_eq!(lab.manifest_in("lab", &ruled)["recipients"], json!([public]));
}

#[tokio::test]
async fn wrong_missing_and_useless_keys_are_named() {
    let lab = Lab::new();
    lab.small().await;
    lab.world.write("key.txt", &key_pair().1);
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("no key that is here fits"), "{error:?}");
    assert!(error.help.as_ref().unwrap().contains(&lab.public), "{error:?}");
    assert!(error.said[0].contains("key.txt` has one key"), "{error:?}");
    fs::remove_file(lab.world.path("key.txt")).unwrap();
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("there is no private key here"), "{error:?}");
    assert!(error.said[0].contains("key.txt` is not there"), "{error:?}");

    for (recipient, said) in [("age1pq1qqqq", "post-quantum"), ("ann", "is none")] {
        let with = json!({"files": ["plain.conf"], "recipients": [recipient]});
        let error = lab.create(with).await.unwrap_err();
        assert!(error.what.contains(said), "{error:?}");
    }
    let nobody = Lab::with(|target| {
        target["backup"] = json!({"dir": "backups"});
        target["sops"] = json!({});
    });
    let error = nobody.create(json!({"files": ["plain.conf"]})).await.unwrap_err();
    assert!(error.what.contains("nobody is named who could read"), "{error:?}");
}

/// A host with public keys alone: the journal's digest of the manifest says what is meant.
#[tokio::test]
async fn a_backup_without_a_seal_needs_its_manifests_digest() {
    let lab = Lab::new();
    fs::rename(lab.world.path("key.txt"), lab.world.path("away")).unwrap();
    let applied = lab.create(json!({"files": ["plain.conf"]})).await.unwrap();
    assert!(applied.notes.iter().any(|n| n.contains("not sealed")), "{:?}", applied.notes);
    fs::rename(lab.world.path("away"), lab.world.path("key.txt")).unwrap();
    let error = lab.verify(json!({})).await.unwrap_err();
    assert!(error.what.contains("nothing says that the backup"), "{error:?}");
    let manifest = text(&applied, "manifest");
    assert!(error.help.as_ref().unwrap().contains(&manifest), "{error:?}");
    let wrong = json!({"manifest": "0".repeat(64)});
    let error = lab.verify(wrong).await.unwrap_err();
    assert!(error.what.contains("is not the one that is meant"), "{error:?}");
    lab.verify(json!({"manifest": manifest})).await.unwrap();
}
