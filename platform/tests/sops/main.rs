//! SOPS files that the real `sops` made (`fixtures/make.sh`), read by our own reader and by the
//! program.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod launcher;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use workplan_engine::kind::{BaseEnv, Look, Place, Secret, SecretError, SecretRef, SecretSource};
use workplan_platform::PlatformError;
use workplan_platform::values::{self, Values};

use launcher::Direct;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sops/fixtures").join(name)
}

/// Remembers what was made known as secret.
#[derive(Default)]
struct Concealed(Mutex<Vec<String>>);

#[async_trait]
impl SecretSource for Concealed {
    async fn resolve(&self, reference: &SecretRef, _look: &Look) -> Result<Secret, SecretError> {
        Err(SecretError { reference: reference.to_string(), why: "there are none".to_owned() })
    }

    fn conceal(&self, secret: &Secret) {
        self.0.lock().unwrap().push(String::from_utf8(secret.reveal().to_vec()).unwrap());
    }
}

/// A host with these variables.
struct Host {
    look: Look,
    concealed: Arc<Concealed>,
}

impl Host {
    fn new(variables: &[(&str, &str)]) -> Self {
        let concealed = Arc::new(Concealed::default());
        let env: Vec<(OsString, OsString)> =
            variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        let launcher = Arc::new(Direct(env.clone()));
        let mut look = Look::new("T01.x", Path::new("/"), concealed.clone(), launcher);
        look.env = Arc::new(BaseEnv(env));
        Self { look, concealed }
    }

    /// Without the program; identities from a fixture's file.
    fn with_key(key: &str) -> Self {
        Self::new(&[("SOPS_AGE_KEY_FILE", fixture(key).to_str().unwrap())])
    }

    async fn read(&self, path: &Path) -> Result<Values, PlatformError> {
        values::read(&self.look, path).await
    }
}

/// Where the `sops` program is; says loudly where it is not.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("sops").is_file());
    if found.is_none() {
        eprintln!("SKIPPED: `sops` is not on the PATH; `make setup` builds it");
    }
    found
}

fn plain(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("{name}.plain"))).unwrap()).unwrap()
}

fn tree(values: &Values) -> Value {
    Value::Object(values.reveal().clone())
}

fn changed(name: &str, from: &str, to: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let text = fs::read_to_string(fixture(name)).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (folder, path)
}

const READABLE: &[&str] = &[
    "types.sops.yaml",
    "types.sops.json",
    "regex.sops.yaml",
    "mac-only.sops.yaml",
    "suffix.sops.yaml",
];

#[tokio::test]
async fn our_reader_reads_what_sops_reads() {
    for name in READABLE {
        let values = Host::with_key("one.key").read(&fixture(name)).await.unwrap();
        assert_eq!(tree(&values), plain(name), "{name}");
        assert_eq!(values.sealed().count(), 0, "{name}");
    }
}

#[tokio::test]
async fn the_program_and_our_reader_give_the_same_values_and_the_same_secrets() {
    let Some(folder) = program() else { return };
    let key = fixture("one.key");
    for name in READABLE {
        let ours = Host::with_key("one.key").read(&fixture(name)).await.unwrap();
        let host = Host::new(&[
            ("PATH", folder.to_str().unwrap()),
            ("SOPS_AGE_KEY_FILE", key.to_str().unwrap()),
        ]);
        let theirs = host.read(&fixture(name)).await.unwrap();
        assert!(theirs == ours, "{name}");
    }
}

#[tokio::test]
async fn what_was_encrypted_is_secret_and_concealed() {
    let host = Host::with_key("one.key");
    let values = host.read(&fixture("regex.sops.yaml")).await.unwrap();
    let secret: Vec<String> = values
        .leaves()
        .into_iter()
        .filter(|(.., secret)| *secret)
        .map(|(path, ..)| path.join("."))
        .collect();
    assert_eq!(
        secret,
        [
            "auth.adminPassword",
            "auth.password",
            "global.postgresql.password",
            "users.0.password",
            "users.1.password",
        ]
    );
    let concealed = host.concealed.0.lock().unwrap();
    for value in ["p'%:/ ä\"x", "first", "second", "12345678"] {
        assert!(concealed.iter().any(|c| c == value), "{value}");
    }
    // What everybody may read, and booleans, are no words to take out of everything that is said.
    assert!(!concealed.iter().any(|c| ["gitea", "false"].contains(&c.as_str())));
    assert!(!format!("{values:?}").contains("first"));
}

