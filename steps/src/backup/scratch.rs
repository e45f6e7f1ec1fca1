//! A PostgreSQL server of our own to restore into: unprivileged, on a Unix socket alone, gone with
//! all its data when the step ends or the engine dies.

use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

use workplan_engine::kind::{CommandOutcome, CommandSpec, ErrorCause, Hands, Scratch, StepError};
use workplan_engine::process::Account;
use workplan_platform::sql::{Reader, Writer};
use workplan_platform::{Database, Network, Server};

use super::content;
use super::dump::connection_env;
use super::settings::Settings;
use super::tools::{Tools, conninfo};
use super::words::ended_well;

/// The programs that it takes.
pub(super) const NEEDED: &[&str] = &["postgres", "initdb", "pg_restore", "psql"];
/// The superuser; no role of a backup has this name.
const USER: &str = "workplan_scratch";
/// The part of its socket's name; nobody else is in its folder.
const PORT: u16 = 5432;
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Nothing of it needs to survive a crash, so nothing waits for the disk.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "max_connections=20",
    "max_locks_per_transaction=1024",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "log_min_messages=fatal",
    "logging_collector=off",
    "log_destination=stderr",
];

/// A running scratch server.
pub(super) struct Running<'a> {
    hands: &'a Hands,
    tools: &'a Tools,
    folder: PathBuf,
    account: Option<Account>,
    server: Server,
    timeout: Duration,
}

/// Who it runs as: PostgreSQL refuses root.
fn account(settings: &Settings) -> Result<Option<Account>, StepError> {
    if !Account::current().is_root() {
        return Ok(None);
    }
    let names: Vec<&str> = match &settings.account {
        Some(name) => vec![name],
        None => vec!["postgres", "nobody"],
    };
    for name in &names {
        let found = Account::named(name)
            .map_err(|e| StepError::failed(format!("the account `{name}` is not known: {e}")))?;
        if let Some(found) = found.filter(|account| !account.is_root()) {
            return Ok(Some(found));
        }
    }
    Err(StepError::failed(format!(
        "PostgreSQL does not run as root, and there is no account `{}`",
        names.join("` or `")
    ))
    .with_help("name one in the target file: `backup: {account: NAME}`"))
}

/// Starts a server, does something with it, and ends it.
///
/// # Errors
/// When it does not start or ends by itself, and those of `work`.
pub(super) async fn with_server<T>(
    hands: &Hands,
    tools: &Tools,
    settings: &Settings,
    timeout: Duration,
    work: impl AsyncFnOnce(&Running<'_>) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let account = account(settings)?;
    let parent = settings.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch: Scratch = hands.scratch(&parent, account).await?;
    let folder = scratch.path().to_owned();
    // A path of a socket has at most 107 bytes.
    if folder.as_os_str().len() > 80 {
        return Err(StepError::failed(format!(
            "the path `{}` is too long for a socket",
            folder.display()
        ))
        .with_help("name a shorter folder in the target file: `backup: {scratch: /var/tmp}`"));
    }
    let at = json!({"host": folder, "port": PORT, "user": USER});
    let at = Database::parse(&at).map_err(|p| StepError::failed(p.to_string()))?;
    let server = at.server(hands, &Network).await?;
    let (stoppable, stop) = hands.stoppable();
    let running = Running { hands, tools, folder, account, server, timeout };

    let mut initdb = running.command("initdb");
    initdb.argv.extend(
        ["--no-locale", "--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions"]
            .map(Into::into),
    );
    initdb.argv.push(format!("--username={USER}").into());
    initdb.argv.push(running.data().into());
    let outcome = running.run(hands, initdb).await?;
    ended_well("`initdb` of the scratch server", &outcome, timeout)?;

    let mut postgres = running.command("postgres");
    postgres.argv.extend(["-D".into(), running.data().into_os_string(), "-p".into()]);
    postgres.argv.push(PORT.to_string().into());
    postgres.argv.extend(["-k".into(), running.folder.clone().into_os_string()]);
    for setting in SETTINGS {
        postgres.argv.extend(["-c".into(), setting.into()]);
    }
    let serving = running.run(&stoppable, postgres);
    tokio::pin!(serving);
    let working = async {
        running.wait_ready().await?;
        work(&running).await
    };
    let result = tokio::select! {
        ended = &mut serving => {
            let ended = ended?;
            ended_well("the scratch server", &ended, timeout)?;
            return Err(StepError::failed("the scratch server ended by itself"));
        }
        result = working => result,
    };
    stop.cancel();
    // Only then may its folder go. How it ended does not matter any more.
    drop(serving.await);
    drop(scratch);
    result
}

impl Running<'_> {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> CommandSpec {
        let argv = [self.tools.path(program)];
        let mut spec = CommandSpec::new(argv, &self.folder, self.timeout);
        spec.env = vec![("LC_ALL".to_owned(), "C".to_owned())];
        spec
    }

    /// As the account of the server, so that its files and its socket are open to it.
    async fn run(&self, hands: &Hands, spec: CommandSpec) -> Result<CommandOutcome, StepError> {
        match self.account {
            Some(account) => hands.run_as(account, spec).await,
            None => hands.run(spec).await,
        }
    }

    /// A program that connects to a database of it.
    pub(super) fn client(&self, program: &str, database: &str) -> CommandSpec {
        let mut spec = self.command(program);
        spec.env.extend(connection_env(&self.hands.identity));
        spec.argv.extend([
            "--no-password".into(),
            format!("--host={}", self.folder.display()).into(),
            format!("--port={PORT}").into(),
            format!("--username={USER}").into(),
            format!("--dbname={}", conninfo(database)).into(),
        ]);
        spec
    }

    /// Runs such a program.
    ///
    /// # Errors
    /// When it does not succeed.
    pub(super) async fn client_run(&self, who: &str, spec: CommandSpec) -> Result<(), StepError> {
        let outcome = self.run(self.hands, spec).await?;
        ended_well(who, &outcome, self.timeout)
    }

    async fn wait_ready(&self) -> Result<(), StepError> {
        let end = tokio::time::Instant::now() + START;
        loop {
            let login = self.server.login("template1", &self.hands.identity);
            let Err(error) = Writer::connect(&Network, &login, POLL * 50).await else {
                return Ok(());
            };
            if tokio::time::Instant::now() >= end {
                let what = format!("the scratch server does not answer: {error}");
                return Err(StepError::new(ErrorCause::TimedOut, what));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A session that can write.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub(super) async fn writer(&self, database: &str) -> Result<Writer, StepError> {
        let login = self.server.login(database, &self.hands.identity);
        Ok(Writer::connect(&Network, &login, self.timeout).await?)
    }

    /// A session that reads what a backup's digests are taken of.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub(super) async fn reader(&self, database: &str) -> Result<Reader, StepError> {
        let login = self.server.login(database, &self.hands.identity);
        let reader = Reader::connect(&Network, &login, self.timeout).await?;
        reader.set(content::PINNED).await?;
        Ok(reader)
    }
}
