//! The servers' configuration files as texts.
//!
//! What differs from node to node is kept out of the data folder: a clone and `pg_rewind` copy the
//! source's files, and a node would come back on another's port.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use super::settings::{Secrets, Settings};

/// One data node's places.
#[derive(Debug, Clone)]
pub(crate) struct NodeFiles {
    /// Counts from 0.
    pub(crate) number: u32,
    /// The pod's name.
    pub(crate) name: String,
    /// The port on loopback.
    pub(crate) port: u16,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Configuration and password files; owner-only.
    pub(crate) conf: PathBuf,
    /// The socket's folder, its path under 100 bytes.
    pub(crate) run: PathBuf,
}

impl NodeFiles {
    /// repmgr counts from 1.
    fn id(&self) -> u32 {
        self.number + 1
    }

    /// The server's configuration.
    pub(crate) fn postgresql_conf(&self) -> PathBuf {
        self.conf.join("postgresql.conf")
    }

    /// Who may log in from where.
    pub(crate) fn hba_conf(&self) -> PathBuf {
        self.conf.join("pg_hba.conf")
    }

    /// The replication manager's configuration.
    pub(crate) fn repmgr_conf(&self) -> PathBuf {
        self.conf.join("repmgr.conf")
    }

    /// Passwords for `libpq`.
    pub(crate) fn pgpass(&self) -> PathBuf {
        self.conf.join("pgpass")
    }

    /// Where repmgr and its daemon log in, on this node.
    pub(crate) fn conninfo(&self, settings: &Settings) -> String {
        format!(
            "host=127.0.0.1 port={} user={} dbname={} connect_timeout={} passfile={}",
            self.port,
            word(&settings.repmgr_username),
            word(&settings.repmgr_database),
            settings.connect_timeout,
            word(&self.pgpass().display().to_string()),
        )
    }
}

/// A value in a connection string.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A value in `postgresql.conf`, `repmgr.conf` or `pgpool.conf`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// `postgresql.conf` of a node.
pub(crate) fn postgresql(settings: &Settings, node: &NodeFiles) -> String {
    let mut out = String::new();
    let standbys = settings.replicas.saturating_sub(1).max(1);
    let _ = write!(
        out,
        "data_directory = {}\n\
         hba_file = {}\n\
         external_pid_file = {}\n\
         listen_addresses = '127.0.0.1'\n\
         port = {}\n\
         unix_socket_directories = {}\n\
         max_connections = {}\n\
         password_encryption = 'scram-sha-256'\n\
         shared_preload_libraries = 'repmgr'\n\
         wal_level = 'replica'\n\
         hot_standby = on\n\
         wal_log_hints = on\n\
         max_wal_senders = {}\n\
         max_replication_slots = {}\n\
         wal_keep_size = '64MB'\n\
         # What happened is read from here; values of parameters would be people's data.\n\
         log_destination = 'stderr'\n\
         logging_collector = off\n\
         log_line_prefix = '%m [%p] %q%a %u@%d '\n\
         log_statement = 'mod'\n\
         log_parameter_max_length = 0\n\
         log_parameter_max_length_on_error = 0\n\
         log_timezone = 'UTC'\n\
         timezone = 'UTC'\n",
        path(&node.data),
        path(&node.hba_conf()),
        path(&node.run.join("postgres.pid")),
        node.port,
        path(&node.run),
        settings.max_connections,
        8 + standbys * 2,
        8 + standbys * 2,
    );
    if settings.sync_replication {
        let _ = writeln!(out, "synchronous_commit = on\nsynchronous_standby_names = 'ANY 1 (*)'");
    }
    out.push_str(&settings.extended_conf);
    out.push('\n');
    out
}

