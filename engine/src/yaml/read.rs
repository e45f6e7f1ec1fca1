//! From text to the tree.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::text::{Diagnostic, Diagnostics, Gathered, SourceFile, Span};

use super::{Entry, Map, Node, Scalar, Value};

/// Deeper nesting is refused, so that no walk over a tree can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Reads a whole file as one YAML document. `None` for an empty document or after a syntax error.
#[must_use]
pub fn parse_file(file: &Arc<SourceFile>) -> (Option<Node>, Diagnostics) {
    let start = if file.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    parse_block(file, &[Span::new(start, file.text.len())])
}

/// Reads YAML that stands in pieces of a larger file (a fenced block in a list item arrives as one
/// piece a line, without its indentation). Pieces of different lines need not hold the line ends;
/// a piece outside the file or off a character boundary counts as empty.
#[must_use]
pub fn parse_block(file: &Arc<SourceFile>, pieces: &[Span]) -> (Option<Node>, Diagnostics) {
    let mut gathered = Gathered::default();
    let mut last: Option<usize> = None;
    for piece in pieces {
        let Some(text) = file.text.get(piece.start..piece.end) else { continue };
        let gap = last.and_then(|end| file.text.get(end..piece.start));
        if gap.is_some_and(|gap| gap.contains('\n')) && !gathered.text.ends_with('\n') {
            gathered.push_other("\n", Span::new(piece.start, piece.start));
        }
        gathered.push_exact(text, piece.start);
        last = Some(piece.end);
    }
    parse_gathered(file, &gathered)
}

/// Reads YAML out of text that was gathered from the file.
pub(crate) fn parse_gathered(
    file: &Arc<SourceFile>,
    gathered: &Gathered,
) -> (Option<Node>, Diagnostics) {
    let places = Places::new(gathered);
    let mut builder = Builder {
        file,
        places: &places,
        stack: Vec::new(),
        root: None,
        diagnostics: Diagnostics::default(),
    };
    let mut documents = 0;
    for event in Parser::new_from_str(&gathered.text) {
        let (event, at) = match event {
            Ok(found) => found,
            Err(error) => {
                let diagnostic = syntax_error(file, &places, &error);
                builder.diagnostics.push(diagnostic);
                return (None, builder.diagnostics);
            }
        };
        let range = (places.byte(at.start.index()), places.byte(at.end.index()));
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    builder.unsupported(
                        range,
                        "a second YAML document starts here",
                        "keep one document; remove the `---` line and what follows",
                    );
                    break;
                }
            }
            other => {
                if !builder.take(other, range) {
                    return (None, builder.diagnostics);
                }
            }
        }
    }
    (builder.root, builder.diagnostics)
}

/// The library counts characters; everything else here counts bytes of the file.
struct Places<'a> {
    gathered: &'a Gathered,
    /// Byte of each character; empty when all are ASCII.
    bytes: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(gathered: &'a Gathered) -> Self {
        let text = &gathered.text;
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(i, _)| i).collect()
        };
        Self { gathered, bytes }
    }

    /// Byte in the gathered text.
    fn byte(&self, index: usize) -> usize {
        let end = self.gathered.text.len();
        if self.bytes.is_empty() {
            index.min(end)
        } else {
            self.bytes.get(index).copied().unwrap_or(end)
        }
    }

    fn span(&self, (start, end): (usize, usize)) -> Span {
        self.gathered.span(start..end)
    }
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    places: &'a Places<'a>,
    stack: Vec<Frame>,
    root: Option<Node>,
    diagnostics: Diagnostics,
}

/// A list or mapping that is still open.
struct Frame {
    span: Span,
    flow: bool,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map { map: Map, key: Key, seen: HashMap<String, Span> },
}

/// The key that waits for its value.
enum Key {
    None,
    Good(String, Span),
    /// Reported already; its value is read and dropped.
    Bad,
}

