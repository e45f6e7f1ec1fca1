//! Where Gitea is.

use std::path::{Path, PathBuf};

use crate::PlatformError;
use crate::local::programs;

/// Where the set-up keeps what it built, a folder for each version; below the home folder the
/// second.
const CACHES: [&str; 2] = ["/var/cache/workplan-gitea", ".cache/workplan/gitea"];

/// The program: the one that the target names, else one of the usual folders, else the newest that
/// the set-up built.
///
/// # Errors
/// When there is none.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, PlatformError> {
    if let Some(named) = named {
        if programs::is_program(named) {
            return Ok(named.to_owned());
        }
        return Err(PlatformError::Target {
            what: format!("`local.gitea` names `{}`, which is no program", named.display()),
            help: "name the file itself, or leave it out".to_owned(),
        });
    }
    if let Ok(found) = programs::find(&["gitea"], None, "gitea") {
        return Ok(found);
    }
    // A build of the user's own before the machine's: who made one wants it.
    let home = home().unwrap_or_default();
    let built = CACHES.iter().rev().filter_map(|cache| newest(&home.join(cache))).next();
    built.ok_or_else(|| PlatformError::Target {
        what: "`gitea` is not on this machine".to_owned(),
        help: "`make setup` builds one; or name yours as `local.gitea` of the target".to_owned(),
    })
}

fn home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()?;
    Some(user.dir)
}

/// The build of the newest version that is whole.
fn newest(cache: &Path) -> Option<PathBuf> {
    let mut builds: Vec<(Vec<u32>, PathBuf)> = std::fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version = version(entry.file_name().to_str()?)?;
            let whole = entry.path().join(".complete").exists();
            let program = entry.path().join("gitea");
            (whole && programs::is_program(&program)).then_some((version, program))
        })
        .collect();
    builds.sort();
    builds.pop().map(|(_, program)| program)
}

fn version(name: &str) -> Option<Vec<u32>> {
    name.strip_prefix('v')?.split('.').map(|part| part.parse().ok()).collect()
}

/// The version that the path of a program tells: that of the folder of a build.
pub(super) fn version_of(program: &Path) -> Option<String> {
    let folder = program.parent()?.file_name()?.to_str()?;
    version(folder)?;
    folder.strip_prefix('v').map(str::to_owned)
}

/// Where the files are that it reads at run time, where they are not inside of it.
pub(super) fn files(program: &Path) -> Option<PathBuf> {
    let program = std::fs::canonicalize(program).ok()?;
    let folder = program.parent()?;
    folder.join("templates").is_dir().then(|| folder.to_owned())
}
