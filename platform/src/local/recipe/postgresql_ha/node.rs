//! One data node: what must be so before its server starts, and before its manager does.
//!
//! Starting a node never makes a second primary. With a primary there, it joins that as a standby.
//! Without one, and with others that run, it waits for theirs. With none that runs, the node whose
//! data is the newest leads, and the others wait for it; of a new cluster that is number 0.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use workplan_engine::kind::Secret;
use workplan_engine::process::{Liveness, ServiceEntry};

use super::cluster::{self, Cluster, NodeRef, Role, ask_role};
use super::conf::word;
use super::first;
use super::render::SERVER;
use crate::PlatformError;
use crate::local::pod::{Pod, PodFolder};
use crate::local::run::{Act, NoStart, Program};
use crate::local::store::files;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a node may take to say its role.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a standby that was started on data of its own may take to receive; then its data is
/// not of this primary's history, and it is cloned.
const RECEIVES: Duration = Duration::from_secs(15);

pub(super) struct Node<'a, 'w> {
    act: &'a Act<'w>,
    pod: &'a Pod,
    cluster: Cluster,
    number: usize,
}

/// What a data folder's control file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Data {
    timeline: u64,
    /// One that was a standby knows less than the primary of the same timeline.
    led: bool,
    at: u64,
}

impl<'a, 'w> Node<'a, 'w> {
    pub(super) fn new(act: &'a Act<'w>, pod: &'a Pod) -> Result<Self, PlatformError> {
        let cluster = Cluster::read(&pod.settings).map_err(PlatformError::failed)?;
        Ok(Self { act, pod, number: pod.ordinal as usize, cluster })
    }

    fn this(&self) -> &NodeRef {
        &self.cluster.nodes[self.number]
    }

    fn data(&self, node: &NodeRef) -> PathBuf {
        self.act.volume(&node.claim).join("data")
    }

    fn folder(&self) -> PodFolder {
        self.act.folder(&self.pod.name)
    }

    /// There while a clone is being made: what it left is no database.
    fn unfinished(&self) -> PathBuf {
        self.act.volume(&self.this().claim).join("cloning")
    }

    /// Brings the data folder into a state in which the server may start.
    pub(super) async fn prepare(&self) -> Result<(), PlatformError> {
        let data = self.data(self.this());
        if self.unfinished().exists() {
            files::remove(&data)?;
        }
        // A server that was killed leaves the word of its process number; no other runs here.
        files::remove(&data.join("postmaster.pid"))?;
        match self.find_primary().await? {
            Some(primary) => self.follow(&primary).await?,
            None if data.exists() => files::remove(&data.join("standby.signal"))?,
            None => first::make(self.act, &self.cluster, &data).await?,
        }
        let volumes = self.act.world().store.volumes(&self.act.at.namespace);
        volumes.note(&self.this().claim, "postgresql", &self.cluster.major)
    }

