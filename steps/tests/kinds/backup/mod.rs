//! Backups of a real PostgreSQL, opened with the real `age`.

mod creating;
mod damage;
pub(crate) mod fixture;
mod keys;
pub(crate) mod lab;
mod recent;
mod verifying;
