//! What is wrong with an input, as data; drawing it is the command line's work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{LineColumn, SourceFile, Span};

/// How bad a finding is. Only errors stop a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not meant so; the workplan still runs.
    Warning,
    /// The workplan, plan file or target is invalid.
    Error,
}

/// A second place that explains a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there.
    pub text: String,
    /// The file, where it is another one than the finding's.
    pub file: Option<Arc<SourceFile>>,
}

/// One finding: what happened, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of this kind of finding, for example `unknown-key`. Each has a page under
    /// `docs/errors/`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What happened: one sentence without a closing period, literals in backticks.
    pub message: String,
    /// The file, where it could be read.
    pub file: Option<Arc<SourceFile>>,
    /// The path, where no file could be read.
    pub path: Option<PathBuf>,
    /// Where in the file the caret goes.
    pub span: Option<Span>,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding without a place yet.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            file: None,
            path: None,
            span: None,
            labels: Vec::new(),
            help: None,
        }
    }

    /// An error in a file.
    #[must_use]
    pub fn error(
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, code, message).at(file, span)
    }

    /// A warning in a file.
    #[must_use]
    pub fn warning(
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, code, message).at(file, span)
    }

    /// A note in a file.
    #[must_use]
    pub fn note(
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Note, code, message).at(file, span)
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, file: &Arc<SourceFile>, span: Span) -> Self {
        self.file = Some(Arc::clone(file));
        self.span = Some(span);
        self
    }

    /// Sets the path of a file that could not be read.
    #[must_use]
    pub fn at_path(mut self, path: &Path) -> Self {
        self.path = Some(path.to_path_buf());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, where there is something to say.
    #[must_use]
    pub fn with_help_opt(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Points at a second place of the same file.
    #[must_use]
    pub fn with_label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), file: None });
        self
    }

    /// Points at a place of another file.
    #[must_use]
    pub fn with_label_in(
        mut self,
        file: &Arc<SourceFile>,
        span: Span,
        text: impl Into<String>,
    ) -> Self {
        self.labels.push(Label { span, text: text.into(), file: Some(Arc::clone(file)) });
        self
    }

    /// The path that messages show.
    #[must_use]
    pub fn shown_path(&self) -> Option<&Path> {
        self.file.as_ref().map(|f| f.path.as_path()).or(self.path.as_deref())
    }

    /// Line and column of the caret.
    #[must_use]
    pub fn line_column(&self) -> Option<LineColumn> {
        Some(self.file.as_ref()?.line_column(self.span?.start))
    }
}

/// All findings of one pass; nothing stops at the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another pass.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Whether anything is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Orders findings by file and place, for a reader who goes from top to bottom.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            (a.shown_path(), a.span.map(|s| s.start))
                .cmp(&(b.shown_path(), b.span.map(|s| s.start)))
        });
    }

    /// The findings in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}
