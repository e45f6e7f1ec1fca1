//! What an application keeps on its volume: repositories by their refs, everything else by content.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Secrets;
use super::document::sha256;
use crate::exit;
use crate::failure::Failure;

/// Folders of Gitea whose content moves by itself or is made again from the rest.
const MOVING: &[&str] =
    &["log", "indexers", "queues", "sessions", "tmp", "home", "actions_log", "cache"];

/// What a volume holds.
pub(super) fn volume(folder: &Path, secrets: &Secrets) -> Result<Value, Failure> {
    let mut found = Found::default();
    walk(folder, folder, &mut found)?;
    let mut repositories = Map::new();
    for path in &found.repositories {
        repositories.insert(name(folder, path), refs(path)?);
    }
    let mut files = Map::new();
    for path in &found.files {
        let shown = match std::fs::symlink_metadata(path) {
            // It went while we looked.
            Err(_) => continue,
            Ok(about) if about.is_symlink() => {
                json!(std::fs::read_link(path).map_err(|e| Failure::io("read", path, &e))?)
            }
            // A socket or a pipe has no content.
            Ok(about) if !about.is_file() => json!("special"),
            Ok(_) => {
                let bytes = std::fs::read(path).map_err(|e| Failure::io("read", path, &e))?;
                // A short secret could be guessed from a plain digest of it.
                let secret = path.extension().is_some_and(|e| e == "ini" || e == "pem");
                json!(if secret { secrets.key.of(&bytes) } else { sha256(&bytes) })
            }
        };
        files.insert(name(folder, path), shown);
    }
    Ok(json!({"repositories": repositories, "files": files}))
}

#[derive(Default)]
struct Found {
    repositories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

fn name(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

fn walk(root: &Path, folder: &Path, found: &mut Found) -> Result<(), Failure> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && folder != root => return Ok(()),
        entries => entries.map_err(|e| Failure::io("read", folder, &e))?,
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder {
            found.files.push(path);
        } else if is_repository(&path) {
            found.repositories.push(path);
        } else if !MOVING.contains(&entry.file_name().to_string_lossy().as_ref()) {
            walk(root, &path, found)?;
        }
    }
    Ok(())
}

fn is_repository(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "git")
        && path.join("HEAD").is_file()
        && path.join("objects").is_dir()
}

/// The refs of a repository, which name all that can be reached in it, and what `HEAD` is.
fn refs(path: &Path) -> Result<Value, Failure> {
    let settings = [("safe.directory", "*")];
    let args = ["for-each-ref", "--format=%(objectname) %(refname)"];
    let listed = crate::lab::tool::git_with(path, &args, &settings, Vec::new())?;
    let listed = String::from_utf8(listed)
        .map_err(|e| Failure::new(exit::FAILED, format!("a ref is no UTF-8: {e}")))?;
    let head = path.join("HEAD");
    let head = std::fs::read_to_string(&head).map_err(|e| Failure::io("read", &head, &e))?;
    Ok(json!({"head": head.trim(), "refs": listed.lines().collect::<Vec<_>>()}))
}
