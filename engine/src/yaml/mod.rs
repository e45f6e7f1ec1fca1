//! YAML with byte spans. The only module that knows the YAML library.
//!
//! Values stay as the text that was written, with the style they were written in, until somebody
//! asks for a type: an untyped `no` is never a boolean by accident, and every complaint has a caret.

mod read;
mod value;

pub(crate) use read::parse_gathered;
pub use read::{parse_block, parse_file};
pub use value::{Entry, Map, Node, Scalar, Value};
