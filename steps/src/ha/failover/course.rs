//! The course of one test: check, write, break, wait, count, mend, prove.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workplan_engine::duration;
use workplan_engine::kind::{Applied, Hands, StepError};
use workplan_platform::sql::{Login, Reader, Writer};
use workplan_platform::{Endpoint, Operate, PartRef, PostgresHa, ReleaseRef, View, deployed};

use super::criteria::{Criteria, word};
use super::ledger::Ledger;
use super::probe;
use super::step::PROBE_DATABASE;
use super::subject::subject;
use crate::ha::{Topology, inspect};

/// One test.
pub(super) struct Course<'a> {
    pub(super) operate: Arc<dyn Operate>,
    pub(super) hands: &'a Hands,
    pub(super) at: &'a PartRef,
    pub(super) app: Option<&'a ReleaseRef>,
    pub(super) criteria: Criteria,
}

const DEADLINE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// How long the probes run before the fault, so that there is something to lose.
const QUIET: Duration = Duration::from_secs(1);

/// Ends the probes when it goes, on every way out.
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Course<'_> {
    fn view(&self) -> Arc<dyn View> {
        Arc::clone(&self.operate) as Arc<dyn View>
    }

    async fn login(&self, ha: &PostgresHa, at: &Endpoint, db: &str) -> Result<Login, StepError> {
        Ok(Login {
            endpoint: at.clone(),
            user: ha.superuser.0.clone(),
            password: Some(deployed(&*self.operate, &ha.superuser.1).await?),
            database: db.to_owned(),
            application: self.hands.identity.to_string(),
        })
    }

    /// Nothing is broken that would not survive it.
    async fn whole(&self, ha: &PostgresHa) -> Result<Topology, StepError> {
        let (topology, findings) =
            inspect(&*self.operate, ha, &self.hands.identity, &[], DEADLINE).await;
        if let Some(first) = findings.first() {
            let mut error = StepError::failed(format!(
                "{} is not whole, so nothing was broken: {}",
                self.at, first.what
            ));
            error.help = findings.iter().find_map(|f| f.help.clone());
            error.said = findings.into_iter().map(|f| f.what).collect();
            return Err(error);
        }
        if self.hands.place.live && topology.lag_bytes != Some(0) {
            return Err(StepError::failed(format!(
                "the standbys of {} are {} bytes behind, and the target is live",
                self.at,
                topology
                    .lag_bytes
                    .map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string())
            ))
            .with_help("wait until they have caught up, then resume"));
        }
        Ok(topology)
    }

    pub(super) async fn run(&self) -> Result<Applied, StepError> {
        let ha = Arc::new(self.operate.postgres(self.at).await?);
        let topology = self.whole(&ha).await?;
        let subject = subject(&*self.operate, self.at).await?;
        let old = topology.primary.unwrap_or_default();
        let pooler = ha.pooler.clone().ok_or_else(|| {
            StepError::failed(format!("{} has no pooler to write through", self.at))
        })?;
        self.make_probe_database(&ha, &old).await?;

        let ledger = Arc::new(Ledger::new());
        let stop = Stop(CancellationToken::new());
        let probes = self.start_probes(&ha, &pooler, &ledger, &stop.0).await?;
        tokio::time::sleep(QUIET).await;
        let broken_at = ledger.now();
        if ledger.first_write_after(Duration::ZERO).is_none() {
            drop(stop);
            self.clean_up().await?;
            return Err(StepError::failed(
                "the writer could not write before the fault, so nothing was broken",
            ));
        }
        self.operate.fault(self.at, &old, self.criteria.fault).await?;
        let new = self.wait_for_writes(&ledger, &ha, &old, broken_at).await;
        let recovered_at = new.as_ref().and_then(|_| ledger.first_write_after(broken_at));
        let login_at = self.wait_for_login(&ledger, broken_at).await;

        // The old primary comes back while the writer goes on: that is when a second primary would
        // show.
        let mended = self.mend(&ha, &old).await;
        let whole_at = ledger.now();
        drop(stop);
        for probe in probes {
            // They end by the token within their own deadlines.
            let _ = tokio::time::timeout(DEADLINE, probe).await;
        }
        let lost = self.lost_rows(&ha, new.as_deref(), &ledger).await;
        let cleaned = self.drop_probe_database(&ha).await;

        let report = Report {
            subject,
            old,
            new,
            recovery: recovered_at.map(|at| at.saturating_sub(broken_at)),
            redundancy: mended.is_ok().then(|| whole_at.saturating_sub(broken_at)),
            login: login_at.map(|at| at.saturating_sub(broken_at)),
            lost: lost.as_ref().ok().copied(),
            acknowledged: ledger.open().acknowledged.len(),
            max_primaries: ledger.max_primaries(),
            errors: ledger.errors(),
        };
        let outputs = report.outputs();
        let mut problems = report.problems(&self.criteria);
        problems.extend(
            [mended.err(), lost.err(), cleaned.err()].into_iter().flatten().map(|e| e.what),
        );
        if problems.is_empty() {
            return Ok(Applied { outputs, ..Applied::default() });
        }
        let mut error = StepError::failed(format!(
            "the failover test ({}) of {} did not pass: {}",
            word(self.criteria.fault),
            self.at,
            problems[0]
        ));
        error.said = problems.into_iter().chain(report.errors).collect();
        error.outputs = outputs;
        Err(error)
    }

    async fn start_probes(
        &self,
        ha: &Arc<PostgresHa>,
        pooler: &Endpoint,
        ledger: &Arc<Ledger>,
        stop: &CancellationToken,
    ) -> Result<Vec<tokio::task::JoinHandle<()>>, StepError> {
        let through = self.login(ha, pooler, PROBE_DATABASE).await?;
        let direct = self.login(ha, pooler, "postgres").await?;
        let (view, ledger_of) = (|| self.view(), || Arc::clone(ledger));
        let mut probes = vec![
            tokio::spawn(probe::write(view(), through.clone(), ledger_of(), stop.clone())),
            tokio::spawn(probe::read(view(), through, ledger_of(), stop.clone())),
            tokio::spawn(probe::sample(view(), Arc::clone(ha), direct, ledger_of(), stop.clone())),
        ];
        if let Some(app) = self.app {
            let app = self.operate.app(app).await?;
            let reached = self.operate.reach(&app.inside).await?;
            let (user, key) = app.admin.ok_or_else(|| {
                StepError::failed(format!("{} has no administrator to log in as", app.at))
            })?;
            let password = deployed(&*self.operate, &key).await?;
            let url = format!("http://{}", reached.address);
            let (ledger, stop) = (ledger_of(), stop.clone());
            probes.push(tokio::spawn(async move {
                probe::log_in(url, user, password, ledger, stop).await;
                drop(reached);
            }));
        }
        Ok(probes)
    }

    /// Waits until writes work and another node leads; `None` when the window is over.
    async fn wait_for_writes(
        &self,
        ledger: &Ledger,
        ha: &PostgresHa,
        old: &str,
        broken_at: Duration,
    ) -> Option<String> {
        let end = Instant::now() + self.criteria.window;
        while Instant::now() < end {
            let leading = ledger.open().primaries.last().cloned();
            if ledger.first_write_after(broken_at).is_some()
                && let Some((at, nodes)) = leading
                && at > broken_at
                && let [new] = &nodes[..]
                && (new != old || ha.nodes.len() == 1)
            {
                return Some(new.clone());
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    async fn wait_for_login(&self, ledger: &Ledger, broken_at: Duration) -> Option<Duration> {
        self.app?;
        let end = broken_at + self.criteria.window;
        while ledger.now() < end {
            // One that began in the first moments may have been answered from before the fault.
            let since = ledger.first_write_after(broken_at).unwrap_or(broken_at);
            if let Some(at) = ledger.first_login_after(since) {
                return Some(at);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    /// Brings the old primary back and waits until all of it is whole.
    async fn mend(&self, ha: &PostgresHa, node: &str) -> Result<(), StepError> {
        self.operate.mend(self.at, node, self.criteria.window).await?;
        let end = Instant::now() + self.criteria.window;
        loop {
            let (topology, findings) =
                inspect(&*self.operate, ha, &self.hands.identity, &[], DEADLINE).await;
            if findings.is_empty() && topology.roles.get(node) == Some(&true) {
                return Ok(());
            }
            if Instant::now() >= end {
                let why = findings
                    .first()
                    .map_or_else(|| format!("`{node}` is no standby"), |f| f.what.clone());
                return Err(StepError::failed(format!(
                    "redundancy was not back within {}: {why}",
                    duration::format(self.criteria.window)
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Acknowledged rows that the new primary does not have.
    async fn lost_rows(
        &self,
        ha: &PostgresHa,
        new: Option<&str>,
        ledger: &Ledger,
    ) -> Result<usize, StepError> {
        let Some(node) = ha.nodes.iter().find(|n| Some(n.name.as_str()) == new) else {
            return Err(StepError::failed("lost rows cannot be counted: no new primary"));
        };
        let login = self.login(ha, &node.endpoint, PROBE_DATABASE).await?;
        let reader = Reader::connect(&*self.operate, &login, DEADLINE).await?;
        let rows = reader.rows("select id from workplan_probe", &[]).await?;
        let there: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        Ok(ledger.open().acknowledged.iter().filter(|(id, ..)| !there.contains(id)).count())
    }

    async fn primary(&self, ha: &PostgresHa, name: &str, db: &str) -> Result<Writer, StepError> {
        let node = ha
            .nodes
            .iter()
            .find(|n| n.name == name)
            .ok_or_else(|| StepError::failed(format!("there is no node `{name}`")))?;
        let login = self.login(ha, &node.endpoint, db).await?;
        Ok(Writer::connect(&*self.operate, &login, DEADLINE).await?)
    }

    async fn make_probe_database(&self, ha: &PostgresHa, primary: &str) -> Result<(), StepError> {
        let writer = self.primary(ha, primary, "postgres").await?;
        writer.run(&format!("drop database if exists {PROBE_DATABASE} with (force)")).await?;
        writer.run(&format!("create database {PROBE_DATABASE} template template0")).await?;
        let mark = self.hands.identity.replace('\'', "''");
        writer.run(&format!("comment on database {PROBE_DATABASE} is '{mark}'")).await?;
        let writer = self.primary(ha, primary, PROBE_DATABASE).await?;
        writer.run("create table workplan_probe (id bigint primary key)").await?;
        Ok(())
    }

    async fn drop_probe_database(&self, ha: &PostgresHa) -> Result<(), StepError> {
        let (topology, _) = inspect(&*self.operate, ha, &self.hands.identity, &[], DEADLINE).await;
        let Some(primary) = topology.primary else {
            return Err(StepError::failed("no single node leads; the writer's database stays"));
        };
        let writer = self.primary(ha, &primary, "postgres").await?;
        writer.run(&format!("drop database if exists {PROBE_DATABASE} with (force)")).await?;
        Ok(())
    }

    /// Makes the cluster whole after a test that did not come to its end.
    pub(super) async fn clean_up(&self) -> Result<(), StepError> {
        let ha = self.operate.postgres(self.at).await?;
        let (topology, _) = inspect(&*self.operate, &ha, &self.hands.identity, &[], DEADLINE).await;
        for node in &ha.nodes {
            if !topology.roles.contains_key(&node.name) {
                self.operate.mend(self.at, &node.name, self.criteria.window).await?;
            }
        }
        self.drop_probe_database(&ha).await
    }
}

/// What a test came to.
struct Report {
    subject: String,
    old: String,
    new: Option<String>,
    recovery: Option<Duration>,
    redundancy: Option<Duration>,
    login: Option<Duration>,
    lost: Option<usize>,
    acknowledged: usize,
    max_primaries: usize,
    errors: Vec<String>,
}

impl Report {
    fn outputs(&self) -> BTreeMap<String, Value> {
        let seconds = |time: Option<Duration>| {
            time.map_or(Value::Null, |t| json!((t.as_secs_f64() * 1000.0).round() / 1000.0))
        };
        BTreeMap::from([
            ("recovered".to_owned(), json!(self.recovery.is_some())),
            ("recovery_s".to_owned(), seconds(self.recovery)),
            ("redundancy_s".to_owned(), seconds(self.redundancy)),
            ("login_s".to_owned(), seconds(self.login)),
            ("lost_rows".to_owned(), json!(self.lost)),
            ("acknowledged_rows".to_owned(), json!(self.acknowledged)),
            ("max_primaries".to_owned(), json!(self.max_primaries)),
            ("client_errors".to_owned(), json!(self.errors)),
            ("old_primary".to_owned(), json!(self.old)),
            ("new_primary".to_owned(), json!(self.new.clone().unwrap_or_default())),
            ("subject".to_owned(), json!(self.subject)),
        ])
    }

    fn problems(&self, criteria: &Criteria) -> Vec<String> {
        let window = duration::format(criteria.window);
        let mut out = Vec::new();
        if self.recovery.is_none() {
            out.push(format!(
                "writes through the pooler did not work again within {window} (a hang: {})",
                self.errors.first().map_or("clients saw no error at all", String::as_str)
            ));
        }
        if self.max_primaries > 1 {
            out.push(format!("{} nodes took writes at one moment", self.max_primaries));
        }
        if let (Some(max), Some(lost)) = (criteria.max_lost_rows, self.lost)
            && lost as u64 > max
        {
            out.push(format!("{lost} acknowledged rows were lost"));
        }
        if criteria.login && self.login.is_none() {
            out.push(format!("no user could log in at the application within {window}"));
        }
        out
    }
}
