//! Git repositories whose files steps change.
//!
//! - `child`: how `git` is run
//! - `repo`: looking at a repository
//! - `commit`: commits of exactly some paths
//! - `move_kind`, `move_look`, `move_step`, `move_undo`: `git.move`
//! - `manifest`, `tombstone`, `references`: what moves, what says where it went, who names it
//!
//! For a kind that changes files and takes `commit: "message"`:
//!
//! 1. When it looks, `Repo::of` finds the repository of its path, and `Repo::uncommitted` says
//!    whether the path has changes that are not committed. Those are somebody else's: the kind
//!    refuses, in the words of `Uncommitted`. A path whose uncommitted change is exactly what the
//!    step would make of the committed content (`Repo::committed`) is `Half`: it was killed
//!    between the write and the commit.
//! 2. When it acts, and when it repairs, it writes its files and calls `commit`.
//! 3. To undo, it writes the old bytes back and calls `commit_back`: an inverse commit of those
//!    paths, which does not care what was committed to other paths since.
//!
//! What everybody else has staged or changed stays as it is, in the index and in the tree.

mod child;
mod commit;
mod left;
mod manifest;
mod move_kind;
mod move_look;
mod move_step;
mod move_undo;
mod references;
mod repo;
mod tombstone;

pub(crate) use commit::{commit, commit_back};
pub use move_kind::GitMove;
pub(crate) use repo::{IGNORED, Repo, Uncommitted};
