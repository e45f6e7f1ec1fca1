//! Sentences that carry meaning: where they start, where they end, what they are made of.

use std::ops::Range;

use crate::text::{Gathered, Span};

use super::Clause;

/// What a sentence announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Done,
    Pre,
    Completed,
    /// Another word for one of them: worth a warning.
    LikeDone,
    LikePre,
    LikeCompleted,
}

/// A label such as "Done when:" in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) kind: Kind,
    /// First byte of the label.
    pub(super) start: usize,
    /// First byte after it.
    pub(super) content: usize,
}

/// All labels of a paragraph: at its start, at the start of a line, after the end of a sentence.
pub(super) fn labels(gathered: &Gathered) -> Vec<Label> {
    let text = gathered.text.as_str();
    let mut found: Vec<Label> = Vec::new();
    let mut at = 0;
    let mut first = true;
    loop {
        let start = at + (text[at..].len() - text[at..].trim_start().len());
        if let Some((kind, length)) = label_at(&text[start..], first)
            && !gathered.is_code(start)
        {
            found.push(Label { kind, start, content: start + length });
        }
        first = false;
        match next_start(gathered, start) {
            Some(next) => at = next,
            None => return found,
        }
    }
}

/// The next place where a sentence or a line starts.
fn next_start(gathered: &Gathered, from: usize) -> Option<usize> {
    let text = &gathered.text;
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|i| match bytes[i] {
        b'\n' => Some(i + 1),
        b'.' | b'!' | b'?' | b';'
            if bytes.get(i + 1).is_some_and(|b| *b == b' ') && !gathered.is_code(i) =>
        {
            Some(i + 1)
        }
        _ => None,
    })
}

/// The label that `text` starts with, and its length with colon.
fn label_at(text: &str, first: bool) -> Option<(Kind, usize)> {
    // In the middle of a paragraph only a capital starts a sentence: "… is only\ndone when …".
    if !first && !text.starts_with(|c: char| c.is_uppercase()) {
        return None;
    }
    if let Some(n) = words(text, &["done when", "done-when"]) {
        return Some((Kind::Done, n + colon(&text[n..]).unwrap_or(0)));
    }
    if let Some(n) = words(text, PRE_CONDITION) {
        return match colon(&text[n..]) {
            Some(colon) => Some((Kind::Pre, n + colon)),
            None if first => Some((Kind::LikePre, n)),
            None => None,
        };
    }
    if let Some(n) = words(text, &["completed on"]) {
        return Some((Kind::Completed, n));
    }
    if !first {
        return None;
    }
    if let Some(n) = words(
        text,
        &[
            "done if",
            "done criteria",
            "done criterion",
            "acceptance criteria",
            "acceptance",
            "definition of done",
            "exit criteria",
        ],
    ) {
        return colon(&text[n..]).map(|colon| (Kind::LikeDone, n + colon));
    }
    if let Some(n) = words(
        text,
        &[
            "depends on",
            "prerequisites",
            "prerequisite",
            "requires",
            "blocked by",
            "needs",
            "after",
        ],
    ) {
        return Some((Kind::LikePre, n + colon(&text[n..]).unwrap_or(0)));
    }
    if let Some(n) = words(text, &["completed", "completed at"]) {
        let rest = text[n..].trim_start_matches([':', ' ']);
        return rest.starts_with(|c: char| c.is_ascii_digit()).then_some((Kind::LikeCompleted, n));
    }
    None
}

const PRE_CONDITION: &[&str] = &[
    "pre-conditions",
    "pre-condition(s)",
    "pre-condition",
    "preconditions",
    "precondition(s)",
    "precondition",
    "pre conditions",
    "pre condition",
];

/// What a heading announces, for the list or paragraph under it.
pub(super) fn heading_label(text: &str) -> Option<Kind> {
    let text = text.trim().trim_end_matches(':').trim_end();
    let whole = |options: &[&str]| words(text, options) == Some(text.len());
    if whole(PRE_CONDITION) || whole(&["prerequisites", "prerequisite"]) {
        Some(Kind::Pre)
    } else if whole(&["done when", "done-when"]) {
        Some(Kind::Done)
    } else {
        None
    }
}

