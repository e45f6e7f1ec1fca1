//! A world on the platform `local`: releases that are real servers, ended with the world.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use workplan_engine::kind::{Hands, Past, Place};
use workplan_engine::process::ServiceEntry;
use workplan_platform::{Operate, operate};

use super::World;

/// Worlds stand side by side; each has ports of its own.
static NEXT_PORT: AtomicU16 = AtomicU16::new(26000);
/// How many ports a world has.
const PORTS: u16 = 20;

/// The first of the next ports that nobody else of this process is given.
pub(super) fn next_ports() -> u16 {
    NEXT_PORT.fetch_add(PORTS, Ordering::Relaxed)
}

/// Ends the servers below a folder and removes it when this process ends, however it ends: its end
/// of the pipe closes then.
pub(super) fn keep(folder: &Path) -> Child {
    // By where they work, since children of a server outlive it when it alone is killed.
    let end = "read -r _; for p in /proc/[0-9]*; do case \"$(readlink $p/cwd)\" in \
        \"$1\"/*) kill -9 ${p#/proc/};; esac; done 2>/dev/null; rm -rf \"$1\"";
    Command::new("/bin/sh")
        .args(["-c", end, "sh"])
        .arg(folder)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// A world with releases. All of its servers are ended when it goes, also when the test has failed.
pub(crate) struct LocalWorld(pub(crate) World);

impl LocalWorld {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        // The servers' account must get in.
        fs::set_permissions(world.base(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut place = Place::new("lab", "local", "lab-1");
        place.folder = world.base().to_path_buf();
        let port = next_ports();
        place.values.insert("local".to_owned(), json!({"dir": "world", "ports": port}));
        world.place = Arc::new(place);
        Self(world)
    }

    /// Whether this machine can run a Valkey; said aloud where it cannot.
    pub(crate) fn has_valkey() -> bool {
        let programs = ["valkey-server", "redis-server"];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path)
            .any(|folder| programs.iter().any(|program| folder.join(program).is_file()));
        if !there {
            eprintln!("SKIPPED: there is neither `valkey-server` nor `redis-server`");
        }
        there
    }

    /// The means to act as somebody else than the step.
    pub(crate) fn operate_as(&self, who: &str) -> Arc<dyn Operate> {
        let mut look = self.0.look(Past::Never);
        look.identity = who.into();
        operate(&Hands::new(look, None)).unwrap()
    }

    /// A file of a release in the store.
    pub(crate) fn file_of(&self, release: &str, name: &str) -> Option<PathBuf> {
        let wanted = Path::new(release).join(name);
        walk(&self.0.path("world")).into_iter().find(|path| path.ends_with(&wanted))
    }

    /// The record of a release.
    pub(crate) fn record(&self, release: &str) -> Option<Value> {
        let text = fs::read(self.file_of(release, "release.json")?).unwrap();
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Changes the record of a release behind the platform's back.
    pub(crate) fn set_record(&self, release: &str, change: impl FnOnce(&mut Value)) {
        let mut record = self.record(release).unwrap();
        change(&mut record);
        let path = self.file_of(release, "release.json").unwrap();
        fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
    }
}

impl Drop for LocalWorld {
    fn drop(&mut self) {
        let entries: Vec<ServiceEntry> = walk(&self.0.path("world"))
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with(".service.json"))
            .filter_map(|path| ServiceEntry::read(&path).ok().flatten())
            .collect();
        // Tests are asynchronous, and a runtime cannot be made inside of another one.
        let ended = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for entry in entries {
                runtime.block_on(entry.end(None, Duration::ZERO));
            }
        });
        ended.join().unwrap();
    }
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match found.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(found.path()),
                _ => files.push(found.path()),
            }
        }
    }
    files
}
