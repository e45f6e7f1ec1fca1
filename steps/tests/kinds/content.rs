//! `file.content`.

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use workplan_engine::digest::Digest;
use workplan_engine::kind::{Binding, ErrorCause, Past, Seen, Step, StepError, UndoPlan};

use crate::support::{STEP, World, build, step};

fn mode(world: &World, name: &str) -> u32 {
    fs::metadata(world.path(name)).unwrap().mode() & 0o7777
}

fn set_mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), Permissions::from_mode(mode)).unwrap();
}

async fn seen(world: &World, step: &dyn Step) -> Seen {
    step.observe(&world.look(Past::Never)).await.seen
}

async fn apply(world: &World, json: Value) -> Result<(), StepError> {
    let step = step("file.content", json);
    step.apply(&world.hands(Past::Never)).await?;
    assert_eq!(seen(world, &*step).await, Seen::Done);
    Ok(())
}

#[tokio::test]
async fn a_new_file_has_its_content_and_permissions() {
    let world = World::new();
    apply(&world, json!({"path": "a", "content": "x"})).await.unwrap();
    assert_eq!((world.read("a").unwrap().as_str(), mode(&world, "a")), ("x", 0o644));
    apply(&world, json!({"path": "b", "content": "", "mode": "0750"})).await.unwrap();
    assert_eq!((world.read("b").unwrap().as_str(), mode(&world, "b")), ("", 0o750));
    apply(&world, json!({"path": "c", "content": "x", "mode": 640})).await.unwrap();
    assert_eq!(mode(&world, "c"), 0o640);
    assert_eq!(world.names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn an_existing_file_keeps_its_permissions() {
    let world = World::new();
    world.write("a", "old");
    set_mode(&world, "a", 0o640);
    apply(&world, json!({"path": "a", "content": "new"})).await.unwrap();
    assert_eq!((world.read("a").unwrap().as_str(), mode(&world, "a")), ("new", 0o640));
}

#[tokio::test]
async fn wrong_permissions_are_half_and_repaired_in_place() {
    let world = World::new();
    world.write("a", "x");
    set_mode(&world, "a", 0o600);
    let inode = fs::metadata(world.path("a")).unwrap().ino();
    let step = step("file.content", json!({"path": "a", "content": "x", "mode": "0644"}));
    let half = seen(&world, &*step).await;
    assert_eq!(half, Seen::Half("mode is 0600, wanted 0644".to_owned()));
    let look = world.look(Past::Never);
    let prepared = step.prepare(&look).await.unwrap();
    let changes = step.preview(&look, &step.observe(&look).await).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].before.clone(), changes[0].after.clone()),
        (Some(json!("0600")), Some(json!("0644")))
    );
    let hands = world.hands(Past::Never);
    step.repair(&hands, &half).await.unwrap();
    assert_eq!(seen(&world, &*step).await, Seen::Done);
    assert_eq!(fs::metadata(world.path("a")).unwrap().ino(), inode);
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!(mode(&world, "a"), 0o600);
}

#[tokio::test]
async fn the_temporary_file_of_this_run_is_removed_and_others_stay() {
    let world = World::new();
    let ours = format!(".a.wp-{}", Digest::of(format!("workplan:r1:{STEP}").as_bytes()).short());
    let theirs = format!(".a.wp-{}", Digest::of(b"workplan:r9:T01.x").short());
    world.write(&ours, "par");
    world.write(&theirs, "par");
    let step = step("file.content", json!({"path": "a", "content": "x"}));
    let half = seen(&world, &*step).await;
    assert!(matches!(&half, Seen::Half(why) if why.contains(&ours)), "{half:?}");
    step.repair(&world.hands(Past::Never), &half).await.unwrap();
    assert_eq!(world.names(), std::slice::from_ref(&theirs));
    assert_eq!(seen(&world, &*step).await, Seen::Absent);
    world.write(&ours, "par");
    step.apply(&world.hands(Past::Never)).await.unwrap();
    assert_eq!(world.names(), [theirs, "a".to_owned()]);
}