impl Builder<'_> {
    /// Takes one event; `false` when reading cannot go on.
    fn take(&mut self, event: Event<'_>, range: (usize, usize)) -> bool {
        let text = &self.places.gathered.text;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(anchor, tag.is_some(), range);
                self.scalar(text.into_owned(), style, range);
            }
            Event::Alias(_) => {
                self.alias(range);
                let span = self.places.span(range);
                self.value(Node { span, value: Value::Null }, false);
            }
            Event::SequenceStart(anchor, tag) => {
                let flow = text[range.0..].starts_with('[');
                self.properties(anchor, tag.is_some(), range);
                return self.open(Content::Seq(Vec::new()), flow, range);
            }
            Event::MappingStart(anchor, tag) => {
                let flow = text[range.0..].starts_with('{');
                self.properties(anchor, tag.is_some(), range);
                let content =
                    Content::Map { map: Map::default(), key: Key::None, seen: HashMap::new() };
                return self.open(content, flow, range);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range),
            _ => {}
        }
        true
    }

    fn open(&mut self, content: Content, flow: bool, range: (usize, usize)) -> bool {
        let span = self.places.span(range);
        if self.stack.len() >= MAX_DEPTH {
            self.diagnostics.push(
                Diagnostic::error(
                    "yaml-too-deep",
                    self.file,
                    span,
                    format!("the YAML is nested more than {MAX_DEPTH} levels deep"),
                )
                .with_help("nothing in these formats is nested that deep; check the brackets"),
            );
            return false;
        }
        self.stack.push(Frame { span, flow, content });
        true
    }

    fn close(&mut self, range: (usize, usize)) {
        let Some(frame) = self.stack.pop() else { return };
        // A block collection ends where its last value ends; the event stands at the next token.
        let end = if frame.flow { Some(self.places.span(range).end) } else { None };
        let (value, last) = match frame.content {
            Content::Seq(items) => {
                let last = items.last().map(|n| n.span.end);
                (Value::Seq(items), last)
            }
            Content::Map { map, .. } => {
                let last = map.entries.last().map(|e| e.value.span.end.max(e.key_span.end));
                (Value::Map(map), last)
            }
        };
        let end = end.or(last).unwrap_or(frame.span.end).max(frame.span.start);
        self.value(Node { span: Span::new(frame.span.start, end), value }, false);
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, range: (usize, usize)) {
        let plain = style == ScalarStyle::Plain;
        let mut span = self.places.span((range.0, self.scalar_end(style, range)));
        if plain && text.is_empty() {
            span.end = span.start;
        }
        let null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let is_key = matches!(
            self.stack.last(),
            Some(Frame { content: Content::Map { key: Key::None, .. }, .. })
        );
        let value = if null && (text.is_empty() || !is_key) {
            Value::Null
        } else {
            Value::Scalar(Scalar { text, plain })
        };
        self.value(Node { span, value }, true);
    }

    /// The library lets a quoted scalar reach over the comment after it.
    fn scalar_end(&self, style: ScalarStyle, range: (usize, usize)) -> usize {
        let text = &self.places.gathered.text[range.0..range.1.max(range.0)];
        let quote = match style {
            ScalarStyle::DoubleQuoted => b'"',
            ScalarStyle::SingleQuoted => b'\'',
            _ => return range.0 + text.trim_end_matches([' ', '\t', '\r', '\n']).len(),
        };
        let bytes = text.as_bytes();
        let mut at = bytes.iter().position(|b| *b == quote).map_or(bytes.len(), |i| i + 1);
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if quote == b'"' => at += 2,
                b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
                b if b == quote => return range.0 + at + 1,
                _ => at += 1,
            }
        }
        range.1
    }

    /// Puts a finished value where it belongs; a `scalar` may become a key.
    fn value(&mut self, mut node: Node, scalar: bool) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        let (map, key, seen) = match &mut frame.content {
            Content::Seq(items) => return items.push(node),
            Content::Map { map, key, seen } => (map, key, seen),
        };
        match std::mem::replace(key, Key::None) {
            Key::None => match node.value {
                Value::Scalar(Scalar { text, plain: true }) if text == "<<" => {
                    *key = Key::Bad;
                    self.unsupported_at(
                        node.span,
                        "merge keys (`<<`) are not supported",
                        "write the keys out",
                    );
                }
                Value::Scalar(Scalar { text, .. }) if scalar => match seen.entry(text) {
                    Slot::Vacant(slot) => {
                        let text = slot.key().clone();
                        slot.insert(node.span);
                        *key = Key::Good(text, node.span);
                    }
                    Slot::Occupied(slot) => {
                        *key = Key::Bad;
                        self.diagnostics.push(
                            Diagnostic::error(
                                "duplicate-key",
                                self.file,
                                node.span,
                                format!("the key `{}` stands here twice", slot.key()),
                            )
                            .with_label(*slot.get(), "first here")
                            .with_help("remove one of them"),
                        );
                    }
                },
                _ => {
                    *key = Key::Bad;
                    self.unsupported_at(
                        node.span,
                        "a key must be plain text",
                        "write `key: value`; a list, a mapping or nothing cannot be a key",
                    );
                }
            },
            Key::Bad => {}
            Key::Good(text, key_span) => {
                if node.value == Value::Null && node.span.start == node.span.end {
                    // The library places an absent value at the next token, lines below.
                    node.span = Span::new(key_span.end, key_span.end);
                }
                map.entries.push(Entry { key: text, key_span, value: node });
            }
        }
    }

    fn properties(&mut self, anchor: usize, tag: bool, range: (usize, usize)) {
        if anchor != 0 {
            self.unsupported(range, "anchors (`&name`) are not supported", "write the value out");
        }
        if tag {
            self.unsupported(
                range,
                "tags (`!name`) are not supported",
                "remove the tag; quote a value that begins with `!`",
            );
        }
    }

    fn alias(&mut self, range: (usize, usize)) {
        self.unsupported(
            range,
            "aliases (`*name`) are not supported",
            "write the value out; quote a value that begins with `*`",
        );
    }

    fn unsupported(&mut self, range: (usize, usize), message: &str, help: &str) {
        self.unsupported_at(self.places.span(range), message, help);
    }

    fn unsupported_at(&mut self, span: Span, message: &str, help: &str) {
        self.diagnostics
            .push(Diagnostic::error("yaml-unsupported", self.file, span, message).with_help(help));
    }
}

