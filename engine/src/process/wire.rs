//! What the engine and its supervisor say to each other.
//!
//! One JSON message is one packet of a `SOCK_SEQPACKET` pair, so there is no framing and a message
//! with its file descriptors arrives whole. Arguments and environment can be larger than a packet
//! may be; they travel in an anonymous memory file whose descriptor is sent along.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::Account;

/// The variable that carries an attempt's identity into every process of its step.
pub const ATTEMPT_VARIABLE: &str = "WORKPLAN_ATTEMPT";

/// The largest message. An `Exited` with all its processes stays far below.
const MESSAGE_BYTES: usize = 64 * 1024;
/// The descriptors of a `Spawn`: the command, then the child's 0, 1 and 2.
pub(super) const SPAWN_FDS: usize = 4;

/// A process, named for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedProcess {
    /// Its number.
    pub pid: i32,
    /// Its command line, shortened.
    pub command: String,
}

/// From the engine to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Spawn {
        id: u64,
        leftover_grace_ms: u64,
    },
    Kill {
        id: u64,
        how: Kill,
    },
    KillEverything,
    /// Remove a folder when the engine has gone.
    Doom {
        folder: String,
    },
    /// It is removed already.
    Spare {
        folder: String,
    },
}

/// How a step is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kill {
    /// SIGTERM, which it may handle.
    Ask,
    /// SIGKILL, repeated until nothing is left or the supervisor gives up.
    Force,
}

/// From the supervisor to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Ready,
    Refused { what: String, errno: i32 },
    Spawned { id: u64, pid: i32 },
    SpawnFailed { id: u64, errno: i32, cwd: bool },
    Exited { id: u64, end: End, leftovers: Vec<NamedProcess>, survivors: Vec<NamedProcess> },
}

/// How the main process of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
    /// It did not, in spite of SIGKILL.
    Never,
}

/// A connected pair; both ends are closed on exec.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Sends one message. A closed peer is `EPIPE`, without a signal.
pub(super) fn send<M: Serialize>(
    socket: BorrowedFd<'_>,
    message: &M,
    fds: &[RawFd],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let control = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &control[..0] } else { &control[..] };
    loop {
        let packet = [IoSlice::new(&bytes)];
        match sendmsg::<()>(socket.as_raw_fd(), &packet, control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Receives one message with its descriptors; `None` when the peer has closed.
pub(super) fn receive<M: for<'a> Deserialize<'a>>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MESSAGE_BYTES];
    let mut control = nix::cmsg_space!([RawFd; SPAWN_FDS]);
    let mut packet = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut packet, Some(&mut control), flags)?;
    let mut fds = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            fds.extend(raw.into_iter().map(own));
        }
    }
    let length = received.bytes;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&bytes[..length])?, fds)))
}

#[expect(unsafe_code, reason = "descriptors arrive from the kernel as plain numbers")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for this very message; nobody else
    // knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) program: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    /// Another account than the supervisor's own.
    pub(super) account: Option<Account>,
}

impl Command {
    /// Writes the command to a memory file: strings that each end with a NUL, which none of them
    /// can contain.
    pub(super) fn seal(&self) -> io::Result<OwnedFd> {
        let mut bytes = Vec::with_capacity(4096);
        let mut push = |parts: &[&OsStr]| {
            for part in parts {
                bytes.extend_from_slice(part.as_bytes());
            }
            bytes.push(0);
        };
        push(&[self.program.as_os_str()]);
        push(&[self.cwd.as_os_str()]);
        let account = self.account.map(|a| format!("{}:{}", a.uid, a.gid)).unwrap_or_default();
        push(&[OsStr::new(&account)]);
        push(&[OsStr::new(&self.args.len().to_string())]);
        for arg in &self.args {
            push(&[arg]);
        }
        for (name, value) in &self.env {
            push(&[name, OsStr::new("="), value]);
        }
        let mut file = File::from(memfd_create(c"command", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&bytes)?;
        Ok(file.into())
    }

    /// Reads back what [`Command::seal`] wrote.
    pub(super) fn unseal(fd: OwnedFd) -> io::Result<Command> {
        let mut bytes = Vec::new();
        let mut file = File::from(fd);
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Command::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn decode(bytes: &[u8]) -> Option<Command> {
        let mut strings = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let program = PathBuf::from(OsString::from_vec(strings.next()?));
        let cwd = PathBuf::from(OsString::from_vec(strings.next()?));
        let account = match String::from_utf8(strings.next()?).ok()?.split_once(':') {
            None => None,
            Some((uid, gid)) => Some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? }),
        };
        let count: usize = String::from_utf8(strings.next()?).ok()?.parse().ok()?;
        let args: Vec<OsString> = strings.by_ref().take(count).map(OsString::from_vec).collect();
        let mut env = Vec::new();
        for entry in strings {
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = entry.split_at(equals);
            let value = value[1..].to_vec();
            env.push((OsString::from_vec(name.to_vec()), OsString::from_vec(value)));
        }
        (args.len() == count).then_some(Command { program, cwd, args, env, account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
        Command {
            program: "/bin/true".into(),
            cwd: "/".into(),
            args: args.iter().map(OsString::from).collect(),
            env: env.iter().map(|(n, v)| (n.into(), v.into())).collect(),
            account: None,
        }
    }

    #[test]
    fn a_command_survives_the_memory_file() {
        for case in [
            command(&[], &[]),
            command(&["", "a b", ""], &[("A", ""), ("B", "x=y\nz")]),
            command(&[], &[("LARGE", &"x".repeat(1 << 20))]),
            Command { account: Some(Account { uid: 101, gid: 104 }), ..command(&["-v"], &[]) },
        ] {
            assert_eq!(Command::unseal(case.seal().unwrap()).unwrap(), case);
        }
    }

    #[test]
    fn descriptors_travel_with_their_message() {
        let (ours, theirs) = pair().unwrap();
        let sealed = command(&["a"], &[]).seal().unwrap();
        let request = Request::Spawn { id: 7, leftover_grace_ms: 1 };
        send(ours.as_fd(), &request, &[sealed.as_raw_fd()]).unwrap();
        drop(ours);
        let (request, mut fds) = receive::<Request>(theirs.as_fd()).unwrap().unwrap();
        assert!(matches!(request, Request::Spawn { id: 7, .. }));
        assert_eq!(Command::unseal(fds.remove(0)).unwrap(), command(&["a"], &[]));
        assert!(receive::<Request>(theirs.as_fd()).unwrap().is_none());
    }
}
