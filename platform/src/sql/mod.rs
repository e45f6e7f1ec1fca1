//! PostgreSQL by SQL: a session that can only read, and one that can write.

mod error;
mod session;

pub use error::SqlError;
pub use session::{Login, Reader, Writer};
pub use tokio_postgres::types::ToSql;
pub use tokio_postgres::{Row, SimpleQueryRow};
