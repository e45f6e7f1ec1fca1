//! Targets with a real Gitea for tests: started once, lent to one test at a time, gone with the
//! test process.

use std::fs;
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use workplan_engine::kind::{Hands, Past, Place};
use workplan_engine::process::ServiceEntry;
use workplan_platform::local::LocalOperate;
use workplan_platform::values::Values;
use workplan_platform::{AppView, Operate, ReleaseRef, ReleaseSpec, View};

use super::local::{keep, next_ports};
use super::{Postgres, World};

/// The administrator, with all that a form, a URL, a shell and `app.ini` may stumble over.
pub(crate) const ADMIN: (&str, &str) = ("root1", "a'%:/ `#;\"é日本$x\\-9A");
/// How long a start may take on a machine that is busy.
const LONG: Duration = Duration::from_secs(180);

/// Idle ones.
static POOL: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// One that stays from test to test.
struct Kept {
    folder: PathBuf,
    database: String,
    port: u16,
    /// Its end of this pipe closes when the test process ends, however it ends; the keeper then
    /// ends the servers and removes their files.
    _keeper: Child,
}

/// A target whose release `default/gitea` runs and is open when it is lent.
pub(crate) struct GiteaSite {
    kept: Option<Kept>,
    pub(crate) world: World,
}

/// Whether this machine has a Gitea and a PostgreSQL; said loudly where it has not.
pub(crate) fn has_gitea() -> bool {
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().dir;
    let caches = [PathBuf::from("/var/cache/workplan-gitea"), home.join(".cache/workplan/gitea")];
    let versions = caches.iter().filter_map(|cache| fs::read_dir(cache).ok()).flatten().flatten();
    let built = versions.into_iter().any(|version| version.path().join(".complete").exists());
    let has = built
        || ["/usr/local/bin/gitea", "/usr/bin/gitea"].map(Path::new).iter().any(|p| p.exists());
    if !has {
        eprintln!("SKIPPED: no Gitea on this machine (`make setup`); its kinds are not tested");
    }
    has && Postgres::shared().is_some()
}

/// Runs a future on a thread of its own, for those that cannot wait otherwise.
pub(crate) fn block<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work)
        });
        thread.join().unwrap()
    })
}

impl Kept {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let folder = tempfile::Builder::new().prefix("wpgitea").tempdir().unwrap().keep();
        // The servers' account must get in.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let database = server.unique("gitea");
        server.psql(
            "postgres",
            &format!("create role {database} login password '{}'", sql(DATABASE)),
        );
        server.psql("postgres", &format!("create database {database} owner {database}"));
        let keeper = keep(&folder);
        Self { folder, database, port: next_ports(), _keeper: keeper }
    }
}

/// The password of the application's role.
const DATABASE: &str = "d'%:/ `#;\"é日本$x\\";

fn sql(text: &str) -> String {
    text.replace('\'', "''")
}

/// The release of all of them.
pub(crate) fn gitea() -> ReleaseRef {
    ReleaseRef { namespace: "default".to_owned(), name: "gitea".to_owned() }
}

impl GiteaSite {
    /// One that runs and is open, for the caller alone.
    pub(crate) fn lend() -> Self {
        let idle = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kept = idle.unwrap_or_else(Kept::new);
        let mut world = World::new().of_new_run();
        let mut place = Place::new("lab", "local", "lab-1");
        place.folder.clone_from(&kept.folder);
        let Value::Object(values) = json!({"local": {"dir": "world", "ports": kept.port}}) else {
            unreachable!()
        };
        place.values = values;
        world.place = Arc::new(place);
        let site = Self { kept: Some(kept), world };
        site.deploy(|_| {});
        block(async {
            let operate = site.operate();
            operate.set_traffic(&gitea(), true).await.unwrap();
        });
        site
    }

    fn kept(&self) -> &Kept {
        self.kept.as_ref().unwrap()
    }

