//! Releases as real servers on this machine.

pub mod ingress;
#[expect(dead_code, reason = "the recipes are joined with the store next")]
pub(crate) mod recipe;
