//! Writing SOPS files with the `sops` program. Their own rules say what of them is encrypted; no
//! value is ever on the disk in the clear.

use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path as FilePath, PathBuf};

use workplan_engine::kind::{CommandOutcome, CommandSpec, Hands, Secret, StepError};
use workplan_platform::values::sops;

use super::edit::{Op, edit};
use super::path::Path;
use crate::blocking::blocking;
use crate::files::{not_started, temporary};

/// The largest file that is made, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Whether a file of this name is encrypted when it is made.
pub(super) fn by_name(path: &FilePath) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".sops.yaml", ".sops.yml", ".sops.json"].iter().any(|end| name.ends_with(end))
}

/// Encrypts a new file by the creation rules of its repository.
///
/// # Errors
/// When the program or a rule is missing.
pub(super) async fn create(
    hands: &Hands,
    path: &FilePath,
    tree: &[(Path, Value)],
) -> Result<Vec<u8>, StepError> {
    let ops: Vec<Op> = tree.iter().map(|(p, v)| Op::Set(p.clone(), v.clone())).collect();
    let text = edit(path, "", &ops).map_err(not_started)?;
    let kind = sops::kind(path);
    let arguments =
        ["encrypt", "--input-type", "yaml", "--output-type", kind, "--filename-override"]
            .map(OsStr::new);
    let arguments = arguments.into_iter().chain([path.as_os_str()]);
    let mut spec = sops::command(hands, path, arguments)?;
    spec.stdin = Some(Secret::new(text));
    let (outcome, bytes) = output(hands, spec).await?;
    let outcome = succeeded(outcome, &format!("encrypt a new `{}`", path.display()));
    match outcome {
        Ok(()) => Ok(bytes),
        Err(mut error) => {
            let no_rule = ["no matching creation rules", "config file not found"];
            if error.said.iter().any(|line| no_rule.iter().any(|words| line.contains(words))) {
                error.help = Some(format!(
                    "say for whom it is encrypted: a rule under `creation_rules` in the `.sops.yaml` \
                     of its repository that fits `{}`",
                    path.file_name().unwrap_or_default().to_string_lossy()
                ));
            }
            Err(error)
        }
    }
}

/// Changes values in a copy of a file beside it, and gives its bytes.
///
/// # Errors
/// When the program is missing or refuses.
pub(super) async fn change(
    hands: &Hands,
    path: &FilePath,
    now: &[u8],
    tree: &Map<String, Value>,
    ops: &[Op],
) -> Result<Vec<u8>, StepError> {
    let copy = Copy(temporary(path, &hands.identity));
    {
        let (copy, now) = (copy.0.clone(), now.to_vec());
        blocking(move || write(&copy, &now)).await?;
    }
    let kind = sops::kind(path);
    for op in ops {
        let (verb, value, path_in) = match op {
            Op::Set(path, value) => ("set", Some(value), path),
            Op::Remove(path) => ("unset", None, path),
        };
        let index = index(tree, path_in);
        let mut arguments = vec![OsStr::new(verb), OsStr::new("--input-type"), OsStr::new(kind)];
        arguments.extend([OsStr::new("--output-type"), OsStr::new(kind)]);
        if value.is_some() {
            arguments.push(OsStr::new("--value-stdin"));
        }
        arguments.extend([copy.0.as_os_str(), OsStr::new(&index)]);
        let mut spec = sops::command(hands, path, arguments)?;
        spec.stdin = value.map(|value| Secret::new(value.to_string()));
        let outcome = hands.run(spec).await?;
        let what = format!("{verb} `{}` in `{}`", super::path::show(path_in), path.display());
        succeeded(outcome, &what).map_err(|mut error| {
            if error.said.iter().any(|line| line.contains("value-stdin")) {
                error.help = Some(
                    "this `sops` takes values only as arguments, which everybody on the machine can \
                     read; version 3.11 or newer takes them by standard input"
                        .to_owned(),
                );
            }
            error
        })?;
    }
    let path = copy.0.clone();
    blocking(move || fs::read(&path))
        .await
        .map_err(|e| StepError::failed(format!("what `sops` wrote cannot be read: {e}")))
}

/// The copy that the program changes; gone on every way out that this process survives.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays is seen by the next look, which knows its name.
        drop(fs::remove_file(&self.0));
    }
}

fn write(path: &FilePath, bytes: &[u8]) -> Result<(), StepError> {
    use std::io::Write as _;
    let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    options
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|e| StepError::failed(format!("failed to write `{}`: {e}", path.display())))
}

/// A path as the program writes it: `["a"][0]`.
fn index(tree: &Map<String, Value>, path: &[String]) -> String {
    let mut out = String::new();
    for (depth, part) in path.iter().enumerate() {
        let in_list = matches!(super::path::get(tree, &path[..depth]), Some(Value::Array(_)));
        match part.parse::<usize>() {
            Ok(number) if in_list => out.push_str(&format!("[{number}]")),
            _ => out.push_str(&format!("[{}]", Value::from(part.as_str()))),
        }
    }
    out
}

/// Runs a program whose output is wanted, past logs and screens.
async fn output(
    hands: &Hands,
    mut spec: CommandSpec,
) -> Result<(CommandOutcome, Vec<u8>), StepError> {
    let broken = |e: std::io::Error| StepError::failed(format!("a pipe to `sops` broke: {e}"));
    let (reader, writer) = std::io::pipe().map_err(broken)?;
    spec.write_to = Some(writer.into());
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes)
    });
    let outcome = hands.run(spec).await?;
    match reading.await {
        Ok(bytes) => Ok((outcome, bytes.map_err(broken)?)),
        Err(e) => Err(StepError::failed(format!("what `sops` said was lost: {e}"))),
    }
}

fn succeeded(outcome: CommandOutcome, what: &str) -> Result<(), StepError> {
    use workplan_engine::kind::ErrorCause;
    let cause = match outcome {
        CommandOutcome { code: Some(0), .. } => return Ok(()),
        CommandOutcome { cancelled: true, .. } => ErrorCause::Cancelled,
        CommandOutcome { timed_out: true, .. } => ErrorCause::TimedOut,
        _ => ErrorCause::Failed,
    };
    let mut error = StepError::new(cause, format!("`sops` failed to {what}"));
    error.said = outcome.tail;
    error.log = outcome.log;
    Err(error)
}
