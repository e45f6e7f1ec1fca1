//! Starting and ending pods.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use workplan_engine::process::{Liveness, ServiceEntry, ServiceSpec};

use super::act::Act;
use super::probe::ask_within;
use super::status::PodStatus;
use crate::PlatformError;
use crate::local::pod::{Container, ContainerRecord, Pod, PodFolder, PodRecord, Text};
use crate::local::recipe;
use crate::local::store::{files, must_be_free};

/// Between two questions to a server that is starting.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one question to a starting server may take.
const QUESTION: Duration = Duration::from_secs(2);
/// How long somebody else's listener on a server's port may take to go.
const GOES: Duration = Duration::from_secs(3);
/// How many lines of a server's log are shown when it did not start.
const LOG_LINES: usize = 8;

/// Why a pod or a server did not start.
#[derive(Debug)]
pub(crate) enum NoStart {
    /// A server ended before it answered. It may come up at another start.
    Ended(Ended),
    /// Another start would come to the same.
    Failed(PlatformError),
}

/// A server that ended before it answered.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its pod and its name there.
    pub(super) name: String,
    /// The end of what it said.
    said: Vec<String>,
    log: PathBuf,
}

impl Ended {
    /// It is given up after so many such ends in a row.
    pub(super) fn after(self, times: usize) -> PlatformError {
        let mut what = format!("`{}` has ended before it was ready", self.name);
        if times > 1 {
            what.push_str(&format!(", {times} times in a row"));
        }
        PlatformError::Failed { what, said: self.said, help: Some(see_log(&self.log)) }
    }
}

impl From<PlatformError> for NoStart {
    fn from(error: PlatformError) -> Self {
        Self::Failed(error)
    }
}