#[tokio::test]
async fn what_is_no_file_is_unknown_and_stays() {
    let world = World::new();
    fs::create_dir(world.path("folder")).unwrap();
    symlink("nothing", world.path("dangling")).unwrap();
    symlink("loop", world.path("loop")).unwrap();
    nix::unistd::mkfifo(&world.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.write("file", "");
    let before = world.names();
    for (path, said) in [
        ("folder", "is a folder"),
        ("dangling", "is a symbolic link to `nothing`, which does not exist"),
        ("loop", "leads to itself"),
        ("pipe", "is not a regular file"),
        ("file/below", "is a file and not a folder"),
    ] {
        let step = step("file.content", json!({"path": path, "content": "x"}));
        let seen = seen(&world, &*step).await;
        assert!(matches!(&seen, Seen::Unknown(why) if why.contains(said)), "{path}: {seen:?}");
        let hands = world.hands(Past::Never);
        assert_eq!(step.apply(&hands).await.unwrap_err().cause, ErrorCause::NotStarted);
        assert_eq!(step.prepare(&hands).await.unwrap_err().cause, ErrorCause::NotStarted);
    }
    assert_eq!(world.names(), before);
}

#[tokio::test]
async fn a_link_to_a_file_is_followed_and_said() {
    let world = World::new();
    world.write("real", "old");
    symlink("real", world.path("link")).unwrap();
    let step = step("file.content", json!({"path": "link", "content": "new"}));
    let look = world.look(Past::Never);
    let changes = step.preview(&look, &step.observe(&look).await).await;
    assert!(changes[0].path.ends_with(&format!(
        "link -> {}",
        fs::canonicalize(world.path("real")).unwrap().display()
    )));
    let prepared = step.prepare(&look).await.unwrap();
    let hands = world.hands(Past::Never);
    step.apply(&hands).await.unwrap();
    assert_eq!(world.read("real").as_deref(), Some("new"));
    assert!(fs::symlink_metadata(world.path("link")).unwrap().is_symlink());
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!(world.read("real").as_deref(), Some("old"));
    // Led elsewhere in the meantime: not ours to change.
    step.apply(&hands).await.unwrap();
    world.write("other", "new");
    fs::remove_file(world.path("link")).unwrap();
    symlink("other", world.path("link")).unwrap();
    assert!(step.undo(&hands, &prepared).await.is_err());
    assert_eq!(world.read("other").as_deref(), Some("new"));
}

#[tokio::test]
async fn missing_folders_are_made_where_that_is_said_and_removed_when_empty() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let refused = step("file.content", json!({"path": "x/y/a", "content": "1"}));
    assert_eq!(seen(&world, &*refused).await, Seen::Absent);
    let error = refused.apply(&hands).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::NotStarted);
    assert!(error.what.ends_with("x` does not exist"), "{error}");
    assert_eq!(error.help.as_deref(), Some("`parents: true` creates it"));

    let step = step("file.content", json!({"path": "x/y/a", "content": "1", "parents": true}));
    let prepared = step.prepare(&hands).await.unwrap();
    let changes = step.preview(&hands, &step.observe(&hands).await).await;
    assert_eq!(changes.len(), 3);
    step.apply(&hands).await.unwrap();
    assert_eq!(seen(&world, &*step).await, Seen::Done);
    step.undo(&hands, &prepared).await.unwrap();
    assert!(!world.path("x").exists());
    step.undo(&hands, &prepared).await.unwrap();

    step.apply(&hands).await.unwrap();
    world.write("x/mine", "");
    step.undo(&hands, &prepared).await.unwrap();
    assert!(world.path("x/mine").exists() && !world.path("x/y").exists());
}

#[tokio::test]
async fn undo_leaves_what_somebody_else_did_since() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let step = step("file.content", json!({"path": "a", "content": "new"}));
    assert!(matches!(step.undo_plan(), UndoPlan::Can(_)));
    // A new file, then changed.
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    world.write("a", "theirs");
    let error = step.undo(&hands, &prepared).await.unwrap_err();
    assert!(
        error.what.ends_with("was changed since by somebody else; it is left as it is"),
        "{error}"
    );
    assert_eq!(world.read("a").as_deref(), Some("theirs"));
    // A changed file, then changed again: neither what was there nor what we wrote.
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    world.write("a", "theirs again");
    assert!(step.undo(&hands, &prepared).await.is_err());
    assert_eq!(world.read("a").as_deref(), Some("theirs again"));
    // A changed file, then removed.
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    fs::remove_file(world.path("a")).unwrap();
    assert!(step.undo(&hands, &prepared).await.is_err());
    assert!(world.names().is_empty());
}

