//! Which password a role has, without showing it.
//!
//! Two verifiers of one password differ, because the salt is drawn. So a verifier is not compared
//! with another one, but with the passwords that the lab knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::lab::digest::keyed::hmac_sha256;

/// Whether a verifier is that of a password. The passwords of a lab are the same before and after
/// SASLprep.
pub(super) fn fits(verifier: &str, password: &[u8]) -> bool {
    parse(verifier).is_some_and(|v| {
        let salted = salted(password, &v.salt, v.iterations);
        let client_key = hmac_sha256(&salted, b"Client Key");
        Sha256::digest(client_key)[..] == v.stored_key[..]
    })
}

struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
fn parse(verifier: &str) -> Option<Verifier> {
    let (front, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = front.split_once(':')?;
    let (stored_key, _) = keys.split_once(':')?;
    Some(Verifier {
        iterations: iterations.parse().ok().filter(|n| (1..=100_000).contains(n))?,
        salt: STANDARD.decode(salt).ok()?,
        stored_key: STANDARD.decode(stored_key).ok()?,
    })
}

/// `Hi()` of RFC 5802: PBKDF2 with one block.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut block = salt.to_vec();
    block.extend_from_slice(&1_u32.to_be_bytes());
    let mut round = hmac_sha256(password, &block);
    let mut out = round;
    for _ in 1..iterations {
        round = hmac_sha256(password, &round);
        out.iter_mut().zip(round).for_each(|(o, r)| *o ^= r);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_fits_its_password_alone() {
        // Made by PostgreSQL 15: create role x password 'it''s 100%:/ ü'.
        let verifier = "SCRAM-SHA-256$4096:ntq/m4bHcIMQsv/p1xTHoA==$Rtuo4/aFCOFs0cFgBwYC6gkEtbO3EyXuK13PpddJo/A=:gazyMaYfP3qxuFZ28YMRezb+0QWC35Jf3jkbdB5ayKw=";
        assert!(fits(verifier, "it's 100%:/ ü".as_bytes()));
        assert!(!fits(verifier, b"it's 100%:/ u"));
        assert!(!fits("md5abc", b"x"));
        assert!(!fits("SCRAM-SHA-256$4096:!!$x:y", b"x"));
    }
}
