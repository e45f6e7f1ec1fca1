//! Targets with a real PostgreSQL HA for tests: repmgr and a pooler, started once, lent to one test
//! at a time, gone with the test process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use workplan_engine::kind::{Hands, Past, Place};
use workplan_engine::process::ServiceEntry;
use workplan_platform::local::LocalOperate;
use workplan_platform::sql::{Login, Reader, Writer};
use workplan_platform::values::{Values, written};
use workplan_platform::{Endpoint, Operate, PostgresHa, ReleaseRef, ReleaseSpec, View, deployed};

use super::local::{keep, next_ports};
use super::{World, block};

/// The pooler's own user, an application's.
pub(crate) const APP: &str = "app";
/// What all passwords have in them: all that one or another file or tool would read as its own.
const HARD: &str = "p'%:/ \\#\"wörd=";
const LONG: Duration = Duration::from_secs(120);
const DEADLINE: Duration = Duration::from_secs(10);

/// Idle ones.
static POOL: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

struct Kept {
    folder: PathBuf,
    port: u16,
    _keeper: Child,
}

/// A target whose release `platform/postgresql-ha` is whole when it is lent.
pub(crate) struct ClusterSite {
    kept: Option<Kept>,
    pub(crate) world: World,
}

/// The release of all of them.
pub(crate) fn cluster() -> ReleaseRef {
    ReleaseRef { namespace: "platform".to_owned(), name: "postgresql-ha".to_owned() }
}

/// Whether this machine has all of it; said loudly where it has not.
pub(crate) fn has_cluster() -> bool {
    let repmgr = fs::read_dir("/usr/lib/postgresql").is_ok_and(|versions| {
        versions.flatten().any(|version| version.path().join("bin/repmgrd").is_file())
    });
    let has = repmgr && Path::new("/usr/sbin/pgpool").is_file();
    if !has {
        eprintln!("SKIPPED: no repmgr or no pgpool on this machine; their kinds are not tested");
    }
    has
}

/// The values that are shipped, with passwords, and with what tests read or wait for.
fn values() -> Value {
    let shipped = include_bytes!("../../../helm/postgresql-ha-values.yaml").to_vec();
    let shipped = written(Path::new("postgresql-ha-values.yaml"), shipped).unwrap();
    let mut values = Value::Object(shipped.tree);
    let pooler = values["pgpool"]["configuration"].as_str().unwrap().to_owned();
    for (part, more) in [
        (
            "postgresql",
            json!({
                "password": format!("postgres-{HARD}"),
                "repmgrPassword": format!("repmgr-{HARD}"),
                // Who logs in is read in the log.
                "extendedConf": "log_connections = on\nfsync = off\n",
            }),
        ),
        (
            "pgpool",
            json!({
                "adminPassword": format!("admin-{HARD}"),
                "srCheckPassword": format!("check-{HARD}"),
                "customUsers": {"usernames": APP, "passwords": format!("app-{HARD}")},
                // Each login of a client is one at a server, so that the log has it.
                "configuration": format!("{pooler}\nconnection_cache = off\n"),
            }),
        ),
    ] {
        let Value::Object(more) = more else { unreachable!() };
        values[part].as_object_mut().unwrap().extend(more);
    }
    values
}

/// What a values file would keep encrypted.
const SECRETS: &[&[&str]] = &[
    &["postgresql", "password"],
    &["postgresql", "repmgrPassword"],
    &["pgpool", "adminPassword"],
    &["pgpool", "srCheckPassword"],
    &["pgpool", "customUsers", "passwords"],
];

impl ClusterSite {
    /// One that is whole, for the caller alone.
    pub(crate) fn lend() -> Self {
        let idle = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kept = idle.unwrap_or_else(|| {
            let folder = tempfile::Builder::new().prefix("wpha").tempdir().unwrap().keep();
            // The servers' account must get in.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            let keeper = keep(&folder);
            Kept { folder, port: next_ports(), _keeper: keeper }
        });
        let mut world = World::new().of_new_run();
        let mut place = Place::new("lab", "local", "lab-1");
        place.folder.clone_from(&kept.folder);
        place.values.insert("local".to_owned(), json!({"dir": "world", "ports": kept.port}));
        world.place = Arc::new(place);
        let site = Self { kept: Some(kept), world };
        site.deploy(|_| {});
        site.sql(
            "do $$ begin if not exists (select from pg_roles where rolname = 'app') then \
             create role app login; end if; end $$",
        );
        site.set_password(APP, &format!("app-{HARD}"));
        site
    }

    pub(crate) fn operate(&self) -> LocalOperate {
        let mut look = self.world.look(Past::Never);
        look.identity = format!("workplan:{}:the-test:1", self.world.run).into();
        LocalOperate::new(&Hands::new(look, None)).unwrap()
    }

