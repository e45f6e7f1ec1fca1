//! Running a command where a workload runs.
//!
//! What exec gives can be cut short while its status says Success (kubernetes issues 73056, 124571).
//! So the command's output is kept in the pod until it has ended, and comes with its length and
//! digest; what differs is an error.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use workplan_engine::digest::hex;

use super::KubernetesOperate;
use crate::platform::View as _;
use crate::{ExecOutput, PlatformError, ReleaseRef};

/// Says code, length and digest in a line, then what the command said.
const WRAP: &str = "umask 077; t=$(mktemp) || exit 97; trap 'rm -f \"$t\"' EXIT; \
                    \"$@\" >\"$t\"; c=$?; n=$(wc -c <\"$t\"); s=$(sha256sum <\"$t\"); \
                    printf '%d %d %s\\n' \"$c\" \"$n\" \"${s%% *}\"; cat \"$t\"";
/// Buffer on the way; a reader that keeps pace loses nothing.
const BUFFER: usize = 1 << 20;
/// How much of standard error is kept.
const SAID: u64 = 64 * 1024;
/// How many lines of it, the last ones.
const LINES: usize = 20;

impl KubernetesOperate {
    /// In the first ready pod, in its first container, as its user.
    pub(super) async fn exec_in(
        &self,
        at: &ReleaseRef,
        workload: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, PlatformError> {
        let all = self.view.workloads(at).await?;
        let Some(found) = all.iter().find(|w| w.name == workload) else {
            return Err(PlatformError::Missing(format!("{at} has no workload `{workload}`")));
        };
        let Some(pod) = found.instances.iter().find(|i| i.ready) else {
            let what = format!("no pod of `{workload}` of {at} is ready: {}", found.readiness());
            return Err(PlatformError::failed(what));
        };
        let name = argv.first().map_or("", String::as_str);
        let ran = self.run_in(&at.namespace, &pod.name, argv, name);
        tokio::select! {
            biased;
            () = self.hands.cancel().cancelled() => {
                Err(PlatformError::failed(format!("`{name}` was cancelled")))
            }
            ran = tokio::time::timeout(timeout, ran) => ran.unwrap_or_else(|_| {
                let limit = workplan_engine::duration::format(timeout);
                Err(PlatformError::TimedOut(format!("`{name}` did not end within {limit}")))
            }),
        }
    }

    async fn run_in(
        &self,
        namespace: &str,
        pod: &str,
        argv: &[String],
        name: &str,
    ) -> Result<ExecOutput, PlatformError> {
        let cluster = self.view.cluster();
        let api = cluster.api::<Pod>(namespace).await?;
        let wrapped = ["sh", "-c", WRAP, "workplan"].map(str::to_owned);
        let command: Vec<String> = wrapped.into_iter().chain(argv.iter().cloned()).collect();
        let params = AttachParams::default()
            .stdin(false)
            .max_stdout_buf_size(BUFFER)
            .max_stderr_buf_size(BUFFER);
        let doing = format!("run `{name}` in the pod `{namespace}/{pod}`");
        // Once: a command that is asked for twice may run twice.
        let mut process = api
            .exec(pod, command, &params)
            .await
            .map_err(|e| super::super::problem::problem(&cluster.settings, &doing, &e))?;
        let (stdout, stderr) = (process.stdout(), process.stderr());
        let (stdout, stderr) = tokio::join!(all(stdout, u64::MAX), all(stderr, SAID));
        let broken = |why: String| PlatformError::failed(format!("failed to {doing}: {why}"));
        let (stdout, stderr) = (stdout.map_err(&broken)?, stderr.map_err(&broken)?);
        let mut said: Vec<String> =
            String::from_utf8_lossy(&stderr).lines().map(str::to_owned).collect();
        said.drain(..said.len().saturating_sub(LINES));
        let (code, stdout) = checked(&stdout).map_err(|why| PlatformError::Failed {
            what: format!("failed to {doing}: {why}"),
            said: said.clone(),
            help: Some("try it again; the way out of a pod may lose its end".to_owned()),
        })?;
        Ok(ExecOutput { code: Some(code), stdout: stdout.to_vec(), said })
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most).read_to_end(&mut bytes).await.map_err(|e| e.to_string())?;
    }
    Ok(bytes)
}

/// Takes the line before the output and compares.
fn checked(bytes: &[u8]) -> Result<(i32, &[u8]), String> {
    let nothing = || "it said nothing".to_owned();
    let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(nothing)?;
    let (head, rest) = bytes.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let parts: Vec<&str> = head.split(' ').collect();
    let [code, length, digest] = parts[..] else { return Err(nothing()) };
    let (Ok(code), Ok(length)) = (code.parse(), length.parse::<usize>()) else {
        return Err(nothing());
    };
    if rest.len() != length {
        return Err(format!("its output was cut short: {} of {length} bytes came", rest.len()));
    }
    if hex(&Sha256::digest(rest)) != digest {
        return Err("its output came changed".to_owned());
    }
    Ok((code, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_short_is_no_output() {
        let digest = hex(&Sha256::digest(b"hello\n"));
        let whole = format!("3 6 {digest}\nhello\n");
        assert_eq!(checked(whole.as_bytes()), Ok((3, b"hello\n".as_slice())));
        for bytes in [
            &whole.as_bytes()[..whole.len() - 1],
            whole.replace("hello", "jello").as_bytes(),
            b"",
            b"sh: 1: mktemp: not found",
        ] {
            assert!(checked(bytes).is_err());
        }
    }
}
