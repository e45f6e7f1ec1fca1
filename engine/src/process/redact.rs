//! Takes secrets out of a stream of bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

const MASK: &[u8] = b"***";
/// Shorter secrets are not looked for: what they are made of is everywhere, and taking it out would
/// change outputs that have nothing to do with them.
const FOUND_FROM: usize = 4;
/// Shorter lines of a secret of several lines are not taken out on their own.
const LINE_FROM: usize = 8;
/// Shorter inner parts of a Base64 text are not taken out.
const BASE64_FROM: usize = 8;

/// Replaces every occurrence of some secrets by `***`.
///
/// Besides a secret itself it knows: the secret without trailing line ends, each of its lines of
/// at least 8 bytes, and its Base64 (standard and URL alphabet, at any offset in a larger text,
/// unbroken), percent-encoded, JSON-escaped, SQL-quoted and shell-quoted forms.
///
/// A secret of fewer than 4 bytes, line ends at its end not counted, is not taken out, see
/// [`Redactor::finds`]. Where two secrets overlap, the one that starts first is replaced, the longer
/// at the same start.
#[derive(Clone)]
pub struct Redactor {
    matcher: Option<Matcher>,
}

#[derive(Clone)]
struct Matcher {
    automaton: AhoCorasick,
    /// Sorted, so that those with a common start are neighbours.
    forms: Vec<Vec<u8>>,
    first: [bool; 256],
    longest: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = self.matcher.as_ref().map_or(0, |matcher| matcher.forms.len());
        write!(f, "Redactor({forms} forms)")
    }
}

impl Redactor {
    /// Passes everything through, at no cost.
    #[must_use]
    pub fn none() -> Redactor {
        Redactor { matcher: None }
    }

    /// Takes out these secrets. Without any it is [`Redactor::none`].
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Redactor {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            add_forms(secret.as_ref(), &mut forms);
        }
        forms.remove(&Vec::new());
        let forms: Vec<Vec<u8>> = forms.into_iter().collect();
        let mut first = [false; 256];
        for form in &forms {
            first[usize::from(form[0])] = true;
        }
        let Some(longest) = forms.iter().map(Vec::len).max() else { return Redactor::none() };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms)
            .expect("secrets are far below the automaton's limit of 2^31 states");
        Redactor { matcher: Some(Matcher { automaton, forms, first, longest }) }
    }

    /// Whether a secret is long enough to be looked for. One that is not must be told of where it is
    /// read: nothing keeps it out of what is shown.
    #[must_use]
    pub fn finds(secret: &[u8]) -> bool {
        without_ends(secret).len() >= FOUND_FROM
    }

    /// Redacts a whole text.
    #[must_use]
    pub fn redact(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.matcher {
            None => bytes.to_vec(),
            Some(matcher) => {
                let mut out = Vec::with_capacity(bytes.len());
                let kept = matcher.run(bytes, true, &mut out);
                debug_assert_eq!(kept, bytes.len());
                out
            }
        }
    }

    /// Redacts a whole text.
    #[must_use]
    pub fn redact_str(&self, text: &str) -> String {
        match &self.matcher {
            None => text.to_owned(),
            Some(_) => String::from_utf8_lossy(&self.redact(text.as_bytes())).into_owned(),
        }
    }

    /// Redacts a text that arrives in pieces.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> RedactStream {
        RedactStream { redactor: Arc::clone(self), pending: Vec::new(), out: Vec::new() }
    }
}

/// A text that is redacted as it arrives, see [`Redactor::stream`].
///
/// The result is the same however the text is cut. Only an end that could be the start of a secret
/// is kept back until more arrives, so a prompt is shown at once.
#[derive(Debug)]
pub struct RedactStream {
    redactor: Arc<Redactor>,
    pending: Vec<u8>,
    out: Vec<u8>,
}

impl RedactStream {
    /// Takes the next piece and returns what can be shown by now.
    pub fn push<'a>(&'a mut self, piece: &'a [u8]) -> &'a [u8] {
        let Some(matcher) = &self.redactor.matcher else { return piece };
        self.out.clear();
        if self.pending.is_empty() {
            let done = matcher.run(piece, false, &mut self.out);
            self.pending.extend_from_slice(&piece[done..]);
        } else {
            self.pending.extend_from_slice(piece);
            let done = matcher.run(&self.pending, false, &mut self.out);
            self.pending.drain(..done);
        }
        &self.out
    }

    /// Ends the text and returns what was kept back.
    pub fn finish(&mut self) -> &[u8] {
        self.out.clear();
        if let Some(matcher) = &self.redactor.matcher {
            matcher.run(&self.pending, true, &mut self.out);
            self.pending.clear();
        }
        &self.out
    }
}

