//! Events, and the chain that binds them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A SHA-256 digest in the chain; shown as 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash(pub(crate) [u8; 32]);

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "expected 64 hex digits";
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WANTED);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| WANTED)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for EventHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An event that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened, for example `step.intent`.
    pub kind: String,
    /// The step that it concerns, for example `T02.copy`.
    pub step: Option<String>,
    /// The particulars. Stored with sorted keys; never holds a secret.
    pub data: Value,
}

impl NewEvent {
    /// An event of the run itself.
    #[must_use]
    pub fn of_run(kind: impl Into<String>, data: Value) -> Self {
        Self { kind: kind.into(), step: None, data }
    }

    /// An event of one step.
    #[must_use]
    pub fn of_step(kind: impl Into<String>, step: impl Into<String>, data: Value) -> Self {
        Self { kind: kind.into(), step: Some(step.into()), data }
    }
}

/// An event as the journal holds it. Its JSON form is one line of `--events jsonl`, and enough
/// to compute [`StoredEvent::computed_hash`] again elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Position in the whole journal: from 1, without gaps.
    pub seq: u64,
    /// When, in whole milliseconds; RFC 3339 in UTC.
    #[serde(with = "milliseconds")]
    pub at: Timestamp,
    /// The run.
    pub run: String,
    /// What happened.
    pub kind: String,
    /// The step that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The particulars, keys sorted.
    pub data: Value,
    /// Hash of the run's event before; of a first event, the hash that binds the run's id to
    /// the journal's newest event of that time.
    pub prev: EventHash,
    /// Hash of this event.
    pub hash: EventHash,
}

impl StoredEvent {
    /// The hash that the content calls for: SHA-256 over, in this order, the text
    /// `workplan/event/v1`, `prev` (32 bytes), `seq` in decimal, `at` as in JSON, `run`, `kind`,
    /// `1` and the step or `0`, and `data` as compact JSON with sorted keys; each preceded by its
    /// length in bytes as a 64-bit big-endian number.
    #[must_use]
    pub fn computed_hash(&self) -> EventHash {
        let data = canonical_text(&self.data);
        Content {
            seq: self.seq,
            at: &milliseconds::text(self.at),
            run: &self.run,
            kind: &self.kind,
            step: self.step.as_deref(),
            data: &data,
        }
        .hash(self.prev)
    }
}

/// The hashed part of an event, with `data` as the text that is stored.
pub(super) struct Content<'a> {
    pub(super) seq: u64,
    /// As in JSON, see [`milliseconds::text`].
    pub(super) at: &'a str,
    pub(super) run: &'a str,
    pub(super) kind: &'a str,
    pub(super) step: Option<&'a str>,
    pub(super) data: &'a str,
}

impl Content<'_> {
    pub(super) fn hash(&self, prev: EventHash) -> EventHash {
        let mut framed = Framed::new("workplan/event/v1");
        framed.field(&prev.0);
        framed.field(self.seq.to_string().as_bytes());
        framed.field(self.at.as_bytes());
        framed.field(self.run.as_bytes());
        framed.field(self.kind.as_bytes());
        match self.step {
            Some(step) => {
                framed.field(b"1");
                framed.field(step.as_bytes());
            }
            None => framed.field(b"0"),
        }
        framed.field(self.data.as_bytes());
        framed.finish()
    }
}

/// `prev` of a run's first event. Binding the newest event of the journal fixes the order of the
/// runs: one cannot be taken out or put before another without a trace.
pub(super) fn chain_start(run: &str, newest: Option<EventHash>) -> EventHash {
    let mut framed = Framed::new("workplan/chain/v1");
    framed.field(run.as_bytes());
    framed.field(newest.as_ref().map_or(&[][..], |hash| &hash.0));
    framed.finish()
}

/// Compact JSON with sorted keys, so that the hash depends on no writer's order.
pub(super) fn canonical_text(data: &Value) -> String {
    let mut sorted = data.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

/// SHA-256 over length-prefixed fields: no two lists of fields feed it the same bytes.
pub(super) struct Framed(Sha256);

impl Framed {
    pub(super) fn new(domain: &str) -> Self {
        let mut framed = Self(Sha256::new());
        framed.field(domain.as_bytes());
        framed
    }

    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> EventHash {
        EventHash(self.0.finalize().into())
    }
}

/// RFC 3339 in UTC with exactly three digits after the second.
pub(super) mod milliseconds {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(in crate::journal) fn text(at: Timestamp) -> String {
        format!("{at:.3}")
    }

    pub(in crate::journal) fn serialize<S: Serializer>(
        at: &Timestamp,
        ser: S,
    ) -> Result<S::Ok, S::Error> {
        ser.collect_str(&text(*at))
    }

    pub(in crate::journal) fn deserialize<'de, D: Deserializer<'de>>(
        de: D,
    ) -> Result<Timestamp, D::Error> {
        String::deserialize(de)?.parse().map_err(serde::de::Error::custom)
    }
}
