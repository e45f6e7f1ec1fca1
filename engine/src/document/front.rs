//! The YAML between the two `---` lines at the start of the file.

use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::yaml::{self, Map, Node, Value};

use super::FrontMatter;

/// The front matter and where the Markdown begins.
pub(super) struct Front {
    pub(super) matter: Option<FrontMatter>,
    pub(super) body: usize,
}

pub(super) fn read(file: &Arc<SourceFile>, diagnostics: &mut Diagnostics) -> Front {
    let text = file.text.as_str();
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = lines(text, start);
    let Some(first) = lines.next().filter(|line| text[line.start..line.end].trim_end() == "---")
    else {
        return Front { matter: None, body: start };
    };
    let opening = Span::new(first.start, first.start + 3);
    let mut swallowed = None;
    let mut blank = false;
    let mut close = None;
    for line in lines {
        let content = text[line.start..line.end].trim_end();
        if content == "---" || content == "..." {
            close = Some(line);
            break;
        }
        // A later `---` between sections must not close front matter that nobody closed.
        if content.starts_with("```")
            || content.starts_with("~~~")
            || (blank && content.starts_with('#'))
        {
            swallowed = Some(line);
            break;
        }
        blank = content.is_empty();
    }
    match close {
        Some(close) => {
            let yaml = Span::new(first.end, close.start);
            let (node, found) = yaml::parse_block(file, &[yaml]);
            let mut broken = found.has_errors();
            diagnostics.extend(found);
            let map = match node {
                Some(Node { value: Value::Map(map), .. }) => map,
                Some(node) if node.value != Value::Null => {
                    broken = true;
                    diagnostics.push(
                        Diagnostic::error(
                            "wrong-type",
                            file,
                            node.span,
                            format!(
                                "the front matter is {}, not `key: value` lines",
                                node.type_name()
                            ),
                        )
                        .with_help(
                            "write `id: …` between the two `---` lines; a file that starts with a \
                             rule needs a blank line before it",
                        ),
                    );
                    Map::default()
                }
                _ => Map::default(),
            };
            if map.get("id").is_none() && !broken {
                diagnostics.push(
                    Diagnostic::error("missing-key", file, opening, "the front matter has no `id`")
                        .with_help("add a line such as `id: TEAM-WP-0001`"),
                );
            }
            let matter = FrontMatter { span: Span::new(first.start, close.end), map };
            Front { matter: Some(matter), body: close.end }
        }
        None => {
            let mut diagnostic = Diagnostic::error(
                "front-matter-unclosed",
                file,
                opening,
                "the front matter is not closed",
            )
            .with_help("put a line `---` after the last key");
            // Enough is read for the rest of the file to be checked against the right id.
            let end = guess_end(text, first.end);
            if let Some(line) = swallowed {
                diagnostic = diagnostic.with_label(
                    Span::new(line.start, trimmed(text, line)),
                    "Markdown begins before it",
                );
            }
            diagnostics.push(diagnostic);
            let (node, _) = yaml::parse_block(file, &[Span::new(first.end, end)]);
            let matter = match node {
                Some(Node { value: Value::Map(map), .. }) => {
                    Some(FrontMatter { span: Span::new(first.start, end), map })
                }
                _ => None,
            };
            let body = if matter.is_some() { end } else { first.end };
            Front { matter, body }
        }
    }
}

/// Lines with their ends, from byte `from` on.
fn lines(text: &str, from: usize) -> impl Iterator<Item = Span> + '_ {
    let mut at = from;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i + 1);
        let line = Span::new(at, end);
        at = end;
        Some(line)
    })
}

fn trimmed(text: &str, line: Span) -> usize {
    line.start + text[line.start..line.end].trim_end().len()
}

/// The first line that cannot be front matter.
fn guess_end(text: &str, from: usize) -> usize {
    lines(text, from)
        .find(|line| {
            let content = text[line.start..line.end].trim_end();
            content.is_empty() || content.starts_with(['#', '`', '~'])
        })
        .map_or(text.len(), |line| line.start)
}
