//! Releases as real servers on this machine.

pub mod ingress;
