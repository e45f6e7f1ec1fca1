//! Short, synchronous calls of git and sops: nothing of them outlives the call.

use std::ffi::OsString;
use std::path::Path;

use crate::exit;
use crate::failure::Failure;

/// Runs git in a folder, with nobody's settings but the repository's own, and gives its output.
pub(crate) fn git(folder: &Path, args: &[&str]) -> Result<Vec<u8>, Failure> {
    git_with(folder, args, &[], Vec::new())
}

/// The same with further settings (`http.extraHeader`), which may be secret, and with input.
pub(crate) fn git_with(
    folder: &Path,
    args: &[&str],
    settings: &[(&str, &str)],
    stdin: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let mut all: Vec<OsString> = vec!["-C".into(), folder.into()];
    all.extend(args.iter().map(OsString::from));
    // By the environment: everybody can read command lines.
    let mut command = duct::cmd("git", &all)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_LFS_SKIP_PUSH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (n, (key, value)) in settings.iter().enumerate() {
        command = command
            .env(format!("GIT_CONFIG_KEY_{n}"), key)
            .env(format!("GIT_CONFIG_VALUE_{n}"), value);
    }
    // Set where somebody calls us from a hook.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command = command.env_remove(variable);
    }
    let called = format!("git {}", args.first().copied().unwrap_or_default());
    output(&called, command.stdin_bytes(stdin))
}

/// Encrypts values as a repository's `.sops.yaml` says for a file in it.
pub(crate) fn sops_encrypt(
    program: &Path,
    repo: &Path,
    file: &str,
    plain: String,
) -> Result<Vec<u8>, Failure> {
    let config = repo.join(".sops.yaml");
    let args: Vec<OsString> = vec![
        "--config".into(),
        config.into(),
        "encrypt".into(),
        "--filename-override".into(),
        file.into(),
        "--input-type".into(),
        "yaml".into(),
        "--output-type".into(),
        "yaml".into(),
        "/dev/stdin".into(),
    ];
    output("sops", duct::cmd(program, &args).dir(repo).stdin_bytes(plain))
}

fn output(called: &str, command: duct::Expression) -> Result<Vec<u8>, Failure> {
    let output = command
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|e| Failure::new(exit::FAILED, format!("failed to start `{called}`: {e}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut failure = Failure::new(exit::FAILED, format!("`{called}` failed ({})", output.status));
    let said = String::from_utf8_lossy(&output.stderr);
    failure.causes.extend(said.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
    Err(failure)
}
