//! From a specification to a command that the supervisor can execute.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::wire::{ATTEMPT_VARIABLE, HasNul, Sealed};
use super::{Account, ChildSpec, ProcessError};

/// A command, and the program that it was found to be.
pub(super) struct Ready {
    pub(super) program: PathBuf,
    pub(super) sealed: Sealed,
}

/// Checks what would fail later with less to say.
pub(super) fn command(spec: &ChildSpec) -> Result<Ready, ProcessError> {
    let program = resolve(spec)?;
    let mut sealed = Sealed::new();
    let mut push =
        |parts: &[&OsStr], what| sealed.push(parts).map_err(|HasNul| ProcessError::Nul(what));
    push(&[program.as_os_str()], "the program")?;
    push(&[spec.cwd.as_os_str()], "the working folder")?;
    let account = spec.account.filter(|account| *account != Account::current());
    let account = account.map(|a| format!("{}:{}", a.uid, a.gid)).unwrap_or_default();
    push(&[OsStr::new(&account)], "the account")?;
    push(&[OsStr::new(&spec.args.len().to_string())], "an argument")?;
    for arg in &spec.args {
        push(&[arg], "an argument")?;
    }
    let own = |name: &OsString| *name == *ATTEMPT_VARIABLE;
    let given = |name: &OsString| spec.env.iter().any(|(given, _)| given == name);
    let base = spec.base_env.iter().filter(|(name, _)| !given(name));
    for (name, value) in base.chain(&spec.env).filter(|(name, _)| !own(name)) {
        push(&[name, OsStr::new("="), value], "a variable")?;
    }
    let identity = [ATTEMPT_VARIABLE, "=", spec.identity.as_str()].map(OsStr::new);
    push(&identity, "the attempt's identity")?;
    Ok(Ready { program, sealed: sealed.pack().map_err(ProcessError::Socket)? })
}

/// Looks the program up here, in the child's own `PATH`: the quick way to spawn would use the
/// supervisor's.
fn resolve(spec: &ChildSpec) -> Result<PathBuf, ProcessError> {
    let path = spec.env.iter().rev().chain(spec.base_env.iter()).find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(""), |(_, value)| value.as_os_str());
    find_program(&spec.program, path, &spec.cwd)
}

/// The file that a program's name stands for: itself where it has a slash, else the first
/// executable one in the folders of `path`, of which relative ones are below `cwd`.
pub(crate) fn find_program(
    program: &Path,
    path: &OsStr,
    cwd: &Path,
) -> Result<PathBuf, ProcessError> {
    if program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(program.to_owned());
    }
    let mut refused = None;
    for folder in path.as_bytes().split(|byte| *byte == b':').filter(|_| !path.is_empty()) {
        // An empty entry is the working folder, as a relative one is below it.
        let candidate = cwd.join(Path::new(OsStr::from_bytes(folder))).join(program);
        match fs::metadata(&candidate) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate);
            }
            Ok(_) => refused = refused.or(Some(candidate)),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(program) => ProcessError::Spawn { program, source: Errno::EACCES },
        None => ProcessError::ProgramNotFound {
            program: program.to_string_lossy().into_owned(),
            path: path.to_string_lossy().into_owned(),
        },
    })
}