#[tokio::test]
async fn permissions_that_somebody_else_changed_are_seen_looking_back() {
    let world = World::new();
    world.write("a", "old");
    set_mode(&world, "a", 0o640);
    let hands = world.hands(Past::Never);
    let step = step("file.content", json!({"path": "a", "content": "new", "mode": "0600"}));
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Done);
    set_mode(&world, "a", 0o666);
    let seen = step.look_back(&hands, &prepared).await.seen;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("somebody else")), "{seen:?}");
    assert!(step.undo(&hands, &prepared).await.is_err());
    assert_eq!((world.read("a").unwrap().as_str(), mode(&world, "a")), ("new", 0o666));
    // Half of the way back: the old permissions already, the new content still.
    set_mode(&world, "a", 0o640);
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Done);
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!((world.read("a").unwrap().as_str(), mode(&world, "a")), ("old", 0o640));
}

#[tokio::test]
async fn what_an_attempt_left_behind_is_there_to_be_taken_back() {
    let world = World::new();
    let hands = world.hands(Past::Never);
    let given = json!({"path": "x/y/a", "content": "1", "parents": true});
    let step = step("file.content", given);
    let prepared = step.prepare(&hands).await.unwrap();
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Absent);
    fs::create_dir(world.path("x")).unwrap();
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Done);
    step.undo(&hands, &prepared).await.unwrap();
    assert!(!world.path("x").exists());
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Absent);
}

#[tokio::test]
async fn the_old_content_of_a_sensitive_file_is_in_no_undo_data() {
    let world = World::new().with_secret("env:TOKEN", "hunter22");
    world.write("a", "hunter21");
    let step = step("file.content", json!({"path": "a", "content_secret": "env:TOKEN"}));
    let hands = world.hands(Past::Never);
    let prepared = step.prepare(&hands).await.unwrap();
    let told = prepared.undo.to_string();
    assert!(!told.contains("hunter") && !told.contains(Digest::of(b"hunter21").as_str()));
    step.apply(&hands).await.unwrap();
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Done);
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!(world.read("a").as_deref(), Some("hunter21"));
    assert_eq!(step.look_back(&hands, &prepared).await.seen, Seen::Absent);
}

#[tokio::test]
async fn undo_restores_bytes_that_are_no_text_and_permissions() {
    let world = World::new();
    let old = [0xff, 0x00, 0xfe, b'\r', b'\n'];
    fs::write(world.path("a"), old).unwrap();
    set_mode(&world, "a", 0o4710);
    let hands = world.hands(Past::Never);
    let step = step("file.content", json!({"path": "a", "content": "new", "mode": "0600"}));
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    step.undo(&hands, &prepared).await.unwrap();
    assert_eq!(fs::read(world.path("a")).unwrap(), old);
    assert_eq!(mode(&world, "a"), 0o4710);
}

#[tokio::test]
async fn a_secret_is_written_owner_only_and_never_shown() {
    let world = World::new().with_secret("env:TOKEN", "hunter22");
    let step = step("file.content", json!({"path": "a", "content_secret": "env:TOKEN"}));
    let hands = world.hands(Past::Never);
    let before = step.observe(&hands).await;
    let changes = step.preview(&hands, &before).await;
    assert_eq!((changes[0].op.as_str(), &changes[0].after), ("create", &None));
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    assert_eq!((world.read("a").unwrap().as_str(), mode(&world, "a")), ("hunter22", 0o600));
    let after = step.observe(&hands).await;
    assert!(after.is_done());
    assert_eq!(after.facts.0["version"].class, Binding::Binding);
    assert_eq!(after.facts.0["version"].value, None);
    let told = serde_json::to_string(&(&before, &changes, &prepared, &after)).unwrap();
    assert!(!told.contains("hunter22") && !told.contains(Digest::of(b"hunter22").as_str()));

    // The version moves with the content.
    world.write("a", "hunter23");
    let moved = step.observe(&hands).await;
    assert_eq!(moved.seen, Seen::Absent);
    assert_ne!(moved.facts.0["version"], after.facts.0["version"]);
    let changes = step.preview(&hands, &moved).await;
    assert_eq!((&changes[0].before, &changes[0].after), (&None, &None));
}

#[tokio::test]
async fn a_missing_secret_is_named() {
    let world = World::new();
    let step = step("file.content", json!({"path": "a", "content_secret": "env:TOKEN"}));
    let seen = seen(&world, &*step).await;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("env:TOKEN")), "{seen:?}");
    let error = step.apply(&world.hands(Past::Never)).await.unwrap_err();
    assert_eq!(error.cause, ErrorCause::NotStarted);
    assert!(world.names().is_empty());
}

