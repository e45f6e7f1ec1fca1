//! Databases and roles of one PostgreSQL server, streamed into members.

use std::io::PipeReader;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workplan_engine::kind::{CommandSpec, ErrorCause, Hands, Look, Secret, StepError};
use workplan_platform::sql::Reader;
use workplan_platform::{Reached, Server as Address, View};

use super::cipher::{self, DigestKey, Sizes};
use super::content;
use super::keys::Recipients;
use super::manifest::{Content, Database, Member, MemberKind, Server};
use super::store::Partial;
use super::subject::Source;
use super::tools::{Tools, conninfo, major};
use super::words::ended_well;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a lock may be waited for. Somebody who holds a table for longer is named by the error.
const LOCK_WAIT: &str = "--lock-wait-timeout=60000";

/// What all members of a backup need.
pub(super) struct Maker<'a> {
    pub(super) hands: &'a Hands,
    pub(super) partial: &'a Partial,
    pub(super) recipients: Arc<Recipients>,
    pub(super) key: DigestKey,
    /// Deadline of each child.
    pub(super) timeout: Duration,
    pub(super) members: Vec<Member>,
}

impl Maker<'_> {
    /// Encrypts what a reader gives into a member, on a thread of its own.
    ///
    /// # Errors
    /// When the member cannot be made. The task's own errors come when it is waited for.
    pub(super) fn seal(
        &self,
        name: &str,
        from: impl std::io::Read + Send + 'static,
    ) -> Result<tokio::task::JoinHandle<Result<Sizes, StepError>>, StepError> {
        let (path, file) = self.partial.create(name)?;
        let (recipients, key) = (Arc::clone(&self.recipients), self.key.clone());
        let cancel: CancellationToken = self.hands.cancel().clone();
        Ok(tokio::task::spawn_blocking(move || {
            cipher::seal(from, (&path, file), &recipients, &key, &cancel)
        }))
    }

    pub(super) fn add(&mut self, name: String, kind: MemberKind, of: String, sizes: Sizes) {
        self.members.push(Member { name, kind, of, mode: None, sizes });
    }
}

/// The end of a sealing thread.
///
/// # Errors
/// Its own.
pub(super) async fn sealed(
    task: tokio::task::JoinHandle<Result<Sizes, StepError>>,
) -> Result<Sizes, StepError> {
    match task.await {
        Ok(result) => result,
        Err(_) => Err(StepError::failed("encrypting ended without a result")),
    }
}

/// A server to read from.
struct Connected {
    view: Arc<dyn View>,
    server: Address,
    host: String,
    port: u16,
    /// The way there lasts as long as this.
    _way: Option<Reached>,
}

impl Connected {
    async fn to(look: &Look, source: &Source) -> Result<Self, StepError> {
        let view = source.at.view(look)?;
        let server = source.at.server(look, &*view).await?;
        if let Some((folder, port)) = server.primary.socket() {
            let host = folder.to_owned();
            return Ok(Self { view, server, host, port, _way: None });
        }
        let way = view.reach(&server.primary).await?;
        let (host, port) = (way.address.ip().to_string(), way.address.port());
        Ok(Self { view, server, host, port, _way: Some(way) })
    }

    /// A session with settings pinned.
    async fn reader(
        &self,
        look: &Look,
        database: &str,
        deadline: Duration,
    ) -> Result<Reader, StepError> {
        let login = self.server.login(database, &look.identity);
        let connecting = Reader::connect(&*self.view, &login, deadline);
        let reader = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(reader) => reader?,
            Err(_) => {
                let at = &self.server.primary;
                return Err(StepError::new(
                    ErrorCause::TimedOut,
                    format!("{at} did not answer within {} s", CONNECT.as_secs()),
                ));
            }
        };
        reader.set(content::PINNED).await?;
        Ok(reader)
    }

    /// One of PostgreSQL's programs, connected to a database.
    fn program(&self, look: &Look, tools: &Tools, program: &str, timeout: Duration) -> CommandSpec {
        let argv = [
            tools.path(program).into_os_string(),
            "--no-password".into(),
            format!("--host={}", self.host).into(),
            format!("--port={}", self.port).into(),
            format!("--username={}", self.server.user).into(),
        ];
        let mut spec = CommandSpec::new(argv, &look.base, timeout);
        spec.env = connection_env(&look.identity);
        let password = self.server.password.clone();
        // An empty variable counts as none, and no other password may be tried.
        spec.secret_env =
            vec![("PGPASSWORD".to_owned(), password.unwrap_or_else(|| Secret::new("")))];
        spec
    }
}

