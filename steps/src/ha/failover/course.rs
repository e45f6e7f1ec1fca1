//! The course of one test: check, write, break, wait, count, mend, prove.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workplan_engine::duration;
use workplan_engine::kind::{Applied, Hands, StepError};
use workplan_platform::sql::{Login, Reader};
use workplan_platform::{Endpoint, Operate, PartRef, PostgresHa, ReleaseRef, View, deployed};

use super::criteria::{Criteria, word};
use super::ledger::Ledger;
use super::place::PROBE_DATABASE;
use super::probe;
use super::report::Report;
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

/// Of a single question.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// How long the probes run before the fault, so that there is something to lose.
const QUIET: Duration = Duration::from_secs(1);
/// How long the first write may take, before anything is broken.
const FIRST: Duration = Duration::from_secs(10);

/// The probes; they are ended when this goes, on every way out.
struct Probes {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Course<'_> {
    fn view(&self) -> Arc<dyn View> {
        Arc::clone(&self.operate) as Arc<dyn View>
    }

    pub(super) async fn login(
        &self,
        ha: &PostgresHa,
        at: &Endpoint,
        db: &str,
    ) -> Result<Login, StepError> {
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
        if ha.nodes.len() < 2 {
            let what = format!("{} has one node, and none that could take over", self.at);
            return Err(StepError::failed(what));
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

    /// Does the test. Whatever becomes of it, the cluster is whole afterwards or the error says
    /// what is not.
    pub(super) async fn run(&self) -> Result<Applied, StepError> {
        let ha = Arc::new(self.operate.postgres(self.at).await?);
        let topology = self.whole(&ha).await?;
        let subject = subject(&*self.operate, self.at).await?;
        let old = topology.primary.unwrap_or_default();
        let Some(pooler) = ha.pooler.clone() else {
            let what = format!("{} has no pooler to write through", self.at);
            return Err(StepError::failed(what));
        };
        self.make_probe_database(&ha, &old).await?;
        let ended = self.break_and_watch(&ha, &pooler, old, subject).await;
        let (report, mut problems) = match ended {
            Ok(ended) => ended,
            Err(mut error) => {
                if let Err(left) = self.clean_up().await {
                    error.said.push(format!("and it was not made whole again: {}", left.what));
                }
                return Err(error);
            }
        };
        problems.extend(self.drop_probe_database(&ha).await.err().map(|e| e.what));
        let outputs = report.outputs();
        let Some(first) = problems.first() else {
            return Ok(Applied { outputs, ..Applied::default() });
        };
        let mut error = StepError::failed(format!(
            "the failover test ({}) of {} did not pass: {first}",
            word(self.criteria.fault),
            self.at,
        ));
        error.said = problems.into_iter().chain(report.errors).collect();
        error.outputs = outputs;
        Err(error)
    }

    async fn break_and_watch(
        &self,
        ha: &Arc<PostgresHa>,
        pooler: &Endpoint,
        old: String,
        subject: String,
    ) -> Result<(Report, Vec<String>), StepError> {
        let ledger = Arc::new(Ledger::new());
        let mut probes = self.start_probes(ha, pooler, &ledger).await?;
        let server = self.first_write(&ledger).await?;
        tokio::time::sleep(QUIET).await;
        let broken_at = ledger.now();
        self.operate.fault(self.at, &old, self.criteria.fault).await?;
        let end = broken_at + self.criteria.window;
        let new = self.wait_for_writes(&ledger, &old, &server, broken_at, end).await;
        let recovered_at = new.as_ref().and_then(|_| ledger.taken_over(broken_at, &server));
        let login_at = self.wait_for_login(&ledger, recovered_at.unwrap_or(broken_at), end).await;

        // The old primary comes back while the writer goes on: that is when a second primary would
        // show.
        let mended = self.mend(ha, &old).await;
        let whole_at = ledger.now();
        probes.stop.cancel();
        for task in std::mem::take(&mut probes.tasks) {
            // They end by the token, within their own deadlines.
            let _ = tokio::time::timeout(DEADLINE, task).await;
        }
        let lost = self.lost_rows(ha, new.as_deref(), &ledger).await;
        let after = |at: Option<Duration>| at.map(|at| at.saturating_sub(broken_at));
        let report = Report {
            subject,
            old,
            new,
            recovery: after(recovered_at),
            reads: after(ledger.first_read_after(recovered_at.unwrap_or(broken_at))),
            redundancy: mended.is_ok().then(|| whole_at.saturating_sub(broken_at)),
            login: after(login_at),
            lost: lost.as_ref().ok().copied(),
            acknowledged: ledger.rows().len(),
            max_primaries: ledger.max_leading(),
            samples: ledger.samples(),
            primaries: ledger.course(broken_at),
            errors: ledger.errors(),
        };
        let mut problems = report.problems(&self.criteria);
        // Without a new primary it was said already that there is none.
        let lost = lost.err().filter(|_| report.recovery.is_some());
        problems.extend(mended.err().into_iter().chain(lost).map(|e| e.what));
        Ok((report, problems))
    }

    async fn start_probes(
        &self,
        ha: &Arc<PostgresHa>,
        pooler: &Endpoint,
        ledger: &Arc<Ledger>,
    ) -> Result<Probes, StepError> {
        let stop = CancellationToken::new();
        let through = self.login(ha, pooler, PROBE_DATABASE).await?;
        let direct = self.login(ha, pooler, "postgres").await?;
        let (view, ledger_of) = (|| self.view(), || Arc::clone(ledger));
        let mut tasks = vec![
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
            tasks.push(tokio::spawn(async move {
                probe::log_in(url, user, password, ledger, stop).await;
                drop(reached);
            }));
        }
        Ok(Probes { stop, tasks })
    }

    /// Waits for the first write, and says which server took it. Nothing is broken yet.
    async fn first_write(&self, ledger: &Ledger) -> Result<String, StepError> {
        let end = Instant::now() + FIRST;
        loop {
            if let Some(server) = ledger.server_before(ledger.now()) {
                let login = ledger.first_login_after(Duration::ZERO);
                if self.app.is_none() || login.is_some() {
                    return Ok(server);
                }
            }
            if Instant::now() >= end {
                let what = "a write through the pooler or a login did not work before the fault, \
                            so nothing was broken";
                let mut error = StepError::failed(what);
                error.said = ledger.errors();
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until another server takes writes and one node alone leads, which is not the old one;
    /// `None` when the window is over.
    async fn wait_for_writes(
        &self,
        ledger: &Ledger,
        old: &str,
        server: &str,
        broken_at: Duration,
        end: Duration,
    ) -> Option<String> {
        while ledger.now() < end {
            if ledger.taken_over(broken_at, server).is_some()
                && let Some(nodes) = ledger.leading_after(broken_at)
                && let [new] = &nodes[..]
                && new != old
            {
                return Some(new.clone());
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    /// The first login after writes worked: one before may have been answered from a cache.
    async fn wait_for_login(
        &self,
        ledger: &Ledger,
        since: Duration,
        end: Duration,
    ) -> Option<Duration> {
        self.app?;
        loop {
            if let Some(at) = ledger.first_login_after(since) {
                return Some(at).filter(|at| *at < end);
            }
            if ledger.now() >= end {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Brings the old primary back and waits until all of it is whole.
    async fn mend(&self, ha: &PostgresHa, node: &str) -> Result<(), StepError> {
        let end = Instant::now() + self.criteria.window;
        self.operate.mend(self.at, node, self.criteria.window).await?;
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
        Ok(ledger.rows().difference(&there).count())
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
