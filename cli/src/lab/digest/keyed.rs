//! Digests of what is secret: keyed, so that a digest that is printed gives nothing away.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::document::hex;

/// The key of a lab.
#[derive(Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// A key made of something that only the lab has.
    pub(super) fn new(of: &[u8]) -> Self {
        Self(hmac_sha256(b"workplan lab digest", of).to_vec())
    }

    /// What stands for a secret.
    pub(super) fn of(&self, secret: &[u8]) -> String {
        format!("hmac:{}", &hex(&hmac_sha256(&self.0, secret))[..32])
    }

    /// What stands for a secret value of any type.
    pub(super) fn value(&self, secret: &Value) -> Value {
        match secret {
            Value::Null => Value::Null,
            Value::String(text) => json!(self.of(text.as_bytes())),
            other => json!(self.of(other.to_string().as_bytes())),
        }
    }
}

/// HMAC-SHA-256.
pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    // A key of any length is allowed; what is not to be had is no digest at all.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().into())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hmac_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