#[tokio::test]
async fn facts_name_what_is_there() {
    let world = World::new();
    let step = step("file.content", json!({"path": "a", "content": "x"}));
    let facts = step.observe(&world.look(Past::Never)).await.facts;
    assert_eq!(facts.0.keys().collect::<Vec<_>>(), ["exists"]);
    world.write("a", "x");
    set_mode(&world, "a", 0o644);
    let facts = step.observe(&world.look(Past::Never)).await.facts;
    assert_eq!(facts.0["sha256"].value, Some(json!(Digest::of(b"x").as_str())));
    assert_eq!(facts.0["mode"].value, Some(json!("0644")));
    assert_eq!(facts.0["size"].class, Binding::Informative);
    assert_eq!(facts.binding().count(), 4);
}

#[tokio::test]
async fn owners_are_names_or_numbers() {
    let world = World::new();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let name = nix::unistd::User::from_uid(uid).unwrap().unwrap().name;
    for owner in [uid.to_string(), format!("{uid}:{gid}"), name] {
        apply(&world, json!({"path": "a", "content": "x", "owner": owner})).await.unwrap();
    }
    let nobody =
        step("file.content", json!({"path": "a", "content": "x", "owner": "no-such-user"}));
    let unknown = Seen::Unknown("this machine knows no user `no-such-user`".to_owned());
    assert_eq!(seen(&world, &*nobody).await, unknown);
    let other = format!("{}", uid.as_raw() + 1);
    let other = step("file.content", json!({"path": "a", "content": "x", "owner": other}));
    let half = seen(&world, &*other).await;
    assert!(matches!(&half, Seen::Half(why) if why.starts_with("owner is ")), "{half:?}");
    // Root may give files away, others are told that they may not.
    match other.repair(&world.hands(Past::Never), &half).await {
        Ok(()) => assert_eq!(seen(&world, &*other).await, Seen::Done),
        Err(e) => assert!(!uid.is_root() && e.what.contains("not permitted"), "{e}"),
    }
}

#[tokio::test]
async fn what_may_not_be_read_or_written_is_told() {
    let world = World::new();
    world.write("a", "x");
    set_mode(&world, "a", 0);
    let root = nix::unistd::geteuid().is_root();
    let step = step("file.content", json!({"path": "a", "content": "x"}));
    // Root may read all.
    match seen(&world, &*step).await {
        Seen::Done => assert!(root),
        Seen::Unknown(why) => assert!(!root && why.ends_with("may not be read by this user")),
        other => panic!("{other:?}"),
    }
    set_mode(&world, "a", 0o644);
    fs::create_dir(world.path("locked")).unwrap();
    set_mode(&world, "locked", 0o555);
    let step = crate::support::step("file.content", json!({"path": "locked/a", "content": "x"}));
    match step.apply(&world.hands(Past::Never)).await {
        Ok(_) => assert!(root),
        Err(e) => assert!(!root && e.what.ends_with("locked/a`: permission denied"), "{e}"),
    }
    set_mode(&world, "locked", 0o755);
}

#[tokio::test]
async fn large_and_binary_contents_are_not_shown() {
    let world = World::new();
    fs::write(world.path("a"), [0xff, 0xfe]).unwrap();
    let step = step("file.content", json!({"path": "a", "content": "x".repeat(64 * 1024 + 1)}));
    let look = world.look(Past::Never);
    let changes = step.preview(&look, &step.observe(&look).await).await;
    assert_eq!(
        (changes[0].op.as_str(), &changes[0].before, &changes[0].after),
        ("update", &None, &None)
    );
}

#[test]
fn one_file_has_one_resource_name() {
    for path in ["etc/a", "./etc/a", "etc//a", "etc/./a"] {
        let step = step("file.content", json!({"path": path, "content": ""}));
        assert_eq!(step.resources().writes, ["file/etc/a"]);
    }
    let absolute = step("file.content", json!({"path": "/etc/a", "content": ""}));
    assert_eq!(absolute.resources().writes, ["file//etc/a"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (given, keys) in [
        (json!({"path": "a"}), vec![""]),
        (json!({"path": "", "content": ""}), vec!["path"]),
        (json!({"path": "a/", "content": ""}), vec!["path"]),
        (json!({"path": "a", "content": "", "content_secret": "env:A"}), vec!["content_secret"]),
        (
            json!({"path": "a", "content": "", "mode": "0888", "owner": "a:b:c"}),
            vec!["mode", "owner"],
        ),
        (
            json!({"path": "a", "content": "", "mode": "77777", "owner": ":b"}),
            vec!["mode", "owner"],
        ),
    ] {
        let problems = build("file.content", given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
}
