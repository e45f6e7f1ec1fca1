//! Sessions.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage, SimpleQueryRow};
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
    _way: Option<Reached>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings of every session. A server that lost its client notices within seconds instead of
/// finishing a statement of an hour for nobody; servers before 14 do not know that setting, so it
/// is asked for after the connecting.
const NOTICE_LOSS: &str = "do $$ begin \
    if current_setting('server_version_num')::int >= 140000 then \
        set client_connection_check_interval = '2s'; \
    end if; end $$";

impl Session {
    /// Connects. `deadline` bounds the connecting and, later, each statement.
    async fn connect(
        view: &dyn View,
        login: &Login,
        options: &str,
        deadline: Duration,
    ) -> Result<Self, SqlError> {
        let at = login.endpoint.to_string();
        let mut config = Config::new();
        config
            .user(&login.user)
            .dbname(&login.database)
            .application_name(&login.application)
            .connect_timeout(deadline)
            .keepalives_idle(Duration::from_secs(30));
        if !options.is_empty() {
            config.options(options);
        }
        if let Some(password) = &login.password {
            config.password(password.reveal());
        }
        let way = match login.endpoint.socket() {
            Some((folder, port)) => {
                config.host_path(folder).port(port);
                None
            }
            None => {
                let reach = tokio::time::timeout(deadline, view.reach(&login.endpoint)).await;
                let way =
                    reach.map_err(|_| SqlError::Silent { at: at.clone(), after: deadline })??;
                config.host(way.address.ip().to_string()).port(way.address.port());
                Some(way)
            }
        };
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
        let session = Self { client, at, user: login.user.clone(), deadline, task, _way: way };
        session.bounded(session.client.batch_execute(NOTICE_LOSS)).await?;
        Ok(session)
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        self.within(self.deadline, work).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        match tokio::time::timeout(deadline, work).await {
            Err(_) => Err(SqlError::Silent { at: self.at.clone(), after: deadline }),
            Ok(Err(error)) => Err(self.error(&error)),
            Ok(Ok(value)) => Ok(value),
        }
    }

    fn error(&self, error: &tokio_postgres::Error) -> SqlError {
        SqlError::of(&self.at, &self.user, error)
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

    /// The rows of one statement that may take longer than others.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn rows_within(
        &self,
        deadline: Duration,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SqlError> {
        self.inner.within(deadline, self.inner.client.query(sql, params)).await
    }

    /// The rows of one statement by the simple protocol, all columns as texts: what a pooler
    /// answers by itself (`SHOW pool_nodes`) it answers in that protocol alone.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn texts(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, SqlError> {
        let messages = self.inner.bounded(self.inner.client.simple_query(sql)).await?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect())
    }

    /// Does statements that return nothing and change at most this session, `SET` or `BEGIN`.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn set(&self, sql: &str) -> Result<(), SqlError> {
        self.inner.bounded(self.inner.client.batch_execute(sql)).await
    }

    /// The error of a statement that was done through [`Reader::client`].
    #[must_use]
    pub fn error(&self, error: &tokio_postgres::Error) -> SqlError {
        self.inner.error(error)
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

    /// As [`Writer::run`], for a statement that may take longer than others.
    ///
    /// # Errors
    /// As [`Reader::connect`].
    pub async fn run_within(&self, deadline: Duration, sql: &str) -> Result<(), SqlError> {
        self.inner.within(deadline, self.inner.client.batch_execute(sql)).await
    }

    /// The error of a statement that was done through [`Writer::client`].
    #[must_use]
    pub fn error(&self, error: &tokio_postgres::Error) -> SqlError {
        self.inner.error(error)
    }

    /// The client itself. Statements on it have no deadline but the caller's.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}
