//! Names as SQL writes them.

/// The longest name that PostgreSQL keeps, in bytes; it cuts longer ones in silence.
pub(super) const NAME_MAX: usize = 63;

/// A name in double quotes, whatever is in it.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant, whatever is in it and however `standard_conforming_strings` is set.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The length in bytes of a quoted piece at the beginning of a text, with its quotes. With `escapes` a
/// backslash takes the next character, as in `E'…'`. A piece that does not end is all of the text.
pub(super) fn quoted_length(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// What is wrong with a name that PostgreSQL would not keep as it is; `None` where nothing is.
pub(super) fn problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name is not empty".to_owned());
    }
    if name.contains('\0') {
        return Some("a name holds no NUL".to_owned());
    }
    (name.len() > NAME_MAX).then(|| {
        format!("`{name}` has {} bytes; PostgreSQL keeps {NAME_MAX} of a name", name.len())
    })
}

/// The name of the staging database of a run: `NAME__wp_RUN`, cut so that it can be kept. A cut
/// name keeps a digest of what was cut.
pub(super) fn staging(database: &str, run: &str) -> String {
    let tail = format!("__wp_{run}");
    let whole = format!("{database}{tail}");
    if whole.len() <= NAME_MAX {
        return whole;
    }
    let digest = workplan_engine::digest::Digest::of(whole.as_bytes());
    let tail: String = format!("__wp_{}", digest.short());
    let mut end = NAME_MAX - tail.len();
    while !database.is_char_boundary(end.min(database.len())) {
        end -= 1;
    }
    format!("{}{tail}", &database[..end.min(database.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_backslashes_kept() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn a_staging_name_can_be_kept_and_differs_by_run() {
        assert_eq!(staging("gitea", "r1"), "gitea__wp_r1");
        let long = "ü".repeat(31);
        let (one, two) = (staging(&long, "20251121-a"), staging(&long, "20251121-b"));
        assert!(one.len() <= NAME_MAX && one.starts_with("üü") && one != two, "{one}");
        assert!(staging("x", &"r".repeat(80)).len() <= NAME_MAX);
    }

    #[test]
    fn names_that_would_not_be_kept_are_told() {
        assert!(problem("").is_some() && problem("a\0b").is_some());
        assert!(problem(&"n".repeat(64)).is_some());
        assert_eq!(problem(&"n".repeat(63)), None);
    }
}
