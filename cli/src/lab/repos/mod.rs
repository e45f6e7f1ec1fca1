//! The five repositories, as they are before RAIL-PL-WP-0001.
//!
//! What they hold lies under `tree/`, a folder each; what depends on the lab (values, the target)
//! is made by `values` and `target`.

mod age;
mod target;
mod tree;
mod values;
mod write;

pub(crate) use write::{WORKPLAN, write};

#[cfg(test)]
pub(crate) use target::target;
