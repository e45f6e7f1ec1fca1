//! Changing keys of a plain YAML file so that every other byte stays.
//!
//! The text is cut at the places that the reader gives, and what comes out is read again: only if
//! it says what it should, it counts. A layout that was not thought of is refused, not damaged.

use serde_json::{Map, Value};
use std::path::Path as FilePath;
use std::sync::Arc;

use workplan_engine::text::{SourceFile, Span};
use workplan_engine::yaml::{self, Entry, Node};
use workplan_platform::values;

use super::path::{self, Path, show};
use super::scalar::{flow, text_like};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// The key has this value.
    Set(Path, Value),
    /// There is no such key.
    Remove(Path),
}

/// Makes changes in a text.
///
/// # Errors
/// A sentence, where the text is no YAML that can be changed so.
pub(super) fn edit(file: &FilePath, text: &str, ops: &[Op]) -> Result<String, String> {
    let read = |text: &str| {
        values::written(file, text.as_bytes().to_vec()).map(|w| w.tree).map_err(|e| e.to_string())
    };
    let mut wanted = read(text)?;
    let mut now = text.to_owned();
    for op in ops {
        let source = SourceFile::new(file, now.clone());
        let (root, _) = yaml::parse_file(&source);
        let editor =
            Editor { source: &source, eol: if text.contains("\r\n") { "\r\n" } else { "\n" } };
        now = match op {
            Op::Set(path, value) => {
                if path::get(&wanted, path) == Some(value) {
                    continue;
                }
                path::set(&mut wanted, path, value.clone())?;
                editor.set(root.as_ref(), path, value)
            }
            Op::Remove(path) => {
                if path::get(&wanted, path).is_none() {
                    continue;
                }
                path::remove(&mut wanted, path);
                editor.remove(root.as_ref(), path)
            }
        }
        .filter(|text| read(text).as_ref() == Ok(&wanted))
        .ok_or_else(|| {
            let (Op::Set(path, _) | Op::Remove(path)) = op;
            format!(
                "`{}` cannot be changed at `{}` so that all else stays as it is; change it by hand",
                file.display(),
                show(path)
            )
        })?;
    }
    Ok(now)
}

struct Editor<'s> {
    source: &'s Arc<SourceFile>,
    eol: &'static str,
}

