//! Helm values: plain files and SOPS files, merged, with what is secret in them marked.
//!
//! - `tree`: the values
//! - `read`: a file of them, of whatever sort
//! - `scalar`: what a plain YAML scalar is, where all readers agree on it
//! - `sops`: files whose values are encrypted

mod read;
mod scalar;
pub mod sops;
mod tree;

pub(crate) use read::manifest;
pub use read::{Written, parse, read, reads_as_text, reference, written};
pub use tree::Values;