#[tokio::test]
async fn identities_are_found_wherever_sops_looks_and_where_the_target_says() {
    let file = fixture("regex.sops.yaml");
    let key = fs::read_to_string(fixture("two.key")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let put = |folder: &str| {
        let folder = home.path().join(folder).join("sops/age");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("keys.txt"), &key).unwrap();
    };
    put("home/.config");
    put("xdg");
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let line = key.lines().find(|l| l.starts_with("AGE-")).unwrap();
    for variables in [
        vec![("SOPS_AGE_KEY", line.to_owned())],
        vec![("SOPS_AGE_KEY_FILE", fixture("two.key").to_str().unwrap().to_owned())],
        vec![("HOME", at("home"))],
        vec![("HOME", at("elsewhere")), ("XDG_CONFIG_HOME", at("xdg"))],
        // One that does not fit is no reason not to look on.
        vec![("SOPS_AGE_KEY_FILE", at("nowhere")), ("HOME", at("home"))],
    ] {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let values = Host::new(&variables).read(&file).await.unwrap();
        assert_eq!(values.sealed().count(), 0, "{variables:?}");
    }
    let mut place = Place::new("lab", "local", "lab-1");
    place.folder = fixture("");
    place.values.insert("sops".to_owned(), json!({"age_key_file": "two.key"}));
    let place = Arc::new(place);
    let stranger = fixture("stranger.key");
    let folder = program();
    let path = folder.as_ref().map(|f| ("PATH", f.to_str().unwrap()));
    for own in [None, Some(("SOPS_AGE_KEY_FILE", stranger.to_str().unwrap()))] {
        for program in [None, path] {
            let variables: Vec<(&str, &str)> = own.into_iter().chain(program).collect();
            let mut host = Host::new(&variables);
            host.look.place = Arc::clone(&place);
            let values = host.read(&file).await.unwrap();
            assert_eq!(values.sealed().count(), 0, "{variables:?}");
        }
    }
}

#[tokio::test]
async fn who_has_no_key_reads_the_rest_and_is_told_which_are_missing() {
    let folder = program();
    let stranger = fixture("stranger.key");
    let mut hosts = vec![Host::with_key("stranger.key")];
    if let Some(folder) = &folder {
        hosts.push(Host::new(&[
            ("PATH", folder.to_str().unwrap()),
            ("SOPS_AGE_KEY_FILE", stranger.to_str().unwrap()),
        ]));
    }
    for host in hosts {
        let values = host.read(&fixture("regex.sops.yaml")).await.unwrap();
        assert_eq!(values.get(&["global", "postgresql", "username"]), Some(&json!("gitea")));
        assert_eq!(values.get(&["mode"]), Some(&json!(256)));
        let sealed: Vec<(String, &str)> = values.sealed().collect();
        assert_eq!(sealed.len(), 5);
        let (key, why) = &sealed[2];
        assert_eq!(key, "global.postgresql.password");
        assert!(why.contains("there is no key for"), "{why}");
        assert!(values.is_secret(&["global", "postgresql", "password"]));
        assert!(values.sealed_at(&["global"]).is_some() && values.sealed_at(&["mode"]).is_none());
        let cipher = values.get(&["auth", "password"]).unwrap().as_str().unwrap();
        assert!(cipher.starts_with("ENC["));
        let no = values::reference(&host.look, &fixture("regex.sops.yaml"), "auth/password").await;
        assert!(no.unwrap_err().contains("there is no key for"));
    }
    // Our own reader says where it looked.
    let values = Host::new(&[]).read(&fixture("regex.sops.yaml")).await.unwrap();
    let (_, why) = values.sealed().next().unwrap();
    assert!(why.contains("age1") && why.contains("SOPS_AGE_KEY"), "{why}");
}