    /// The primary that this node has to follow; `None` when it is the one that leads.
    async fn find_primary(&self) -> Result<Option<NodeRef>, PlatformError> {
        let others: Vec<&NodeRef> =
            self.cluster.nodes.iter().filter(|n| n.pod != self.pod.name).collect();
        loop {
            let mut running = Vec::new();
            let mut silent = Vec::new();
            for node in &others {
                if !self.runs(node)? {
                    continue;
                }
                running.push(node.pod.clone());
                let (namespace, login) = (&self.act.at.namespace, &self.cluster.superuser);
                let role = ask_role(self.act.view, namespace, node.port, login, ANSWER).await;
                match role {
                    Ok(Role::Primary) => return Ok(Some((*node).clone())),
                    Ok(Role::Standby { .. }) => {}
                    Err(error) => silent.push(error.to_string()),
                }
            }
            let waiting = if running.is_empty() {
                let leader = self.leader().await?;
                if leader == self.number {
                    return Ok(None);
                }
                let leader = &self.cluster.nodes[leader].pod;
                if self.act.is_given_up(leader) {
                    let what = format!("`{leader}`, which leads, does not come up");
                    return Err(PlatformError::failed(what));
                }
                format!("its data is older than that of `{leader}`")
            } else {
                let silent: String = silent.iter().map(|why| format!("; {why}")).collect();
                format!("none of {} leads{silent}", running.join(", "))
            };
            self.act.check(&format!(
                "waiting for a primary that `{}` could follow: {waiting}",
                self.pod.name
            ))?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether another node's server lives.
    fn runs(&self, node: &NodeRef) -> Result<bool, PlatformError> {
        let path = self.act.folder(&node.pod).entry(SERVER);
        let entry = ServiceEntry::read(&path).map_err(|e| PlatformError::io("read", &path, &e))?;
        Ok(entry.is_some_and(|e| e.liveness() != Liveness::Dead))
    }

    /// The node with the newest data, when none runs; number 0 where there is none.
    async fn leader(&self) -> Result<usize, PlatformError> {
        let mut newest: Option<(Data, usize)> = None;
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            let path = self.data(node);
            let unfinished = self.act.volume(&node.claim).join("cloning").exists();
            if unfinished || !path.join("global/pg_control").exists() {
                continue;
            }
            let data = self.control(&path).await?;
            if newest.is_none_or(|(best, _)| data > best) {
                newest = Some((data, number));
            }
        }
        Ok(newest.map_or(0, |(_, number)| number))
    }

    async fn control(&self, data: &Path) -> Result<Data, PlatformError> {
        let program = self.cluster.bin.join("pg_controldata");
        let path = data.display().to_string();
        let out = self.act.done(Program::new(&program, ["-D", &path])).await?;
        let text = String::from_utf8_lossy(&out).into_owned();
        let fields: BTreeMap<&str, &str> =
            text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k, v.trim())).collect();
        let number = |key: &str| fields.get(key).and_then(|v| v.parse().ok()).unwrap_or(0);
        let position = |key: &str| fields.get(key).and_then(|v| lsn(v)).unwrap_or(0);
        Ok(Data {
            timeline: number("Latest checkpoint's TimeLineID")
                .max(number("Min recovery ending loc's timeline")),
            led: !data.join("standby.signal").exists(),
            at: position("Latest checkpoint location")
                .max(position("Minimum recovery ending location")),
        })
    }

    /// Makes the data folder a standby's of a primary: as it is, rewound, or cloned.
    async fn follow(&self, primary: &NodeRef) -> Result<(), PlatformError> {
        let data = self.data(self.this());
        if !data.join("global/pg_control").exists() {
            return self.clone_from(primary).await;
        }
        if !data.join("standby.signal").exists() {
            // It led, or was stopped as a primary: its history may have left the primary's. Before
            // PostgreSQL 16 a primary that was promoted just now still has its old timeline on
            // record, until a checkpoint, and a rewind would find nothing to do.
            self.psql(primary, "postgres", "checkpoint").await?;
            let program = self.cluster.bin.join("pg_rewind");
            let path = data.display().to_string();
            let source = self.conninfo(primary, "postgres");
            let args = ["--target-pgdata", &path, "--source-server", &source];
            let outcome = self.act.run(self.with_password(Program::new(&program, args))).await?;
            if outcome.code != Some(0) {
                return self.clone_from(primary).await;
            }
        }
        self.write_upstream(primary).await
    }

    fn with_password<'p>(&self, mut program: Program<'p>) -> Program<'p> {
        let pgpass = self.folder().file("pgpass").display().to_string();
        program.env.push(("PGPASSFILE".to_owned(), pgpass));
        program
    }

    fn conninfo(&self, node: &NodeRef, database: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user={} dbname={} connect_timeout=5 passfile={}",
            node.port,
            word(&self.cluster.repmgr.user),
            word(database),
            word(&self.folder().file("pgpass").display().to_string()),
        )
    }

    fn slot(&self) -> String {
        format!("repmgr_slot_{}", self.number + 1)
    }

    /// Says in the data folder whom it follows. The last word in `postgresql.auto.conf` counts.
    async fn write_upstream(&self, primary: &NodeRef) -> Result<(), PlatformError> {
        let data = self.data(self.this());
        let auto = data.join("postgresql.auto.conf");
        let old = files::read(&auto)?.unwrap_or_default();
        let mut text: String = String::from_utf8_lossy(&old)
            .lines()
            .filter(|l| !l.starts_with("primary_conninfo") && !l.starts_with("primary_slot_name"))
            .map(|l| format!("{l}\n"))
            .collect();
        let conninfo = self.conninfo(primary, "replication");
        let conninfo = conninfo.replace(" dbname='replication'", "");
        let name = word(&self.pod.name);
        let upstream = format!("{conninfo} application_name={name}");
        text.push_str(&format!("primary_conninfo = {}\n", super::conf::quoted(&upstream)));
        text.push_str(&format!("primary_slot_name = '{}'\n", self.slot()));
        let account = Some(self.act.account);
        files::write_for(&auto, text.as_bytes(), files::SEALED, account)?;
        files::write_for(&data.join("standby.signal"), b"", files::SEALED, account)?;
        let sql = format!(
            "select pg_catalog.pg_create_physical_replication_slot('{slot}', true) where not \
             exists (select from pg_catalog.pg_replication_slots where slot_name = '{slot}')",
            slot = self.slot()
        );
        self.psql(primary, "postgres", &sql).await
    }

    /// A statement that writes, by `psql`, as the replication manager.
    async fn psql(&self, node: &NodeRef, database: &str, sql: &str) -> Result<(), PlatformError> {
        let program = self.cluster.bin.join("psql");
        let conninfo = self.conninfo(node, database);
        let args = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &conninfo, "-f", "-"];
        let mut psql = self.with_password(Program::new(&program, args));
        psql.stdin = Some(Secret::new(sql.as_bytes()));
        self.act.done(psql).await.map(drop)
    }

    async fn clone_from(&self, primary: &NodeRef) -> Result<(), PlatformError> {
        let data = self.data(self.this());
        // A clone needs the primary to be on record with repmgr.
        self.wait_registered(primary).await?;
        files::write_for(&self.unfinished(), b"", files::SEALED, Some(self.act.account))?;
        files::remove(&data)?;
        let repmgr = self.cluster.bin.join("repmgr");
        let conf = self.folder().file("repmgr.conf").display().to_string();
        let port = primary.port.to_string();
        let args = [
            "-f",
            &conf,
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            &self.cluster.repmgr.user,
            "-d",
            &self.cluster.repmgr_database,
            "standby",
            "clone",
            "--fast-checkpoint",
        ];
        self.act.done(self.with_password(Program::new(&repmgr, args))).await?;
        files::remove(&self.unfinished())
    }

    /// Waits until a primary is on record with repmgr, which a clone asks for.
    async fn wait_registered(&self, primary: &NodeRef) -> Result<(), PlatformError> {
        let sql = "select 1 from repmgr.nodes where active and type = 'primary'";
        loop {
            let why = match self.ask(primary, &self.cluster.repmgr_database, sql).await {
                Ok(rows) if !rows.is_empty() => return Ok(()),
                Ok(_) => "it is not there yet".to_owned(),
                Err(error) => error.to_string(),
            };
            self.act.check(&format!("waiting for repmgr's record of the primary: {why}"))?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(
        &self,
        node: &NodeRef,
        database: &str,
        sql: &str,
    ) -> Result<Vec<crate::sql::Row>, crate::sql::SqlError> {
        let (namespace, login) = (&self.act.at.namespace, &self.cluster.superuser);
        cluster::ask(self.act.view, namespace, node.port, login, database, sql, ANSWER).await
    }

    /// Takes the running server into the cluster: as what it is, on record with repmgr.
    pub(super) async fn join(&self) -> Result<(), NoStart> {
        let mut until = Instant::now() + RECEIVES;
        let mut cloned = false;
        let kind = loop {
            let (namespace, login) = (&self.act.at.namespace, &self.cluster.superuser);
            let why =
                match ask_role(self.act.view, namespace, self.this().port, login, ANSWER).await {
                    Ok(Role::Primary) => break "primary",
                    Ok(Role::Standby { streaming: true }) => break "standby",
                    Ok(Role::Standby { streaming: false }) => "it receives nothing yet".to_owned(),
                    Err(error) => error.to_string(),
                };
            if Instant::now() >= until && !cloned {
                // Its data is not of this primary's history.
                self.clone_again().await?;
                (cloned, until) = (true, Instant::now() + RECEIVES);
            }
            self.act.check(&format!("waiting for `{}`: {why}", self.pod.name))?;
            tokio::time::sleep(PAUSE).await;
        };
        let repmgr = self.cluster.bin.join("repmgr");
        let conf = self.folder().file("repmgr.conf").display().to_string();
        let mut args = vec!["-f", &conf, kind, "register", "--force"];
        if kind == "standby" {
            // Its daemon reads the record from the standby itself.
            args.push("--wait-sync=60");
        }
        self.act.done(self.with_password(Program::new(&repmgr, args))).await?;
        Ok(())
    }

    /// Why this standby has not come to where its primary is now. One whose data has left the
    /// primary's history says that it receives, and gets nowhere.
    async fn behind(&self) -> Result<Option<String>, PlatformError> {
        let Some(primary) = self.find_primary().await? else { return Ok(None) };
        let sql = "select pg_catalog.pg_current_wal_lsn()::text, \
                   pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())";
        let there = match self.ask(&primary, "postgres", sql).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let sql = "select pg_catalog.pg_last_wal_replay_lsn()::text, \
                   (select received_tli from pg_catalog.pg_stat_wal_receiver)";
        let here = match self.ask(self.this(), "postgres", sql).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let (Some(there), Some(here)) = (there.first(), here.first()) else { return Ok(None) };
        let end: Option<&str> = there.get(0);
        let file: Option<&str> = there.get(1);
        let replayed: Option<&str> = here.get(0);
        let timeline = file.and_then(|f| i32::from_str_radix(f.get(..8)?, 16).ok());
        if here.get::<_, Option<i32>>(1) != timeline {
            return Ok(Some("it receives another timeline than its primary's".to_owned()));
        }
        let caught_up = replayed.and_then(lsn) >= end.and_then(lsn);
        Ok((!caught_up).then(|| "it has not replayed all of its primary's changes".to_owned()))
    }

    /// Clones a standby that cannot receive with the data that it has.
    async fn clone_again(&self) -> Result<(), NoStart> {
        let Some(server) = self.pod.containers.first() else { return Ok(()) };
        let Some(primary) = self.find_primary().await? else { return Ok(()) };
        let path = self.folder().entry(SERVER);
        let entry = ServiceEntry::read(&path).map_err(|e| PlatformError::io("read", &path, &e))?;
        if let Some(entry) = entry {
            let ended = entry.end(Some(server.stop.signal()), server.stop.patience()).await;
            self.act.ended(&format!("{}/{SERVER}", self.pod.name), ended)?;
        }
        self.clone_from(&primary).await?;
        self.act.start_server(self.pod, &self.folder(), server).await
    }
}

/// A WAL position as `X/Y`.
fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}
