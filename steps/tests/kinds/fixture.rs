//! One world a kind, in which the contract is tried.

use async_trait::async_trait;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

use workplan_engine::digest::Digest;
use workplan_engine::kind::{ErrorCause, Past, Step, With};

use super::backup::fixture::{Backups, Kind as BackupKind};
use super::captured::{Captured, Required};
use super::release::{Deploy, Gone};
use super::values::has_sops;
use crate::cancel_when;
use crate::support::{
    Answer, GitRepo, LocalWorld, Postgres, STEP, Server, World, has_cluster, has_gitea, with,
};

/// A world with one step in it that can be cut off while it acts.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    fn world(&self) -> &World;
    fn with(&self) -> With;
    /// Lets the step get to its end from now on.
    fn release(&self);
    /// Begins an attempt and ends it before its end, as a kill would.
    async fn cut_off(&self, step: &dyn Step);
    /// Whether the step's effect is in the world.
    fn is_there(&self) -> bool;
    /// Puts another thing where the step's effect is.
    fn put_foreign(&self);
    /// All of the world that the step could change.
    fn fingerprint(&self) -> BTreeMap<String, String> {
        let world = self.world();
        world
            .names()
            .into_iter()
            .filter(|name| !["go", "started"].contains(&name.as_str()))
            .map(|name| (name.clone(), world.read(&name).unwrap_or_default()))
            .collect()
    }
}

/// The fixture of a kind. A new kind must get one.
pub(crate) async fn fixture(kind: &str) -> Box<dyn Fixture> {
    let world = World::new();
    match kind {
        "backup.create" => Box::new(Backups::new(BackupKind::Create).await),
        "backup.recent" => Box::new(Backups::new(BackupKind::Recent).await),
        "backup.verify" => Box::new(Backups::new(BackupKind::Verify).await),
        "command" => Box::new(Script(world)),
        "file.content" => {
            world.write("app.conf", "old\n");
            Box::new(File(world))
        }
        "file.edit" => Box::new(Edit::new(
            world,
            "test.sh",
            ("kubectl -n default\n", "kubectl -n apps\n"),
            json!({"file": "repo/test.sh", "find": "-n default", "replace": "-n apps"}),
        )),
        "make.target" => Box::new(Edit::new(
            world,
            "Makefile",
            ("all:\n\techo all\n", "all:\n\techo all\n\nup: ## Start\n\techo up\n"),
            json!({"file": "repo/Makefile", "target": "up", "recipe": "echo up", "help": "Start"}),
        )),
        "release.deploy" => Box::new(Deploy::new().await),
        "release.part_gone" => Box::new(Gone::new().await),
        "git.move" => Box::new(Move::new(world)),
        "values.set" => Box::new(Edit::new(
            world,
            "values.yaml",
            ("# The app\nport: 80 # http\n", "# The app\nport: 8080 # http\ndb:\n  host: new\n"),
            json!({"file": "repo/values.yaml", "set": {"port": 8080, "db.host": "new"}}),
        )),
        "values.capture" => Box::new(Captured::new().await),
        "secret.require" => Box::new(Required::new()),
        "http.check" => {
            let server = Server::start(&[Answer::Hang]).await;
            Box::new(Http { world, server })
        }
        "gate.approve" => Box::new(Asking(world, "message")),
        "manual" => Box::new(Asking(world, "instructions")),
        _ => super::databases::fixture(kind)
            .or_else(|| super::app::fixture(kind))
            .or_else(|| super::ha::fixture(kind))
            .unwrap_or_else(|| panic!("the kind `{kind}` has no fixture: write one")),
    }
}

/// Whether this machine has the parts that a kind's fixture is made of.
pub(crate) fn has_parts(kind: &str) -> bool {
    match kind.split_once('.') {
        Some(("postgres", _)) => Postgres::shared().is_some(),
        Some(("app" | "traffic", _)) => has_gitea(),
        Some(("ha", _)) => has_cluster(),
        None if kind == "smoke" => has_cluster(),
        Some(("release", _)) => LocalWorld::has_valkey(),
        Some(("values", "capture")) => has_sops() && LocalWorld::has_valkey(),
        _ => true,
    }
}

struct Script(World);

#[async_trait]
impl Fixture for Script {
    fn world(&self) -> &World {
        &self.0
    }

    fn with(&self) -> With {
        with(json!({
            "run": "echo $$ > started\nwhile [ ! -e go ]; do sleep 0.02; done\necho ours > made\necho rows=3",
            "check": "[ -e made ] || exit 1\ngrep -qx ours made || { echo 'it is not ours' >&2; exit 2; }",
            "undo": "if [ -e made ] && grep -qx ours made; then rm made; fi",
            "outputs": {"rows": "int"},
        }))
    }

    fn release(&self) {
        self.0.write("go", "");
    }

    async fn cut_off(&self, step: &dyn Step) {
        let hands = self.0.hands(Past::Never);
        let begun = || self.0.read("started").is_some_and(|pid| pid.ends_with('\n'));
        let error = cancel_when(step, &hands, "the script begins", begun).await;
        assert_eq!(error.cause, ErrorCause::Cancelled);
    }

    fn is_there(&self) -> bool {
        self.0.read("made").as_deref() == Some("ours\n")
    }

    fn put_foreign(&self) {
        self.0.write("made", "theirs\n");
    }
}

struct File(World);

#[async_trait]
impl Fixture for File {
    fn world(&self) -> &World {
        &self.0
    }

