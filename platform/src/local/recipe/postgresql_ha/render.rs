//! From values to objects and pods.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use workplan_engine::kind::Secret;

use super::cluster::{Cluster, Login, NodeRef};
use super::conf::{self, NodeFiles, PoolerFiles};
use super::settings::{Settings, User, Users};
use super::{NODE, POOLER};
use crate::PlatformError;
use crate::local::pod::{Container, Pod, PodFile, PodPort, Probe, Stop, Text};
use crate::local::programs;
use crate::local::recipe::{Context, Keys};

/// The server of a data node.
pub(super) const SERVER: &str = "postgresql";
/// Its replication manager's daemon.
pub(super) const MANAGER: &str = "repmgrd";
/// What servers in containers listen on.
const PORT: u16 = 5432;
const PCP_PORT: u16 = 9898;
/// A fast stop waits for the standbys' receivers.
const STOP: Duration = Duration::from_secs(60);

pub(super) fn render(cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError> {
    let settings = Settings::read(cx, values)?;
    let users = Users::read(cx, values, &settings)?;
    let keep = values.flag("persistence.enabled", true)?;
    if !keep {
        cx.note("`persistence.enabled` is false: the data is kept in volumes here all the same");
    }
    let (nodes, cluster) = places(cx, &settings, &users)?;
    for (node, files) in nodes.iter().zip(&cluster.nodes) {
        data_node(cx, &settings, &users, &cluster, node, &files.claim);
    }
    let pods: Vec<String> = nodes.iter().map(|n| n.name.clone()).collect();
    cx.service(&settings.postgresql(), &[(PORT, PORT)], &pods);
    cx.service(&format!("{}-headless", settings.postgresql()), &[(PORT, PORT)], &pods);
    poolers(cx, &settings, &users, &cluster, &nodes)
}

/// Where everything of the cluster lies.
fn places(
    cx: &mut Context<'_>,
    settings: &Settings,
    users: &Users,
) -> Result<(Vec<NodeFiles>, Cluster), PlatformError> {
    let workload = settings.postgresql();
    let mut nodes = Vec::new();
    let mut refs = Vec::new();
    let mut major = None;
    for number in 0..settings.replicas {
        let name = format!("{workload}-{number}");
        let claim = format!("data-{name}");
        if let Some(volume) = cx.volume(&claim)? {
            major = major.or(volume.holds.get("postgresql").cloned());
        }
        let data = cx.claim(&claim).join("data");
        let port = cx.port(&name, "postgresql")?;
        refs.push(NodeRef { pod: name.clone(), claim, port });
        nodes.push(NodeFiles { number, pod: cx.pod_folder(&name), name, port, data });
    }
    let bin = programs::postgres_bin(major.as_deref())?;
    let here = programs::major_of(&bin);
    let package = format!("postgresql-{}-repmgr", here.as_deref().unwrap_or("15"));
    programs::find(&["repmgr"], Some(&bin), &package)?;
    programs::find(&["repmgrd"], Some(&bin), &package)?;
    let chart = crate::local::recipe::Recipe::chart(&super::PostgresqlHa).app_version;
    if let Some(here) = here.as_deref().filter(|here| chart.split('.').next() != Some(*here)) {
        cx.note(format!(
            "PostgreSQL {here} runs here, the chart's is {chart}: another major version"
        ));
    }
    cx.note("databases are made with the locale C.UTF-8, the chart's image has en_US.UTF-8");
    let login = |user: &User| Login {
        user: user.name.clone(),
        secret: user.secret.clone(),
        key: user.key.clone(),
    };
    let cluster = Cluster {
        bin,
        major: here.unwrap_or_default(),
        nodes: refs,
        superuser: login(&users.superuser),
        owner: users.owner.as_ref().map(login),
        repmgr: login(&users.repmgr),
        repmgr_database: settings.repmgr_database.clone(),
        sr_check: login(&users.sr_check),
        database: settings.database.clone(),
        pooler: None,
        admin: None,
    };
    Ok((nodes, cluster))
}

fn data_node(
    cx: &mut Context<'_>,
    settings: &Settings,
    users: &Users,
    cluster: &Cluster,
    node: &NodeFiles,
    claim: &str,
) {
    let postgresql = conf::postgresql(settings, node);
    let repmgr = conf::repmgr(settings, node, &cluster.bin);
    let hba = conf::hba(settings);
    let body = json!({"postgresql.conf": postgresql, "pg_hba.conf": hba, "repmgr.conf": repmgr});
    cx.object("ConfigMap", &format!("{}-configuration", node.name), body);
    let open = |path: &str, text: String| PodFile { path: path.to_owned(), text: Text::Open(text) };
    let env = vec![
        ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        // repmgr runs commands by a shell.
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
    ];
    let manager_env =
        [env.clone(), vec![("PGPASSFILE".to_owned(), node.pgpass().display().to_string())]]
            .concat();
    let container = |name: &str, program: &str, args: &[&str], env, ports, probe, stop| Container {
        name: name.to_owned(),
        program: cluster.bin.join(program),
        args: args.iter().map(|&a| a.to_owned()).collect(),
        env,
        secret_env: Vec::new(),
        cwd: None,
        ports,
        probe,
        stop,
    };
    let server_conf = format!("config_file={}", node.postgresql_conf().display());
    let repmgr_conf = node.repmgr_conf().display().to_string();
    let port = PodPort { name: "postgresql".to_owned(), port: PORT, local: node.port };
    let mut server = container(
        SERVER,
        "postgres",
        &["-D", &node.data.display().to_string(), "-c", &server_conf],
        env,
        vec![port],
        Probe::Postgres(node.port),
        Stop::by(Signal::SIGINT, STOP),
    );
    // The server goes to its data folder by itself; from the start, so that its orphans are known.
    server.cwd = Some(node.data.clone());
    let manager = container(
        MANAGER,
        "repmgrd",
        &["-f", &repmgr_conf, "--daemonize=false"],
        manager_env,
        Vec::new(),
        Probe::Process,
        Stop::by(Signal::SIGTERM, Duration::from_secs(10)),
    );
    cx.pod(Pod {
        name: node.name.clone(),
        workload: settings.postgresql(),
        component: NODE.to_owned(),
        part: cx.part().map(str::to_owned),
        chart: "postgresql-ha".to_owned(),
        ordinal: node.number,
        wave: 0,
        gate: false,
        claims: vec![claim.to_owned()],
        files: vec![
            open("postgresql.conf", postgresql),
            open("pg_hba.conf", hba),
            open("repmgr.conf", repmgr),
            PodFile { path: "pgpass".to_owned(), text: Text::Sealed(conf::pgpass(users)) },
        ],
        containers: vec![server, manager],
        settings: json!(cluster),
    });
}

fn poolers(
    cx: &mut Context<'_>,
    settings: &Settings,
    users: &Users,
    cluster: &Cluster,
    nodes: &[NodeFiles],
) -> Result<(), PlatformError> {
    let workload = settings.pgpool();
    let program = programs::find(&["pgpool"], None, "pgpool2")?;
    let mut pods = Vec::new();
    for ordinal in 0..settings.poolers {
        let name = format!("{workload}-{ordinal}");
        let files = PoolerFiles {
            port: cx.port(&name, "postgresql")?,
            pcp_port: cx.port(&name, "pcp")?,
            pod: cx.pod_folder(&name),
        };
        let open = conf::pgpool(settings, nodes, &files);
        let told = [&settings.sr_check_username, &settings.sr_check_database];
        if told.iter().any(|t| t.contains(['\'', '\\']))
            || files.pod.to_string_lossy().contains('\'')
        {
            return Err(PlatformError::failed(
                "pgpool's configuration cannot spell a quote or a backslash, and one is in the \
                 name of its check's user or database, or in the path of `local.dir`",
            ));
        }
        let config = json!({"pgpool.conf": open, "pool_hba.conf": conf::pool_hba()});
        cx.object("ConfigMap", &format!("{name}-configuration"), config);
        let sealed = |path: &str, text| PodFile { path: path.to_owned(), text: Text::Sealed(text) };
        let path = |file: &str| files.pod.join(file).display().to_string();
        let args = [
            "-n",
            "-D",
            "-f",
            &path("pgpool.conf"),
            "-F",
            &path("pcp.conf"),
            "-a",
            &path("pool_hba.conf"),
        ]
        .map(str::to_owned);
        let login = |user: &User| Login {
            user: user.name.clone(),
            secret: user.secret.clone(),
            key: user.key.clone(),
        };
        let known = [&users.superuser].into_iter().chain(&users.owner).chain(&users.custom);
        let mut cluster = cluster.clone();
        cluster.pooler = Some(known.map(login).collect());
        cluster.admin = Some(users.admin.name.clone());
        cx.pod(Pod {
            workload: workload.clone(),
            component: POOLER.to_owned(),
            part: cx.part().map(str::to_owned),
            chart: "postgresql-ha".to_owned(),
            ordinal,
            wave: 1,
            gate: false,
            claims: Vec::new(),
            files: vec![
                sealed("pgpool.conf", Secret::new(open)),
                sealed("pool_passwd", conf::pool_passwd(settings, users)),
                sealed("pcp.conf", conf::pcp(users)),
                sealed("pcppass", conf::pcppass(users)),
                PodFile { path: "pool_hba.conf".to_owned(), text: Text::Open(conf::pool_hba()) },
            ],
            containers: vec![Container {
                name: POOLER.to_owned(),
                program: program.clone(),
                args: args.to_vec(),
                env: vec![
                    ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
                    ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ],
                secret_env: Vec::new(),
                cwd: None,
                ports: vec![
                    PodPort { name: "postgresql".to_owned(), port: PORT, local: files.port },
                    PodPort { name: "pcp".to_owned(), port: PCP_PORT, local: files.pcp_port },
                ],
                probe: Probe::Postgres(files.port),
                stop: Stop::by(Signal::SIGINT, Duration::from_secs(20)),
            }],
            settings: json!(cluster),
            name: name.clone(),
        });
        pods.push(name);
    }
    cx.service(&workload, &[(PORT, PORT)], &pods);
    Ok(())
}
