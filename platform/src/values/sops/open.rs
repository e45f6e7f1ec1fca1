//! The strict reader, for hosts without the `sops` program: files that are encrypted for age, and
//! nothing that it does not understand to the end.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha512};
use std::io::Read as _;
use std::path::Path;

use workplan_engine::digest::hex;
use workplan_engine::kind::Look;

use super::Opened;
use super::cipher::DataKey;
use super::file::{Encrypted, Metadata};
use super::identity::Identities;
use crate::PlatformError;

/// What the digest begins with where it covers the encrypted values alone: SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Opens a file.
///
/// # Errors
/// When it is damaged, or only the program can open it.
pub(super) fn open(
    look: &Look,
    path: &Path,
    encrypted: &Encrypted,
) -> Result<Opened, PlatformError> {
    supported(path, &encrypted.metadata)?;
    let identities = Identities::gather(look);
    let Some(key) = data_key(&encrypted.metadata, &identities) else {
        let recipients: Vec<String> =
            encrypted.metadata.age.iter().map(|(recipient, _)| format!("`{recipient}`")).collect();
        return Ok(Opened::Sealed(format!(
            "there is no key for `{}` here: it is encrypted for {}; {}",
            path.display(),
            recipients.join(", "),
            identities.places()
        )));
    };
    decrypt(&key, encrypted).map(Opened::Open).map_err(|what| damaged(path, &what))
}

fn supported(path: &Path, metadata: &Metadata) -> Result<(), PlatformError> {
    let why = if metadata.key_groups {
        "its data key is in parts (`key_groups`)".to_owned()
    } else if metadata.age.is_empty() {
        match metadata.services[..] {
            [] => "it names nobody who can open it".to_owned(),
            _ => format!("it is encrypted for {}", metadata.services.join(" and ")),
        }
    } else if metadata.unknown.is_empty() {
        return Ok(());
    } else {
        format!("its metadata have keys of a newer SOPS (`{}`)", metadata.unknown.join("`, `"))
    };
    Err(PlatformError::Failed {
        what: format!("`{}` cannot be opened without the `sops` program: {why}", path.display()),
        said: Vec::new(),
        help: Some(super::program::INSTALL.to_owned()),
    })
}

/// The data key, by the first entry and identity that fit.
fn data_key(metadata: &Metadata, identities: &Identities) -> Option<Vec<u8>> {
    metadata.age.iter().find_map(|(_, sealed)| {
        let armored = age::armor::ArmoredReader::new(sealed.as_bytes());
        let decryptor = age::Decryptor::new(armored).ok()?;
        let identities = identities.all.iter().map(|i| i as &dyn age::Identity);
        let mut key = Vec::new();
        decryptor.decrypt(identities).ok()?.read_to_end(&mut key).ok()?;
        Some(key)
    })
}

fn decrypt(key: &[u8], encrypted: &Encrypted) -> Result<Map<String, Value>, String> {
    let key = DataKey::new(key)?;
    let metadata = &encrypted.metadata;
    let mut hash = Sha512::new();
    if metadata.mac_only_encrypted {
        hash.update(ONLY_ENCRYPTED);
    }
    let mut tree = Value::Object(encrypted.tree());
    for leaf in &encrypted.leaves {
        let Some(text) = leaf.cipher_text() else {
            if !metadata.mac_only_encrypted {
                hash.update(leaf.value.bytes());
            }
            continue;
        };
        let plain = key.open(text, &leaf.bound).map_err(|why| {
            format!("the value of `{}` (line {}): {why}", leaf.path.join("."), leaf.line)
        })?;
        hash.update(&plain.bytes);
        if let Some(slot) = slot(&mut tree, &leaf.path) {
            *slot = plain.value.json();
        }
    }
    let wanted = key
        .open(&metadata.mac, &metadata.last_modified)
        .map_err(|_| "its `mac` was not made with its data key and its `lastmodified`")?;
    let found = hex(&hash.finalize());
    if !wanted.bytes.eq_ignore_ascii_case(found.as_bytes()) {
        return Err(
            "a value that is not encrypted was changed without SOPS, or values were added, \
             removed or moved"
                .to_owned(),
        );
    }
    match tree {
        Value::Object(tree) => Ok(tree),
        _ => Err("it is no mapping".to_owned()),
    }
}

fn slot<'v>(tree: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(tree, |value, part| match value {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        other => other.get_mut(part),
    })
}

/// A file that does not belong together any more.
pub(super) fn damaged(path: &Path, what: &str) -> PlatformError {
    PlatformError::Failed {
        what: format!("`{}` cannot be believed: {what}", path.display()),
        said: Vec::new(),
        help: Some(
            "edit it with `sops` alone; where the change is wanted and was made by hand, \
             `sops --ignore-mac FILE` opens it and saves it anew"
                .to_owned(),
        ),
    }
}
