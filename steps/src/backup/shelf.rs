//! Finished backups as they are found: their manifests, whether they are whole, and what is known
//! of their verification.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

use workplan_engine::digest::{Digest, canonical};

use super::keys::Keys;
use super::manifest::Manifest;
use super::retention::Candidate;
use super::seal::{Seal, Verdict};
use super::store::{Id, Layer, MANIFEST, SEAL, VERIFIED};

/// The schema of `verified.json`.
const SCHEMA: &str = "workplan/backup-verified/v1";

/// A finished backup.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) id: Id,
    pub(super) path: PathBuf,
    /// SHA-256 of `manifest.json`.
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) made_at: Timestamp,
    bytes: Vec<u8>,
}

/// Backups that cannot be used, with why not.
pub(super) type Unusable = Vec<(Id, String)>;

/// What a passed verification found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Verified {
    /// SHA-256 of the manifest that was verified.
    pub(super) manifest: String,
    /// When, RFC 3339 in UTC.
    pub(super) at: String,
    /// Who: `workplan:<run>:<step>:<attempt>`.
    pub(super) by: String,
    /// Tables that were restored and compared.
    pub(super) tables: u64,
    /// Rows in them.
    pub(super) rows: u64,
    /// Versions of the servers that it was restored into.
    pub(super) restored_into: Vec<String>,
}

/// `verified.json`.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: String,
    verified: Verified,
    /// Over `verified` as canonical JSON.
    seal: Seal,
}

impl Backup {
    /// Reads a backup's manifest.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn read(layer: &Layer, id: &Id) -> Result<Self, String> {
        let path = layer.path(id);
        let file = path.join(MANIFEST);
        let bytes =
            fs::read(&file).map_err(|e| format!("`{}` cannot be read: {e}", file.display()))?;
        let manifest = Manifest::read(&bytes)
            .map_err(|why| format!("`{}` cannot be used: {why}", file.display()))?;
        if manifest.id != id.to_string() {
            // Else an old backup could be shown as a new one.
            return Err(format!(
                "`{}` is of the backup {}, its folder was renamed",
                file.display(),
                manifest.id
            ));
        }
        let made_at = manifest.made_at.parse::<Timestamp>();
        let made_at = made_at
            .map_err(|_| format!("`{}` says no time at which it was made", file.display()))?;
        let digest = Digest::of(&bytes);
        Ok(Self { id: id.clone(), path, digest, manifest, made_at, bytes })
    }

    /// All that can be read, newest first, and the others with why not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn all(layer: &Layer) -> io::Result<(Vec<Self>, Unusable)> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for id in layer.finished()? {
            match Self::read(layer, &id) {
                Ok(backup) => good.push(backup),
                Err(why) => bad.push((id, why)),
            }
        }
        Ok((good, bad))
    }

    /// Members that are missing or have another length: what can be seen without reading them.
    pub(super) fn misfits(&self) -> Vec<String> {
        let members = self.manifest.members.iter();
        members
            .filter_map(|member| match fs::metadata(self.path.join(&member.name)) {
                Ok(found) if found.is_file() && found.len() == member.sizes.bytes => None,
                Ok(found) => Some(format!(
                    "`{}` has {} bytes instead of {}",
                    member.name,
                    found.len(),
                    member.sizes.bytes
                )),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    Some(format!("`{}` is missing", member.name))
                }
                Err(e) => Some(format!("`{}` cannot be looked at: {e}", member.name)),
            })
            .collect()
    }

    /// What the seal says of the manifest.
    pub(super) fn verdict(&self, keys: &Keys) -> Verdict {
        let seal = fs::read(self.path.join(SEAL)).ok().and_then(|bytes| Seal::read(&bytes));
        seal.map_or(Verdict::Unsealed, |seal| seal.check(&self.bytes, keys))
    }

    /// The verification that it passed. One of another manifest does not count, nor one that a key
    /// that is here did not seal.
    pub(super) fn verified(&self, keys: &Keys) -> Option<Verified> {
        let bytes = fs::read(self.path.join(VERIFIED)).ok()?;
        let file: File = serde_json::from_slice(&bytes).ok()?;
        let fits = file.schema == SCHEMA && file.verified.manifest == self.digest.as_str();
        let sealed = file.seal.check(canonical_bytes(&file.verified).as_slice(), keys);
        (fits && sealed != Verdict::Broken).then_some(file.verified)
    }

    /// Notes a verification that it passed, beside the manifest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn set_verified(&self, verified: Verified, keys: &Keys) -> io::Result<()> {
        let seal = Seal::of(&canonical_bytes(&verified), keys);
        let file = File { schema: SCHEMA.to_owned(), verified, seal };
        super::store::replace(&self.path.join(VERIFIED), &serde_json::to_vec_pretty(&file)?)
    }

    pub(super) fn candidate(&self, keys: &Keys) -> Candidate {
        let verified = self.verified(keys).is_some();
        Candidate { id: self.id.clone(), made_at: self.made_at, verified }
    }
}

fn canonical_bytes(verified: &Verified) -> Vec<u8> {
    let value = serde_json::to_value(verified).unwrap_or_default();
    canonical(&value).into_bytes()
}
