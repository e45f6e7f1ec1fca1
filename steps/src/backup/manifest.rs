//! What a backup says of itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::cipher::Sizes;

/// The schema of `manifest.json`.
pub(super) const SCHEMA: &str = "workplan/backup/v1";
/// The member with the key of the digests of plain text.
pub(super) const DIGEST_KEY: &str = "digest.key.age";

/// `manifest.json`: written last, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`SCHEMA`].
    pub(super) schema: String,
    /// The backup's name; its folder has the same.
    pub(super) id: String,
    /// The layer that it belongs to.
    pub(super) layer: String,
    /// The target that it was made of.
    pub(super) target: Target,
    /// Who made it: `workplan:<run>:<step>:<attempt>`.
    pub(super) identity: String,
    /// SHA-256 of what was asked for: two backups of the same things have the same.
    pub(super) subject: String,
    /// When it was begun, RFC 3339 in UTC.
    pub(super) made_at: String,
    /// How long it took.
    pub(super) took_ms: u64,
    /// The machine that made it.
    pub(super) host: String,
    /// Programs with their versions.
    pub(super) tools: BTreeMap<String, String>,
    /// Who can read it: public keys.
    pub(super) recipients: Vec<String>,
    /// Its files.
    pub(super) members: Vec<Member>,
    /// The PostgreSQL servers of which databases are in it.
    #[serde(default)]
    pub(super) servers: Vec<Server>,
    /// The Valkey servers of which the keys are in it.
    #[serde(default)]
    pub(super) valkeys: Vec<Valkey>,
}

/// A target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) identity: String,
}

/// One file of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Member {
    /// Its name in the backup's folder.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: MemberKind,
    /// Where it is from: a server and a database, a path.
    pub(super) of: String,
    /// Permissions of a named file, in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    #[serde(flatten)]
    pub(super) sizes: Sizes,
}

/// What a file of a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MemberKind {
    /// 32 bytes.
    DigestKey,
    /// `pg_dumpall --roles-only`: SQL.
    Roles,
    /// `pg_dump --format=custom`.
    Database,
    /// An RDB file.
    Valkey,
    /// A named file as it is.
    File,
}

/// A PostgreSQL server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Server {
    /// As the target calls it, or its address.
    pub(super) name: String,
    /// Its version, `15.18`.
    pub(super) version: String,
    /// The system identifier, which replicas share.
    pub(super) system_identifier: String,
    /// The timeline.
    pub(super) timeline: i64,
    /// The member with the roles.
    pub(super) roles: String,
    /// The databases.
    pub(super) databases: Vec<Database>,
}

/// One database, as its snapshot shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Database {
    pub(super) name: String,
    /// The member with the dump.
    pub(super) member: String,
    pub(super) owner: String,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    /// Where the write-ahead log was when the snapshot was taken.
    pub(super) wal_lsn: String,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What is in a database. The dump and its restored copy are compared by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) tables: Vec<Table>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) large_objects: LargeObjects,
}

impl Content {
    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|t| t.rows).sum()
    }
}

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) rows: u64,
    /// Keyed digest of all rows, in no order.
    pub(super) hmac: String,
}

/// Where a sequence stands. Sequences are not part of a snapshot: the dump has a value between the
/// two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequence {
    pub(super) schema: String,
    pub(super) name: String,
    /// Before the dump.
    pub(super) from: Position,
    /// After the dump.
    pub(super) to: Position,
}

/// A sequence's `last_value` and `is_called`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) last_value: i64,
    pub(super) is_called: bool,
}

/// All large objects together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LargeObjects {
    pub(super) count: u64,
    pub(super) hmac: String,
}

/// A Valkey server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Valkey {
    pub(super) name: String,
    pub(super) version: String,
    /// The member with the RDB file.
    pub(super) member: String,
    /// Keys before and after; where they are equal, the restored copy has as many.
    pub(super) keys: [u64; 2],
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head =
            serde_json::from_slice(bytes).map_err(|e| format!("it is no manifest: {e}"))?;
        if head.schema != SCHEMA {
            return Err(format!("it has the schema `{}`, known is `{SCHEMA}`", head.schema));
        }
        let read: Self =
            serde_json::from_slice(bytes).map_err(|e| format!("it cannot be read: {e}"))?;
        for member in &read.members {
            // A manifest that nobody sealed must not lead out of its folder.
            let name = &member.name;
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
                return Err(format!(
                    "a member has the name {name:?}, which is no file of a backup"
                ));
            }
        }
        Ok(read)
    }

    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// All databases with their servers.
    pub(super) fn databases(&self) -> impl Iterator<Item = (&Server, &Database)> {
        self.servers.iter().flat_map(|server| server.databases.iter().map(move |db| (server, db)))
    }

    pub(super) fn tables(&self) -> u64 {
        self.databases().map(|(_, db)| db.content.tables.len() as u64).sum()
    }

    pub(super) fn rows(&self) -> u64 {
        self.databases().map(|(_, db)| db.content.rows()).sum()
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.members.iter().map(|m| m.sizes.bytes).sum()
    }
}
