//! SSH signatures over a person's decision, made and checked by `ssh-keygen -Y`.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use workplan_engine::digest::canonical;
use workplan_engine::run::Person;
use workplan_engine::session;

use crate::args::Gate;
use crate::exit;
use crate::failure::Failure;
use crate::view::RunView;

/// Keeps signatures apart from those that the same key makes for Git or mail.
const NAMESPACE: &str = "workplan";

/// What is signed. A refusal is another text than the engine's for an approval: a signature that
/// was given to refuse must never open a gate.
fn text(view: &RunView, gate: &str, approved: bool, who: &str, reason: &str) -> String {
    if approved {
        return session::signed_text(&view.state, gate, who, reason);
    }
    canonical(&json!({
        "schema": "workplan/rejection/v1",
        "run": view.id(),
        "gate": gate,
        "plan": view.state.plan.meaning(),
        "who": who,
        "reason": reason,
    }))
}

/// Signs a decision, and where signers are named checks that they allow it; who signed is then
/// the name in that file, else `account`.
pub(crate) fn sign(
    view: &RunView,
    args: &Gate,
    approved: bool,
    account: &str,
    signers: Option<&Path>,
) -> Result<Person, Failure> {
    let key = args.sign.as_deref().unwrap_or(Path::new(""));
    let Some(signers) = signers else {
        let text = text(view, &args.gate, approved, account, &args.reason);
        return Ok(person(account, args, signature(key, &text)?));
    };
    // The name is a part of what is signed, so it has to be known first.
    let refused = format!("find the key of `{}` in `{}`", key.display(), signers.display());
    let probe = kept(&signature(key, "who am I")?)?;
    let find = ["-Y".into(), "find-principals".into(), "-s".into(), probe.path().into()];
    let named = ["-f".into(), signers.into()];
    let found = keygen(&[&find[..], &named].concat(), "", &refused)?;
    let who = found.lines().next().unwrap_or_default().trim().to_owned();
    let text = text(view, &args.gate, approved, &who, &args.reason);
    let signature = signature(key, &text)?;
    let file = kept(&signature)?;
    let verify = ["-Y".into(), "verify".into(), "-n".into(), NAMESPACE.into(), "-I".into()];
    let what = [who.clone().into(), "-s".into(), file.path().into()];
    keygen(&[&verify[..], &what, &named].concat(), &text, &refused)?;
    Ok(person(&who, args, signature))
}

fn person(who: &str, args: &Gate, signature: String) -> Person {
    Person { who: who.to_owned(), reason: args.reason.clone(), signature: Some(signature) }
}

fn signature(key: &Path, text: &str) -> Result<String, Failure> {
    let args = ["-Y".into(), "sign".into(), "-n".into(), NAMESPACE.into(), "-f".into(), key.into()];
    keygen(&args, text, &format!("sign with `{}`", key.display()))
}

/// `ssh-keygen` reads signatures only from files.
fn kept(signature: &str) -> Result<tempfile::NamedTempFile, Failure> {
    let fail = |e: &std::io::Error| Failure::io("write", &std::env::temp_dir(), e);
    let mut file = tempfile::NamedTempFile::new().map_err(|e| fail(&e))?;
    file.write_all(signature.as_bytes()).map_err(|e| fail(&e))?;
    Ok(file)
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
