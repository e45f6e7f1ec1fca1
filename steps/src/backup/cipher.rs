//! Members of a backup, encrypted and decrypted as streams. Plain text is never on disk.

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;
use workplan_engine::digest::hex;
use workplan_engine::kind::{ErrorCause, StepError};

use super::keys::{Keys, Recipients};
use super::words::io_error;

const BUFFER: usize = 256 * 1024;

/// The key of a backup's digests of plain text. A plain digest of a small or guessable file, or of
/// a table with one row, would let anybody who sees the manifest try out what it could be.
#[derive(Clone)]
pub(super) struct DigestKey([u8; 32]);

impl DigestKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn random() -> Result<Self, StepError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| StepError::failed(format!("the system gives no random bytes: {e}")))?;
        Ok(Self(bytes))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn begin(&self) -> Hmac<Sha256> {
        keyed(&self.0)
    }

    /// The keyed digest of some texts; none can be taken for a part of another.
    pub(super) fn of(&self, texts: &[&str]) -> String {
        let mut mac = self.begin();
        for text in texts {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        hex(&mac.finalize().into_bytes())
    }
}

/// HMAC-SHA256 with a key of any length.
pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// What a member is, in clear and as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sizes {
    /// Length on disk.
    pub(super) bytes: u64,
    /// SHA-256 of what lies on disk, in hexadecimal.
    pub(super) sha256: String,
    /// In clear.
    pub(super) plain: Plain,
}

/// A member in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plain {
    /// Length.
    pub(super) bytes: u64,
    /// HMAC-SHA256 with the key in the member `digest.key.age`, in hexadecimal.
    pub(super) hmac: String,
}

/// Encrypts all that a reader gives into a file, and puts it safe on disk. Blocks.
///
/// # Errors
/// When reading, writing or flushing fails, or when it is cancelled.
pub(super) fn seal(
    mut from: impl Read,
    (path, file): (&Path, File),
    recipients: &Recipients,
    key: &DigestKey,
    cancel: &CancellationToken,
) -> Result<Sizes, StepError> {
    let failed = |e: io::Error| io_error("write", path, &e);
    let encryptor = recipients.encryptor()?;
    let mut out = encryptor.wrap_output(Counted::new(file)).map_err(failed)?;
    let mut plain = key.begin();
    let mut bytes = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        cancelled(cancel)?;
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                return Err(StepError::failed(format!("failed to read what to back up: {e}")));
            }
        };
        plain.update(&buffer[..length]);
        bytes += length as u64;
        out.write_all(&buffer[..length]).map_err(failed)?;
    }
    // Without it the file is cut short, which a reader sees.
    let written = out.finish().map_err(failed)?;
    written.inner.sync_all().map_err(failed)?;
    Ok(Sizes {
        bytes: written.bytes,
        sha256: hex(&written.digest.finalize()),
        plain: Plain { bytes, hmac: hex(&plain.finalize().into_bytes()) },
    })
}

fn cancelled(cancel: &CancellationToken) -> Result<(), StepError> {
    if cancel.is_cancelled() {
        return Err(StepError::new(ErrorCause::Cancelled, "the backup was cancelled"));
    }
    Ok(())
}

struct Counted<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W> Counted<W> {
    fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Length and SHA-256 of a file as it lies on disk. Blocks.
///
/// # Errors
/// When it cannot be read; `Interrupted` when it was cancelled.
pub(super) fn on_disk(path: &Path, cancel: &CancellationToken) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut counted = Counted::new(io::sink());
    let mut buffer = vec![0; BUFFER];
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut buffer)? {
            0 => return Ok((counted.bytes, hex(&counted.digest.finalize()))),
            length => counted.write_all(&buffer[..length])?,
        }
    }
}

/// Why a member could not be decrypted.
#[derive(Debug)]
pub(super) enum OpenError {
    /// It cannot be read.
    Read(io::Error),
    /// No key that is here fits.
    NoKey,
    /// It was changed or cut short after it was encrypted.
    Damaged,
    /// Who was to take it did not.
    Sink(io::Error),
    /// It was cancelled.
    Cancelled,
}

/// Decrypts a file into a writer. Blocks.
///
/// Chunks are given on before the end is seen; only a good return says that all of them were whole
/// and that nothing is missing.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open(
    path: &Path,
    keys: &Keys,
    key: Option<&DigestKey>,
    mut to: impl Write,
    cancel: &CancellationToken,
) -> Result<Plain, OpenError> {
    let file = File::open(path).map_err(OpenError::Read)?;
    let decryptor = age::Decryptor::new_buffered(BufReader::with_capacity(BUFFER, file));
    let mut reader =
        decryptor.and_then(|d| d.decrypt(keys.identities())).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => OpenError::NoKey,
            age::DecryptError::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
                OpenError::Read(e)
            }
            _ => OpenError::Damaged,
        })?;
    let mut plain = key.map(DigestKey::begin);
    let mut bytes = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        if cancel.is_cancelled() {
            return Err(OpenError::Cancelled);
        }
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.raw_os_error().is_some() => return Err(OpenError::Read(e)),
            Err(_) => return Err(OpenError::Damaged),
        };
        if let Some(plain) = &mut plain {
            plain.update(&buffer[..length]);
        }
        bytes += length as u64;
        to.write_all(&buffer[..length]).map_err(OpenError::Sink)?;
    }
    to.flush().map_err(OpenError::Sink)?;
    let hmac = plain.map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default();
    Ok(Plain { bytes, hmac })
}
