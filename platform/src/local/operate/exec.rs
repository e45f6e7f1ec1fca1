//! Running a command where a workload runs.

use std::time::Duration;

use workplan_engine::kind::CommandSpec;

use super::LocalOperate;
use crate::local::pod::PodFolder;
use crate::{ExecOutput, PlatformError, ReleaseRef};

impl LocalOperate {
    /// As the servers' account, with the environment and the folder of the workload's first server.
    pub(super) async fn exec_in(
        &self,
        at: &ReleaseRef,
        workload: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, PlatformError> {
        let act = self.act(at, Some(timeout))?;
        let store = &self.view.world().store;
        let rendition = self.rendition_now(at, &store.releases(&at.namespace)).await?;
        let pod = rendition.pods.iter().find(|p| p.workload == workload);
        let Some((pod, server)) = pod.and_then(|p| Some((p, p.containers.first()?))) else {
            return Err(PlatformError::Missing(format!("{at} has no workload `{workload}`")));
        };
        let folder = PodFolder::new(&store.pods(&at.namespace), &pod.name);
        if folder.record()?.is_none() {
            return Err(PlatformError::Missing(format!("`{}` was never started", pod.name)));
        }
        let cwd = server.cwd.clone().unwrap_or_else(|| folder.container(&server.name));
        let mut spec = CommandSpec::new(argv, &cwd, timeout.min(act.left()));
        spec.env.clone_from(&server.env);
        spec.secret_env.clone_from(&server.secret_env);
        spec.capture = true;
        let outcome = self.hands.run_as(act.account, spec).await?;
        if outcome.timed_out {
            let name = argv.first().map_or("", String::as_str);
            let limit = workplan_engine::duration::format(timeout);
            return Err(PlatformError::TimedOut(format!("`{name}` did not end within {limit}")));
        }
        Ok(ExecOutput { code: outcome.code, stdout: outcome.stdout, said: outcome.tail })
    }
}
