//! The servers' configuration files as texts.
//!
//! What differs from node to node is kept out of the data folder: a clone and `pg_rewind` copy the
//! source's files, and a node would come back on another's port.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use workplan_engine::kind::Secret;

use super::settings::{Settings, User, Users};

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
    /// The pod's folder, with the configuration.
    pub(crate) pod: PathBuf,
}

impl NodeFiles {
    /// repmgr counts from 1.
    pub(crate) fn id(&self) -> u32 {
        self.number + 1
    }

    /// The server's configuration.
    pub(crate) fn postgresql_conf(&self) -> PathBuf {
        self.pod.join("postgresql.conf")
    }

    /// The replication manager's configuration.
    pub(crate) fn repmgr_conf(&self) -> PathBuf {
        self.pod.join("repmgr.conf")
    }

    /// Passwords for `libpq`.
    pub(crate) fn pgpass(&self) -> PathBuf {
        self.pod.join("pgpass")
    }

    /// Where repmgr logs in on this node, in the words of `libpq`.
    fn conninfo(&self, settings: &Settings) -> String {
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
pub(crate) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A value in `postgresql.conf`, `repmgr.conf` or `pgpool.conf`, which share their grammar.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// `postgresql.conf` of a node.
pub(crate) fn postgresql(settings: &Settings, node: &NodeFiles) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "data_directory = {}\n\
         hba_file = {}\n\
         external_pid_file = ''\n\
         listen_addresses = '127.0.0.1'\n\
         port = {}\n\
         unix_socket_directories = ''\n\
         max_connections = {}\n\
         password_encryption = 'scram-sha-256'\n\
         shared_preload_libraries = 'repmgr'\n\
         wal_level = 'replica'\n\
         hot_standby = on\n\
         wal_log_hints = on\n\
         max_wal_senders = 16\n\
         max_replication_slots = 10\n\
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
        path(&node.pod.join("pg_hba.conf")),
        node.port,
        settings.max_connections,
    );
    if settings.sync_replication {
        out.push_str("synchronous_commit = on\nsynchronous_standby_names = 'ANY 1 (*)'\n");
    }
    out.push_str(&settings.extended_conf);
    out.push('\n');
    out
}

/// `pg_hba.conf`: everybody needs a password, also on this machine.
pub(crate) fn hba(settings: &Settings) -> String {
    let repmgr = quoted_name(&settings.repmgr_username);
    format!(
        "host    all          all      127.0.0.1/32 scram-sha-256\n\
         host    replication  {repmgr} 127.0.0.1/32 scram-sha-256\n"
    )
}

/// A name in `pg_hba.conf`, where bare words such as `all` have a meaning.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `repmgr.conf` of a node. `bin` holds the server's programs.
///
/// It starts and stops no server: that is the platform's business, which knows its processes.
pub(crate) fn repmgr(settings: &Settings, node: &NodeFiles, bin: &Path) -> String {
    let repmgr = bin.join("repmgr");
    let conf = node.repmgr_conf();
    let command = |what: &str| format!("{} -f {} {what}", shell_path(&repmgr), shell_path(&conf));
    let mut out = format!(
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
         service_start_command = '/bin/false'\n\
         service_stop_command = '/bin/false'\n\
         service_restart_command = '/bin/false'\n\
         connection_check_type = 'ping'\n\
         reconnect_attempts = {attempts}\n\
         reconnect_interval = {interval}\n\
         monitor_interval_secs = {monitor}\n\
         repmgrd_pid_file = {pid}\n\
         primary_visibility_consensus = {consensus}\n\
         log_level = 'NOTICE'\n",
        id = node.id(),
        name = quoted(&node.name),
        conninfo = quoted(&node.conninfo(settings)),
        data = path(&node.data),
        bin = path(bin),
        passfile = path(&node.pgpass()),
        user = quoted(&settings.repmgr_username),
        promote = quoted(&command("standby promote")),
        follow = quoted(&command("standby follow --upstream-node-id=%n")),
        attempts = settings.reconnect_attempts,
        interval = settings.reconnect_interval,
        monitor = settings.monitor_interval,
        consensus = if settings.visibility_consensus { "yes" } else { "no" },
        pid = path(&node.pod.join("repmgrd/repmgrd.pid")),
    );
    out.push_str(&settings.repmgr_conf);
    out.push('\n');
    out
}

