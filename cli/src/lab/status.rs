//! `workplan lab status`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use workplan_engine::kind::Look;
use workplan_platform::Traffic;

use super::ask::{Asks, ask};
use super::folder::{Folder, Found, Stage};
use crate::app::App;
use crate::args::LabShow;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::term::{Style, Table};

/// What a lab is and what runs of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabStatusDocument {
    /// `workplan/lab-status/v1`.
    schema: &'static str,
    /// The lab's folder.
    dir: String,
    /// Its seed.
    seed: u64,
    /// Its size.
    size: u32,
    /// Whether it was made to its end.
    ready: bool,
    /// Whether everything that should run answers.
    up: bool,
    /// The target file, for `--target`.
    target: String,
    /// The lab's copy of the workplan.
    workplan: String,
    /// What is deployed.
    releases: Vec<LabRelease>,
}

/// A release.
#[derive(Debug, Serialize, JsonSchema)]
struct LabRelease {
    namespace: String,
    name: String,
    /// Chart and version.
    chart: String,
    /// Helm's word for where it stands.
    status: String,
    /// `open`, `shut` or `none`.
    traffic: String,
    /// Its pods.
    pods: Vec<LabPod>,
    /// Where its application is reached from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// A pod.
#[derive(Debug, Serialize, JsonSchema)]
struct LabPod {
    name: String,
    /// Whether it answers.
    ready: bool,
    /// Its role, or why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Names this start of it and no other.
    incarnation: String,
}

/// Shows what runs of a lab, and where.
pub(crate) fn status(app: &App, args: &LabShow) -> Result<Exit, Failure> {
    let folder = Folder::find(&args.dir)?;
    let record = match folder.look()? {
        Found::Lab(record) => record,
        Found::Nothing => folder.ready()?,
    };
    let ready = record.stage == Stage::Ready;
    let releases =
        if folder.target().exists() { ask(app, &folder.target(), Releases)? } else { Vec::new() };
    let document = LabStatusDocument {
        schema: "workplan/lab-status/v1",
        dir: folder.root().display().to_string(),
        seed: record.seed,
        size: record.size,
        ready,
        up: ready && releases.iter().all(|(up, _)| *up),
        target: folder.target().display().to_string(),
        workplan: folder.workplan().display().to_string(),
        releases: releases.into_iter().map(|(_, release)| release).collect(),
    };
    if args.json {
        app.printer.json(&document)?;
    } else {
        show(app, &document);
    }
    Ok(exit::DONE)
}

/// The status in words.
pub(super) fn show(app: &App, document: &LabStatusDocument) {
    let paint = app.printer.out;
    let (style, word) = match (document.ready, document.up) {
        (false, _) => {
            (Style::Red, "was begun and never got ready; `workplan lab up` makes it anew")
        }
        (true, true) => (Style::Green, "is up"),
        (true, false) => (Style::Yellow, "is not all up; `workplan lab up` brings up what is down"),
    };
    app.printer.data_line(&format!(
        "lab {} (seed {}, size {}) {}",
        document.dir,
        document.seed,
        document.size,
        paint.paint(style, word)
    ));
    for release in &document.releases {
        let at = format!("{}/{}", release.namespace, release.name);
        let way = match (&release.url, release.traffic.as_str()) {
            (Some(url), "open") => format!(", {url}"),
            (_, "shut") => ", shut to the outside".to_owned(),
            _ => String::new(),
        };
        app.printer.data_line(&format!("\n{at}: {}, {}{way}", release.chart, release.status));
        let mut table = Table::default();
        for pod in &release.pods {
            let word = if pod.ready { "ready" } else { "not ready" };
            let style = if pod.ready { Style::Green } else { Style::Red };
            let note = pod.note.clone().unwrap_or_default();
            let note = app.printer.clean_out(&note).into_owned();
            table.painted(vec![
                (format!("  {}", pod.name), format!("  {}", pod.name)),
                (word.to_owned(), paint.paint(style, word)),
                (note.clone(), note),
            ]);
        }
        table.lines().iter().for_each(|line| app.printer.data_line(line));
    }
}

/// Every release with its pods, and whether it is up.
struct Releases;

#[async_trait]
impl Asks for Releases {
    type Answer = Vec<(bool, LabRelease)>;

    async fn ask(&self, look: &Look) -> Result<Self::Answer, Failure> {
        let no = |e: workplan_platform::PlatformError| Failure::new(exit::FAILED, e.to_string());
        let view = workplan_platform::view(look).map_err(no)?;
        let mut found = Vec::new();
        for release in view.releases().await.map_err(no)? {
            let workloads = view.workloads(&release.at).await.map_err(no)?;
            let up = workloads.iter().all(workplan_platform::Workload::is_ready);
            let traffic = view.traffic(&release.at).await.map_err(no)?;
            let outside = if workloads.iter().any(|w| w.component == "gitea") {
                view.app(&release.at).await.ok().and_then(|app| app.outside)
            } else {
                None
            };
            let url = match outside {
                Some(outside) => {
                    view.reach(&outside).await.ok().map(|way| format!("http://{}", way.address))
                }
                None => None,
            };
            let pods = workloads.into_iter().flat_map(|w| w.instances).map(|pod| LabPod {
                name: pod.name,
                ready: pod.ready,
                note: pod.why,
                incarnation: pod.incarnation,
            });
            let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            found.push((
                up && !release.status.is_pending(),
                LabRelease {
                    namespace: release.at.namespace,
                    name: release.at.name,
                    chart: format!("{} {}", release.chart, release.chart_version),
                    status: word(serde_json::json!(release.status)),
                    traffic: match traffic {
                        Traffic::Open => "open",
                        Traffic::Shut => "shut",
                        Traffic::None => "none",
                    }
                    .to_owned(),
                    pods: pods.collect(),
                    url,
                },
            ));
        }
        Ok(found)
    }
}
