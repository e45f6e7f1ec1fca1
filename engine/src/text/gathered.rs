//! Text put together from pieces of a file, and the way back to the file's bytes.

use std::ops::Range;

use super::Span;

/// Text without markup or indentation that still knows where each byte came from.
///
/// Cheaper than a blanked copy of the whole file for each block: a file of many thousand blocks
/// stays linear.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    /// The text.
    pub(crate) text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
struct Segment {
    /// First byte in the gathered text; the next segment's start ends it.
    at: usize,
    /// The same byte in the file; `None` where the text is not what stands in the file.
    inner: Option<usize>,
    /// The bytes in the file, delimiters included.
    outer: Span,
    /// A code span.
    code: bool,
}

impl Gathered {
    /// Adds text exactly as it stands in the file from `start`.
    pub(crate) fn push_exact(&mut self, text: &str, start: usize) {
        self.push(text, Some(start), Span::new(start, start + text.len()), false);
    }

    /// Adds text that stands for `span` but is written differently there (entities, line ends).
    pub(crate) fn push_other(&mut self, text: &str, span: Span) {
        self.push(text, None, span, false);
    }

    /// Adds the inside of a code span; `inner` is where it starts, if it stands there unchanged.
    pub(crate) fn push_code(&mut self, text: &str, inner: Option<usize>, span: Span) {
        self.push(text, inner, span, true);
    }

    fn push(&mut self, text: &str, inner: Option<usize>, outer: Span, code: bool) {
        if !text.is_empty() {
            self.segments.push(Segment { at: self.text.len(), inner, outer, code });
            self.text.push_str(text);
        }
    }

    /// The bytes of the file behind a range of the text; a whole code span with its backticks.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        self.map(range, true)
    }

    /// The bytes of the file behind a range of the text, without the backticks of a code span.
    pub(crate) fn inner_span(&self, range: Range<usize>) -> Span {
        self.map(range, false)
    }

    /// The bytes of the file behind all of the text.
    pub(crate) fn whole(&self) -> Option<Span> {
        Some(self.segments.first()?.outer.join(self.segments.last()?.outer))
    }

    /// Whether this byte of the text stands in a code span.
    pub(crate) fn is_code(&self, at: usize) -> bool {
        self.segment_of(at).is_some_and(|s| s.code)
    }

    fn segment_of(&self, at: usize) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|s| s.at <= at).checked_sub(1)?)
    }

    fn map(&self, range: Range<usize>, outer: bool) -> Span {
        let start = match self.segment_of(range.start) {
            None => 0,
            // Past the last byte: the end of the last segment.
            Some(s) if range.start >= self.text.len() => s.outer.end,
            Some(s) if range.start == s.at && (outer || s.inner.is_none()) => s.outer.start,
            Some(s) => s.inner.map_or(s.outer.start, |inner| inner + (range.start - s.at)),
        };
        if range.end <= range.start {
            return Span::new(start, start);
        }
        let last = self.segments.partition_point(|s| s.at < range.end).saturating_sub(1);
        let end = match self.segments.get(last) {
            None => start,
            Some(s) => {
                let segment_end = self.segments.get(last + 1).map_or(self.text.len(), |n| n.at);
                match s.inner {
                    None => s.outer.end,
                    Some(_) if outer && range.end == segment_end => s.outer.end,
                    Some(inner) => inner + (range.end - s.at),
                }
            }
        };
        Span::new(start, end.max(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lead_back_to_the_file() {
        let file = "a `b c` &amp; d";
        let mut g = Gathered::default();
        g.push_exact("a ", 0);
        g.push_code("b c", Some(3), Span::new(2, 7));
        g.push_exact(" ", 7);
        g.push_other("&", Span::new(8, 13));
        g.push_exact(" d", 13);
        let cut = |span: Span| &file[span.start..span.end];
        assert_eq!(g.text, "a b c & d");
        assert_eq!(cut(g.span(0..9)), file);
        assert_eq!(cut(g.span(2..5)), "`b c`");
        assert_eq!(cut(g.inner_span(2..5)), "b c");
        assert_eq!(cut(g.span(4..5)), "c`");
        assert_eq!(cut(g.span(6..7)), "&amp;");
        assert_eq!(cut(g.span(8..9)), "d");
        assert_eq!(g.span(9..9), Span::new(15, 15));
        assert!(g.is_code(3) && !g.is_code(6));
    }
}
