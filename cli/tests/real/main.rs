//! The real binary on real files, processes and journals.

mod calls;
mod edits;
mod ground;
mod kills;
mod state;
mod stops;
