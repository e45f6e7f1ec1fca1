//! Fills a fresh Gitea as people and tools would: over its API, by `git push`, by the LFS protocol.
//!
//! What is put in follows from seed and size. In which order the database numbers it does not:
//! repositories are filled a few at a time.

mod client;
mod content;
mod history;
mod issues;
mod lfs;
mod people;
mod pulls;
mod push;
mod repository;
mod work;

pub(crate) use client::Site;
pub(crate) use work::fill;
