//! The catalogue of step kinds.
