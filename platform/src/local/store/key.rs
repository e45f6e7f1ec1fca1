//! The key of a target's digests: equal secrets have equal digests, and say nothing else.

use std::path::Path;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use workplan_engine::digest::{canonical, hex};

use super::files;
use crate::PlatformError;

/// Digests of what may hold secrets.
#[derive(Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The target's key; `None` before anything was deployed.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PlatformError> {
        Ok(files::read(path)?.map(Self))
    }

    /// The target's key, made where it is missing.
    pub(super) fn make(path: &Path) -> Result<Self, PlatformError> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let mut bytes = vec![0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| PlatformError::failed(format!("failed to get random bytes: {e}")))?;
        files::write(path, &bytes, files::SEALED)?;
        Ok(Self(bytes))
    }

    /// A key for one comparison, where the target has none yet.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// `hmac:` and the first 16 bytes of the digest.
    pub(crate) fn digest(&self, bytes: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            // Any length is a key for HMAC.
            return "hmac:".to_owned();
        };
        mac.update(bytes);
        format!("hmac:{}", hex(&mac.finalize().into_bytes()[..16]))
    }

    /// The same of a JSON value in canonical form.
    pub(crate) fn digest_json(&self, value: &Value) -> String {
        self.digest(canonical(value).as_bytes())
    }
}
