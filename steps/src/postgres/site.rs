//! A server that a step works on: found, reached, logged in to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use workplan_engine::kind::{ErrorCause, Look, ParamProblem, StepError, With};
use workplan_platform::sql::{Login, Reader, SqlError, Writer};
use workplan_platform::{Database, Server, View};

use super::mark::of_step;
use super::names::literal;

/// How long connecting and each short statement may take.
pub(super) const SHORT: Duration = Duration::from_secs(20);

/// Reads a parameter that names a database; what is wrong with it is added to `problems`.
pub(super) fn database_param(
    with: &With,
    key: &str,
    problems: &mut Vec<ParamProblem>,
) -> Option<Database> {
    let value = with.0.get(key)?;
    if is_open(value) {
        // The output of a step that has not run.
        return None;
    }
    match Database::parse(value) {
        Ok(database) => Some(database),
        Err(problem) => {
            problems.push(ParamProblem::new(key, format!("`{key}`: {problem}")));
            None
        }
    }
}

/// Whether a value still refers to an output that is not known.
pub(super) fn is_open(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${{"))
}

/// A server with a way to it.
pub(super) struct Site {
    pub(super) spec: Database,
    pub(super) server: Server,
    pub(super) view: Arc<dyn View>,
    application: String,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// Tells it from every other one, also from a copy of its files after `initdb`.
    pub(super) system: String,
    /// `server_version_num`.
    pub(super) version: i32,
    /// It replays another one's log.
    pub(super) standby: bool,
    /// We are a superuser there.
    pub(super) superuser: bool,
}

impl About {
    /// The major version.
    pub(super) fn major(&self) -> i32 {
        self.version / 10000
    }
}

impl Site {
    /// Finds a server: for a release its primary, past any pooler.
    ///
    /// # Errors
    /// When it cannot be found, or a secret is not to be had.
    pub(super) async fn find(look: &Look, spec: &Database) -> Result<Self, StepError> {
        let view = spec.view(look).map_err(StepError::from)?;
        let server = cancellable(look, async { Ok(spec.server(look, &*view).await?) }).await?;
        let application = look.identity.to_string();
        Ok(Self { spec: spec.clone(), server, view, application })
    }

    /// A login to one of its databases.
    pub(super) fn login(&self, database: &str) -> Login {
        self.server.login(database, &self.application)
    }

    /// A session that can only read.
    ///
    /// # Errors
    /// In the server's words.
    pub(super) async fn reader(&self, database: &str) -> Result<Reader, SqlError> {
        Reader::connect(&*self.view, &self.login(database), SHORT).await
    }

    /// A session that can write.
    ///
    /// # Errors
    /// In the server's words.
    pub(super) async fn writer(&self, database: &str) -> Result<Writer, SqlError> {
        Writer::connect(&*self.view, &self.login(database), SHORT).await
    }

    /// A reading session for what belongs to the server and not to one database.
    ///
    /// # Errors
    /// In the server's words.
    pub(super) async fn any_reader(&self) -> Result<Reader, SqlError> {
        match self.reader("postgres").await {
            Err(error) if may_be_elsewhere(&error) => {
                let own = self.server.database.as_deref().unwrap_or("template1");
                self.reader(own).await.map_err(|_| error)
            }
            done => done,
        }
    }

    /// A writing session outside of a database that is to be made, renamed or dropped.
    ///
    /// # Errors
    /// In the server's words.
    pub(super) async fn any_writer(&self, not: &str) -> Result<Writer, SqlError> {
        let mut first = None;
        for name in ["postgres", "template1"].into_iter().filter(|name| *name != not) {
            match self.writer(name).await {
                Err(error) if may_be_elsewhere(&error) => {
                    first.get_or_insert(error);
                }
                done => return done,
            }
        }
        match first {
            Some(error) => Err(error),
            None => self.writer("template1").await,
        }
    }

    /// Does something that changes this server, under the step's deadline. Where it is ended before
    /// its end, the server's own part of it is ended as well: a statement that nobody waits for
    /// any more could otherwise still come to its commit.
    ///
    /// # Errors
    /// What the work says; [`ErrorCause::Cancelled`] or [`ErrorCause::TimedOut`].
    pub(super) async fn acting<T>(
        &self,
        look: &Look,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let result = bounded(look, work).await;
        if let Err(error) = &result
            && matches!(error.cause, ErrorCause::Cancelled | ErrorCause::TimedOut)
            && let Ok(writer) = self.any_writer("").await
        {
            // Where it fails, the server notices the loss by itself within seconds.
            drop(end_sessions(&writer, None, &self.application).await);
        }
        result
    }

    /// Ends what an earlier attempt of the same step may have left running here.
    ///
    /// # Errors
    /// In the server's words; when it does not end.
    pub(super) async fn end_earlier(&self, writer: &Writer) -> Result<usize, StepError> {
        end_sessions(writer, None, &self.application).await
    }

    /// For messages: which database of which server.
    pub(super) fn named(&self, database: &str) -> String {
        format!("database `{database}` at {}", self.spec.describe())
    }
}

/// Whether another database of the same server may let us in.
fn may_be_elsewhere(error: &SqlError) -> bool {
    // No such database; no CONNECT on it; it takes no connections.
    matches!(error.code(), Some("3D000" | "42501" | "55000"))
        || matches!(error, SqlError::Refused { why, .. } if why.contains("pg_hba.conf"))
}

/// Asks a server about itself.
///
/// # Errors
/// In the server's words.
pub(super) async fn about(reader: &Reader) -> Result<About, SqlError> {
    let sql = "select current_setting('server_version_num')::int, pg_catalog.pg_is_in_recovery(), \
               coalesce((select rolsuper from pg_catalog.pg_roles \
                         where rolname = current_user), false)";
    let rows = reader.rows(sql, &[]).await?;
    let (version, standby, superuser) = match rows.first() {
        Some(row) => (row.get(0), row.get(1), row.get(2)),
        None => (0, false, false),
    };
    // Its execution is granted to superusers and pg_monitor by some; never guess an identity.
    let system = reader
        .rows("select system_identifier::text from pg_catalog.pg_control_system()", &[])
        .await;
    let system = match system {
        Ok(rows) => rows.first().map(|row| row.get(0)).unwrap_or_default(),
        Err(error) if error.code() == Some("42501") => String::from("unknown"),
        Err(error) => return Err(error),
    };
    Ok(About { system, version, standby, superuser })
}

/// Whether a pooler answers instead of a server.
///
/// # Errors
/// When the session broke.
pub(super) async fn is_pooled(reader: &Reader) -> Result<bool, SqlError> {
    match reader.client().simple_query("show pool_version").await {
        Ok(_) => Ok(true),
        Err(error) if error.as_db_error().is_some() => Ok(false),
        Err(error) => Err(reader.error(&error)),
    }
}

/// Ends the sessions that attempts of a step left, by their `application_name`, and waits until they
/// are gone. The one that asks is not among them. Says how many there were.
///
/// # Errors
/// In the server's words; when they do not go.
pub(super) async fn end_sessions(
    writer: &Writer,
    database: Option<&str>,
    identity: &str,
) -> Result<usize, StepError> {
    // The server keeps 63 bytes of such a name.
    let prefix: String = of_step(identity).chars().take(63).collect();
    let place = database.map_or_else(String::new, |d| format!("datname = {} and", literal(d)));
    let which = format!(
        "pg_catalog.pg_stat_activity where {place} starts_with(application_name, {}) \
         and usename = current_user and pid <> pg_backend_pid()",
        literal(&prefix)
    );
    end(writer, &which).await
}

/// Ends all sessions of a database, ours excepted, and waits until they are gone.
///
/// # Errors
/// In the server's words; when they do not go.
pub(super) async fn end_all_sessions(writer: &Writer, database: &str) -> Result<usize, StepError> {
    let which = format!(
        "pg_catalog.pg_stat_activity where datname = {} and pid <> pg_backend_pid()",
        literal(database)
    );
    end(writer, &which).await
}

async fn end(writer: &Writer, which: &str) -> Result<usize, StepError> {
    let sql = format!("select pg_catalog.pg_terminate_backend(pid) from {which}");
    let until = tokio::time::Instant::now() + SHORT;
    let mut most = 0;
    loop {
        let left = writer.rows(&sql, &[]).await?.len();
        most = most.max(left);
        if left == 0 {
            return Ok(most);
        }
        if tokio::time::Instant::now() > until {
            return Err(StepError::failed(format!(
                "{left} sessions were told to end and did not within {}",
                workplan_engine::duration::format(SHORT)
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Does something until it is done or the run is cancelled.
///
/// # Errors
/// [`ErrorCause::Cancelled`], or what the work says.
pub(super) async fn cancellable<T>(
    look: &Look,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let began = tokio::time::Instant::now();
    tokio::select! {
        biased;
        () = look.cancel().cancelled() => Err(
            if look.timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
                StepError::new(
                    ErrorCause::TimedOut, format!("`{}` was ended at its deadline", look.step)
                )
            } else {
                StepError::new(
                    ErrorCause::Cancelled,
                    format!("`{}` was ended because the run was cancelled", look.step),
                )
            }
        ),
        done = work => done,
    }
}

/// As [`cancellable`], with the step's own deadline.
///
/// # Errors
/// [`ErrorCause::TimedOut`] as well.
pub(super) async fn bounded<T>(
    look: &Look,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let Some(timeout) = look.timeout else { return cancellable(look, work).await };
    match tokio::time::timeout(timeout, cancellable(look, work)).await {
        Ok(done) => done,
        Err(_) => Err(StepError::new(
            ErrorCause::TimedOut,
            format!(
                "`{}` was ended at its deadline of {}",
                look.step,
                workplan_engine::duration::format(timeout)
            ),
        )),
    }
}

/// An error before anything was done.
pub(super) fn not_started(what: impl Into<String>) -> StepError {
    StepError::new(ErrorCause::NotStarted, what)
}
