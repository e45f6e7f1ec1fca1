//! Sessions.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};
use workplan_engine::kind::Secret;

use super::SqlError;
use crate::{Endpoint, Reached, View};

/// Where and as whom to log in.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where.
    pub endpoint: Endpoint,
    /// Who.
    pub user: String,
    /// The password; `None` for a server that asks for none.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// `application_name`: the identity of the handle, so that a later look finds the session. It
    /// is cut at 63 bytes by the server.
    pub application: String,
}

/// A session that cannot write: every transaction of it is read-only from its start, and nothing
/// here can say otherwise.
pub struct Reader {
    inner: Session,
}

/// A session that can do what its user can.
pub struct Writer {
    inner: Session,
}

struct Session {
    client: Client,
    at: String,
    user: String,
    deadline: Duration,
    task: tokio::task::JoinHandle<()>,
    _way: Reached,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Connects. `deadline` bounds the connecting and, later, each statement.
    async fn connect(
        view: &dyn View,
        login: &Login,
        options: &str,
        deadline: Duration,
    ) -> Result<Self, SqlError> {
        let at = login.endpoint.to_string();
        let way = view.reach(&login.endpoint).await?;
        let mut config = Config::new();
        config
            .host(way.address.ip().to_string())
            .port(way.address.port())
            .user(&login.user)
            .dbname(&login.database)
            .application_name(&login.application)
            .connect_timeout(deadline);
        if !options.is_empty() {
            config.options(options);
        }
        if let Some(password) = &login.password {
            config.password(password.reveal());
        }
        let connected = tokio::time::timeout(deadline, config.connect(NoTls)).await;
        let (client, connection) = match connected {
            Err(_) => return Err(SqlError::Silent { at, after: deadline }),
            Ok(Err(error)) => return Err(SqlError::of(&at, &login.user, &error)),
            Ok(Ok(pair)) => pair,
        };
        let task = tokio::spawn(async move {
            // Its end is seen by whoever asks the client next.
            let _ = connection.await;
        });
        Ok(Self { client, at, user: login.user.clone(), deadline, task, _way: way })
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        match tokio::time::timeout(self.deadline, work).await {
            Err(_) => Err(SqlError::Silent { at: self.at.clone(), after: self.deadline }),
            Ok(Err(error)) => Err(SqlError::of(&self.at, &self.user, &error)),
            Ok(Ok(value)) => Ok(value),
        }
    }
}

impl Reader {
    /// Connects, read-only.
    ///
    /// # Errors
    /// [`SqlError::Unreachable`], [`SqlError::Refused`], [`SqlError::Silent`] or the server's word.
    pub async fn connect(
        view: &dyn View,
        login: &Login,
        deadline: Duration,
    ) -> Result<Self, SqlError> {
        let options = "-c default_transaction_read_only=on -c extra_float_digits=1";
        Ok(Self { inner: Session::connect(view, login, options, deadline).await? })
    }

    /// The rows of one statement.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SqlError> {
        self.inner.bounded(self.inner.client.query(sql, params)).await
    }

    /// The client itself, for a snapshot transaction (`BEGIN ISOLATION LEVEL REPEATABLE READ READ
    /// ONLY`) or a stream of rows. Statements on it have no deadline but the caller's.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}

impl Writer {
    /// Connects.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn connect(
        view: &dyn View,
        login: &Login,
        deadline: Duration,
    ) -> Result<Self, SqlError> {
        Ok(Self { inner: Session::connect(view, login, "", deadline).await? })
    }

    /// The rows of one statement.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SqlError> {
        self.inner.bounded(self.inner.client.query(sql, params)).await
    }

    /// Does one statement by the simple protocol, outside of any transaction block that was not
    /// begun before; returns nothing.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn run(&self, sql: &str) -> Result<(), SqlError> {
        self.inner.bounded(self.inner.client.batch_execute(sql)).await
    }

    /// The client itself. Statements on it have no deadline but the caller's.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}
