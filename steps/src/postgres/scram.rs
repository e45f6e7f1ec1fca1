//! Passwords as PostgreSQL keeps them: SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677).
//!
//! The verifier is computed here, so that the server and its log never see the password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// Rounds of PBKDF2 that PostgreSQL uses.
const ITERATIONS: u32 = 4096;
/// Bytes of salt that PostgreSQL uses.
const SALT: usize = 16;

/// A verifier for a password, with a new salt: `SCRAM-SHA-256$4096:SALT$STORED:SERVER`.
///
/// # Errors
/// When the machine gives no random bytes.
pub(super) fn verifier(password: &[u8]) -> Result<String, getrandom::Error> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt)?;
    Ok(Keys::of(password, &salt, ITERATIONS).verifier(&salt, ITERATIONS))
}

/// Whether a stored verifier is of this password. `None` where it is no SCRAM verifier.
pub(super) fn matches(stored: &str, password: &[u8]) -> Option<bool> {
    let (head, keys) = stored.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let iterations = iterations.parse().ok().filter(|n| (1..10_000_000).contains(n))?;
    let salt = STANDARD.decode(salt).ok()?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let wanted = Keys::of(password, &salt, iterations);
    let same = |text: &str, key: &[u8]| STANDARD.decode(text).is_ok_and(|bytes| bytes == key);
    Some(same(stored_key, &wanted.stored) && same(server_key, &wanted.server))
}

struct Keys {
    stored: [u8; 32],
    server: [u8; 32],
}

impl Keys {
    fn of(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = pbkdf2(&prepared(password), salt, iterations);
        let client = hmac(&salted, &[b"Client Key"]);
        Self { stored: Sha256::digest(client).into(), server: hmac(&salted, &[b"Server Key"]) }
    }

    fn verifier(&self, salt: &[u8], iterations: u32) -> String {
        format!(
            "SCRAM-SHA-256${iterations}:{}${}:{}",
            STANDARD.encode(salt),
            STANDARD.encode(self.stored),
            STANDARD.encode(self.server)
        )
    }
}

/// SASLprep (RFC 4013). As in PostgreSQL, a password that it refuses is taken as it is.
fn prepared(password: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(password).map(stringprep::saslprep) {
        Ok(Ok(text)) => Cow::Owned(text.into_owned().into_bytes()),
        _ => Cow::Borrowed(password),
    }
}

/// One block of PBKDF2 with HMAC-SHA-256, which is all that a key of 32 bytes needs.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut block = hmac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = block;
    for _ in 1..iterations {
        block = hmac(password, &[&block]);
        sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key of any length is taken, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: the keys behind the exchange for `pencil`.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = Keys::of(b"pencil", &salt, 4096);
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,\
                    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&keys.server, &[auth.as_bytes()]);
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_verifier_is_of_its_password_only() {
        let stored = verifier(b"s3cret").unwrap();
        assert_eq!(matches(&stored, b"s3cret"), Some(true));
        assert_eq!(matches(&stored, b"s3cret "), Some(false));
        assert_ne!(stored, verifier(b"s3cret").unwrap());
        for other in ["md5aaaa", "", "SCRAM-SHA-256$x:y$z:w", "SCRAM-SHA-256$4096:eA==$"] {
            assert!(!matches(other, b"s3cret").unwrap_or(false), "{other}");
        }
    }

    /// A no-break space is a space, a soft hyphen is nothing; bytes that are no text stay.
    #[test]
    fn passwords_are_prepared_as_the_server_does() {
        assert_eq!(prepared("a\u{a0}b\u{ad}".as_bytes()), "a b".as_bytes());
        assert_eq!(*prepared("Ⅸ".as_bytes()), b"IX"[..]);
        assert_eq!(*prepared(b"\xff\xfe"), b"\xff\xfe"[..]);
        assert_eq!(prepared("a\u{7}".as_bytes()), "a\u{7}".as_bytes());
    }
}