/// Variables that would lead PostgreSQL's programs elsewhere than their arguments say.
pub(super) fn connection_env(identity: &str) -> Vec<(String, String)> {
    [
        ("PGAPPNAME", identity),
        ("PGCONNECT_TIMEOUT", "15"),
        ("PGHOSTADDR", ""),
        ("PGOPTIONS", ""),
        ("PGCLIENTENCODING", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Dumps the roles and the wanted databases of a server.
///
/// # Errors
/// When one of them could not be dumped whole.
pub(super) async fn server(
    maker: &mut Maker<'_>,
    source: &Source,
) -> Result<(Server, String), StepError> {
    let look: &Look = maker.hands;
    let connected = Connected::to(look, source).await?;
    let first = source.databases.first().cloned().or_else(|| source.at.database.clone());
    let first = first.unwrap_or_else(|| "postgres".to_owned());
    let reader = connected.reader(look, &first, maker.timeout).await?;
    let facts = facts(&reader).await?;
    let needed = major(&facts.version).unwrap_or_default();
    let tools = Tools::find(look, needed, &["pg_dump", "pg_dumpall"]).await?;
    let names = if source.databases.is_empty() {
        databases(&reader).await?
    } else {
        source.databases.clone()
    };
    drop(reader);

    let roles = format!("postgres-{}.roles.sql.age", file_name(&source.name));
    let mut spec = connected.program(look, &tools, "pg_dumpall", maker.timeout);
    let database = conninfo(&first);
    spec.argv.extend([
        "--roles-only".into(),
        LOCK_WAIT.into(),
        format!("--dbname={database}").into(),
    ]);
    let sizes = child(maker, &roles, spec, "pg_dumpall", async { Ok(()) }).await?.0;
    maker.add(roles.clone(), MemberKind::Roles, source.name.clone(), sizes);

    let mut server = Server {
        name: source.name.clone(),
        version: facts.version,
        system_identifier: facts.system_identifier,
        timeline: facts.timeline,
        roles,
        databases: Vec::new(),
    };
    for name in &names {
        let database = self::database(maker, &connected, &tools, source, name).await?;
        server.databases.push(database);
    }
    Ok((server, tools.version))
}

struct Facts {
    version: String,
    system_identifier: String,
    timeline: i64,
}

async fn facts(reader: &Reader) -> Result<Facts, StepError> {
    let sql = "select current_setting('server_version'), \
        (select system_identifier::text from pg_control_system()), \
        (select timeline_id::bigint from pg_control_checkpoint())";
    let rows = reader.rows(sql, &[]).await?;
    let row = rows.first().ok_or_else(|| StepError::failed("the server did not say what it is"))?;
    Ok(Facts {
        // `15.18 (Debian 15.18-0+deb12u1)`
        version: row.get::<_, String>(0).split(' ').next().unwrap_or_default().to_owned(),
        system_identifier: row.get(1),
        timeline: row.get(2),
    })
}

async fn databases(reader: &Reader) -> Result<Vec<String>, StepError> {
    let sql = "select datname::text from pg_database \
        where datallowconn and not datistemplate order by 1";
    Ok(reader.rows(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Dumps one database from a snapshot, in which its content is read, too.
async fn database(
    maker: &mut Maker<'_>,
    connected: &Connected,
    tools: &Tools,
    source: &Source,
    name: &str,
) -> Result<Database, StepError> {
    let look: &Look = maker.hands;
    let reader = connected.reader(look, name, maker.timeout).await?;
    reader.set("begin isolation level repeatable read read only").await?;
    let sql = "select pg_export_snapshot(), \
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() \
            else pg_current_wal_lsn() end::text, \
        pg_get_userbyid(datdba)::text, pg_encoding_to_char(encoding)::text, \
        datcollate::text, datctype::text \
        from pg_database where datname = current_database()";
    let rows = reader.rows(sql, &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| StepError::failed(format!("the database `{name}` gave no snapshot")))?;
    let member = format!("postgres-{}-{}.dump.age", file_name(&source.name), file_name(name));
    let mut spec = connected.program(look, tools, "pg_dump", maker.timeout);
    spec.argv.extend([
        "--format=custom".into(),
        format!("--snapshot={}", row.get::<_, String>(0)).into(),
        LOCK_WAIT.into(),
        format!("--dbname={}", conninfo(name)).into(),
    ]);
    let mut database = Database {
        name: name.to_owned(),
        member: member.clone(),
        wal_lsn: row.get(1),
        owner: row.get(2),
        encoding: row.get(3),
        collate: row.get(4),
        ctype: row.get(5),
        content: Content::default(),
    };
    let who = format!("pg_dump of `{name}`");
    let key = maker.key.clone();
    let (sizes, content) = child(maker, &member, spec, &who, content::read(&reader, &key)).await?;
    database.content = content;
    content::settle(&mut database.content, &content::sequences(&reader).await?);
    reader.set("commit").await?;
    maker.add(member, MemberKind::Database, format!("{}/{name}", source.name), sizes);
    Ok(database)
}

/// Runs a child whose standard output becomes a member, and something else beside it. What fails
/// first ends the rest.
async fn child<T>(
    maker: &Maker<'_>,
    member: &str,
    mut spec: CommandSpec,
    who: &str,
    beside: impl Future<Output = Result<T, StepError>>,
) -> Result<(Sizes, T), StepError> {
    let pipe = std::io::pipe();
    let (from, to) = pipe.map_err(|e| StepError::failed(format!("failed to make a pipe: {e}")))?;
    let from: PipeReader = from;
    let sealing = maker.seal(member, from)?;
    spec.write_to = Some(to.into());
    let timeout = spec.timeout;
    let running = async {
        let outcome = maker.hands.run(spec).await?;
        ended_well(who, &outcome, timeout)
    };
    let both = tokio::try_join!(running, beside);
    let sealed = sealed(sealing).await;
    match (both, sealed) {
        (Ok(((), beside)), Ok(sizes)) => Ok((sizes, beside)),
        // A full disk makes the child complain of a broken pipe; it is not what went wrong.
        (Err(error), Err(own)) if error.cause == ErrorCause::Failed => {
            Err(if own.cause == ErrorCause::Cancelled { error } else { own })
        }
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

/// A part of a file's name: what is no letter, digit, `.`, `_` or `-` becomes `%XX`.
pub(super) fn file_name(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if out.len() > 80 {
        // Enough to be told apart; the manifest has the whole.
        let digest = workplan_engine::digest::Digest::of(text.as_bytes());
        out.truncate(60);
        out.push_str(digest.short());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_tame() {
        assert_eq!(file_name("gitea"), "gitea");
        assert_eq!(file_name("we/ird \"ü\""), "we%2Fird%20%22%C3%BC%22");
        let long = "x".repeat(200);
        assert_eq!(file_name(&long).len(), 72);
        assert_ne!(file_name(&long), file_name(&"x".repeat(201)));
    }
}
