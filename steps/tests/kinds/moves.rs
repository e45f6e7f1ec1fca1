//! `git.move` on hard cases.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use workplan_engine::kind::{Past, Prepared, Seen, Step};

use crate::support::{GitRepo, World, build, interrupted, step, succeeded};

struct Repos {
    world: World,
    cluster: GitRepo,
    platform: GitRepo,
}

impl Repos {
    fn new() -> Self {
        let world = World::new().with_repos(&["cluster", "platform"]);
        let (cluster, platform) =
            (GitRepo::new(&world.path("cluster")), GitRepo::new(&world.path("platform")));
        cluster.write("tools/cmd/backup-all", "#!/bin/sh\necho backup\n");
        cluster.set_mode("tools/cmd/backup-all", 0o755);
        cluster.write("charts/db/Chart.yaml", "name: db\n");
        cluster.write("charts/db/bin/run", "#!/bin/sh\n");
        cluster.set_mode("charts/db/bin/run", 0o755);
        symlink("Chart.yaml", cluster.path("charts/db/link")).unwrap();
        cluster.write("charts/MOVED.md", "# Moved");
        cluster.commit("Tools");
        Self { world, cluster, platform }
    }

    fn fingerprint(&self) -> [String; 2] {
        [self.cluster.fingerprint(), self.platform.fingerprint()]
    }

    async fn seen(&self, step: &dyn Step) -> Seen {
        step.observe(&self.world.look(Past::Never)).await.seen
    }

    async fn refusal(&self, step: &dyn Step) -> String {
        let before = self.fingerprint();
        let seen = self.seen(step).await;
        let Seen::Unknown(why) = seen else { panic!("{seen:?}") };
        let error = step.apply(&self.world.hands(Past::Never)).await.unwrap_err();
        assert_eq!(error.what, why);
        assert_eq!(self.fingerprint(), before, "a refused move changes nothing");
        why
    }

    async fn run(&self, step: &dyn Step) -> Prepared {
        let hands = self.world.hands(Past::Never);
        assert_eq!(step.observe(&hands).await.seen, Seen::Absent);
        let prepared = step.prepare(&hands).await.unwrap();
        step.apply(&hands).await.unwrap();
        assert_eq!(step.observe(&hands).await.seen, Seen::Done);
        prepared
    }

    /// Looks, repairs or applies, as the engine does after a kill.
    async fn finish(&self, step: &dyn Step) {
        let hands = self.world.hands(interrupted());
        let mut seen = step.observe(&hands).await.seen;
        if matches!(seen, Seen::Half(_)) {
            step.repair(&hands, &seen).await.unwrap();
            seen = step.observe(&hands).await.seen;
        }
        if seen == Seen::Absent {
            step.apply(&hands).await.unwrap();
            seen = step.observe(&hands).await.seen;
        }
        assert_eq!(seen, Seen::Done);
    }

    fn may_write(&self, times: Option<usize>) {
        *self.world.launcher.git_writes.lock().unwrap() = times;
    }
}

fn tool(more: Value) -> Box<dyn Step> {
    let mut given = json!({"from": "cluster:tools/cmd/backup-all", "to": "platform:tools/cmd/"});
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    step("git.move", given)
}

fn chart() -> Box<dyn Step> {
    step(
        "git.move",
        json!({"from": "cluster:charts/db", "to": "platform:charts/db", "note": "T05"}),
    )
}

fn stub() -> Box<dyn Step> {
    tool(json!({"stub": "#!/bin/sh\necho 'run it in platform' >&2\nexit 1"}))
}

