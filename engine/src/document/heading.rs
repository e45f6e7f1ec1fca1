//! The heading of a task: `T01 — Title`.

/// A heading that names a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskHeading<'a> {
    /// `T01`.
    pub(super) short: &'a str,
    pub(super) title: &'a str,
}

/// Reads a heading's text (without markup); `None` when it names no task.
pub(super) fn parse<'a>(text: &'a str, workplan: &str) -> Option<TaskHeading<'a>> {
    let text = text.trim();
    let text = text.strip_prefix('[').unwrap_or(text);
    let text = text
        .strip_prefix("Task ")
        .map(str::trim_start)
        .filter(|rest| rest.starts_with('T') || rest.starts_with(workplan))
        .unwrap_or(text);
    let text = text
        .strip_prefix(workplan)
        .filter(|_| !workplan.is_empty())
        .and_then(|rest| rest.strip_prefix('-'))
        .unwrap_or(text);
    let length = task_number(text)?;
    let (short, rest) = text.split_at(length);
    let rest = rest.strip_prefix(']').unwrap_or(rest);
    let trimmed = rest.trim_start();
    let title = trimmed
        .strip_prefix(is_dash)
        .map_or(trimmed, |t| t.trim_start_matches(is_dash))
        .trim_start();
    // `T01` and a word need something between them: `T01x` is another word.
    if !rest.is_empty() && !rest.starts_with(|c: char| c.is_whitespace() || is_dash(c)) {
        return None;
    }
    Some(TaskHeading { short, title: title.trim_end() })
}

/// Length of a leading `T` and digits, with at most one letter after them.
pub(super) fn task_number(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('T')?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let after = &digits.as_bytes()[count..];
    let letter = after.first().is_some_and(u8::is_ascii_lowercase)
        && !after.get(1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let length = 1 + count + usize::from(letter);
    let next = text[length..].chars().next();
    (!next.is_some_and(|c| c.is_alphanumeric() || c == '_')).then_some(length)
}

/// Everything that people put between an id and a title.
pub(super) fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'
            | '\u{2011}'
            | '\u{2012}'
            | '–'
            | '—'
            | '\u{2015}'
            | '\u{2212}'
            | ':'
            | '.'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            assert_eq!(parse(text, "W-1").map(|h| (h.short, h.title)), expected, "{text:?}");
        };
        check("T01 — Do it", Some(("T01", "Do it")));
        check("T01 - Do it", Some(("T01", "Do it")));
        check("T01 – Do - it", Some(("T01", "Do - it")));
        check("T01: Do it", Some(("T01", "Do it")));
        check("T01. Do it", Some(("T01", "Do it")));
        check("T01 Do it", Some(("T01", "Do it")));
        check("T01", Some(("T01", "")));
        check("T1a—ü", Some(("T1a", "ü")));
        check("[T01] Do it", Some(("T01", "Do it")));
        check("Task T01: Do it", Some(("T01", "Do it")));
        check("W-1-T01 — Do it", Some(("T01", "Do it")));
        check("Tasks", None);
        check("T-shirt", None);
        check("T01x2", None);
        check("T", None);
        check("W-2-T01 — Do it", None);
    }
}
