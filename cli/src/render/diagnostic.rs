//! Findings as text: `error[code]: message`, the place, the line with a caret, what to do.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};
use workplan_engine::text::{Diagnostic, Severity, SourceFile, Span};

use crate::term::sanitize;

/// Findings about text that may be a secret: its line is not shown.
const SECRET: &[&str] = &["bad-secret-reference"];

/// Draws findings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renderer {
    /// Whether colour may be used.
    pub(crate) color: bool,
    /// Columns of the screen; longer lines are cut around the caret.
    pub(crate) width: usize,
}

impl Renderer {
    /// One finding as text, with a blank line after it.
    pub(crate) fn render(self, diagnostic: &Diagnostic) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let message = sanitize(&diagnostic.message);
        let mut group = Group::with_title(level.primary_title(message).id(diagnostic.code));
        match (&diagnostic.file, diagnostic.span) {
            (Some(file), Some(span)) if SECRET.contains(&diagnostic.code) => {
                let place = file.line_column(span.start);
                let path = file.path.display().to_string();
                let origin = Origin::path(path).line(place.line).char_column(place.column);
                group = group.element(origin);
            }
            (Some(file), Some(span)) => group = group.elements(snippets(diagnostic, file, span)),
            _ => {
                if let Some(path) = diagnostic.shown_path() {
                    group = group.element(Origin::path(path.display().to_string()));
                }
            }
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(sanitize(help)));
        }
        let renderer = if self.color {
            annotate_snippets::Renderer::styled()
        } else {
            annotate_snippets::Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(self.width);
        let mut text = renderer.render(&[group]);
        text.push_str("\n\n");
        text
    }
}

/// One snippet a file, the finding's own file first.
fn snippets<'d>(
    diagnostic: &'d Diagnostic,
    file: &'d SourceFile,
    span: Span,
) -> Vec<Snippet<'d, annotate_snippets::Annotation<'d>>> {
    let mut out = Vec::new();
    let mut own = Cut::of(file);
    own.add(AnnotationKind::Primary, span, None);
    let mut others: Vec<Cut<'d>> = Vec::new();
    for label in &diagnostic.labels {
        let text = Some(label.text.as_str());
        match label.file.as_deref().filter(|f| f.path != file.path) {
            None => own.add(AnnotationKind::Context, label.span, text),
            Some(other) => {
                if !others.iter().any(|c| c.file.path == other.path) {
                    others.push(Cut::of(other));
                }
                if let Some(cut) = others.iter_mut().find(|c| c.file.path == other.path) {
                    cut.add(AnnotationKind::Context, label.span, text);
                }
            }
        }
    }
    out.push(own.snippet());
    out.extend(others.into_iter().map(Cut::snippet));
    out
}

/// The part of a file that is shown: only the lines with annotations count, so a file of many
/// megabytes is not gone through.
struct Cut<'d> {
    file: &'d SourceFile,
    annotations: Vec<(AnnotationKind, Span, Option<&'d str>)>,
}

impl<'d> Cut<'d> {
    fn of(file: &'d SourceFile) -> Self {
        Self { file, annotations: Vec::new() }
    }

    fn add(&mut self, kind: AnnotationKind, span: Span, text: Option<&'d str>) {
        self.annotations.push((kind, first_line(self.file, span), text));
    }

    fn snippet(self) -> Snippet<'d, annotate_snippets::Annotation<'d>> {
        let text = &self.file.text;
        let from = self.annotations.iter().map(|a| a.1.start).min().unwrap_or(0);
        let to = self.annotations.iter().map(|a| a.1.end).max().unwrap_or(0);
        let start = text[..from].rfind('\n').map_or(0, |i| i + 1);
        let end = text[to..].find('\n').map_or(text.len(), |i| to + i);
        // A byte order mark would push the caret a column to the right of what editors count.
        let bom =
            if start == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let start = start + bom;
        let annotations = self.annotations.into_iter().map(|(kind, span, label)| {
            let at = span.start.max(start) - start..span.end.max(start) - start;
            kind.span(at).label(label.map(sanitize))
        });
        Snippet::source(&text[start..end.max(start)])
            .line_start(self.file.line_column(start).line)
            .path(self.file.path.display().to_string())
            .annotations(annotations)
    }
}

/// The span up to the end of its first line: a whole block underlined says less than its first
/// line. Kept on character boundaries.
fn first_line(file: &SourceFile, span: Span) -> Span {
    let text = &file.text;
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let line_end = text[start..end].find('\n').map_or(end, |i| start + i);
    Span::new(start, line_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(diagnostic: &Diagnostic) -> String {
        Renderer { color: false, width: 80 }.render(diagnostic)
    }

    #[test]
    fn place_line_caret_label_and_help() {
        let file = SourceFile::new("a.md", "one\nuses: comand\nthree\n");
        let text = render(
            &Diagnostic::error(
                "unknown-kind",
                &file,
                Span::new(10, 16),
                "there is no kind `comand`",
            )
            .with_label(Span::new(0, 3), "the task")
            .with_help("did you mean `command`?"),
        );
        let expected = "\
error[unknown-kind]: there is no kind `comand`
 --> a.md:2:7
  |
1 | one
  | --- the task
2 | uses: comand
  |       ^^^^^^
  |
  = help: did you mean `command`?

";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_line_of_50_kilobytes_is_cut_around_the_caret() {
        let long = "x".repeat(50_000);
        let file = SourceFile::new("a.md", format!("{long}BAD{long}\n"));
        let text = render(&Diagnostic::error("c", &file, Span::new(50_000, 50_003), "bad"));
        assert!(text.len() < 1_000, "{} bytes", text.len());
        assert!(text.contains("BAD") && text.contains("^^^"), "{text}");
        assert!(text.contains("a.md:1:50001"), "{text}");
    }

    #[test]
    fn nothing_in_a_file_or_message_reaches_the_terminal_as_control() {
        let file = SourceFile::new("a.md", "x \u{1b}[2J \u{202e} y\n");
        let text = render(&Diagnostic::error("c", &file, Span::new(0, 1), "odd \u{1b}[31m text"));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        let file = SourceFile::new("a.md", "password: hunter2\n");
        let text =
            render(&Diagnostic::error(SECRET[0], &file, Span::new(10, 17), "named, not written"));
        assert!(text.contains("a.md:1:11") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn every_span_of_any_text_can_be_drawn() {
        for source in ["", "\u{feff}", "\u{feff}a\n", "ä\n漢\n", "a\r\nb\r\n", "\n\n"] {
            let file = SourceFile::new("a.md", source);
            for start in 0..=source.len() + 1 {
                for end in start..=source.len() + 2 {
                    let found = Diagnostic::error("c", &file, Span::new(start, end), "m");
                    assert!(render(&found).contains("error[c]: m"));
                }
            }
        }
    }
}
