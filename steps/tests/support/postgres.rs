//! A real PostgreSQL for tests: one server a test process, gone with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::unistd::{User, chown, geteuid};
use serde_json::{Value, json};

/// The superuser's password; connections over TCP are asked for it.
pub(crate) const PASSWORD: &str = "super-secret-of-tests";

/// A server of its own, shared by all tests of a process.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    folder: PathBuf,
    bin: PathBuf,
    /// Its end of this pipe closes when the test process ends, however it ends; the server's
    /// keeper then stops the server and removes its files.
    _keeper: Child,
}

/// An open transaction.
pub(crate) struct Held {
    child: Child,
    _stdin: ChildStdin,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The newest PostgreSQL of this machine.
fn binaries() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").is_file().then(|| (major, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

/// Whose server it is: PostgreSQL refuses root.
fn account() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten())
}

impl Postgres {
    /// Where the server's own programs are (`psql`, `pg_dump`).
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// The server of this process; `None`, said loudly, where the machine has none.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        let server = SERVER.get_or_init(|| Self::own(""));
        if server.is_none() {
            let words = "SKIPPED: no PostgreSQL in /usr/lib/postgresql; its kinds are not tested";
            eprintln!("{words}");
        }
        server.as_ref()
    }

    /// A server that belongs to one test, which may do anything to it; it goes when it is dropped.
    /// `limit` is what `ulimit` is told before it starts.
    pub(crate) fn own(limit: &str) -> Option<Self> {
        binaries().map(|bin| Self::start(bin, limit))
    }

    /// The server's first process.
    pub(crate) fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    fn start(bin: PathBuf, limit: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("wpg").tempdir().unwrap().keep();
        let account = account();
        if let Some(user) = &account {
            chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            if let Some(user) = &account {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            command.current_dir(&folder).env("LC_ALL", "C.UTF-8").env_remove("PGOPTIONS");
            command
        };
        let data = folder.join("data");
        fs::write(folder.join("pw"), PASSWORD).unwrap();
        let made = command(&bin.join("initdb"))
            .args([
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--wal-segsize=4",
            ])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=pw", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let script = "[ -z \"$4\" ] || ulimit $4; \"$1/postgres\" -D \"$2/data\" -p \"$3\" -k \"$2\" \
            -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
            -c max_prepared_transactions=5 -c wal_level=logical -c autovacuum=off \
            -c max_connections=200 -c shared_buffers=64MB >\"$2/log\" 2>&1 & \
            read -r _; kill -QUIT $!; wait; rm -rf \"$2\"";
        let keeper = command(Path::new("/bin/sh"))
            .args(["-c", script, "sh"])
            .args([&bin, &folder])
            .args([&port.to_string(), limit])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { port, folder, bin, _keeper: keeper };
        let end = Instant::now() + Duration::from_secs(60);
        while server.try_psql("postgres", "select 1").is_err() {
            let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// What its own client says to SQL.
    pub(crate) fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.try_psql_as("postgres", database, sql)
    }

    /// The same as another role.
    pub(crate) fn try_psql_as(
        &self,
        user: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        let mut child = self.client(user, database).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&out.stderr).into_owned())
        }
    }

    /// As [`Postgres::try_psql`], where nothing may go wrong.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// A session that has done something in a transaction and keeps it open until dropped.
    pub(crate) fn hold(&self, database: &str, sql: &str) -> Held {
        self.hold_as("postgres", database, sql)
    }

    /// The same as another role.
    pub(crate) fn hold_as(&self, user: &str, database: &str, sql: &str) -> Held {
        let mut child = self.client(user, database).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "begin;\n{sql};\n\\echo held").unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !line.contains("held") {
            assert!(out.read_line(&mut line).unwrap() > 0, "{sql} cannot be held");
        }
        Held { child, _stdin: stdin }
    }

    fn client(&self, user: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U"])
            .args([user, "-d", database])
            .args(["-h".as_ref(), self.folder.as_os_str()])
            .args(["-p", &self.port.to_string()])
            .env("PGAPPNAME", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A name that no other test of this process has.
    pub(crate) fn unique(&self, stem: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        format!("{stem}_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// How a plan names it, by its socket and without a password.
    pub(crate) fn by_socket(&self, database: Option<&str>) -> Value {
        let mut value = json!({"host": self.folder, "port": self.port, "user": "postgres"});
        if let Some(database) = database {
            value["database"] = json!(database);
        }
        value
    }

    /// How a plan names it, over TCP, with the password `env:PGPW`.
    pub(crate) fn by_tcp(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.port, "user": "postgres", "password": "env:PGPW"})
    }

    /// The server's log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

/// A port outside of the range that outgoing connections use, for this test process as long as it
/// lives: where a server has gone, no other one answers, of this process or of another.
fn free_port() -> u16 {
    /// What says whose a port is; gone with the process.
    static CLAIMED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let claim = |port: &u16| {
        let name = SocketAddr::from_abstract_name(format!("workplan-test-port-{port}")).unwrap();
        let Ok(claim) = UnixListener::bind_addr(&name) else { return false };
        let free = TcpListener::bind(("127.0.0.1", *port)).is_ok();
        CLAIMED.lock().unwrap().push(claim);
        free
    };
    (0..2_000)
        .map(|n| 20_000 + (first - 20_000 + n * 7) % 12_000)
        .find(claim)
        .expect("no free port")
}