impl Matcher {
    /// Redacts the start of `text` that no further byte can change, all of it when it is `whole`;
    /// returns how many bytes that was.
    fn run(&self, text: &[u8], whole: bool, out: &mut Vec<u8>) -> usize {
        let mut position = 0;
        let mut open = if whole { text.len() } else { self.open_from(text, 0) };
        loop {
            let found = self.automaton.find(aho_corasick::Input::new(text).range(position..));
            match found.map(|found| found.range()) {
                // Before `open`, nothing that starts earlier or is longer can still appear.
                Some(Range { start, end }) if start < open => {
                    out.extend_from_slice(&text[position..start]);
                    out.extend_from_slice(MASK);
                    position = end;
                    if position > open {
                        open = self.open_from(text, position);
                    }
                }
                _ => {
                    out.extend_from_slice(&text[position..open]);
                    return open;
                }
            }
        }
    }

    /// Where the first secret begins that the end of `text` could still become; its length if none.
    fn open_from(&self, text: &[u8], position: usize) -> usize {
        let earliest = position.max(text.len().saturating_sub(self.longest - 1));
        (earliest..text.len())
            .find(|at| self.first[usize::from(text[*at])] && self.is_proper_prefix(&text[*at..]))
            .unwrap_or(text.len())
    }

    fn is_proper_prefix(&self, start: &[u8]) -> bool {
        // In sorted order, what starts with `start` and is longer comes directly after it.
        let after = self.forms.partition_point(|form| form.as_slice() <= start);
        self.forms.get(after).is_some_and(|form| form.starts_with(start))
    }
}

/// Without line ends at its end.
fn without_ends(secret: &[u8]) -> &[u8] {
    let end = secret.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |at| at + 1);
    &secret[..end]
}

fn add_forms(secret: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    if !Redactor::finds(secret) {
        return;
    }
    add_encodings(secret, forms);
    add_encodings(without_ends(secret), forms);
    for line in secret.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() >= LINE_FROM {
            add_encodings(line, forms);
        }
    }
}

fn add_encodings(secret: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    forms.insert(secret.to_vec());
    add_base64(secret, forms);
    for hex in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        forms.insert(percent(secret, hex, b"%20"));
        forms.insert(percent(secret, hex, b"+"));
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let quoted = serde_json::Value::from(text).to_string();
        let inner = quoted[1..quoted.len() - 1].to_owned();
        // Go's encoder, and so Kubernetes', also escapes what HTML would interpret.
        let html = inner.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        forms.extend([inner.into_bytes(), html.into_bytes()]);
    }
    forms.insert(substitute(secret, |byte| (byte == b'\'').then_some(b"''".as_slice())));
    forms.insert(substitute(secret, |byte| (byte == b'\'').then_some(b"'\\''".as_slice())));
    forms.insert(substitute(secret, |byte| (byte == b'\'').then_some(b"'\"'\"'".as_slice())));
    forms.insert(backslashed(secret, |byte| b"\\\"$`".contains(&byte)));
    forms.insert(backslashed(secret, |byte| {
        byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"_-./:@%+=,".contains(&byte)
    }));
}

fn add_base64(secret: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for engine in [&STANDARD, &URL_SAFE] {
        let padded = engine.encode(secret).into_bytes();
        let bare = padded.iter().position(|byte| *byte == b'=').unwrap_or(padded.len());
        forms.insert(padded[..bare].to_vec());
        forms.insert(padded);
        for offset in 0..3 {
            // Of the characters only those count that no neighbour of the secret has bits in.
            let mut shifted = vec![0; offset];
            shifted.extend_from_slice(secret);
            let text = engine.encode(&shifted).into_bytes();
            let inner = &text[(offset * 8).div_ceil(6)..shifted.len() * 8 / 6];
            if inner.len() >= BASE64_FROM {
                forms.insert(inner.to_vec());
            }
        }
    }
}

fn percent(secret: &[u8], hex: &[u8; 16], space: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        match byte {
            b' ' => out.extend_from_slice(space),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => out.push(*byte),
            byte => {
                out.extend([b'%', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
            }
        }
    }
    out
}

fn substitute<'a>(secret: &[u8], by: impl Fn(u8) -> Option<&'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        match by(*byte) {
            Some(other) => out.extend_from_slice(other),
            None => out.push(*byte),
        }
    }
    out
}

fn backslashed(secret: &[u8], escaped: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        if escaped(*byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