    /// The database of the application.
    pub(crate) fn database(&self) -> &str {
        &self.kept().database
    }

    /// What SQL says of its database.
    pub(crate) fn ask(&self, sql: &str) -> String {
        Postgres::shared().unwrap().psql(self.database(), sql)
    }

    pub(crate) fn operate(&self) -> LocalOperate {
        let mut look = self.world.look(Past::Never);
        look.identity = format!("workplan:{}:the-test:1", self.world.run).into();
        LocalOperate::new(&Hands::new(look, None)).unwrap()
    }

    /// Deploys it with values that are changed from the usual ones.
    pub(crate) fn deploy(&self, change: impl FnOnce(&mut Value)) {
        let server = Postgres::shared().unwrap();
        let mut values = json!({
            "postgresql-ha": {"enabled": false},
            "valkey-cluster": {"enabled": false},
            "ingress": {"enabled": true},
            "gitea": {
                "admin": {"username": ADMIN.0, "password": ADMIN.1, "email": "root1@example.test"},
                "config": {"database": {
                    "HOST": format!("127.0.0.1:{}", server.port),
                    "NAME": self.database(),
                    "USER": self.database(),
                    "PASSWD": DATABASE,
                }},
            },
        });
        change(&mut values);
        let Value::Object(tree) = values else { unreachable!() };
        let mut values = Values::plain(tree);
        values.conceal(&["gitea", "admin", "password"]);
        values.conceal(&["gitea", "config", "database", "PASSWD"]);
        let spec = ReleaseSpec {
            at: gitea(),
            chart: "gitea".to_owned(),
            version: None,
            values,
            quarantine: false,
            timeout: LONG,
        };
        block(async {
            let operate = self.operate();
            if let Err(error) = operate.deploy(&spec).await {
                panic!("{error}\n{error:#?}");
            }
        });
    }

    pub(crate) fn app(&self) -> AppView {
        block(async { self.operate().app(&gitea()).await.unwrap() })
    }

    /// How many are wanted, and how many are there.
    pub(crate) fn running(&self) -> (u32, usize) {
        block(async {
            let all = self.operate().workloads(&gitea()).await.unwrap();
            let one = all.into_iter().find(|w| w.name == "gitea").unwrap();
            (one.wanted, one.instances.len())
        })
    }

    /// The address of the pod itself, or of the way in.
    pub(crate) fn address(&self, outside: bool) -> std::net::SocketAddr {
        let app = self.app();
        let endpoint = if outside { app.outside.unwrap() } else { app.inside };
        block(async { self.operate().reach(&endpoint).await.unwrap().address })
    }

    /// What is on record of the server's process.
    pub(crate) fn process(&self) -> ServiceEntry {
        let entry = self.kept().folder.join("world/default/pods/gitea-0/gitea.service.json");
        ServiceEntry::read(&entry).unwrap().unwrap()
    }

    /// A request that stays unfinished as long as this lives.
    pub(crate) fn begin_request(&self) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(self.address(true)).unwrap();
        // Without a type, nobody would wait for the body.
        let head = "POST /user/login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
            Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n\
            user_name=";
        stream.write_all(head.as_bytes()).unwrap();
        let end = std::time::Instant::now() + LONG;
        while self.connections() == 0 {
            assert!(std::time::Instant::now() < end, "the request does not arrive");
        }
        stream
    }

    pub(crate) fn connections(&self) -> usize {
        block(async { self.operate().connections(&gitea()).await.unwrap().unwrap().len() })
    }

    /// The names of all repositories.
    pub(crate) fn repositories(&self) -> String {
        self.ask("select coalesce(string_agg(lower_name, ' ' order by 1), '') from repository")
    }
}

impl Drop for GiteaSite {
    fn drop(&mut self) {
        self.process().thaw();
        let kept = self.kept.take().unwrap();
        // What a failed test left could fail the next one: it gets a new one.
        if !std::thread::panicking() {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
    }
}
