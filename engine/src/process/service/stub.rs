//! The program that becomes a service.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgid, setgroups, setsid, setuid};

use super::{Account, ServiceEntry, ServiceSpec};
use crate::process::ProcessId;

/// The program of a service that is this very program: it goes on as what its arguments say.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Reads a [`ServiceSpec`] from standard input and becomes that server. One whose program is
/// [`THIS_PROGRAM`] is what `own` does with its arguments; that ends with the process's exit code.
///
/// Otherwise it returns only when it could not, with the process's exit code, after it said why on
/// standard error, which is the starter's pipe. It takes over the whole process: a session of its
/// own, no descriptors but `/dev/null` and the log, `umask` 027.
#[must_use]
pub fn become_service(own: impl FnOnce(&[String]) -> i32) -> i32 {
    // Closed by a successful exec, which is how the starter learns of it.
    let Ok(report) = io::stderr().as_fd().try_clone_to_owned() else { return 1 };
    let mut report = File::from(report);
    match run(&report) {
        Ok(args) => {
            drop(report);
            own(&args)
        }
        Err(why) => {
            let _ = writeln!(report, "{why}");
            1
        }
    }
}

/// Becomes another program; returns where it is to be this one, with its arguments.
fn run(report: &File) -> Result<Vec<String>, String> {
    let mut text = Vec::new();
    io::stdin()
        .read_to_end(&mut text)
        .map_err(|e| format!("failed to read what to become: {e}"))?;
    let spec: ServiceSpec =
        serde_json::from_slice(&text).map_err(|e| format!("failed to read what to become: {e}"))?;
    let failed = |what: &str, path: &Path, e: io::Error| {
        format!("failed to {what} `{}`: {e}", path.display())
    };
    // Not an error where the starter has made one already.
    let _ = setsid();
    umask(Mode::from_bits_truncate(0o027));
    let account = spec.account.unwrap_or_else(Account::current);
    let log = open_log(&spec.log, account).map_err(|e| failed("open the log", &spec.log, e))?;
    let entry = ServiceEntry {
        process: ProcessId::current().map_err(|e| format!("failed to read `/proc`: {e}"))?,
        program: spec.program.clone(),
        cwd: spec.cwd.clone(),
        account,
        what: spec.what.clone(),
    };
    write_entry(&spec.entry, &entry).map_err(|e| failed("write", &spec.entry, e))?;
    only_standard_streams(&log, report).map_err(|e| format!("failed to set its streams: {e}"))?;
    if account != Account::current() {
        drop_privileges(account).map_err(|e| {
            format!("failed to become user {} of group {}: {e}", account.uid, account.gid)
        })?;
    }
    std::env::set_current_dir(&spec.cwd).map_err(|e| failed("enter", &spec.cwd, e))?;
    if spec.program == Path::new(THIS_PROGRAM) {
        return Ok(spec.args);
    }
    let error = Command::new(&spec.program).args(&spec.args).env_clear().envs(spec.env).exec();
    Err(failed("execute", &spec.program, error))
}

fn open_log(path: &Path, account: Account) -> io::Result<File> {
    let log = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    if Account::current().is_root() {
        chown(path, Some(account.uid), Some(account.gid))?;
    }
    Ok(log)
}

/// Whole or not at all, and on disk before the server runs.
fn write_entry(path: &Path, entry: &ServiceEntry) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(&serde_json::to_vec_pretty(entry)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn drop_privileges(account: Account) -> nix::Result<()> {
    setgroups(&[])?;
    setgid(Gid::from_raw(account.gid))?;
    setuid(Uid::from_raw(account.uid))
}

/// `/dev/null` to read from, the log to write to, and the starter's pipe until the exec.
fn only_standard_streams(log: &File, report: &File) -> io::Result<()> {
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    nix::unistd::dup2_stdout(log)?;
    nix::unistd::dup2_stderr(log)?;
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let kept = [log.as_raw_fd(), report.as_raw_fd()];
    for fd in open.into_iter().filter(|fd| *fd > 2 && !kept.contains(fd)) {
        // The listing's own descriptor is among them and closed already. What is kept is closed on
        // exec.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}
