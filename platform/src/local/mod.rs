//! Releases as real servers on this machine.
