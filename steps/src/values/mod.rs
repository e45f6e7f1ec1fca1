//! Files of values: Helm values, plain or of SOPS.
//!
//! - `set`: parameters of `values.set`
//! - `file_step`: what all steps share that say what shall stand in such a file
//! - `wanted`: what shall stand there, against what does
//! - `edit`, `scalar`: changes of plain YAML that keep every other byte
//! - `sops`: changes of SOPS files by the program
//! - `path`: dotted keys

mod edit;
mod file_step;
mod path;
mod scalar;
mod set;
mod sops;
mod wanted;

pub use set::ValuesSet;
