//! Telling the poolers that a node is back.
//!
//! pgpool never looks for a primary among nodes that it has as down. One that was not taken in
//! again before the next failover would be the very one that repmgr promotes, and pgpool would
//! search for ever. The image's liveness probe does the same.

use std::path::Path;
use std::time::Duration;

use workplan_engine::process::Liveness;

use super::POOLER;
use crate::PlatformError;
use crate::local::pod::Pod;
use crate::local::programs;
use crate::local::run::{Act, PodStatus, Program};

/// How long one request may take. While pgpool searches for a primary, it answers none.
const REQUEST: Duration = Duration::from_secs(5);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// The number in `pcp_node_info` of a node that is down.
const DOWN: &str = "3";

/// Has every pooler of a data node's cluster that runs take the node in, where it has it as down.
pub(super) async fn take_in(act: &Act<'_>, node: &Pod) -> Result<(), PlatformError> {
    for pod in act.view.pods(act.at)? {
        let record = &pod.record;
        let kin = record.component == POOLER && record.part == node.part;
        let runs = |p: &PodStatus| {
            let main = p.servers.first().and_then(|(_, entry)| entry.as_ref());
            main.is_some_and(|e| e.liveness() == Liveness::Alive && !e.is_frozen())
        };
        if kin && record.chart == node.chart && runs(&pod) {
            attach(act, &pod, node.ordinal).await?;
        }
    }
    Ok(())
}

async fn attach(act: &Act<'_>, pooler: &PodStatus, node: u32) -> Result<(), PlatformError> {
    let ports = pooler.record.containers.iter().flat_map(|c| &c.ports);
    let Some(pcp) = ports.filter(|p| p.name == "pcp").map(|p| p.local.to_string()).next() else {
        return Ok(());
    };
    let info = programs::find(&["pcp_node_info"], None, "pgpool2")?;
    let attach = programs::find(&["pcp_attach_node"], None, "pgpool2")?;
    let number = node.to_string();
    let user = pooler.record.settings["admin"].as_str().unwrap_or("admin").to_owned();
    let passwords = pooler.folder.file("pcppass").display().to_string();
    let args = ["-h", "127.0.0.1", "-p", &pcp, "-U", &user, "-w", "-n", &number];
    let env = vec![("PCPPASSFILE".to_owned(), passwords)];
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = act.run(request(&info, &args, &env)).await?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        // `HOST PORT STATUS WEIGHT …`
        let status = text.split_ascii_whitespace().nth(2);
        let why = match (answer.code, status) {
            (Some(0), Some(DOWN)) => {
                let attached = act.run(request(&attach, &args, &env)).await?;
                attached.tail.last().cloned().unwrap_or_else(|| "it was asked to".to_owned())
            }
            (Some(0), Some(_)) => return Ok(()),
            _ => answer.tail.last().cloned().unwrap_or_else(|| "no answer in time".to_owned()),
        };
        if tokio::time::Instant::now() >= until {
            return Err(PlatformError::Failed {
                what: format!("`{}` does not take in node {node}", pooler.record.name),
                said: vec![why],
                help: Some("see its log; a restart of the pooler takes all nodes in".to_owned()),
            });
        }
        act.check(&format!("waiting for `{}` to take in node {node}: {why}", pooler.record.name))?;
        tokio::time::sleep(PAUSE).await;
    }
}

fn request<'p>(path: &'p Path, args: &[&str], env: &[(String, String)]) -> Program<'p> {
    let mut program = Program::new(path, args.iter().copied());
    program.env = env.to_vec();
    program.timeout = REQUEST;
    program
}
