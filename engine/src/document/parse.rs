//! From text to a [`Document`].

use std::sync::Arc;

use crate::text::{Diagnostics, SourceFile};

use super::Document;

/// Parses a workplan. A document comes back however broken the file is; the findings say what
/// could not be understood.
#[must_use]
pub fn parse(file: &Arc<SourceFile>) -> (Document, Diagnostics) {
    let document = Document {
        file: Arc::clone(file),
        front: None,
        id: String::new(),
        title: String::new(),
        status: None,
        tasks: Vec::new(),
        preconditions: Vec::new(),
        shell_blocks: Vec::new(),
    };
    (document, Diagnostics::default())
}
