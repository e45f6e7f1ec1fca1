//! SSH signatures over a person's decision, made and checked by `ssh-keygen -Y`.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use workplan_engine::digest::canonical;

use crate::exit;
use crate::failure::Failure;
use crate::view::RunView;

/// Keeps signatures apart from those that the same key makes for Git or mail.
const NAMESPACE: &str = "workplan";

/// A signature and whose it is.
pub(crate) struct Signed {
    /// The armoured signature.
    pub(crate) signature: String,
    /// The name in `allowed_signers`; `None` where there is no such file to ask.
    pub(crate) principal: Option<String>,
}

/// What is signed: the decision, bound to the run and to the meaning of its plan.
pub(crate) fn statement(view: &RunView, gate: &str, decision: &str, reason: &str) -> String {
    canonical(&json!({
        "schema": "workplan/decision/v1",
        "run": view.id(),
        "workplan": view.state.plan.workplan.id,
        "target": view.state.plan.target.identity,
        "meaning": view.state.plan.meaning(),
        "gate": gate,
        "decision": decision,
        "reason": reason,
    }))
}

/// Signs, and where signers are named checks that they allow it.
pub(crate) fn sign(key: &Path, text: &str, signers: Option<&Path>) -> Result<Signed, Failure> {
    let signature = keygen(
        &["-Y".into(), "sign".into(), "-n".into(), NAMESPACE.into(), "-f".into(), key.into()],
        text,
        &format!("sign with `{}`", key.display()),
    )?;
    let Some(signers) = signers else { return Ok(Signed { signature, principal: None }) };
    let mut file = tempfile::NamedTempFile::new()
        .map_err(|e| Failure::io("write", Path::new("a temporary file"), &e))?;
    file.write_all(signature.as_bytes()).map_err(|e| Failure::io("write", file.path(), &e))?;
    let refused = format!("find the key of `{}` in `{}`", key.display(), signers.display());
    let found = keygen(
        &[
            "-Y".into(),
            "find-principals".into(),
            "-s".into(),
            file.path().into(),
            "-f".into(),
            signers.into(),
        ],
        "",
        &refused,
    )?;
    let principal = found.lines().next().unwrap_or_default().trim().to_owned();
    keygen(
        &[
            "-Y".into(),
            "verify".into(),
            "-n".into(),
            NAMESPACE.into(),
            "-f".into(),
            signers.into(),
            "-I".into(),
            principal.clone().into(),
            "-s".into(),
            file.path().into(),
        ],
        text,
        &refused,
    )?;
    Ok(Signed { signature, principal: Some(principal) })
}

fn keygen(args: &[std::ffi::OsString], stdin: &str, doing: &str) -> Result<String, Failure> {
    let failed = |why: String| {
        let mut failure = Failure::new(exit::WAITING, format!("failed to {doing}"));
        failure.causes.push(why);
        failure.with_help("nothing was approved or rejected")
    };
    let output = duct::cmd("ssh-keygen", args)
        .stdin_bytes(stdin.as_bytes())
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|e| failed(format!("failed to start `ssh-keygen`: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    Err(failed(said.trim().lines().last().unwrap_or("it said nothing").to_owned()))
}