#[tokio::test]
async fn a_tool_keeps_its_executable_bit_and_leaves_a_tombstone() {
    let repos = Repos::new();
    let step = tool(json!({"note": "T05", "commit": "Move the tool"}));
    repos.run(&*step).await;
    let mode = fs::metadata(repos.platform.path("tools/cmd/backup-all")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    assert!(repos.platform.git(&["ls-tree", "-r", "HEAD"]).contains("100755 blob"));
    let commit = repos.platform.git(&["rev-parse", "HEAD"]);
    let text = repos.cluster.read("tools/cmd/MOVED.md").unwrap();
    let begin = "backup-all moved to platform/tools/cmd/backup-all (20";
    assert!(text.starts_with(begin), "{text}");
    let digest = workplan_engine::digest::Digest::of(b"#!/bin/sh\necho backup\n");
    let end = format!(", T05; commit {}, sha256 {digest})\n", commit.trim());
    assert!(text.ends_with(&end), "{text}");
    assert!(repos.cluster.message().starts_with("Move the tool\n\nWorkplan-Step: workplan:r1:"));
    assert!(repos.cluster.is_clean() && repos.platform.is_clean());
    // A second run does nothing, also when what was moved has been edited since.
    repos.platform.write("tools/cmd/backup-all", "#!/bin/sh\n");
    let before = repos.fingerprint();
    assert_eq!(repos.seen(&*step).await, Seen::Done);
    step.apply(&repos.world.hands(succeeded())).await.unwrap();
    assert_eq!(repos.fingerprint(), before);
}

#[tokio::test]
async fn a_folder_keeps_links_and_bits_and_a_tombstone_gets_a_line() {
    let repos = Repos::new();
    let before = repos.fingerprint();
    let step = chart();
    let changes = step
        .preview(
            &repos.world.look(Past::Never),
            &step.observe(&repos.world.look(Past::Never)).await,
        )
        .await;
    let ops: Vec<&str> = changes.iter().map(|c| c.op.as_str()).collect();
    assert_eq!(
        ops,
        ["create", "create", "create", "create", "delete", "delete", "delete", "update", "create"]
    );
    let prepared = repos.run(&*step).await;
    assert_eq!(
        fs::read_link(repos.platform.path("charts/db/link")).unwrap().to_str(),
        Some("Chart.yaml")
    );
    assert!(!repos.cluster.path("charts/db").exists());
    let text = repos.cluster.read("charts/MOVED.md").unwrap();
    assert!(text.starts_with("# Moved\ndb moved to platform/charts/db (20"), "{text}");
    step.undo(&repos.world.hands(succeeded()), &prepared).await.unwrap();
    let after = repos.fingerprint();
    // The line end that the tombstone lacked is all that stays.
    assert_eq!(repos.cluster.read("charts/MOVED.md").unwrap(), "# Moved\n");
    assert_eq!(after[1], before[1]);
}

#[tokio::test]
async fn a_stub_stays_in_the_old_place() {
    let repos = Repos::new();
    let before = repos.fingerprint();
    let step = stub();
    let prepared = repos.run(&*step).await;
    let text = repos.cluster.read("tools/cmd/backup-all").unwrap();
    assert!(
        text.starts_with(
            "#!/bin/sh\necho 'run it in platform' >&2\nexit 1\n# backup-all moved to platform/"
        ),
        "{text}"
    );
    assert!(repos.cluster.is_clean());
    assert!(repos.cluster.read("tools/cmd/MOVED.md").is_none());
    step.undo(&repos.world.hands(succeeded()), &prepared).await.unwrap();
    assert_eq!(repos.fingerprint(), before);
}

#[tokio::test]
async fn a_tool_killed_anywhere_is_finished_or_taken_back() {
    walk(|| tool(json!({}))).await;
}

#[tokio::test]
async fn a_folder_killed_anywhere_is_finished_or_taken_back() {
    walk(chart).await;
}

#[tokio::test]
async fn a_stub_killed_anywhere_is_finished_or_taken_back() {
    walk(stub).await;
}

/// Kills a move before each write of git; each time it is finished, or taken back.
async fn walk(make: fn() -> Box<dyn Step>) {
    for writes in 0..4 {
        for back in [false, true] {
            let repos = Repos::new();
            repos.cluster.write("charts/MOVED.md", "# Moved\n");
            repos.cluster.commit("A whole line");
            let before = repos.fingerprint();
            let step = make();
            let hands = repos.world.hands(Past::Never);
            let prepared = step.prepare(&hands).await.unwrap();
            repos.may_write(Some(writes));
            step.apply(&hands).await.unwrap_err();
            repos.may_write(None);
            let what = format!("killed after {writes} writes of git");
            if back {
                let seen = step.look_back(&hands, &prepared).await.seen;
                assert_eq!(seen, Seen::Done, "{what}");
            } else {
                repos.finish(&*step).await;
                assert!(repos.cluster.is_clean() && repos.platform.is_clean(), "{what}");
                let log = |repo: &GitRepo| repo.git(&["log", "--format=%s"]);
                let commits = log(&repos.cluster) + &log(&repos.platform);
                assert_eq!(commits.matches("Move ").count(), 2, "{what}");
            }
            // The way back is killed as well.
            for undo_writes in (0..4).filter(|_| writes == 3 && !back) {
                repos.may_write(Some(undo_writes));
                let _ = step.undo(&repos.world.hands(interrupted()), &prepared).await;
            }
            repos.may_write(None);
            step.undo(&repos.world.hands(interrupted()), &prepared).await.unwrap();
            assert_eq!(repos.fingerprint(), before, "{what}, taken back");
            let seen = step.look_back(&hands, &prepared).await.seen;
            assert_eq!(seen, Seen::Absent, "{what}");
        }
    }
}

#[tokio::test]
async fn a_dirty_path_is_refused_and_a_dirty_tree_elsewhere_is_not() {
    let repos = Repos::new();
    repos.cluster.write("README.md", "other\n");
    repos.cluster.write("charts/db/.gitignore", "*.tgz\n");
    repos.cluster.commit("Ignore");
    repos.cluster.write("charts/db/x.tgz", "");
    let why = repos.refusal(&*chart()).await;
    assert!(why.contains("git passes over `charts/db/x.tgz` by a `.gitignore` that"), "{why}");
    repos.cluster.git(&["mv", "charts/db/.gitignore", ".gitignore"]);
    repos.cluster.commit("Ignore everywhere");
    for (file, how) in [
        ("charts/db/new", "new"),
        ("charts/db/Chart.yaml", "changed"),
        ("charts/MOVED.md", "changed"),
    ] {
        repos.cluster.write(file, "mine\n");
        let why = repos.refusal(&*chart()).await;
        assert!(why.contains(&format!("`{file}` is {how}")), "{why}");
        repos.cluster.git(&["stash", "--quiet", "--include-untracked", "--", file]);
    }
    fs::remove_file(repos.cluster.path("charts/db/bin/run")).unwrap();
    let why = repos.refusal(&*chart()).await;
    assert!(why.contains("`charts/db/bin/run` is removed"), "{why}");
    repos.cluster.git(&["restore", "charts/db"]);
    repos.cluster.write("README.md", "in the middle\n");
    repos.run(&*chart()).await;
    assert_eq!(repos.cluster.git(&["status", "--porcelain"]), " M README.md\n");
    // What git passed over stays.
    assert!(repos.cluster.path("charts/db/x.tgz").exists());
}

#[tokio::test]
async fn what_is_in_the_new_place_is_not_overwritten() {
    let repos = Repos::new();
    repos.platform.write("tools/cmd/backup-all", "mine\n");
    let why = repos.refusal(&*tool(json!({}))).await;
    assert!(why.contains("is there already, with another content"), "{why}");
    // The same content that somebody put there is fine, and stays theirs.
    fs::copy(
        repos.cluster.path("tools/cmd/backup-all"),
        repos.platform.path("tools/cmd/backup-all"),
    )
    .unwrap();
    repos.platform.commit("Copied by hand");
    let before = repos.fingerprint();
    let step = tool(json!({}));
    let prepared = repos.run(&*step).await;
    step.undo(&repos.world.hands(succeeded()), &prepared).await.unwrap();
    assert_eq!(repos.fingerprint(), before);
    repos.platform.git(&["rm", "-q", "tools/cmd/backup-all"]);
    repos.platform.write(".gitignore", "tools/\n");
    repos.platform.commit("Ignore");
    let why = repos.refusal(&*tool(json!({}))).await;
    assert!(why.contains("git would pass over"), "{why}");
}

#[tokio::test]
async fn a_path_that_is_still_named_is_refused_with_the_lines() {
    let repos = Repos::new();
    repos.cluster.write("Makefile", "backup:\n\tsudo tools/cmd/backup-all\n");
    repos.cluster.write(".github/workflows/ci.yml", "run: ./tools/cmd/backup-all\n");
    repos.cluster.write("tools/cmd/kustomization.yaml", "resources:\n- backup-all\n");
    repos.cluster.write("docs/backup.md", "Run tools/cmd/backup-all.\n");
    repos.cluster.write("other.sh", "tools/cmd/backup-all-s2\n");
    repos.cluster.commit("Uses");
    let why = repos.refusal(&*tool(json!({}))).await;
    let lines = "`.github/workflows/ci.yml:1`, `Makefile:2`, `tools/cmd/kustomization.yaml:2`;";
    assert!(why.contains(lines), "{why}");
    let ok = json!({"references_ok": [
        "cluster:Makefile", ".github/workflows/ci.yml", "tools/cmd/kustomization.yaml"
    ]});
    repos.run(&*tool(ok)).await;
}

#[tokio::test]
async fn it_goes_back_after_somebody_committed_on_top() {
    let repos = Repos::new();
    repos.cluster.git(&["checkout", "--quiet", "--detach"]);
    let step = tool(json!({}));
    let prepared = repos.run(&*step).await;
    for repo in [&repos.cluster, &repos.platform] {
        repo.write("on-top", "x\n");
        repo.commit("On top");
    }
    // Another move from the same folder added its line to the tombstone.
    let moved = repos.cluster.read("tools/cmd/MOVED.md").unwrap();
    repos.cluster.write("tools/cmd/MOVED.md", &format!("{moved}x moved to y/x\n"));
    repos.cluster.commit("More");
    let look = repos.world.look(succeeded());
    assert_eq!(step.look_back(&look, &prepared).await.seen, Seen::Done);
    step.undo(&repos.world.hands(succeeded()), &prepared).await.unwrap();
    assert_eq!(repos.cluster.read("tools/cmd/MOVED.md").unwrap(), "x moved to y/x\n");
    assert_eq!(repos.cluster.read("tools/cmd/backup-all").unwrap(), "#!/bin/sh\necho backup\n");
    assert!(repos.platform.read("tools/cmd/backup-all").is_none());
    assert!(repos.platform.message().starts_with("Revert \"Move tools/cmd/backup-all to"));
    assert!(repos.cluster.is_clean() && repos.platform.is_clean());
}

#[tokio::test]
async fn a_foreign_change_of_what_was_moved_is_not_taken_back() {
    let repos = Repos::new();
    let step = tool(json!({}));
    let prepared = repos.run(&*step).await;
    repos.platform.write("tools/cmd/backup-all", "mine\n");
    repos.platform.commit("Mine");
    let before = repos.fingerprint();
    let seen = step.look_back(&repos.world.look(succeeded()), &prepared).await.seen;
    assert!(matches!(seen, Seen::Unknown(_)), "{seen:?}");
    assert!(step.undo(&repos.world.hands(succeeded()), &prepared).await.is_err());
    assert_eq!(repos.fingerprint(), before);
}

#[tokio::test]
async fn what_is_nowhere_is_unknown() {
    let repos = Repos::new();
    let none = step("git.move", json!({"from": "cluster:none", "to": "platform:none"}));
    assert!(repos.refusal(&*none).await.contains("there is nothing at"));
    repos.platform.write("none", "");
    repos.platform.commit("It");
    assert!(repos.refusal(&*none).await.contains("does not say that the one became the other"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (given, keys) in [
        (
            json!({"from": "", "to": "", "stub": " ", "note": "a\nb"}),
            vec!["from", "to", "stub", "note"],
        ),
        (json!({"from": "a:b", "to": "a:b", "tombstone": "../x"}), vec!["to", "tombstone"]),
        (json!({"from": "a:b/c", "to": "d:", "tombstone": "c"}), vec!["tombstone"]),
        (json!({"from": "a:b", "to": "d:", "tombstone": "c", "stub": "x"}), vec!["stub"]),
    ] {
        let problems = build("git.move", given.clone()).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(found, keys, "{given}");
    }
}
