//! From text to the tree.

use std::sync::Arc;

use crate::text::{Diagnostics, SourceFile, Span};

use super::Node;

/// Reads a whole file as one YAML document. `None` for an empty document or after a syntax error.
#[must_use]
pub fn parse_file(file: &Arc<SourceFile>) -> (Option<Node>, Diagnostics) {
    parse_block(file, &[Span::new(0, file.text.len())])
}

/// Reads YAML that stands in pieces of a larger file (a fenced block in a list item arrives as one
/// piece a line, without its indentation).
#[must_use]
pub fn parse_block(file: &Arc<SourceFile>, pieces: &[Span]) -> (Option<Node>, Diagnostics) {
    let _ = (file, pieces);
    (None, Diagnostics::default())
}
