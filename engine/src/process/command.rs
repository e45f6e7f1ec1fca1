//! From a specification to a command that the supervisor can execute.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::wire::{ATTEMPT_VARIABLE, Command};
use super::{Account, ChildSpec, ProcessError};

/// Checks what would fail later with less to say.
pub(super) fn command(spec: &ChildSpec) -> Result<Command, ProcessError> {
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    for (what, found) in [
        ("the program", has_nul(spec.program.as_os_str())),
        ("the working folder", has_nul(spec.cwd.as_os_str())),
        ("an argument", spec.args.iter().any(|arg| has_nul(arg))),
        ("a variable", spec.env.iter().any(|(n, v)| has_nul(n) || has_nul(v))),
        ("the attempt's identity", spec.identity.contains('\0')),
    ] {
        if found {
            return Err(ProcessError::Nul(what));
        }
    }
    let bad_cwd = |source| ProcessError::Cwd { cwd: spec.cwd.clone(), source };
    match fs::metadata(&spec.cwd) {
        Ok(folder) if folder.is_dir() => {}
        Ok(_) => return Err(bad_cwd(Errno::ENOTDIR)),
        Err(error) => {
            return Err(bad_cwd(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)));
        }
    }
    let mut env = spec.env.clone();
    env.retain(|(name, _)| name != ATTEMPT_VARIABLE);
    env.push((ATTEMPT_VARIABLE.into(), spec.identity.clone().into()));
    Ok(Command {
        program: resolve(spec)?,
        cwd: spec.cwd.clone(),
        args: spec.args.clone(),
        env,
        account: spec.account.filter(|account| *account != Account::current()),
    })
}

/// Looks the program up here, in the child's own `PATH`: the quick way to spawn would use the
/// supervisor's.
fn resolve(spec: &ChildSpec) -> Result<PathBuf, ProcessError> {
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(spec.program.clone());
    }
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(""), |(_, value)| value.as_os_str());
    let mut refused = None;
    for folder in path.as_bytes().split(|byte| *byte == b':').filter(|_| !path.is_empty()) {
        // An empty entry is the working folder, as a relative one is below it.
        let candidate = spec.cwd.join(Path::new(OsStr::from_bytes(folder))).join(&spec.program);
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
            program: spec.program.to_string_lossy().into_owned(),
            path: path.to_string_lossy().into_owned(),
        },
    })
}
