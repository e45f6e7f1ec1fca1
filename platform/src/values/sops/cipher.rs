//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]`.

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::values::scalar::Typed;

/// AES-256-GCM with the nonce of 32 bytes that SOPS uses.
type Cipher = AesGcm<Aes256, U32>;

const NONCE: usize = 32;
const TAG: usize = 16;

/// The key of a file's values.
pub(super) struct DataKey(Cipher);

/// What was in an encrypted value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plain {
    pub(super) value: Typed,
    /// The bytes that the file's digest covers.
    pub(super) bytes: Vec<u8>,
}

/// Whether a text is an encrypted value.
pub(super) fn is_encrypted(text: &str) -> bool {
    text.starts_with("ENC[AES256_GCM,") && text.ends_with(']')
}

impl DataKey {
    /// A key.
    ///
    /// # Errors
    /// When it has not 32 bytes.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, String> {
        Cipher::new_from_slice(bytes)
            .map(Self)
            .map_err(|_| format!("its data key has {} bytes instead of 32", bytes.len()))
    }

    /// Decrypts a value. `bound` is what it was bound to: its keys, or the file's date.
    ///
    /// # Errors
    /// A sentence; it never has a part of the value.
    pub(super) fn open(&self, text: &str, bound: &str) -> Result<Plain, String> {
        let parts = Parts::of(text).ok_or("it is no encrypted value as SOPS writes it")?;
        let nonce = parts.nonce.as_slice();
        if nonce.len() != NONCE || parts.tag.len() != TAG {
            return Err("its nonce or its tag has another length than those of SOPS".to_owned());
        }
        let sealed = [parts.data, parts.tag].concat();
        let payload = Payload { msg: &sealed, aad: bound.as_bytes() };
        let bytes = self
            .0
            .decrypt(GenericArray::from_slice(nonce), payload)
            .map_err(|_| "it was changed, or moved to another key, after it was encrypted")?;
        plain(bytes, parts.kind)
    }
}

struct Parts<'t> {
    data: Vec<u8>,
    nonce: Vec<u8>,
    tag: Vec<u8>,
    kind: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let inner = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (data, rest) = inner.split_once(",iv:")?;
        let (nonce, rest) = rest.split_once(",tag:")?;
        let (tag, kind) = rest.split_once(",type:")?;
        let decode = |text: &str| STANDARD.decode(text).ok();
        Some(Self { data: decode(data)?, nonce: decode(nonce)?, tag: decode(tag)?, kind })
    }
}

fn plain(bytes: Vec<u8>, kind: &str) -> Result<Plain, String> {
    if kind == "bytes" {
        // As the program shows them in JSON.
        return Ok(Plain { value: Typed::Text(STANDARD.encode(&bytes)), bytes });
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let value = match kind {
        // A time is a text in JSON.
        "str" | "time" => Typed::Text(text.clone()),
        "int" => Typed::Int(text.parse().map_err(|_| "it is no whole number, though it says so")?),
        "float" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Typed::Float(number),
            _ => return Err("it is no number, though it says so".to_owned()),
        },
        "bool" => match text.as_str() {
            "True" | "true" => Typed::Bool(true),
            "False" | "false" => Typed::Bool(false),
            _ => return Err("it is no boolean, though it says so".to_owned()),
        },
        "comment" => return Err("it is a comment, where a value should be".to_owned()),
        _ => return Err("it has a type that this reader does not know".to_owned()),
    };
    let bytes = match &value {
        Typed::Text(_) => text.into_bytes(),
        other => other.bytes(),
    };
    Ok(Plain { value, bytes })
}