/// The library's words are for YAML experts; the common mistakes get a sentence of their own.
fn syntax_error(file: &Arc<SourceFile>, places: &Places<'_>, error: &ScanError) -> Diagnostic {
    let text = &places.gathered.text;
    let at = places.byte(error.marker().index());
    let info = error.info();
    // What is missing after a key is noticed only at the start of the next line.
    let at = if info.contains("simple key expect") && text[..at].ends_with('\n') {
        let line = text[..at].trim_end();
        line.rfind('\n').map_or(0, |i| i + 1)
    } else {
        at
    };
    // A tab is often noticed elsewhere: at the start of the value before it.
    let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let tab = text[line_start..]
        .split_inclusive('\n')
        .scan(line_start, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line))
        })
        .take(if info.contains("tab") { usize::MAX } else { 1 })
        .find_map(|(start, line)| {
            let indent = line.len() - line.trim_start().len();
            line[..indent].find('\t').map(|i| start + i)
        });
    let indented_by_tab = tab.is_some() || info.contains("tab");
    let at = tab.unwrap_or(at);
    let next = text[at..].chars().next().filter(|c| !matches!(c, '\n' | '\r'));
    let span = places.span((at, at + next.map_or(0, char::len_utf8)));
    let (code, message, help) = if indented_by_tab {
        (
            "yaml-syntax",
            "a tab cannot indent YAML".to_owned(),
            "indent with spaces; most editors can turn tabs into spaces",
        )
    } else if info.contains("recursion limit") {
        (
            "yaml-too-deep",
            format!("the YAML is nested more than {MAX_DEPTH} levels deep"),
            "nothing in these formats is nested that deep; check the brackets",
        )
    } else if info.contains("unknown anchor") {
        (
            "yaml-unsupported",
            "aliases (`*name`) are not supported".to_owned(),
            "write the value out; quote a value that begins with `*`",
        )
    } else if info.contains("mapping values are not allowed") {
        (
            "yaml-syntax",
            "`: ` is not allowed here".to_owned(),
            "quote a value that contains `: `, or check the indentation of this line",
        )
    } else if info.contains("quoted scalar") && info.contains("unexpected end of stream") {
        ("yaml-syntax", "a quote is not closed".to_owned(), "close the quote")
    } else if info.contains("simple key expect") {
        (
            "yaml-syntax",
            "a `:` is missing after the key".to_owned(),
            "write `key: value`, with a space after the colon",
        )
    } else if info.contains("unexpected character") {
        (
            "yaml-syntax",
            "a value cannot begin with this character".to_owned(),
            "quote the value: \"…\"",
        )
    } else if info.contains("unknown escape") {
        (
            "yaml-syntax",
            "this escape does not exist in a double-quoted text".to_owned(),
            "write `\\\\` for a backslash, or use single quotes",
        )
    } else {
        (
            "yaml-syntax",
            format!("this is not valid YAML: {info}"),
            "check the indentation, the quotes and the brackets around here",
        )
    };
    Diagnostic::error(code, file, span, message).with_help(help)
}

#[cfg(test)]
mod tests;