impl Editor<'_> {
    fn text(&self) -> &str {
        &self.source.text
    }

    /// The text with a part of it replaced.
    fn splice(&self, start: usize, end: usize, new: &str) -> Option<String> {
        let text = self.text();
        Some(format!("{}{new}{}", text.get(..start)?, text.get(end..)?))
    }

    fn set(&self, root: Option<&Node>, path: &[String], value: &Value) -> Option<String> {
        let root = match root {
            Some(root) if root.value != yaml::Value::Null => root,
            _ => {
                let mut text = self.text().to_owned();
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push_str(self.eol);
                }
                text.push_str(&self.block(&nested(path, value)?, 0));
                return Some(text);
            }
        };
        let mut node = root;
        let mut rest = path;
        loop {
            let (part, below) = rest.split_first()?;
            match &node.value {
                yaml::Value::Map(map) => match map.entry(part) {
                    None => return self.insert(node, map, &nested(rest, value)?),
                    Some(entry) if goes_on(&entry.value, below) => node = &entry.value,
                    Some(entry) => {
                        let value = if below.is_empty() {
                            value.clone()
                        } else {
                            Value::Object(nested(below, value)?)
                        };
                        return self.replace(node, entry, &value);
                    }
                },
                yaml::Value::Seq(items) => {
                    let item = items.get(part.parse::<usize>().ok()?)?;
                    if !goes_on(item, below) {
                        let value = if below.is_empty() {
                            value.clone()
                        } else {
                            Value::Object(nested(below, value)?)
                        };
                        let span = self.span(item);
                        return self.splice(span.start, span.end, &flow(&value));
                    }
                    node = item;
                }
                _ => return None,
            }
            rest = below;
        }
    }

    /// Gives a key another value.
    fn replace(&self, parent: &Node, entry: &Entry, value: &Value) -> Option<String> {
        let colon = entry.key_span.end + self.text().get(entry.key_span.end..)?.find(':')? + 1;
        let old = self.span(&entry.value);
        let in_flow = self.is_flow(parent);
        if let (Value::Object(map), false) = (value, in_flow)
            && !map.is_empty()
        {
            let block = self.block(map, self.column(entry.key_span.start) + 2);
            let end = if old.end > colon { old.end } else { colon };
            return self.splice(colon, end, &format!("{}{}", self.eol, block.trim_end()));
        }
        let new = match value {
            Value::String(new) => text_like(new, self.text().get(old.start..old.end)?),
            other => flow(other),
        };
        // A list, a mapping or a text in lines of its own, with what leads to it (`|`).
        let block = self.text().get(colon..old.start).is_some_and(|lead| lead.contains('\n'));
        if old.start == old.end || block {
            return self.splice(colon, old.end.max(colon), &format!(" {new}"));
        }
        self.splice(old.start, old.end, &new)
    }

    /// Adds keys behind the last one of a mapping.
    fn insert(&self, node: &Node, map: &yaml::Map, new: &Map<String, Value>) -> Option<String> {
        if self.is_flow(node) {
            let inner = flow(&Value::Object(new.clone()));
            let inner = inner.strip_prefix('{')?.strip_suffix('}')?;
            return match map.entries.last() {
                None => {
                    let span = self.span(node);
                    self.splice(span.start, span.end, &format!("{{{inner}}}"))
                }
                Some(last) => {
                    let end = self.end(last);
                    self.splice(end, end, &format!(", {inner}"))
                }
            };
        }
        let (first, last) = (map.entries.first()?, map.entries.last()?);
        let block = self.block(new, self.column(first.key_span.start));
        let end = self.end(last);
        match self.text().get(end..)?.find('\n') {
            Some(at) => self.splice(end + at + 1, end + at + 1, &block),
            None => {
                let at = self.text().len();
                self.splice(at, at, &format!("{}{}", self.eol, block.trim_end()))
            }
        }
    }

    fn remove(&self, root: Option<&Node>, path: &[String]) -> Option<String> {
        let (last, way) = path.split_last()?;
        let mut node = root?;
        let mut parent = None;
        for part in way {
            let next = match &node.value {
                yaml::Value::Map(map) => {
                    let entry = map.entry(part)?;
                    parent = Some((node, entry));
                    &entry.value
                }
                yaml::Value::Seq(items) => {
                    parent = None;
                    items.get(part.parse::<usize>().ok()?)?
                }
                _ => return None,
            };
            node = next;
        }
        let map = node.as_map()?;
        let at = map.entries.iter().position(|e| e.key == *last)?;
        let entry = map.entries.get(at)?;
        if self.is_flow(node) {
            return match (
                at.checked_sub(1).and_then(|n| map.entries.get(n)),
                map.entries.get(at + 1),
            ) {
                (_, Some(next)) => self.splice(entry.key_span.start, next.key_span.start, ""),
                (Some(before), None) => self.splice(self.end(before), self.end(entry), ""),
                (None, None) => {
                    let span = self.span(node);
                    self.splice(span.start, span.end, "{}")
                }
            };
        }
        if map.entries.len() == 1
            && let Some((above, entry)) = parent
        {
            return self.replace(above, entry, &Value::Object(Map::new()));
        }
        let start = self.line_start(entry.key_span.start);
        if !self.text().get(start..entry.key_span.start)?.trim().is_empty() {
            return None;
        }
        let end = self.end(entry);
        let after = self.text().get(end..)?.find('\n').map_or(self.text().len(), |at| end + at + 1);
        self.splice(start, after, "")
    }

    /// Where a value stands. The reader lets brackets reach over the comment after them.
    fn span(&self, node: &Node) -> Span {
        if !self.is_flow(node) {
            return node.span;
        }
        let last = match &node.value {
            yaml::Value::Map(map) => map.entries.last().map(|entry| self.end(entry)),
            yaml::Value::Seq(items) => items.last().map(|item| self.span(item).end),
            _ => return node.span,
        };
        let mut at = last.unwrap_or(node.span.start + 1);
        // Blanks, a last comma and comments may stand before the closing bracket.
        while let Some(rest) = self.text().get(at..) {
            at += match rest.chars().next() {
                Some(']' | '}') => return Span::new(node.span.start, at + 1),
                Some('#') => rest.find('\n').unwrap_or(rest.len()),
                Some(c) => c.len_utf8(),
                None => return node.span,
            };
        }
        node.span
    }

    /// The end of a key's value.
    fn end(&self, entry: &Entry) -> usize {
        self.span(&entry.value).end.max(entry.key_span.end)
    }

    /// Whether a list or mapping is written in brackets.
    fn is_flow(&self, node: &Node) -> bool {
        self.text().get(node.span.start..).is_some_and(|t| t.starts_with(['{', '[']))
    }

    fn line_start(&self, at: usize) -> usize {
        self.text()[..at].rfind('\n').map_or(0, |n| n + 1)
    }

    /// Characters before a place in its line.
    fn column(&self, at: usize) -> usize {
        self.text()[self.line_start(at)..at].trim_start_matches('\u{feff}').chars().count()
    }

    /// Mappings on lines of their own; all else on one.
    fn block(&self, map: &Map<String, Value>, indent: usize) -> String {
        let mut out = String::new();
        for (key, value) in map {
            let key = super::scalar::text(key);
            out.push_str(&" ".repeat(indent));
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    out.push_str(&format!("{key}:{}{}", self.eol, self.block(inner, indent + 2)));
                }
                value => out.push_str(&format!("{key}: {}{}", flow(value), self.eol)),
            }
        }
        out
    }
}

