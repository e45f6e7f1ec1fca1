//! Where the servers' programs are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::PlatformError;

/// Where packages put PostgreSQL by major version: Debian and its kin, then Red Hat's.
const ROOTS: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];
/// Folders of programs, beyond what `PATH` may lack for an operator: pgpool lies in `sbin`.
const FOLDERS: [&str; 6] =
    ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// The folder with `postgres`, `pg_ctl` and, where it is installed, `repmgr`: that of a major
/// version, or the newest.
pub(crate) fn postgres_bin(major: Option<&str>) -> Result<PathBuf, PlatformError> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (root, bin) in ROOTS {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.strip_prefix("pgsql-").unwrap_or(&name).parse::<u32>();
            let bin = entry.path().join(bin);
            if let Ok(version) = version
                && is_program(&bin.join("postgres"))
            {
                found.push((version, bin));
            }
        }
    }
    found.sort();
    let wanted = match major {
        None => found.last(),
        Some(major) => found.iter().find(|(version, _)| version.to_string() == major),
    };
    if let Some((_, bin)) = wanted {
        return Ok(bin.clone());
    }
    if major.is_none()
        && let Some(folder) =
            FOLDERS.iter().map(Path::new).find(|f| is_program(&f.join("postgres")))
    {
        return Ok(folder.to_owned());
    }
    Err(missing(
        &major.map_or_else(|| "postgres".to_owned(), |m| format!("PostgreSQL {m}")),
        &format!("postgresql-{}", major.unwrap_or("15")),
    ))
}

/// The major version of a folder of PostgreSQL's programs, from its path; `None` where that does
/// not say it.
pub(crate) fn major_of(bin: &Path) -> Option<String> {
    let name = bin.parent()?.file_name()?.to_str()?;
    let version = name.strip_prefix("pgsql-").unwrap_or(name);
    version.parse::<u32>().ok().map(|v| v.to_string())
}

/// A program of a folder, or of the usual ones.
pub(crate) fn find(
    names: &[&str],
    also: Option<&Path>,
    package: &str,
) -> Result<PathBuf, PlatformError> {
    let folders = also.into_iter().chain(FOLDERS.iter().map(Path::new));
    let candidates = folders.flat_map(|f| names.iter().map(move |n| f.join(n)));
    // By name first, then by folder: a better program in a later folder wins.
    let mut all: Vec<PathBuf> = candidates.filter(|p| is_program(p)).collect();
    let rank = |p: &PathBuf| names.iter().position(|n| p.ends_with(n)).unwrap_or(names.len());
    all.sort_by_key(rank);
    all.into_iter().next().ok_or_else(|| missing(&names.join("` or `"), package))
}

/// Whether a path is a program.
pub(crate) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|f| f.is_file() && f.permissions().mode() & 0o111 != 0)
}

fn missing(program: &str, package: &str) -> PlatformError {
    PlatformError::Target {
        what: format!("`{program}` is not on this machine"),
        help: format!("install the package `{package}`"),
    }
}
