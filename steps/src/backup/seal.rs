//! Who made a manifest: age says nothing of the sender, anybody who knows a public key can encrypt
//! for it. So the manifest carries a keyed digest of its bytes that only who holds a key of the
//! team can make: the same age key that decrypts the members.
//!
//! `manifest.seal` has one entry for each private key that was at hand when the backup was made:
//! the key's public half, and HMAC-SHA256 of `manifest.json`. The HMAC's key is itself
//! HMAC-SHA256, with the key `workplan/backup/seal/v1`, of the private key: the text
//! `AGE-SECRET-KEY-1…` in upper case, or the 64 bytes of an Ed25519 SSH key.
//!
//! A host that has only public keys cannot seal. Its backups are verified with the digest of the
//! manifest that `backup.create` gave, which the journal keeps.

use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use workplan_engine::digest::hex;

use super::cipher::keyed;
use super::keys::Keys;

/// The schema of `manifest.seal`.
const SCHEMA: &str = "workplan/backup-seal/v1";
const PURPOSE: &[u8] = b"workplan/backup/seal/v1";

/// `manifest.seal`, and the same of a verification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seal {
    schema: String,
    seals: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// The public half of the key.
    key: String,
    /// HMAC-SHA256 in hexadecimal.
    hmac: String,
}

/// What a seal says of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Made by somebody who holds a key that is here.
    Good,
    /// A key that is here says otherwise.
    Broken,
    /// No key that is here has an entry, or there is no seal.
    Unsealed,
}

impl Seal {
    /// Seals bytes with every key that is here.
    pub(super) fn of(bytes: &[u8], keys: &Keys) -> Self {
        let seals = entries(bytes, keys).collect();
        Self { schema: SCHEMA.to_owned(), seals }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seals.is_empty()
    }

    /// What it says of bytes. One good entry does not make up for a broken one.
    pub(super) fn check(&self, bytes: &[u8], keys: &Keys) -> Verdict {
        let mut verdict = Verdict::Unsealed;
        for (public, secret) in secrets(keys) {
            for entry in self.seals.iter().filter(|entry| entry.key == public) {
                let mac = mac(&secret, bytes);
                let same = unhex(&entry.hmac).is_some_and(|h| mac.verify_slice(&h).is_ok());
                if !same {
                    return Verdict::Broken;
                }
                verdict = Verdict::Good;
            }
        }
        verdict
    }

    /// Reads a seal file; what cannot be read is no seal.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|seal| seal.schema == SCHEMA)
    }
}

fn secrets(keys: &Keys) -> impl Iterator<Item = (String, Vec<u8>)> {
    keys.all.iter().filter_map(|key| Some((key.public(), key.seal_secret()?)))
}

fn entries(bytes: &[u8], keys: &Keys) -> impl Iterator<Item = Entry> {
    secrets(keys).map(|(key, secret)| {
        let hmac = hex(&mac(&secret, bytes).finalize().into_bytes());
        Entry { key, hmac }
    })
}

fn mac(secret: &[u8], bytes: &[u8]) -> hmac::Hmac<sha2::Sha256> {
    let mut derive = keyed(PURPOSE);
    derive.update(secret);
    let mut mac = keyed(&derive.finalize().into_bytes());
    mac.update(bytes);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    if bytes.len() % 2 == 1 {
        return None;
    }
    bytes.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