/// Whether the way to a key goes on inside of a value.
fn goes_on(value: &Node, below: &[String]) -> bool {
    !below.is_empty()
        && match &value.value {
            yaml::Value::Map(_) => true,
            yaml::Value::Seq(_) => below[0].parse::<usize>().is_ok(),
            _ => false,
        }
}

/// A value under the keys of a path.
fn nested(path: &[String], value: &Value) -> Option<Map<String, Value>> {
    let (first, rest) = path.split_first()?;
    let value = if rest.is_empty() { value.clone() } else { Value::Object(nested(rest, value)?) };
    Some(Map::from_iter([(first.clone(), value)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(text: &str, key: &str, value: Value) -> Result<String, String> {
        let op = Op::Set(path::parse(key).unwrap(), value);
        edit(FilePath::new("values.yaml"), text, &[op])
    }

    fn removed(text: &str, key: &str) -> Result<String, String> {
        edit(FilePath::new("values.yaml"), text, &[Op::Remove(path::parse(key).unwrap())])
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let text = "# top\na:  1   # one\nb:\n  c: \"x\" # quoted\n  d: 'y'\n  e: |\n    l1\n    l2\n\n# end\nf: {g: 1, h: [1, 2]} # flow\n";
        for (key, value, from, to) in [
            ("a", json!(2), "a:  1 ", "a:  2 "),
            ("a", json!("t"), "a:  1 ", "a:  t "),
            ("b.c", json!("z"), "\"x\"", "\"z\""),
            ("b.d", json!("it's"), "'y'", "'it''s'"),
            ("b.e", json!("one"), "|\n    l1\n    l2\n", "one\n"),
            ("f.g", json!(9), "g: 1", "g: 9"),
            ("f.h", json!(["a"]), "[1, 2]", "[a]"),
            ("f.h.1", json!(3), "[1, 2]", "[1, 3]"),
            ("f", json!(null), "{g: 1, h: [1, 2]}", "null"),
            (
                "b",
                json!(false),
                ":\n  c: \"x\" # quoted\n  d: 'y'\n  e: |\n    l1\n    l2\n",
                ": false\n",
            ),
        ] {
            assert!(text.contains(from));
            assert_eq!(set(text, key, value), Ok(text.replacen(from, to, 1)), "{key}");
        }
    }

    #[test]
    fn a_new_key_stands_behind_the_last_one_of_its_mapping() {
        let text = "a:\n    b: 1 # one\n    # below\nc: 2\n";
        assert_eq!(
            set(text, "a.x.z", json!("v")).unwrap(),
            "a:\n    b: 1 # one\n    x:\n      z: v\n    # below\nc: 2\n"
        );
        assert_eq!(set(text, "d", json!([1])).unwrap(), format!("{text}d: [1]\n"));
        assert_eq!(set("a: 1", "b", json!(2)).unwrap(), "a: 1\nb: 2");
        assert_eq!(set("a: {} # c\n", "a.b", json!(2)).unwrap(), "a: {b: 2} # c\n");
        assert_eq!(set("a: []  # c\n", "a", json!([1])).unwrap(), "a: [1]  # c\n");
        assert_eq!(set("a: {} # c\n", "b", json!(2)).unwrap(), "a: {} # c\nb: 2\n");
        assert_eq!(set("a: {x: 1}\n", "a.b.c", json!(2)).unwrap(), "a: {x: 1, b: {c: 2}}\n");
        assert_eq!(set("a:\nb: 1\n", "a.c", json!(2)).unwrap(), "a:\n  c: 2\nb: 1\n");
        assert_eq!(set("a: ~ # no\n", "a.c", json!(2)).unwrap(), "a:\n  c: 2 # no\n");
        assert_eq!(set("a: t\n", "a.c.d", json!(2)).unwrap(), "a:\n  c:\n    d: 2\n");
        assert_eq!(set("# nothing\n", "a.b", json!(2)).unwrap(), "# nothing\na:\n  b: 2\n");
        assert_eq!(set("", "a", json!("")).unwrap(), "a: \"\"\n");
        assert_eq!(
            set("l:\n- a: 1\n  b: 2\n- c\n", "l.0.d", json!(3)).unwrap(),
            "l:\n- a: 1\n  b: 2\n  d: 3\n- c\n"
        );
    }

    #[test]
    fn line_ends_and_blanks_are_the_files_own() {
        let text = "a: 1 \t\r\nb:\r\n\tc\r\n";
        let crlf = "a: 1\r\nb: x  \r\n";
        assert_eq!(set(crlf, "c.d", json!(1)).unwrap(), "a: 1\r\nb: x  \r\nc:\r\n  d: 1\r\n");
        assert_eq!(set(crlf, "a", json!(2)).unwrap(), "a: 2\r\nb: x  \r\n");
        drop(set(text, "a", json!(2)));
        assert_eq!(set("\u{feff}a: 1\n", "b", json!(2)).unwrap(), "\u{feff}a: 1\nb: 2\n");
    }

    #[test]
    fn a_key_is_taken_away_with_its_lines() {
        let text = "a: 1\n# about b\nb:\n  c: 1 # x\n  d: 2\n\ne: {f: 1, g: 2, h: 3}\n";
        assert_eq!(removed(text, "a").unwrap(), text.replacen("a: 1\n", "", 1));
        assert_eq!(removed(text, "b").unwrap(), text.replace("b:\n  c: 1 # x\n  d: 2\n", ""));
        assert_eq!(removed(text, "b.c").unwrap(), text.replace("  c: 1 # x\n", ""));
        assert_eq!(removed(text, "e.f").unwrap(), text.replace("f: 1, ", ""));
        assert_eq!(removed(text, "e.h").unwrap(), text.replace(", h: 3", ""));
        assert_eq!(removed(text, "x.y").unwrap(), text);
        assert_eq!(removed("a:\n  b: 1\nc: 2\n", "a.b").unwrap(), "a: {}\nc: 2\n");
        assert_eq!(removed("a: 1\n", "a").unwrap(), "");
        assert_eq!(removed("a: {b: 1}\n", "a.b").unwrap(), "a: {}\n");
    }

    #[test]
    fn what_cannot_be_done_without_touching_more_is_refused() {
        for (text, key) in [("l:\n- a: 1\n  b: 2\n", "l.0.a"), ("? a\n: 1\n", "a")] {
            let error = removed(text, key).unwrap_err();
            assert!(error.contains("change it by hand"), "{error}");
        }
        assert!(set("l: [1]\n", "l.3", json!(1)).unwrap_err().contains("end of a list"));
        assert!(set("a: &x 1\nb: *x\n", "a", json!(2)).is_err());
        assert!(set("a: yes\n", "b", json!(2)).unwrap_err().contains("`yes`"));
    }

    #[test]
    fn several_changes_build_on_each_other() {
        let ops = [
            Op::Set(path::parse("a.b").unwrap(), json!(1)),
            Op::Set(path::parse("a.c").unwrap(), json!("x: y")),
            Op::Remove(path::parse("d").unwrap()),
            Op::Set(path::parse("a.b").unwrap(), json!(2)),
        ];
        let text = edit(FilePath::new("v.yaml"), "d: 1\ne: 2\n", &ops).unwrap();
        assert_eq!(text, "e: 2\na:\n  b: 2\n  c: \"x: y\"\n");
        assert_eq!(edit(FilePath::new("v.yaml"), &text, &ops).unwrap(), text);
    }
}
