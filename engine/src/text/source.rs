//! A source file held in memory, and byte spans in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Diagnostic, Severity};

/// Bytes of a source file, `start` inclusive and `end` exclusive.
///
/// Always counted in the original file (BOM, carriage returns and indentation included), so a
/// span can be used to cut or replace text without conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span from `start` up to, not including, `end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A place as people count it: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in Unicode characters, from 1. A byte order mark is not counted.
    pub column: usize,
}

/// A text file in memory with an index of its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user gave it; what messages show.
    pub path: PathBuf,
    /// The whole text, byte for byte (a byte order mark stays in).
    pub text: String,
    line_starts: Vec<usize>,
}

/// Files larger than this are refused: no workplan comes near it, and a mistyped path to a
/// dump or a log should be an error instead of minutes of silence. In bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

impl SourceFile {
    /// A source that is already in memory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Arc::new(Self { path: path.into(), text, line_starts })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A diagnostic without a span where the file is missing, unreadable, a folder, larger than
    /// [`MAX_FILE_BYTES`], or not UTF-8 (then with the line of the first bad byte).
    pub fn load(path: &Path) -> Result<Arc<Self>, Diagnostic> {
        let fail = |code, message: String, help: &str| {
            Err(Diagnostic::new(Severity::Error, code, message).at_path(path).with_help(help))
        };
        let shown = path.display();
        let meta = match std::fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return fail(
                    "file-not-found",
                    format!("`{shown}` does not exist"),
                    "check the path; it is taken from the current folder",
                );
            }
            Err(e) => {
                return fail(
                    "file-unreadable",
                    format!("failed to read `{shown}`: {e}"),
                    "check the permissions of the file and of its folders",
                );
            }
        };
        if meta.is_dir() {
            return fail(
                "file-is-folder",
                format!("`{shown}` is a folder, not a file"),
                "name the file in it",
            );
        }
        if !meta.is_file() {
            return fail(
                "file-not-regular",
                format!("`{shown}` is not a regular file"),
                "name a file on disk; pipes and devices cannot be read twice",
            );
        }
        if meta.len() > MAX_FILE_BYTES {
            return fail(
                "file-too-large",
                format!(
                    "`{shown}` is {} MiB; at most {} MiB are read",
                    meta.len() / (1024 * 1024),
                    MAX_FILE_BYTES / (1024 * 1024)
                ),
                "is this the file you meant? Split a workplan of this size",
            );
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) => {
                return fail(
                    "file-unreadable",
                    format!("failed to read `{shown}`: {e}"),
                    "check the permissions of the file",
                );
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let line = e.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
                fail(
                    "not-utf8",
                    format!("`{shown}` is not UTF-8: line {line} holds a byte that is no text"),
                    "save the file as UTF-8; nothing was changed",
                )
            }
        }
    }

    /// Line and column of a byte offset; an offset past the end is the end.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_text = &self.text[self.line_starts[line - 1]..offset];
        let column = line_text.chars().filter(|c| *c != '\u{feff}').count() + 1;
        LineColumn { line, column }
    }

    /// The text of a span.
    ///
    /// # Panics
    /// When the span is not on character boundaries of this file.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        &self.text[span.start..span.end]
    }
}