/// `pg_hba.conf`: everybody needs a password, also on this machine.
pub(crate) fn hba(settings: &Settings) -> String {
    let repmgr = quoted_name(&settings.repmgr_username);
    format!(
        "local   all          all      scram-sha-256\n\
         local   replication  {repmgr} scram-sha-256\n\
         host    all          all      127.0.0.1/32 scram-sha-256\n\
         host    replication  {repmgr} 127.0.0.1/32 scram-sha-256\n"
    )
}

/// A name in `pg_hba.conf`, where bare words such as `all` have a meaning.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `repmgr.conf` of a node. `bin` holds the server's programs; `start` and `stop` are command lines
/// that the platform answers for.
pub(crate) fn repmgr(
    settings: &Settings,
    node: &NodeFiles,
    bin: &Path,
    start: &str,
    stop: &str,
) -> String {
    let repmgr = bin.join("repmgr");
    let conf = node.repmgr_conf();
    let command = |what: &str| format!("{} -f {} {what}", shell_path(&repmgr), shell_path(&conf));
    format!(
        "node_id = {id}\n\
         node_name = {name}\n\
         conninfo = {conninfo}\n\
         data_directory = {data}\n\
         pg_bindir = {bin}\n\
         passfile = {passfile}\n\
         replication_user = {user}\n\
         use_replication_slots = yes\n\
         failover = 'automatic'\n\
         promote_command = {promote}\n\
         follow_command = {follow}\n\
         service_start_command = {start}\n\
         service_stop_command = {stop}\n\
         service_restart_command = {stop_start}\n\
         connection_check_type = 'connection'\n\
         reconnect_attempts = {attempts}\n\
         reconnect_interval = {interval}\n\
         monitor_interval_secs = 1\n\
         repmgrd_pid_file = {pid}\n\
         standby_disconnect_on_failover = no\n\
         primary_visibility_consensus = yes\n\
         log_level = 'NOTICE'\n",
        id = node.id(),
        name = quoted(&node.name),
        conninfo = quoted(&node.conninfo(settings)),
        data = path(&node.data),
        bin = path(bin),
        passfile = path(&node.pgpass()),
        user = quoted(&settings.repmgr_username),
        promote = quoted(&command("standby promote --log-to-file")),
        follow = quoted(&command("standby follow --log-to-file --upstream-node-id=%n")),
        start = quoted(start),
        stop = quoted(stop),
        stop_start = quoted(&format!("{stop} && {start}")),
        attempts = settings.reconnect_attempts,
        interval = settings.reconnect_interval,
        pid = path(&node.run.join("repmgrd.pid")),
    )
}

