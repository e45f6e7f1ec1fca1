//! The real binary on real files, processes and journals.

mod edits;
mod ground;
mod kills;
mod state;
