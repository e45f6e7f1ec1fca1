//! What the engine is given: kinds, secrets, the environment of children, the supervisor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use workplan_engine::journal::StateDir;
use workplan_engine::kind::BaseEnv;
use workplan_engine::session::{SourceOptions, World};

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
        version: env!("CARGO_PKG_VERSION").to_owned(),
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
