//! Files of values: Helm values, plain or of SOPS.
//!
//! - `set`: parameters of `values.set`
//! - `capture`: `values.capture`, what is baked into a running release
//! - `require`: `secret.require`, whether the versioned secrets are there and are the deployed ones
//! - `file_step`: what all steps share that say what shall stand in such a file
//! - `wanted`: what shall stand there, against what does
//! - `edit`, `scalar`: changes of plain YAML that keep every other byte
//! - `sops`: changes of SOPS files by the program
//! - `credential`: the passwords of charts, in values and in Secrets
//! - `path`: dotted keys

mod capture;
mod credential;
mod edit;
mod file_step;
mod path;
mod require;
mod scalar;
mod set;
mod sops;
mod text;
mod wanted;

pub use capture::ValuesCapture;
pub use require::SecretRequire;
pub use set::ValuesSet;
