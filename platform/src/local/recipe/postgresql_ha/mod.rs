//! Bitnami's chart `postgresql-ha` as real servers: PostgreSQL with repmgr, and pgpool.

pub(crate) mod conf;
pub(crate) mod settings;
