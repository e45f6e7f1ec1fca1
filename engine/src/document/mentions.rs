//! Task ids in prose.

use std::ops::Range;

use super::heading::task_number;

/// A task id in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// `T01`.
    pub(super) short: String,
    /// Bytes of the text, the workplan's id included where it is written.
    pub(super) range: Range<usize>,
    /// It belongs to another workplan, whose id stands before it.
    pub(super) foreign: bool,
}

/// All task ids in `text[from..to]`, in order.
pub(super) fn find(text: &str, within: Range<usize>, workplan: &str) -> Vec<Mention> {
    let mut mentions: Vec<Mention> = Vec::new();
    let mut at = within.start;
    while let Some(i) = text[at..within.end].find('T') {
        let start = at + i;
        at = start + 1;
        let before = &text[within.start..start];
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let Some(length) = task_number(&text[start..within.end]) else { continue };
        let end = start + length;
        at = end;
        let mut mention =
            Mention { short: text[start..end].to_owned(), range: start..end, foreign: false };
        if let Some(head) = before.strip_suffix('-') {
            let ours = head.strip_suffix(workplan).filter(|before| {
                !workplan.is_empty()
                    && (!before.ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_')
                        || mentions
                            .last()
                            .is_some_and(|m| m.range.end + 1 == within.start + before.len()))
            });
            if let Some(before) = ours {
                mention.range.start = within.start + before.len();
            } else if mentions.last().is_none_or(|m| m.range.end != within.start + head.len()) {
                // Not a range such as `T01-T03`: the end of some longer name.
                mention.foreign = head.ends_with(|c: char| c.is_alphanumeric());
            }
        } else if let Some(word) = before.trim_end().rsplit(char::is_whitespace).next()
            && before.len() > before.trim_end().len()
            && looks_like_workplan(word)
        {
            if word == workplan {
                mention.range.start = within.start + before.trim_end().len() - word.len();
            } else {
                mention.foreign = true;
            }
        }
        mentions.push(mention);
    }
    mentions
}

/// `RAIL-HO-WP-0003`: words of capitals and digits joined by hyphens, with a number at the end.
fn looks_like_workplan(word: &str) -> bool {
    word.contains('-')
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.ends_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
        && !word.split('-').any(str::is_empty)
        && task_number(word).is_none()
}

/// Whether the words between two ids mean "and all between".
pub(super) fn is_range(between: &str) -> bool {
    matches!(
        between.trim(),
        "-" | "–" | "—" | "\u{2011}" | "to" | "through" | "thru" | "until" | ".." | "..." | "…"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let check = |text: &str, expected: &str| {
            let found: Vec<String> = find(text, 0..text.len(), "RAIL-1")
                .into_iter()
                .map(|m| {
                    let mark = if m.foreign { "!" } else { "" };
                    format!("{mark}{}[{}]", m.short, &text[m.range])
                })
                .collect();
            assert_eq!(found.join(" "), expected, "{text:?}");
        };
        check("T01 done", "T01[T01]");
        check("(T01), T02a and RAIL-1-T03.", "T01[T01] T02a[T02a] T03[RAIL-1-T03]");
        check("T01-T03 T04–T05", "T01[T01] T03[T03] T04[T04] T05[T05]");
        check("RAIL-1-T01-RAIL-1-T02", "T01[RAIL-1-T01] T02[RAIL-1-T02]");
        check("RAIL-2-T01 X-RAIL-1-T02", "!T01[T01] !T02[T02]");
        check("RAIL-2 T01, RAIL-1 T02", "!T01[T01] T02[RAIL-1 T02]");
        check("T-shirt NAT01 T01x9 _T2", "");
        check("ÜT01 üb T1", "T1[T1]");
    }
}
