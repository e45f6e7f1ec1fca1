//! What the engine is given: kinds, secrets, the environment of children, the supervisor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use workplan_engine::journal::StateDir;
use workplan_engine::kind::BaseEnv;
use workplan_engine::process::ServiceStarter;
use workplan_engine::session::{SourceOptions, World};

use workplan_platform::kubernetes::KubernetesGuard;

use crate::app::App;
use crate::args::SourceArgs;
use crate::secrets::Secrets;
use crate::{catalogue, person, state};

/// What a command brings along.
pub(crate) fn world(app: &App) -> World {
    World {
        registry: catalogue::all(),
        secrets: Arc::new(Secrets::new(app.env.clone())),
        env: BaseEnv(app.env.all.clone()),
        // Through /proc, so that an upgrade of the file under a running engine changes nothing.
        supervisor: (PathBuf::from("/proc/self/exe"), vec!["supervise".into()]),
        services: ServiceStarter {
            program: PathBuf::from("/proc/self/exe"),
            args: vec!["service".into()],
            env: Vec::new(),
        },
        machine_locks: machine_locks(),
        guard: Some(Arc::new(KubernetesGuard)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Locks of named targets, shared by all state folders of this user. A folder of that name that
/// is not ours is left alone: then only the state folder's own lock counts.
fn machine_locks() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let user = nix::unistd::geteuid().as_raw();
    let folder = PathBuf::from(format!("/tmp/workplan-{user}"));
    match std::fs::symlink_metadata(&folder) {
        // The first run on a named target makes it, owner-only; a dry-run must not.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Some(folder),
        Err(_) => None,
        Ok(found) => {
            let ours = found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0;
            ours.then_some(folder)
        }
    }
}

/// Which sources are meant.
pub(crate) fn sources(file: &Path, args: &SourceArgs, dir: &StateDir) -> SourceOptions {
    SourceOptions {
        workplan: file.to_path_buf(),
        steps: args.steps.clone(),
        target: args.target.clone(),
        set: args.set.clone(),
        implicit_identity: state::identity(dir),
        machine: person::machine_id(),
    }
}
