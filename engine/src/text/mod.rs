//! Source files, spans, and diagnostics that point into them.

mod diagnostic;
mod gathered;
mod source;
mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub(crate) use gathered::Gathered;
pub use source::{LineColumn, MAX_FILE_BYTES, SourceFile, Span};
pub use suggest::did_you_mean;
