//! The info string of a shell block: `sh step=dump check="test -s db.dump" readonly`.

use std::sync::Arc;

use crate::text::{Diagnostic, SourceFile, Span};

use super::Attribute;

/// Reads the attributes in `span`.
///
/// # Errors
/// A diagnostic with its caret where the string stops making sense.
pub(super) fn parse(file: &Arc<SourceFile>, span: Span) -> Result<Vec<Attribute>, Diagnostic> {
    let text = file.slice(span);
    let place = |start: usize, end: usize| Span::new(span.start + start, span.start + end);
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if at == text.len() {
            return Ok(attributes);
        }
        let length = text[at..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
            .unwrap_or(text.len() - at);
        if length == 0 {
            let wrong = text[at..].chars().next().map_or(0, char::len_utf8);
            return Err(Diagnostic::error(
                "attribute-syntax",
                file,
                place(at, at + wrong),
                "the name of an attribute is expected here",
            )
            .with_help(
                "write `name=value`, `name=\"a longer value\"`, without spaces around `=`",
            ));
        }
        let (start, end) = (at, at + length);
        let name = text[start..end].to_owned();
        let name_span = place(start, end);
        at = end;
        let (value, value_span) = match text[at..].strip_prefix('=') {
            None => (None, name_span),
            Some(rest) => {
                at += 1;
                let (value, from, to, next) = match rest.chars().next() {
                    Some(quote @ ('"' | '\'')) => quoted(rest, quote).map_or_else(
                        || {
                            Err(Diagnostic::error(
                                "attribute-syntax",
                                file,
                                place(at, at + 1),
                                format!("the quote after `{name}=` is not closed"),
                            )
                            .with_help("close it on the same line"))
                        },
                        |(value, close)| Ok((value, at + 1, at + close, at + close + 1)),
                    )?,
                    _ => {
                        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
                        (rest[..length].to_owned(), at, at + length, at + length)
                    }
                };
                at = next;
                (Some(value), place(from, to))
            }
        };
        if text[at..].chars().next().is_some_and(|c| !c.is_whitespace()) {
            let wrong = text[at..].chars().next().map_or(0, char::len_utf8);
            return Err(Diagnostic::error(
                "attribute-syntax",
                file,
                place(at, at + wrong),
                format!("a space is expected after `{name}`"),
            )
            .with_help(
                "separate attributes by spaces; quote a value that holds other characters",
            ));
        }
        if let Some(first) = attributes.iter().find(|a| a.name == name) {
            return Err(Diagnostic::error(
                "duplicate-key",
                file,
                name_span,
                format!("the attribute `{name}` stands here twice"),
            )
            .with_label(first.name_span, "first here")
            .with_help("remove one of them"));
        }
        attributes.push(Attribute { name, name_span, value, value_span });
    }
}

/// The value of a quoted text and the byte of its closing quote.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => match chars.peek() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    value.push(*escaped);
                    chars.next();
                }
                _ => value.push(c),
            },
            c if c == quote => return Some((value, i)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(info: &str, expected: &str) {
        let file = SourceFile::new("a.md", info);
        let out = match parse(&file, Span::new(0, info.len())) {
            Ok(attributes) => attributes
                .iter()
                .map(|a| {
                    assert_eq!(file.slice(a.name_span), a.name);
                    let raw = file.slice(a.value_span);
                    match &a.value {
                        None => a.name.clone(),
                        Some(v) if v == raw => format!("{}=[{v}]", a.name),
                        Some(v) => format!("{}=[{v}] raw [{raw}]", a.name),
                    }
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(d) => format!("{} at {}: {}", d.code, d.span.unwrap().start, d.message),
        };
        assert_eq!(out, expected, "{info:?}");
    }

    #[test]
    fn attributes() {
        check("", "");
        check("step=dump readonly", "step=[dump] readonly");
        check(
            "step=a check=\"test -s db.dump\" undo='rm \"x\"' needs=b,c",
            "step=[a] check=[test -s db.dump] undo=[rm \"x\"] needs=[b,c]",
        );
        check(r#"a="x \"y\" \\ \d""#, r#"a=[x "y" \ \d] raw [x \"y\" \\ \d]"#);
        check("a= b", "a=[] b");
        check("a=\"ü\" b", "a=[ü] b");
        check("a=\"x", "attribute-syntax at 2: the quote after `a=` is not closed");
        check("a='x", "attribute-syntax at 2: the quote after `a=` is not closed");
        check("a=\"x\\\"", "attribute-syntax at 2: the quote after `a=` is not closed");
        check("a=\"x\"b", "attribute-syntax at 5: a space is expected after `a`");
        check("a = b", "attribute-syntax at 2: the name of an attribute is expected here");
        check("{.sh}", "attribute-syntax at 0: the name of an attribute is expected here");
        check("a=1 a=2", "duplicate-key at 4: the attribute `a` stands here twice");
    }
}
