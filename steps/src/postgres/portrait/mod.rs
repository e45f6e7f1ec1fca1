//! A database as it can be compared with another one: what it consists of, and a digest of the rows
//! of each table.
//!
//! - `frozen`: sessions that all see one moment and write nothing
//! - `catalog`: every object with its properties, as text that has no numbers of this server in it
//! - `normal`: expressions as text that does not change when they are dumped and read again
//! - `tables`: which tables there are, and the SQL that digests their rows
//! - `digests`: digesting all tables, several at a time
//! - `sequences`: where sequences stand
//! - `large`: large objects
//!
//! Order, place on the disk, numbers of objects, statistics and dropped columns are left out.

mod catalog;
mod digests;
mod frozen;
pub(super) mod large;
mod normal;
mod sequences;
mod tables;

#[cfg(test)]
pub(super) use catalog::Facet;
pub(super) use catalog::{Catalog, Object, Roles, catalog};
pub(super) use digests::{Sum, digest_all, sum};
pub(super) use frozen::{Frozen, LONG};
pub(super) use sequences::{Position, positions};
pub(super) use tables::{Column, Rows, Shape, Table, ident_if_needed, tables};