    fn with(&self) -> With {
        with(json!({"path": "app.conf", "content": "new\n"}))
    }

    fn release(&self) {}

    /// Killed between the write of the temporary file and the rename.
    async fn cut_off(&self, _step: &dyn Step) {
        let id = Digest::of(format!("workplan:r1:{STEP}").as_bytes());
        self.0.write(&format!(".app.conf.wp-{}", id.short()), "ne");
    }

    fn is_there(&self) -> bool {
        self.0.read("app.conf").as_deref() == Some("new\n")
    }

    fn put_foreign(&self) {
        fs::remove_file(self.0.path("app.conf")).unwrap();
        self.0.write("app.conf", "theirs\n");
    }
}

/// One file in a repository that the step changes and commits.
struct Edit {
    world: World,
    repo: GitRepo,
    file: &'static str,
    new: &'static str,
    with: With,
}

impl Edit {
    fn new(
        world: World,
        file: &'static str,
        (old, new): (&'static str, &'static str),
        given: serde_json::Value,
    ) -> Self {
        let repo = GitRepo::new(&world.path("repo"));
        repo.write(file, old);
        repo.commit("Before");
        // Somebody is in the middle of other work.
        repo.write("README.md", "Another text.\n");
        repo.write("staged", "");
        repo.git(&["add", "staged"]);
        let mut with = with(given);
        with.0.insert("commit".to_owned(), json!("Change it"));
        Self { world, repo, file, new, with }
    }
}

#[async_trait]
impl Fixture for Edit {
    fn world(&self) -> &World {
        &self.world
    }

    fn with(&self) -> With {
        self.with.clone()
    }

    fn release(&self) {}

    /// Killed between the write and the commit.
    async fn cut_off(&self, _step: &dyn Step) {
        self.repo.write(self.file, self.new);
    }

    fn is_there(&self) -> bool {
        self.repo.git(&["show", &format!("HEAD:{}", self.file)]) == self.new
            && self.repo.read(self.file).as_deref() == Some(self.new)
    }

    fn put_foreign(&self) {
        self.repo.write(self.file, "somebody's own text\n");
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        [("repo".to_owned(), self.repo.fingerprint())].into()
    }
}

/// A file that moves between two repositories.
struct Move {
    world: World,
    old: GitRepo,
    new: GitRepo,
}

impl Move {
    fn new(world: World) -> Self {
        let world = world.with_repos(&["cluster", "apps"]);
        let (old, new) = (GitRepo::new(&world.path("cluster")), GitRepo::new(&world.path("apps")));
        old.write("helm/values.yaml", "a: 1\n");
        old.commit("Values");
        for repo in [&old, &new] {
            repo.write("README.md", "Somebody is in the middle of other work.\n");
            repo.write("staged", "");
            repo.git(&["add", "staged"]);
        }
        Self { world, old, new }
    }
}

#[async_trait]
impl Fixture for Move {
    fn world(&self) -> &World {
        &self.world
    }

    fn with(&self) -> With {
        with(json!({"from": "cluster:helm/values.yaml", "to": "apps:helm/"}))
    }

    fn release(&self) {}

    /// Killed while it is copied.
    async fn cut_off(&self, _step: &dyn Step) {
        let id = Digest::of(format!("workplan:r1:{STEP}").as_bytes());
        self.new.write(&format!("helm/.values.yaml.wp-{}", id.short()), "a");
    }

    fn is_there(&self) -> bool {
        self.new.git(&["ls-tree", "-r", "--name-only", "HEAD"]).contains("helm/values.yaml")
            && self.old.git(&["ls-tree", "-r", "--name-only", "HEAD"]).contains("helm/MOVED.md")
            && self.old.read("helm/values.yaml").is_none()
    }

    fn put_foreign(&self) {
        self.old.write("helm/values.yaml", "b: 2\n");
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let repos = [("old", &self.old), ("new", &self.new)];
        repos.map(|(name, repo)| (name.to_owned(), repo.fingerprint())).into()
    }
}

struct Http {
    world: World,
    server: Server,
}

#[async_trait]
impl Fixture for Http {
    fn world(&self) -> &World {
        &self.world
    }

    fn with(&self) -> With {
        with(json!({"url": self.server.url, "contains": "fine"}))
    }

    fn release(&self) {
        self.server.say(&[Answer::Say(200, "all is fine")]);
    }

    async fn cut_off(&self, step: &dyn Step) {
        let hands = self.world.hands(Past::Never);
        let asked = || !self.server.requests().is_empty();
        let error = cancel_when(step, &hands, "the request arrives", asked).await;
        assert_eq!(error.cause, ErrorCause::Cancelled);
        self.server.say(&[Answer::Say(503, "not yet")]);
    }

    /// A proof's effect is that it was given the answer that it wants.
    fn is_there(&self) -> bool {
        self.server.served().contains(&200)
    }

    fn put_foreign(&self) {
        self.server.say(&[Answer::Say(200, "another server")]);
    }
}

struct Asking(World, &'static str);

#[async_trait]
impl Fixture for Asking {
    fn world(&self) -> &World {
        &self.0
    }

    fn with(&self) -> With {
        with(json!({self.1: "Is the moon up?"}))
    }

    fn release(&self) {}

    async fn cut_off(&self, _step: &dyn Step) {}

    fn is_there(&self) -> bool {
        false
    }

    fn put_foreign(&self) {}
}
