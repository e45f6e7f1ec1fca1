//! The `sops` program.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use workplan_engine::kind::{CommandSpec, Look, Secret};

use super::Opened;
use super::identity::{Identities, KEY, KEY_FILE, target_file};
use super::open::damaged;
use crate::PlatformError;

/// What to do where the program is missing.
pub(super) const INSTALL: &str = "install sops (https://github.com/getsops/sops), for example with \
     `go install github.com/getsops/sops/v3/cmd/sops@latest`, and put it on the PATH";

/// How long one call may take: key services are asked over the network.
const DEADLINE: Duration = Duration::from_secs(60);
/// The most that a file may hold in the clear, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Exit codes of `sops`: there is no key, and the digest of all values does not fit.
const NO_KEY: i32 = 128;
const MAC_MISMATCH: i32 = 51;

/// Where the program is.
#[must_use]
pub fn program(look: &Look) -> Option<PathBuf> {
    look.program("sops")
}

/// What is said where the program is needed and missing.
#[must_use]
pub fn missing(what_for: &str) -> PlatformError {
    PlatformError::Failed {
        what: format!("{what_for} needs the `sops` program, which is not on the PATH"),
        said: Vec::new(),
        help: Some(INSTALL.to_owned()),
    }
}

/// What the program calls a file of this name.
#[must_use]
pub fn kind(path: &Path) -> &'static str {
    if path.extension().is_some_and(|e| e == "json") { "json" } else { "yaml" }
}

/// A call of the program in a file's folder, where it finds its `.sops.yaml`, with the target's
/// identities besides those of the environment.
///
/// # Errors
/// When the program is missing, or the target's file of identities cannot be read.
pub fn command<A: Into<OsString>>(
    look: &Look,
    file: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<CommandSpec, PlatformError> {
    let Some(program) = program(look) else {
        return Err(missing(&format!("writing `{}`", file.display())));
    };
    spec(look, &program, file, arguments)
}

fn spec<A: Into<OsString>>(
    look: &Look,
    program: &Path,
    file: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<CommandSpec, PlatformError> {
    let cwd = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => look.base.to_path_buf(),
    };
    let argv = std::iter::once(program.as_os_str().to_owned())
        .chain(arguments.into_iter().map(Into::into));
    let mut spec = CommandSpec::new(argv, &cwd, DEADLINE);
    let Some(ours) = target_file(look) else { return Ok(spec) };
    match look.variable(KEY_FILE).filter(|path| !path.is_empty() && ours != **path) {
        None => spec.env.push((KEY_FILE.to_owned(), ours.display().to_string())),
        // It reads one such file; the identities of the other go by the other variable.
        Some(_) => {
            let text = std::fs::read_to_string(&ours)
                .map_err(|e| PlatformError::io("read the identities in", &ours, &e))?;
            let all: Vec<String> = look
                .variable(KEY)
                .map(|own| own.to_string_lossy().into_owned())
                .into_iter()
                .chain(text.lines().filter(|l| !l.trim_start().starts_with('#')).map(str::to_owned))
                .filter(|line| !line.trim().is_empty())
                .collect();
            for line in &all {
                look.conceal(&Secret::new(line.trim()));
            }
            spec.secret_env.push((KEY.to_owned(), Secret::new(all.join("\n"))));
        }
    }
    Ok(spec)
}

/// Opens a file with the program. Its text goes by standard input: it may be another than the
/// file's by now.
///
/// # Errors
/// When it fails for another reason than a missing key.
pub(super) async fn open(
    look: &Look,
    program: &Path,
    path: &Path,
    text: &str,
) -> Result<Opened, PlatformError> {
    let kind = kind(path);
    let arguments = ["decrypt", "--input-type", kind, "--output-type", "json"];
    let mut spec = spec(look, program, path, arguments)?;
    spec.stdin = Some(Secret::new(text));
    let (reader, writer) = std::io::pipe().map_err(|e| PlatformError::io("read", path, &e))?;
    // Past the engine, whose logs and screens could show what is not yet known to be secret.
    spec.write_to = Some(writer.into());
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.take(LARGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let outcome = look.check(spec).await?;
    if outcome.code == Some(NO_KEY) {
        // What `sops` says of it fills a screen and names every place it knows, ours among them.
        return Ok(Opened::Sealed(format!(
            "there is no key for `{}` here, says `sops`; {}",
            path.display(),
            Identities::gather(look).places()
        )));
    }
    if outcome.code == Some(MAC_MISMATCH) {
        return Err(damaged(path, "its values and its `mac` do not belong together, says `sops`"));
    }
    if outcome.timed_out {
        return Err(PlatformError::TimedOut(format!(
            "`sops` did not decrypt `{}` within {}",
            path.display(),
            workplan_engine::duration::format(DEADLINE)
        )));
    }
    if outcome.code != Some(0) {
        return Err(PlatformError::Failed {
            what: format!("`sops` failed to decrypt `{}`", path.display()),
            said: outcome.tail,
            help: None,
        });
    }
    let bytes = match reading.await {
        Ok(Ok(bytes)) => bytes,
        _ => {
            return Err(PlatformError::failed(format!(
                "what `sops` says of `{}` could not be read",
                path.display()
            )));
        }
    };
    if bytes.len() as u64 > LARGEST {
        return Err(PlatformError::failed(format!(
            "`{}` holds more than 16 MiB in the clear; values files of that size are not supported",
            path.display()
        )));
    }
    // The error of the JSON reader could repeat a part of it.
    let tree: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| {
        PlatformError::failed(format!(
            "what `sops` says of `{}` is no JSON mapping",
            path.display()
        ))
    })?;
    Ok(Opened::Open(tree))
}
