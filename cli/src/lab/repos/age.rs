//! The key pair that values are encrypted with.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;

use crate::failure::Failure;
use crate::lab::folder;

/// Makes a key pair, writes its secret half to a file that only its owner may read, and gives the
/// public half.
pub(super) fn make(path: &Path) -> Result<String, Failure> {
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = format!("# public key: {public}\n{}\n", secret.expose_secret());
    if let Some(folder) = path.parent() {
        folder::make(folder)?;
    }
    let fail = |e: &std::io::Error| Failure::io("write", path, e);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| fail(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| fail(&e))?;
    Ok(public)
}