/// A path in a command line for `sh`.
pub(crate) fn shell_path(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// A `pgpass` file for the replication manager: all nodes, its own database and replication.
pub(crate) fn pgpass(settings: &Settings, secrets: &Secrets) -> String {
    let password = secrets.text(&settings.postgresql(), "repmgr-password");
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:*:{}:{}\n", escaped(&settings.repmgr_username), escaped(&password))
}

/// The pooler's places.
#[derive(Debug, Clone)]
pub(crate) struct PoolerFiles {
    /// The port for clients.
    pub(crate) port: u16,
    /// The port for `pcp_*`.
    pub(crate) pcp_port: u16,
    /// Configuration and password files; owner-only.
    pub(crate) conf: PathBuf,
    /// Sockets, pid and state.
    pub(crate) run: PathBuf,
}

/// `pgpool.conf`: what the image writes with its defaults, then `pgpool.configuration`.
pub(crate) fn pgpool(settings: &Settings, nodes: &[NodeFiles], pooler: &PoolerFiles) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "backend_clustering_mode = 'streaming_replication'\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = {run}\n\
         pcp_listen_addresses = '127.0.0.1'\n\
         pcp_port = {pcp}\n\
         pcp_socket_dir = {run}\n\
         pid_file_name = {pid}\n\
         logdir = {run}\n\
         log_line_prefix = '%m [%p] '\n\
         enable_pool_hba = on\n\
         pool_passwd = {passwd}\n\
         allow_clear_text_frontend_auth = off\n\
         authentication_timeout = 30\n\
         num_init_children = {children}\n\
         max_pool = {max_pool}\n\
         reserved_connections = {reserved}\n\
         load_balance_mode = {balance}\n\
         connection_cache = on\n\
         health_check_period = 30\n\
         health_check_timeout = 10\n\
         health_check_max_retries = 5\n\
         health_check_retry_delay = 5\n\
         connect_timeout = 10000\n\
         health_check_user = {sr_user}\n\
         health_check_password = ''\n\
         health_check_database = {sr_db}\n\
         sr_check_period = 30\n\
         sr_check_user = {sr_user}\n\
         sr_check_password = ''\n\
         sr_check_database = {sr_db}\n\
         failover_on_backend_error = off\n\
         failover_on_backend_shutdown = on\n\
         failover_command = 'echo \">>> Failover - that will initialize new primary node search!\"'\n\
         search_primary_node_timeout = 0\n\
         auto_failback = off\n\
         use_watchdog = off\n",
        port = pooler.port,
        run = path(&pooler.run),
        pcp = pooler.pcp_port,
        pid = path(&pooler.run.join("pgpool.pid")),
        passwd = path(&pooler.conf.join("pool_passwd")),
        children = settings.num_init_children,
        max_pool = settings.max_pool,
        reserved = settings.reserved_connections,
        balance = if settings.load_balancing { "on" } else { "off" },
        sr_user = quoted(&settings.sr_check_username),
        sr_db = quoted(&settings.sr_check_database),
    );
    for node in nodes {
        let n = node.number;
        let _ = write!(
            out,
            "backend_hostname{n} = '127.0.0.1'\n\
             backend_port{n} = {port}\n\
             backend_weight{n} = 1\n\
             backend_data_directory{n} = {data}\n\
             backend_flag{n} = 'ALLOW_TO_FAILOVER'\n\
             backend_application_name{n} = {name}\n",
            port = node.port,
            data = path(&node.data),
            name = quoted(&node.name),
        );
    }
    out.push_str(&settings.pooler_conf);
    out.push('\n');
    out
}

/// `pool_hba.conf`. The image trusts the socket; nothing here does.
pub(crate) fn pool_hba() -> String {
    "local  all  all                scram-sha-256\n\
     host   all  all  127.0.0.1/32  scram-sha-256\n"
        .to_owned()
}

/// `pool_passwd`: SCRAM towards client and server both needs the passwords themselves. The file is
/// owner-only, as the image's is.
pub(crate) fn pool_passwd(settings: &Settings, secrets: &Secrets) -> String {
    let mut entries: Vec<(String, String)> = Vec::new();
    let (secret, key) = settings.superuser_key();
    entries.push(("postgres".to_owned(), secrets.text(&secret, key)));
    if !settings.plain_superuser() {
        let password = secrets.text(&settings.postgresql(), "password");
        entries.push((settings.username.clone(), password));
    }
    entries.push((
        settings.sr_check_username.clone(),
        secrets.text(&settings.pgpool(), "sr-check-password"),
    ));
    entries.extend(secrets.custom_users(settings));
    entries.into_iter().filter(|(_, password)| !password.is_empty()).fold(
        String::new(),
        |mut out, (user, password)| {
            let _ = writeln!(out, "{user}:TEXT{password}");
            out
        },
    )
}

/// `pcp.conf`.
pub(crate) fn pcp(settings: &Settings, secrets: &Secrets) -> String {
    let password = secrets.text(&settings.pgpool(), "admin-password");
    let hash = Md5::digest(password.as_bytes());
    let hex = hash.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    format!("{}:{hex}\n", settings.admin_username)
}

/// `pcppass` for `pcp_*`.
pub(crate) fn pcppass(settings: &Settings, secrets: &Secrets) -> String {
    let password = secrets.text(&settings.pgpool(), "admin-password");
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:{}:{}\n", escaped(&settings.admin_username), escaped(&password))
}