impl Act<'_> {
    /// Starts a pod: its record, its files, what its recipe does first, then its servers, each when
    /// the one before answers. Servers that run already stay as they are.
    pub(super) async fn start_pod(&self, pod: &Pod, template: String) -> Result<(), NoStart> {
        let folder = self.folder(&pod.name);
        self.check(&format!("starting `{}`", pod.name))?;
        files::make_folder(&folder.0)?;
        folder.write_record(&self.record(pod, template))?;
        for file in &pod.files {
            let path = folder.file(&file.path);
            match &file.text {
                Text::Open(text) => files::write(&path, text.as_bytes(), files::OPEN)?,
                Text::Sealed(secret) => {
                    files::write_for(&path, secret.reveal(), files::SEALED, Some(self.account))?
                }
            }
        }
        for container in &pod.containers {
            files::make_folder_for(&folder.container(&container.name), 0o750, self.account)?;
        }
        let recipe = recipe::of(&pod.chart)?;
        let mut fresh = false;
        for (index, container) in pod.containers.iter().enumerate() {
            if !fresh && alive(&folder, &container.name)? {
                continue;
            }
            if index == 0 {
                // The pod begins anew: a companion of its dead main server has nothing to do.
                fresh = true;
                for companion in pod.containers.iter().rev() {
                    if let Some(old) = entry(&folder, &companion.name)? {
                        let name = format!("{}/{}", pod.name, companion.name);
                        let stop = &companion.stop;
                        self.ended(&name, old.end(Some(stop.signal()), stop.patience()).await)?;
                    }
                }
                recipe.prepare(self, pod).await?;
            }
            recipe.before(self, pod, container).await?;
            self.start_server(pod, &folder, container).await?;
            recipe.after(self, pod, container).await?;
        }
        Ok(())
    }

    /// Starts one server of a pod and waits until it answers.
    pub(crate) async fn start_server(
        &self,
        pod: &Pod,
        folder: &PodFolder,
        container: &Container,
    ) -> Result<(), NoStart> {
        let name = format!("{}/{}", pod.name, container.name);
        // What a killed server left must not be in its successor's way.
        if let Some(old) = entry(folder, &container.name)? {
            self.ended(&name, old.end(None, Duration::ZERO).await)?;
        }
        for port in &container.ports {
            self.port_is_free(port.local, &name).await?;
        }
        let mut env = container.env.clone();
        for (variable, secret) in &container.secret_env {
            let value = String::from_utf8_lossy(secret.reveal()).into_owned();
            env.push((variable.clone(), value));
        }
        let spec = ServiceSpec {
            program: container.program.clone(),
            args: container.args.clone(),
            env,
            cwd: container.cwd.clone().unwrap_or_else(|| folder.container(&container.name)),
            account: Some(self.account),
            log: folder.log(&container.name),
            entry: folder.entry(&container.name),
            what: json!({
                "namespace": self.at.namespace,
                "release": self.at.name,
                "pod": pod.name,
                "container": container.name,
                "made_by": self.hands.identity.as_ref(),
            }),
        };
        let log_from = std::fs::metadata(&spec.log).map_or(0, |m| m.len());
        let log = spec.log.clone();
        let entry = self.hands.serve(spec).await.map_err(PlatformError::from)?;
        loop {
            let why = match ask_within(&container.probe, QUESTION.min(self.left())).await {
                Ok(()) if entry.liveness() == Liveness::Alive => return Ok(()),
                Ok(()) => "it has ended".to_owned(),
                Err(why) => why,
            };
            if entry.liveness() != Liveness::Alive {
                let said = last_lines(&log, log_from);
                return Err(NoStart::Ended(Ended { name, said, log }));
            }
            if let Err(over) = self.check(&format!("waiting for `{name}`: {why}")) {
                return Err(NoStart::Failed(PlatformError::Failed {
                    what: over.to_string(),
                    said: last_lines(&log, log_from),
                    help: Some(see_log(&log)),
                }));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Refuses when somebody else listens on a port of a server that is not on record as started.
    /// Asked before anything is touched: others of its release would wait for a server that cannot
    /// start.
    pub(super) async fn ports_are_free(
        &self,
        pods: impl Iterator<Item = &Pod>,
    ) -> Result<(), PlatformError> {
        for pod in pods {
            for container in &pod.containers {
                // What is left of one that was started is ended before its successor starts.
                if entry(&self.folder(&pod.name), &container.name)?.is_some() {
                    continue;
                }
                let name = format!("{}/{}", pod.name, container.name);
                for port in &container.ports {
                    self.port_is_free(port.local, &name).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits a moment for a port: who had it may be about to go. Then who has it is named.
    async fn port_is_free(&self, port: u16, name: &str) -> Result<(), PlatformError> {
        let end = Instant::now() + GOES;
        loop {
            let taken = must_be_free(port, &format!("`{name}`"));
            if taken.is_ok() || Instant::now() >= end {
                return taken;
            }
            self.check(&format!("waiting for port {port} of `{name}`"))?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn record(&self, pod: &Pod, template: String) -> PodRecord {
        PodRecord {
            namespace: self.at.namespace.clone(),
            release: self.at.name.clone(),
            name: pod.name.clone(),
            workload: pod.workload.clone(),
            component: pod.component.clone(),
            part: pod.part.clone(),
            chart: pod.chart.clone(),
            ordinal: pod.ordinal,
            wave: pod.wave,
            gate: pod.gate,
            claims: pod.claims.clone(),
            settings: pod.settings.clone(),
            containers: pod
                .containers
                .iter()
                .map(|c| ContainerRecord {
                    name: c.name.clone(),
                    ports: c.ports.clone(),
                    probe: c.probe.clone(),
                    stop: c.stop.clone(),
                })
                .collect(),
            template,
            made_by: self.hands.identity.to_string(),
        }
    }

    /// Ends pods, all at once: first the last server of each, then the one before. With
    /// `take_away` their folders go too; volumes never do.
    pub(crate) async fn stop_pods(
        &self,
        pods: &[PodStatus],
        take_away: bool,
    ) -> Result<(), PlatformError> {
        for gate in pods.iter().filter(|p| p.record.gate) {
            if take_away {
                self.end_leaving(gate).await?;
            } else {
                self.leave(gate).await?;
            }
        }
        let ended = |p: &&PodStatus| take_away || !p.record.gate;
        let most = pods.iter().map(|p| p.servers.len()).max().unwrap_or(0);
        for back in 1..=most {
            let ends = pods.iter().filter(ended).filter_map(|pod| {
                let index = pod.servers.len().checked_sub(back)?;
                let (container, entry) = &pod.servers[index];
                let entry = entry.clone()?;
                let name = format!("{}/{}", pod.record.name, container.name);
                let stop = container.stop.clone();
                Some(async move {
                    let ended = entry.end(Some(stop.signal()), stop.patience()).await;
                    self.ended(&name, ended)
                })
            });
            all(ends.collect()).await?;
        }
        for pod in pods.iter().filter(|_| take_away) {
            // The record goes first: a folder without one is nothing.
            files::remove(&pod.folder.0.join("pod.json"))?;
            files::remove(&pod.folder.0)?;
        }
        Ok(())
    }

    pub(crate) fn ended(
        &self,
        name: &str,
        ended: workplan_engine::process::Ended,
    ) -> Result<(), PlatformError> {
        if ended.survivors.is_empty() {
            return Ok(());
        }
        let said = ended.survivors.iter().map(|p| format!("{} {}", p.pid, p.command)).collect();
        Err(PlatformError::Failed {
            what: format!("`{name}` could not be ended"),
            said,
            help: Some("end these processes by hand".to_owned()),
        })
    }
}

/// Runs futures together and gives the first error, after all have come to an end.
pub(super) async fn all<F: Future<Output = Result<(), PlatformError>>>(
    work: Vec<F>,
) -> Result<(), PlatformError> {
    let mut work: Vec<_> = work.into_iter().map(Box::pin).collect();
    let mut first = Ok(());
    std::future::poll_fn(move |cx| {
        work.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(done) => {
                if first.is_ok() {
                    first = done;
                }
                false
            }
        });
        if work.is_empty() {
            std::task::Poll::Ready(std::mem::replace(&mut first, Ok(())))
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

fn entry(folder: &PodFolder, container: &str) -> Result<Option<ServiceEntry>, PlatformError> {
    let path = folder.entry(container);
    ServiceEntry::read(&path).map_err(|e| PlatformError::io("read", &path, &e))
}

fn alive(folder: &PodFolder, container: &str) -> Result<bool, PlatformError> {
    Ok(entry(folder, container)?.is_some_and(|e| e.liveness() == Liveness::Alive))
}

fn see_log(log: &Path) -> String {
    format!("its log is `{}`", log.display())
}

/// The end of what a server said since its start.
fn last_lines(log: &Path, from: u64) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(0).min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|&l| l.to_owned()).collect()
}