    /// Deploys it with values that are changed from the usual ones.
    pub(crate) fn deploy(&self, change: impl FnOnce(&mut Value)) {
        let mut values = values();
        change(&mut values);
        let Value::Object(tree) = values else { unreachable!() };
        let mut values = Values::plain(tree);
        SECRETS.iter().for_each(|path| values.conceal(path));
        let spec = ReleaseSpec {
            at: cluster(),
            chart: "postgresql-ha".to_owned(),
            version: None,
            values,
            quarantine: false,
            timeout: LONG,
        };
        block(async {
            if let Err(error) = self.operate().deploy(&spec).await {
                panic!("{error}\n{error:#?}");
            }
        });
    }

    pub(crate) fn ha(&self) -> PostgresHa {
        let part = workplan_platform::PartRef { release: cluster(), part: None };
        block(async { self.operate().postgres(&part).await.unwrap() })
    }

    async fn login(&self, operate: &LocalOperate, endpoint: &Endpoint) -> Login {
        let key = &self.ha().superuser.1;
        Login {
            endpoint: endpoint.clone(),
            user: "postgres".to_owned(),
            password: Some(deployed(operate, key).await.unwrap()),
            database: "postgres".to_owned(),
            application: "test".to_owned(),
        }
    }

    /// Which of its nodes lead.
    pub(crate) fn leading(&self) -> Vec<String> {
        let ha = self.ha();
        block(async {
            let operate = self.operate();
            let mut found = Vec::new();
            for node in &ha.nodes {
                let login = self.login(&operate, &node.endpoint).await;
                let asked = async {
                    let reader = Reader::connect(&operate, &login, DEADLINE).await.ok()?;
                    let rows = reader.rows("select not pg_is_in_recovery()", &[]).await.ok()?;
                    Some(rows[0].get::<_, bool>(0))
                };
                if asked.await == Some(true) {
                    found.push(node.name.clone());
                }
            }
            found
        })
    }

    /// Does SQL on the node that leads.
    pub(crate) fn sql(&self, sql: &str) {
        self.sql_in("postgres", sql);
    }

    /// The same in a database.
    pub(crate) fn sql_in(&self, database: &str, sql: &str) {
        let leader = self.leading().pop().unwrap();
        let node = self.ha().nodes.into_iter().find(|n| n.name == leader).unwrap();
        block(async {
            let operate = self.operate();
            let mut login = self.login(&operate, &node.endpoint).await;
            login.database = database.to_owned();
            Writer::connect(&operate, &login, DEADLINE).await.unwrap().run(sql).await.unwrap();
        });
    }

    /// The first column of what a query gives on the node that leads.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        let Some(leader) = self.leading().pop() else { return vec!["nobody leads".to_owned()] };
        let node = self.ha().nodes.into_iter().find(|n| n.name == leader).unwrap();
        block(async {
            let operate = self.operate();
            let login = self.login(&operate, &node.endpoint).await;
            let reader = Reader::connect(&operate, &login, DEADLINE).await.unwrap();
            let rows = reader.texts(sql).await.unwrap();
            rows.iter().map(|row| row.get(0).unwrap_or_default().to_owned()).collect()
        })
    }

    pub(crate) fn set_password(&self, user: &str, password: &str) {
        self.sql(&format!("alter role {user} password '{}'", password.replace('\'', "''")));
    }

    /// A file of one of its pods.
    pub(crate) fn file(&self, pod: &str, name: &str) -> PathBuf {
        self.kept.as_ref().unwrap().folder.join(format!("world/platform/pods/{pod}/{name}"))
    }

    /// The logs of all data nodes.
    pub(crate) fn logs(&self) -> String {
        let nodes = (0..3).map(|n| format!("postgresql-ha-postgresql-{n}"));
        nodes.map(|n| fs::read_to_string(self.file(&n, "postgresql.log")).unwrap()).collect()
    }

    /// The pooler's process.
    pub(crate) fn pooler(&self) -> ServiceEntry {
        self.server("postgresql-ha-pgpool-0", "pgpool")
    }

    /// The process of a container.
    pub(crate) fn server(&self, pod: &str, container: &str) -> ServiceEntry {
        let entry = self.file(pod, &format!("{container}.service.json"));
        ServiceEntry::read(&entry).unwrap().unwrap()
    }

    /// Whether all of its nodes take connections.
    pub(crate) fn all_up(&self) -> bool {
        let ha = self.ha();
        ha.nodes.iter().all(|node| {
            let address =
                block(async { self.operate().reach(&node.endpoint).await.unwrap().address });
            node.running && std::net::TcpStream::connect(address).is_ok()
        })
    }
}

impl Drop for ClusterSite {
    fn drop(&mut self) {
        self.pooler().thaw();
        let kept = self.kept.take().unwrap();
        // What a failed test left could fail the next one: it gets a new one.
        if !std::thread::panicking() {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
    }
}
