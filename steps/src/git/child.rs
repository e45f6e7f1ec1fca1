//! How `git` is run.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use workplan_engine::kind::{CommandOutcome, CommandSpec, Look, Secret, StepError};

/// How long one `git` may take. None of ours speaks to another machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The most that a child's output is captured of, in bytes; see [`CommandSpec::capture`].
pub(super) const CAPTURED: usize = 1024 * 1024;

/// Variables of a hook or an alias that `workplan` was started from. They would name another
/// repository than the one that a path lies in.
const FOREIGN: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// A call of `git` in a folder. Paths after it are literal, its messages are in English.
pub(super) fn spec<A: Into<OsString>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> CommandSpec {
    let mut argv: Vec<OsString> = vec!["env".into()];
    for name in FOREIGN {
        argv.extend(["-u".into(), OsString::from(name)]);
    }
    argv.push("git".into());
    argv.extend(arguments.into_iter().map(Into::into));
    let mut spec = CommandSpec::new(argv, folder, DEADLINE);
    spec.env = [
        ("LC_ALL", "C"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // A look must not refresh the index either.
        ("GIT_OPTIONAL_LOCKS", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    spec.capture = true;
    spec
}

/// A call that only reads. In a dry-run also of a repository of somebody else, which `git` refuses
/// because what its configuration names could be run: a plan is often made by those who may not write.
/// What it could run unasked while it reads is off; and in a run git's own refusal stands, before
/// anything is begun.
pub(super) fn reading<A: Into<OsString>>(
    look: &Look,
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> CommandSpec {
    let anybodys: &[&str] = if look.dry_run {
        &["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    } else {
        &[]
    };
    let anybodys = anybodys.iter().map(OsString::from);
    spec(folder, anybodys.chain(arguments.into_iter().map(Into::into)))
}

/// Gives a child paths on its standard input, each ended by NUL.
pub(super) fn feed<'p>(spec: &mut CommandSpec, paths: impl IntoIterator<Item = &'p Path>) {
    use std::os::unix::ffi::OsStrExt;
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    spec.stdin = Some(Secret::new(bytes));
}

/// A failure of `git` with its own words.
pub(super) fn refused(doing: &str, folder: &Path, outcome: &CommandOutcome) -> StepError {
    let folder = folder.display();
    let what = if outcome.cancelled {
        let what = format!("failed to {doing} in `{folder}`: the run was cancelled");
        return StepError::new(workplan_engine::kind::ErrorCause::Cancelled, what);
    } else if outcome.timed_out {
        format!("failed to {doing} in `{folder}`: `git` did not end in {} s", DEADLINE.as_secs())
    } else {
        let marked = ["fatal:", "error:"];
        let said = outcome
            .tail
            .iter()
            .find(|line| marked.iter().any(|m| line.starts_with(m)))
            .or_else(|| outcome.tail.iter().find(|line| !line.trim().is_empty()));
        let said = said.map_or("`git` did not say why", |line| line.trim());
        format!("failed to {doing} in `{folder}`: {said}")
    };
    let mut error = StepError::failed(what);
    error.said.clone_from(&outcome.tail);
    error.log.clone_from(&outcome.log);
    error
}

/// What an answer of `git` consists of, without the NUL after each.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == 0).filter(|record| !record.is_empty())
}
