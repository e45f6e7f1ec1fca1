//! `make.target` and `file.edit`, with their commits.

use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, SystemTime};

use workplan_engine::kind::{Past, Prepared, Seen, Step};

use crate::support::{GitRepo, World, build, interrupted, step, succeeded};

fn world() -> (World, GitRepo) {
    let world = World::new().with_repos(&["apps"]);
    let repo = GitRepo::new(&world.path("apps"));
    repo.write("Makefile", "all:\n\techo all\n");
    repo.commit("A Makefile");
    (world, repo)
}

fn target(more: Value) -> Box<dyn Step> {
    let mut given = json!({"file": "apps:Makefile", "target": "up", "recipe": "echo up"});
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    step("make.target", given)
}

async fn run(world: &World, step: &dyn Step) -> Prepared {
    let hands = world.hands(Past::Never);
    let prepared = step.prepare(&hands).await.unwrap();
    step.apply(&hands).await.unwrap();
    assert_eq!(step.observe(&hands).await.seen, Seen::Done);
    prepared
}

#[tokio::test]
async fn a_commit_holds_the_file_and_nothing_else() {
    let (world, repo) = world();
    repo.write("README.md", "changed\n");
    repo.write("staged", "x\n");
    repo.git(&["add", "staged"]);
    repo.write("new", "");
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    repo.set_mode(".git/hooks/pre-commit", 0o755);
    repo.git(&["config", "commit.gpgSign", "true"]);
    let make = target(json!({"commit": "Add up\n\nWith a body."}));
    let seen = make.observe(&world.look(Past::Never)).await;
    let changes = make.preview(&world.look(Past::Never), &seen).await;
    assert_eq!(changes[0].op, "update");
    assert!(changes[1].path.starts_with("commit in "), "{changes:?}");
    let before = repo.git(&["status", "--porcelain"]);
    let prepared = run(&world, &*make).await;
    assert_eq!(repo.git(&["status", "--porcelain"]), before);
    assert_eq!(
        repo.git(&["show", "--name-only", "--format=%an %cn"]).trim(),
        "workplan workplan\n\nMakefile"
    );
    assert_eq!(
        repo.message().trim_end(),
        "Add up\n\nWith a body.\n\nWorkplan-Step: workplan:r1:T01.x:1"
    );
    // Somebody commits on top, to other paths: it is taken back all the same.
    repo.git(&[
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "commit.gpgSign=false",
        "commit",
        "-qm",
        "Mine",
    ]);
    let look = world.look(succeeded());
    assert_eq!(make.look_back(&look, &prepared).await.seen, Seen::Done);
    make.undo(&world.hands(succeeded()), &prepared).await.unwrap();
    assert_eq!(repo.read("Makefile").unwrap(), "all:\n\techo all\n");
    assert!(repo.message().starts_with("Revert \"Add up\"\n\nWorkplan-Undo: workplan:r1:"));
    assert_eq!(make.look_back(&look, &prepared).await.seen, Seen::Absent);
}

#[tokio::test]
async fn who_is_configured_commits() {
    let (world, repo) = world();
    repo.git(&["config", "user.name", "Ada"]);
    repo.git(&["config", "user.email", "ada@example.org"]);
    run(&world, &*target(json!({"commit": "Add up"}))).await;
    assert_eq!(repo.git(&["log", "-1", "--format=%an <%ce>"]).trim(), "Ada <ada@example.org>");
    assert!(repo.is_clean());
}

#[tokio::test]
async fn a_path_with_uncommitted_changes_is_refused() {
    let (world, repo) = world();
    let make = target(json!({"commit": "Add up"}));
    for how in ["changed", "staged"] {
        repo.write("Makefile", "all:\n\techo more\n");
        if how == "staged" {
            repo.git(&["add", "Makefile"]);
        }
        let before = repo.fingerprint();
        let seen = make.observe(&world.look(Past::Never)).await.seen;
        let Seen::Unknown(why) = seen else { panic!("{seen:?}") };
        assert!(why.contains(&format!("`Makefile` is {how}")), "{why}");
        assert!(make.apply(&world.hands(Past::Never)).await.is_err());
        assert_eq!(repo.fingerprint(), before);
    }
    // Without a commit it is nobody's business.
    run(&world, &*target(json!({}))).await;
    assert_eq!(repo.read("Makefile").unwrap(), "all:\n\techo more\n\nup:\n\techo up\n");
}

#[tokio::test]
async fn what_is_right_in_the_commit_stays_done_while_somebody_goes_on() {
    let (world, repo) = world();
    let make = target(json!({"commit": "Add up"}));
    run(&world, &*make).await;
    repo.write("Makefile", &format!("{}x:\n\ty\n", repo.read("Makefile").unwrap()));
    let before = repo.fingerprint();
    assert_eq!(make.observe(&world.look(succeeded())).await.seen, Seen::Done);
    make.apply(&world.hands(succeeded())).await.unwrap();
    assert_eq!(repo.fingerprint(), before);
}