#[tokio::test]
async fn keys_that_only_the_program_can_use_are_named() {
    let variables = [
        ("SOPS_AGE_KEY", "AGE-SECRET-KEY-PQ-1QQQQ\nAGE-PLUGIN-YUBIKEY-1QQ"),
        ("SOPS_AGE_KEY_CMD", "pass age"),
    ];
    let values = Host::new(&variables).read(&fixture("regex.sops.yaml")).await.unwrap();
    let (_, why) = values.sealed().next().unwrap();
    assert!(why.contains("1 post-quantum (`AGE-SECRET-KEY-PQ-…`)"), "{why}");
    assert!(why.contains("1 lines that are none") && why.contains("SOPS_AGE_KEY_CMD"), "{why}");
    assert!(!why.contains("QQQQ"), "{why}");
}

#[tokio::test]
async fn what_was_changed_without_sops_is_not_believed() {
    let text = fs::read_to_string(fixture("regex.sops.yaml")).unwrap();
    let line = |key: &str| {
        text.lines()
            .filter(|l| l.trim_start().starts_with(key))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let passwords = line("password:");
    let value = |l: &str| l.trim_start().trim_start_matches("password: ").to_owned();
    let data = value(&passwords[0]);
    let start = data.find("data:").unwrap() + 5;
    let mut flipped = data.clone();
    flipped.replace_range(start..=start, if &data[start..=start] == "A" { "B" } else { "A" });
    let mac = text.lines().find(|l| l.trim_start().starts_with("mac:")).unwrap();
    let folder = program();
    for (from, to, says) in [
        ("username: gitea", "username: root", "was changed without SOPS"),
        ("replicaCount: 3\n", "", "was changed without SOPS"),
        ("mode: 256", "mode: 256\nmore: 1", "was changed without SOPS"),
        (data.as_str(), flipped.as_str(), "`global.postgresql.password` (line 5): it was changed"),
        // The value of another key, and a nonce of another length.
        (data.as_str(), value(&passwords[1]).as_str(), "moved to another key"),
        ("iv:", "iv:AAAA", "another length"),
        ("type:str]", "type:set]", "a type that this reader does not know"),
        ("type:int]", "type:bool]", "`auth.password` (line 18): it is no boolean"),
        ("type:bool]", "type:comment]", "it is a comment"),
        // Taken out of encryption.
        (data.as_str(), "plain", "was changed without SOPS"),
        (
            mac.trim_start(),
            "mac: ENC[AES256_GCM,data:,iv:,tag:,type:str]",
            "its `mac` was not made",
        ),
        ("lastmodified: \"20", "lastmodified: \"19", "its `mac` was not made"),
    ] {
        let (_kept, path) = changed("regex.sops.yaml", from, to);
        let error = Host::with_key("one.key").read(&path).await.unwrap_err();
        assert!(error.to_string().contains(says), "{from}: {error}");
        // sops itself lets a value be a comment.
        let Some(folder) = folder.as_ref().filter(|_| !to.contains("comment")) else { continue };
        let key = fixture("one.key");
        let host = Host::new(&[
            ("PATH", folder.to_str().unwrap()),
            ("SOPS_AGE_KEY_FILE", key.to_str().unwrap()),
        ]);
        assert!(host.read(&path).await.is_err(), "{from}: sops refuses it as well");
    }
    // Swapped values of one name in a list have the same binding: only the digest tells.
    let (first, second) = (value(&passwords[1]), value(&passwords[2]));
    for name in ["regex.sops.yaml", "mac-only.sops.yaml"] {
        let text = fs::read_to_string(fixture(name)).unwrap();
        let passwords: Vec<&str> =
            text.lines().filter_map(|l| l.trim_start().strip_prefix("password: ")).collect();
        let swapped = text
            .replace(passwords[1], "@")
            .replace(passwords[2], passwords[1])
            .replace('@', passwords[2]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, swapped).unwrap();
        let error = Host::with_key("one.key").read(&path).await.unwrap_err();
        assert!(error.to_string().contains("added, removed or moved"), "{name}: {error}");
    }
    assert_ne!(first, second);
}

#[tokio::test]
async fn what_our_reader_cannot_open_is_left_to_the_program() {
    let host = Host::with_key("one.key");
    let error = host.read(&fixture("groups.sops.yaml")).await.unwrap_err();
    assert!(error.to_string().contains("in parts (`key_groups`)"), "{error}");
    let PlatformError::Failed { help: Some(help), .. } = error else { panic!("{error:?}") };
    assert!(help.starts_with("install sops"), "{help}");
    for (from, to, says) in [
        ("    age:\n", "    kms:\n", "is encrypted for AWS KMS"),
        ("    age:\n", "    age_v2:\n", "names nobody who can open it"),
        ("    encrypted_regex", "    argon: 1\n    encrypted_regex", "a newer SOPS (`argon`)"),
        ("    mac: ", "    macs: ", "`mac` or `lastmodified` is missing; it has `macs`"),
        ("    age:\n        - ", "    age:\n        - x: y\n          ", "`"),
    ] {
        let (_kept, path) = changed("regex.sops.yaml", from, to);
        match host.read(&path).await {
            Err(error) => assert!(error.to_string().contains(says), "{from}: {error}"),
            Ok(values) => assert_eq!((says, values.sealed().count()), ("`", 0)),
        }
    }
    // With both parts' keys the program opens it.
    let Some(folder) = program() else { return };
    let keys: Vec<String> = ["one.key", "two.key"]
        .map(|k| fs::read_to_string(fixture(k)).unwrap())
        .iter()
        .flat_map(|text| text.lines().filter(|l| l.starts_with("AGE-")).map(str::to_owned))
        .collect();
    let keys = keys.join("\n");
    let host = Host::new(&[("PATH", folder.to_str().unwrap()), ("SOPS_AGE_KEY", &keys)]);
    let values = host.read(&fixture("groups.sops.yaml")).await.unwrap();
    assert_eq!(values.get(&["users", "0", "password"]), Some(&json!("first")));
}

#[tokio::test]
async fn a_reference_names_one_value() {
    let host = Host::with_key("one.key");
    let file = fixture("regex.sops.yaml");
    let get = async |path: &str| values::reference(&host.look, &file, path).await;
    assert_eq!(get("users/1/password").await.unwrap().reveal(), b"second");
    assert_eq!(get("auth/password").await.unwrap().reveal(), b"12345678");
    assert_eq!(get("global/postgresql/username").await.unwrap().reveal(), b"gitea");
    assert!(get("users").await.unwrap_err().contains("not one value"));
    for missing in ["users/2/password", "nothing", "sops/mac", "global/postgresql/username/x"] {
        assert!(get(missing).await.unwrap_err().contains("has no value at"), "{missing}");
    }
}

#[tokio::test]
async fn plain_files_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    let host = Host::new(&[]);
    let read = async |text: &str| {
        fs::write(&path, text).unwrap();
        host.read(&path).await
    };
    let values = read("a: {b: [1, x]}\nc: 1.5\n").await.unwrap();
    assert_eq!(tree(&values), json!({"a": {"b": [1, "x"]}, "c": 1.5}));
    assert!(values.leaves().iter().all(|(.., secret)| !secret));
    assert_eq!(tree(&read("# nothing\n").await.unwrap()), json!({}));
    for (text, says) in [
        ("a: 1\nb: yes\n", "line 2: `yes` is a boolean to some readers"),
        ("- 1\n", "holds a list; values are a mapping"),
        ("a: 1\na: 2\n", "line 2, column 1: the key `a` stands here twice"),
        ("a: [1\n", "cannot be read, line"),
        ("a: &x 1\nb: *x\n", "cannot be read, line 1"),
        ("sops: {age: []}\n", "`mac` or `lastmodified` is missing"),
    ] {
        let error = read(text).await.unwrap_err();
        assert!(error.to_string().contains(says), "{text:?}: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(host.read(&path).await, Err(PlatformError::Missing(_))));
}

#[tokio::test]
async fn a_file_that_changes_is_read_anew() {
    let (_kept, path) = changed("regex.sops.yaml", "# What is not", "# What is no");
    let host = Host::with_key("one.key");
    let before = host.read(&path).await.unwrap();
    assert!(host.read(&path).await.unwrap() == before);
    fs::copy(fixture("suffix.sops.yaml"), &path).unwrap();
    assert_eq!(tree(&host.read(&path).await.unwrap()), plain("suffix.sops.yaml"));
}