/// Length of the option that `text` starts with, as whole words, in any case.
fn words(text: &str, options: &[&str]) -> Option<usize> {
    options.iter().find_map(|option| {
        let head = text.get(..option.len())?;
        let next = text[option.len()..].chars().next();
        (head.eq_ignore_ascii_case(option)
            && !next.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_'))
        .then_some(option.len())
    })
}

/// Length of a colon or a dash between spaces.
fn colon(text: &str) -> Option<usize> {
    let trimmed = text.trim_start_matches([' ', '\n']);
    let skipped = text.len() - trimmed.len();
    let first = trimmed.chars().next()?;
    let is_dash = matches!(first, '-' | '–' | '—');
    (first == ':' || (is_dash && trimmed[first.len_utf8()..].starts_with([' ', '\n'])))
        .then(|| skipped + first.len_utf8())
}

/// One space for any white space.
pub(super) fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Splits acceptance text at `;`, code spans left whole.
pub(super) fn clauses(gathered: &Gathered, range: Range<usize>) -> Vec<Clause> {
    let text = &gathered.text;
    let mut found = Vec::new();
    let mut start = range.start;
    let cuts = text[range.clone()]
        .match_indices(';')
        .map(|(i, _)| range.start + i)
        .filter(|i| !gathered.is_code(*i));
    for end in cuts.chain([range.end]) {
        found.extend(clause(gathered, start..end));
        start = end + 1;
    }
    found
}

/// One clause: white space, `;` and the final period around it removed; `None` when nothing is left.
pub(super) fn clause(gathered: &Gathered, range: Range<usize>) -> Option<Clause> {
    let range = trim(gathered, range, |c| c == '.' || c == ';');
    (!range.is_empty())
        .then(|| Clause { text: fold(&gathered.text[range.clone()]), span: gathered.span(range) })
}

/// A range without white space around it and without these characters at its end.
fn trim(gathered: &Gathered, range: Range<usize>, tail: impl Fn(char) -> bool) -> Range<usize> {
    let text = &gathered.text;
    let start = range.end - text[range.clone()].trim_start().len();
    let mut end = start + text[start..range.end].trim_end().len();
    while end > start
        && let Some(last) = text[start..end].chars().next_back()
        && (last.is_whitespace() || (tail(last) && !gathered.is_code(end - last.len_utf8())))
    {
        end -= last.len_utf8();
    }
    start..end
}

/// Text and place of a range, white space around it removed.
pub(super) fn piece(gathered: &Gathered, range: Range<usize>) -> (String, Span) {
    let range = trim(gathered, range, |_| false);
    (fold(&gathered.text[range.clone()]), gathered.span(range))
}

/// Where the sentence that starts at `range.start` ends.
pub(super) fn sentence_end(gathered: &Gathered, range: Range<usize>) -> usize {
    let bytes = gathered.text.as_bytes();
    range
        .clone()
        .find(|i| {
            matches!(bytes[*i], b'.' | b'!' | b'?')
                && bytes.get(i + 1).is_none_or(|b| b.is_ascii_whitespace())
                && !gathered.is_code(*i)
        })
        .unwrap_or(range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_where_sentences_start() {
        let check = |text: &str, expected: &[(Kind, &str)]| {
            let mut g = Gathered::default();
            g.push_exact(text, 0);
            let found: Vec<(Kind, &str)> =
                labels(&g).into_iter().map(|l| (l.kind, &text[l.content..])).collect();
            assert_eq!(found, expected, "{text:?}");
        };
        use Kind::*;
        check("Done when: a", &[(Done, " a")]);
        check("done when a", &[(Done, " a")]);
        check("Done-when — a", &[(Done, " a")]);
        check("It is\ndone when a", &[]);
        check("Text.\nDone when a", &[(Done, " a")]);
        check("Text. Done when a", &[(Done, " a")]);
        check("It is done when a", &[]);
        check("Done whenever", &[]);
        check("Pre-condition: T01", &[(Pre, " T01")]);
        check("PRECONDITIONS : T01", &[(Pre, " T01")]);
        check("Precondition(s): T01", &[(Pre, " T01")]);
        check("Pre-condition T01", &[(LikePre, " T01")]);
        check("Depends on: T01", &[(LikePre, " T01")]);
        check("Acceptance criteria: a", &[(LikeDone, " a")]);
        check("Acceptance of a", &[]);
        check("Completed on 2026-01-01 by x", &[(Completed, " 2026-01-01 by x")]);
        check("Completed: 2026-01-01", &[(LikeCompleted, ": 2026-01-01")]);
        check("Completed by hand", &[]);
        check("Pre-condition: T01. Done when: b", &[(Pre, " T01. Done when: b"), (Done, " b")]);
    }
}
