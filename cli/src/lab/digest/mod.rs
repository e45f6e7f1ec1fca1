//! One digest over everything in a lab, so that two labs, or one lab at two times, can be told to be
//! the same.
//!
//! What is in it: rows, sequences, definitions, roles, grants and settings of every PostgreSQL, of
//! those that run and of those whose volumes were kept; the five repositories (the tree of `HEAD`,
//! names of branches and tags, what differs in the working folder), values files decrypted; what
//! Gitea has on its volume (repositories by their refs, attachments and other files by content, its
//! configuration); releases with chart, values, objects and what runs of them; volumes by name; which
//! service listens on which port.
//!
//! What is left out, because it differs without anything having changed, or moves by itself:
//!
//! - logs, process numbers and start times, ids and times of commits, revision numbers of releases;
//! - in a workplan: the day and the run in the line that a run writes, the day in `updated`; the
//!   evidence files;
//! - the number of the run in a mark (`workplan:<run>:…`) and in a staging database's name;
//! - ciphertexts: SOPS and SCRAM draw a salt each time. What they hold is compared;
//! - repmgr's own tables, replication slots, positions in the log, statistics;
//! - when the administrator logged in last, and how far a check has moved the sequences of the tables
//!   in which it writes and tidies up; a sequence that is behind its column is seen;
//! - Valkey's content (sessions and cache that end by themselves), search indexes, queues on disk;
//! - backups, and volumes of a release that was taken away.

mod document;
mod gather;
mod keyed;
mod postgres;
mod releases;
mod repos;
mod shared;
mod volume;

pub(crate) use document::DigestDocument;
pub(crate) use gather::Gather;

use shared::{Secrets, no};