/// A path in a command line for `sh`.
fn shell_path(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Bytes with a backslash before each of some characters.
fn escaped(bytes: &[u8], special: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if special.contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// A line of a password file: `prefix:user:password`.
fn password_line(prefix: &str, user: &User) -> Secret {
    let name = escaped(user.name.as_bytes(), b"\\:");
    let password = escaped(user.password.reveal(), b"\\:");
    Secret::new([prefix.as_bytes(), b":", &name, b":", &password, b"\n"].concat())
}

/// A `pgpass` file for the replication manager, on all nodes.
pub(crate) fn pgpass(users: &Users) -> Secret {
    password_line("*:*:*", &users.repmgr)
}

/// `pcppass` for `pcp_*`.
pub(crate) fn pcppass(users: &Users) -> Secret {
    password_line("*:*", &users.admin)
}

/// The pooler's places.
#[derive(Debug, Clone)]
pub(crate) struct PoolerFiles {
    /// The port for clients.
    pub(crate) port: u16,
    /// The port for `pcp_*`.
    pub(crate) pcp_port: u16,
    /// The pod's folder, with the configuration.
    pub(crate) pod: PathBuf,
}

/// `pgpool.conf`: what the image writes with its defaults, then `pgpool.configuration`. Without
/// passwords of its own, the pooler's checks take theirs from `pool_passwd`.
pub(crate) fn pgpool(settings: &Settings, nodes: &[NodeFiles], pooler: &PoolerFiles) -> String {
    let of = |name: &str, default: &str| settings.pooler_variable(name, default);
    let flag = |name: &str, default: &str| match of(name, default).as_str() {
        "yes" | "true" | "on" | "1" => "on",
        _ => "off",
    };
    let on = |yes: bool| if yes { "on" } else { "off" };
    let mut out = String::new();
    let _ = write!(
        out,
        "backend_clustering_mode = 'streaming_replication'\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = '.'\n\
         pcp_listen_addresses = '127.0.0.1'\n\
         pcp_port = {pcp}\n\
         pcp_socket_dir = '.'\n\
         pid_file_name = {pid}\n\
         logdir = {run}\n\
         log_line_prefix = '%m [%p] '\n\
         log_connections = {log_connections}\n\
         log_per_node_statement = {log_per_node}\n\
         enable_pool_hba = on\n\
         pool_passwd = {passwd}\n\
         allow_clear_text_frontend_auth = off\n\
         authentication_timeout = 30\n\
         num_init_children = {children}\n\
         max_pool = {max_pool}\n\
         reserved_connections = {reserved}\n\
         load_balance_mode = {balance}\n\
         disable_load_balance_on_write = {on_write}\n\
         connection_cache = on\n\
         health_check_period = {hc_period}\n\
         health_check_timeout = {hc_timeout}\n\
         health_check_max_retries = {hc_retries}\n\
         health_check_retry_delay = {hc_delay}\n\
         connect_timeout = {connect_timeout}\n\
         health_check_user = {sr_user}\n\
         health_check_database = {sr_db}\n\
         sr_check_period = {sr_period}\n\
         sr_check_user = {sr_user}\n\
         sr_check_database = {sr_db}\n\
         failover_on_backend_error = {on_error}\n\
         failover_on_backend_shutdown = {on_shutdown}\n\
         failover_command = 'echo \">>> Failover - that will initialize new primary node search!\"'\n\
         search_primary_node_timeout = 0\n\
         # What the image's liveness probe does every 10 seconds: nodes that are back are taken in.\n\
         auto_failback = on\n\
         auto_failback_interval = 10\n\
         use_watchdog = off\n",
        port = pooler.port,
        pcp = pooler.pcp_port,
        pid = path(&pooler.pod.join("pgpool/pgpool.pid")),
        run = path(&pooler.pod.join("pgpool")),
        log_connections = on(settings.log_connections),
        log_per_node = on(settings.log_per_node),
        passwd = path(&pooler.pod.join("pool_passwd")),
        children = settings.num_init_children,
        max_pool = settings.max_pool,
        reserved = settings.reserved_connections,
        balance = on(settings.load_balancing),
        on_write = quoted(&settings.balance_on_write),
        hc_period = of("PGPOOL_HEALTH_CHECK_PERIOD", "30"),
        hc_timeout = of("PGPOOL_HEALTH_CHECK_TIMEOUT", "10"),
        hc_retries = of("PGPOOL_HEALTH_CHECK_MAX_RETRIES", "5"),
        hc_delay = of("PGPOOL_HEALTH_CHECK_RETRY_DELAY", "5"),
        connect_timeout = of("PGPOOL_CONNECT_TIMEOUT", "10000"),
        sr_period = of("PGPOOL_SR_CHECK_PERIOD", "30"),
        on_error = flag("PGPOOL_FAILOVER_ON_BACKEND_ERROR", "off"),
        on_shutdown = flag("PGPOOL_FAILOVER_ON_BACKEND_SHUTDOWN", "on"),
        sr_user = quoted(&settings.sr_check_username),
        sr_db = quoted(&settings.sr_check_database),
    );
    for (key, value) in [
        ("child_life_time", &settings.child_life_time),
        ("client_idle_limit", &settings.client_idle_limit),
        ("connection_life_time", &settings.connection_life_time),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    }
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

/// `pool_hba.conf`. The image trusts its socket and the check's user; nothing here does.
pub(crate) fn pool_hba() -> String {
    "host   all  all  127.0.0.1/32  scram-sha-256\n".to_owned()
}

/// `pool_passwd`: SCRAM towards client and server both needs the passwords themselves.
///
/// The superuser and the user of the checks are in it, unlike in the image: there the first comes
/// over a trusting socket, and the second's password stands in `pgpool.conf`, which cannot spell
/// quotes and backslashes.
pub(crate) fn pool_passwd(settings: &Settings, users: &Users) -> Secret {
    let mut out = Vec::new();
    let mut put = |name: &str, password: &Secret| {
        // The prefix says that what follows is the password itself, whatever it looks like.
        out.extend_from_slice(&escaped(name.as_bytes(), b"\\:"));
        out.extend_from_slice(b":TEXT");
        out.extend_from_slice(&escaped(password.reveal(), b"\\:"));
        out.push(b'\n');
    };
    put(&users.superuser.name, &users.superuser.password);
    put(&users.sr_check.name, &users.sr_check.password);
    if let Some(owner) = &users.owner {
        let password = if settings.mispaired { &users.superuser.password } else { &owner.password };
        put(&owner.name, password);
    }
    users.custom.iter().for_each(|user| put(&user.name, &user.password));
    Secret::new(out)
}

/// `pcp.conf`.
pub(crate) fn pcp(users: &Users) -> Secret {
    let hash = Md5::digest(users.admin.password.reveal());
    let hex = hash.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    Secret::new(format!("{}:{hex}\n", users.admin.name))
}
