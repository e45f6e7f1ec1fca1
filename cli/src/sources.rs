//! The sources of a run, remembered in the journal: a resume reads the same plan file and
//! target again, also after they were edited.

use std::path::{Path, PathBuf};

use workplan_engine::journal::StateDir;
use workplan_engine::run::{RunState, Scope};
use workplan_engine::session::{SavedSources, SourceOptions};

use crate::args::ScopeArgs;
use crate::{person, state};

/// What was asked for, as a saved plan and a run remember it: paths absolute, so that they are
/// found again from any folder.
pub(crate) fn saved(options: &SourceOptions, scope: Option<Scope>) -> SavedSources {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let is_path =
        |name: &str| name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
    SavedSources {
        workplan: absolute(&options.workplan),
        steps: options.steps.as_deref().map(absolute),
        target: options.target.as_ref().map(|name| {
            if is_path(name) {
                absolute(Path::new(name)).display().to_string()
            } else {
                name.clone()
            }
        }),
        set: options.set.clone(),
        scope,
    }
}

/// The way back: what to read.
pub(crate) fn options(saved: &SavedSources, dir: &StateDir) -> SourceOptions {
    SourceOptions {
        workplan: shown(&saved.workplan),
        steps: saved.steps.as_deref().map(shown),
        target: saved.target.clone(),
        set: saved.set.clone(),
        implicit_identity: state::identity(dir),
        machine: person::machine_id(),
    }
}

/// The part that was asked for.
pub(crate) fn scope(args: &ScopeArgs) -> Option<Scope> {
    None.or_else(|| args.task.clone().map(Scope::Task))
        .or_else(|| args.from.clone().map(Scope::From))
        .or_else(|| args.only.clone().map(Scope::Only))
}

/// A path as a person would write it from the current folder.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    match here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf)) {
        Some(relative) if !relative.as_os_str().is_empty() => relative,
        _ => path.to_path_buf(),
    }
}

/// The sources of a run, where the journal knows them.
pub(crate) fn recall(state: &RunState) -> Option<SavedSources> {
    serde_json::from_value(state.sources.clone()).ok()
}