#[tokio::test]
async fn a_new_makefile_is_made_and_undone_wherever_it_was_killed() {
    let (world, repo) = world();
    fs::remove_file(repo.path("Makefile")).unwrap();
    repo.commit("No Makefile");
    let before = repo.fingerprint();
    let make = target(json!({"commit": "Add up"}));
    let prepared = make.prepare(&world.look(Past::Never)).await.unwrap();
    // Written; written and staged.
    for staged in [false, true] {
        repo.write("Makefile", "up:\n\techo up\n");
        if staged {
            repo.git(&["add", "Makefile"]);
        }
        let hands = world.hands(interrupted());
        let half = make.observe(&hands).await.seen;
        assert!(matches!(half, Seen::Half(_)), "{half:?}");
        assert_eq!(make.look_back(&hands, &prepared).await.seen, Seen::Done);
        make.undo(&hands, &prepared).await.unwrap();
        assert_eq!(repo.fingerprint(), before, "undone from there");

        repo.write("Makefile", "up:\n\techo up\n");
        make.repair(&hands, &half).await.unwrap();
        assert_eq!(make.observe(&hands).await.seen, Seen::Done);
        assert!(repo.is_clean());
        // Undo that was killed before its commit.
        fs::remove_file(repo.path("Makefile")).unwrap();
        assert_eq!(make.look_back(&hands, &prepared).await.seen, Seen::Done);
        make.undo(&hands, &prepared).await.unwrap();
        assert_eq!(repo.fingerprint(), before);
    }
}

#[tokio::test]
async fn a_foreign_commit_to_the_file_is_not_taken_back() {
    let (world, repo) = world();
    let make = target(json!({"commit": "Add up"}));
    let prepared = run(&world, &*make).await;
    repo.write("Makefile", "mine:\n\tx\n");
    repo.commit("Mine");
    let before = repo.fingerprint();
    let seen = make.look_back(&world.look(succeeded()), &prepared).await.seen;
    assert!(matches!(seen, Seen::Unknown(_)), "{seen:?}");
    assert!(make.undo(&world.hands(succeeded()), &prepared).await.is_err());
    assert_eq!(repo.fingerprint(), before);
}

#[tokio::test]
async fn a_commit_without_a_repository_is_refused_with_words() {
    let world = World::new();
    world.write("f", "a");
    let edit = step("file.edit", json!({"file": "f", "find": "a", "replace": "b", "commit": "c"}));
    let seen = edit.observe(&world.look(Past::Never)).await.seen;
    let Seen::Unknown(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("lies in no git repository"), "{why}");
}

#[tokio::test]
async fn another_git_at_work_is_waited_for() {
    let (world, repo) = world();
    let lock = repo.path(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let make = target(json!({"commit": "Add up"}));
    let hands = world.hands(Past::Never);
    let tried = || {
        let specs = world.launcher.specs.lock().unwrap();
        specs.iter().filter(|s| s.argv.iter().any(|a| a == "update-index")).count() > 1
    };
    let free = async {
        crate::support::until("a second try", tried).await;
        fs::remove_file(&lock).unwrap();
    };
    let (applied, ()) = tokio::join!(make.apply(&hands), free);
    applied.unwrap();
    assert!(repo.is_clean());
}

#[tokio::test]
async fn what_a_killed_git_left_is_in_nobodys_way() {
    let (world, repo) = world();
    for name in ["index.lock", "HEAD.lock"] {
        let lock = fs::File::create(repo.path(&format!(".git/{name}"))).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    let make = target(json!({"commit": "Add up"}));
    make.apply(&world.hands(Past::Never)).await.unwrap();
    assert!(repo.is_clean() && !repo.path(".git/index.lock").exists());
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (kind, given, keys) in [
        (
            "file.edit",
            json!({"file": "", "find": "", "replace": "", "commit": " "}),
            vec!["file", "commit", "find"],
        ),
        (
            "file.edit",
            json!({"file": "a/", "find": "a", "replace": "a", "count": 0}),
            vec!["file", "replace", "count"],
        ),
        (
            "make.target",
            json!({"file": "a", "target": "a b", "recipe": "\n", "help": "a\nb", "prerequisites": ["a:"]}),
            vec!["target", "recipe", "help", "prerequisites"],
        ),
        (
            "make.target",
            json!({"file": "a", "target": ".PHONY", "recipe": "a \\"}),
            vec!["target", "recipe"],
        ),
    ] {
        let problems = build(kind, given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
}
