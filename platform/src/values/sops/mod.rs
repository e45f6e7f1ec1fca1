//! SOPS files: YAML or JSON whose values, or some of them, are encrypted in place.
//!
//! Where the `sops` program is there, it decrypts; else a strict reader of our own does, for files
//! that are encrypted for age. Files are only ever written by the program.
//!
//! - `file`: what stands in a file, encrypted or not, in its order
//! - `cipher`: one encrypted value
//! - `identity`: the age identities that there are here
//! - `open`: the strict reader
//! - `program`: the program and its settings

mod cipher;
mod file;
mod identity;
mod open;
mod program;

pub use program::{command, kind, missing, program};

pub(super) use file::Encrypted;

use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use workplan_engine::digest::Digest;
use workplan_engine::kind::Look;

use crate::PlatformError;

/// What became of opening a file.
#[derive(Debug, Clone)]
pub(super) enum Opened {
    /// All values.
    Open(Map<String, Value>),
    /// There is no key for it here; says where it was looked for.
    Sealed(String),
}

/// Files that were opened, by path and content: many steps read the same few files.
#[derive(Default)]
struct Known(Mutex<HashMap<(PathBuf, Digest), Map<String, Value>>>);

/// Opens a file.
///
/// # Errors
/// When it is damaged, or not of a sort that can be read here. A missing key is no error.
pub(super) async fn open(
    look: &Look,
    path: &Path,
    text: &str,
    encrypted: &Encrypted,
) -> Result<Opened, PlatformError> {
    let known: Arc<Known> = look.place.shared(Known::default);
    let name = (path.to_path_buf(), Digest::of(text.as_bytes()));
    let found = known.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    if let Some(tree) = found {
        return Ok(Opened::Open(tree));
    }
    let opened = match program(look) {
        Some(program) => program::open(look, &program, path, text).await?,
        None => open::open(look, path, encrypted)?,
    };
    if let Opened::Open(tree) = &opened {
        known.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, tree.clone());
    }
    Ok(opened)
}
