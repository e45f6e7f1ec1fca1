//! What the engine and its supervisor say to each other.
//!
//! One message is one packet of a `SOCK_SEQPACKET` pair, so there is no framing and a message with
//! its file descriptors arrives whole: the length of its JSON as four bytes, the JSON, and for a
//! `Spawn` the command. Arguments and environment that are larger than a packet may be travel in
//! an anonymous memory file whose descriptor is sent along.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::Account;

/// The variable that carries an attempt's identity into every process of its step.
pub const ATTEMPT_VARIABLE: &str = "WORKPLAN_ATTEMPT";

const LENGTH_BYTES: usize = 4;
/// The largest message. An `Exited` with all its processes stays far below.
const MESSAGE_BYTES: usize = 64 * 1024;
/// A larger command travels in a memory file.
const COMMAND_BYTES: usize = MESSAGE_BYTES - 1024;
/// The descriptors of a `Spawn`: the child's 0, 1 and 2, and the memory file if there is one.
const MOST_FDS: usize = 4;

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
    /// The command follows the message, or is in the fourth descriptor.
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
    Refused {
        what: String,
        errno: i32,
    },
    /// Left out for a step that ends at once.
    Spawned {
        id: u64,
        pid: i32,
    },
    SpawnFailed {
        id: u64,
        errno: i32,
        cwd: bool,
    },
    Exited {
        id: u64,
        pid: i32,
        end: End,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        leftovers: Vec<NamedProcess>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        survivors: Vec<NamedProcess>,
    },
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
    payload: &[u8],
    fds: &[RawFd],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
    bytes[..LENGTH_BYTES].copy_from_slice(&length.to_ne_bytes());
    let control = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &control[..0] } else { &control[..] };
    loop {
        let packet = [IoSlice::new(&bytes), IoSlice::new(payload)];
        match sendmsg::<()>(socket.as_raw_fd(), &packet, control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// One message with what came along.
#[derive(Debug)]
pub(super) struct Received<'a, M> {
    pub(super) message: M,
    pub(super) payload: &'a [u8],
    pub(super) fds: Vec<OwnedFd>,
}

/// Where messages arrive.
#[derive(Debug)]
pub(super) struct Inbox(Vec<u8>);

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox(vec![0; MESSAGE_BYTES])
    }

    /// Receives one message with what follows it and its descriptors; `None` when the peer has
    /// closed.
    pub(super) fn receive<M: for<'a> Deserialize<'a>>(
        &mut self,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Option<Received<'_, M>>> {
        let mut control = nix::cmsg_space!([RawFd; MOST_FDS]);
        let mut packet = [IoSliceMut::new(&mut self.0)];
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
        let torn = || io::Error::from(io::ErrorKind::InvalidData);
        let (json, rest) = self.0[..length].split_first_chunk().ok_or_else(torn)?;
        let json = usize::try_from(u32::from_ne_bytes(*json)).unwrap_or(usize::MAX);
        let (json, payload) = rest.split_at_checked(json).ok_or_else(torn)?;
        Ok(Some(Received { message: serde_json::from_slice(json)?, payload, fds }))
    }
}

#[expect(unsafe_code, reason = "descriptors arrive from the kernel as plain numbers")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for this very message; nobody else
    // knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// What to execute, written out: the program, the working folder, the account as `UID:GID` or
/// nothing for the supervisor's own, the number of arguments, the arguments, and the variables as
/// `NAME=value`; each ends with a NUL, which none can contain.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    /// Where the command is, if it is too large for a packet.
    pub(super) file: Option<OwnedFd>,
}

/// What was to be written has a NUL in it.
#[derive(Debug)]
pub(super) struct HasNul;

impl Sealed {
    pub(super) fn new() -> Sealed {
        Sealed { bytes: Vec::with_capacity(4096), file: None }
    }

    pub(super) fn push(&mut self, parts: &[&OsStr]) -> Result<(), HasNul> {
        for part in parts.iter().map(|part| part.as_bytes()) {
            if part.contains(&0) {
                return Err(HasNul);
            }
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        Ok(())
    }

    /// Moves a command that is too large for a packet to a memory file.
    pub(super) fn pack(mut self) -> io::Result<Sealed> {
        if self.bytes.len() > COMMAND_BYTES {
            let mut file = File::from(memfd_create(c"command", MFdFlags::MFD_CLOEXEC)?);
            file.write_all(&std::mem::take(&mut self.bytes))?;
            self.file = Some(file.into());
        }
        Ok(self)
    }
}

/// Reads a memory file that [`Sealed::pack`] wrote.
pub(super) fn unpack(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::from(file);
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A command as [`Sealed`] wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) program: &'a CStr,
    pub(super) cwd: &'a CStr,
    /// Another account than the supervisor's own.
    pub(super) account: Option<Account>,
    /// Without the program's name.
    pub(super) args: Vec<&'a CStr>,
    pub(super) env: Vec<&'a CStr>,
}

impl<'a> Command<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Command<'a>> {
        let mut strings =
            bytes.split_inclusive(|byte| *byte == 0).map(|s| CStr::from_bytes_with_nul(s).ok());
        let program = strings.next()??;
        let cwd = strings.next()??;
        let account = match strings.next()??.to_str().ok()? {
            "" => None,
            other => {
                let (uid, gid) = other.split_once(':')?;
                Some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
        };
        let count: usize = strings.next()??.to_str().ok()?.parse().ok()?;
        let args = strings.by_ref().take(count).collect::<Option<Vec<_>>>()?;
        let env = strings.collect::<Option<Vec<_>>>()?;
        (args.len() == count).then_some(Command { program, cwd, account, args, env })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn sealed(account: &str, args: &[&str], env: &[(&str, &str)]) -> Sealed {
        let mut sealed = Sealed::new();
        let count = args.len().to_string();
        for text in ["/bin/true", "/", account, count.as_str()].iter().chain(args) {
            sealed.push(&[OsStr::new(text)]).unwrap();
        }
        for (name, value) in env {
            sealed.push(&[name, "=", value].map(OsStr::new)).unwrap();
        }
        sealed
    }

    #[test]
    fn a_command_is_read_as_it_was_written() {
        let packed = sealed("", &["", "a b", ""], &[("A", ""), ("B", "x=y\nz")]);
        let command = Command::decode(&packed.bytes).unwrap();
        assert_eq!((command.program, command.cwd), (c"/bin/true", c"/"));
        assert_eq!(command.account, None);
        assert_eq!(command.args, [c"", c"a b", c""]);
        assert_eq!(command.env, [c"A=", c"B=x=y\nz"]);
        let cut = &packed.bytes[..packed.bytes.len() - 1];
        assert_eq!(Command::decode(cut), None);
        let other = sealed("101:104", &["-v"], &[]);
        let account = Command::decode(&other.bytes).unwrap().account;
        assert_eq!(account, Some(Account { uid: 101, gid: 104 }));
        for wrong in ["101", "101:", ":", "a:b"] {
            assert_eq!(Command::decode(&sealed(wrong, &[], &[]).bytes), None, "{wrong}");
        }
        assert!(Sealed::new().push(&[OsStr::new("a\0b")]).is_err());
    }

    #[test]
    fn descriptors_and_commands_of_any_size_travel_with_their_message() {
        for size in [1, COMMAND_BYTES - 100, COMMAND_BYTES + 100, 1 << 20] {
            let (ours, theirs) = pair().unwrap();
            let large = "x".repeat(size);
            let packed = sealed("", &["a"], &[("LARGE", &large)]).pack().unwrap();
            assert_eq!(packed.file.is_some(), size > COMMAND_BYTES);
            let request = Request::Spawn { id: 7, leftover_grace_ms: 1 };
            let fds: Vec<RawFd> = packed.file.iter().map(AsRawFd::as_raw_fd).collect();
            send(ours.as_fd(), &request, &packed.bytes, &fds).unwrap();
            drop(ours);
            let mut inbox = Inbox::new();
            let mut received = inbox.receive::<Request>(theirs.as_fd()).unwrap().unwrap();
            assert!(matches!(received.message, Request::Spawn { id: 7, .. }));
            let file = received.fds.pop();
            let payload = file.map_or(received.payload.to_vec(), |file| unpack(file).unwrap());
            let command = Command::decode(&payload).unwrap();
            assert_eq!(command.env[0].to_bytes().len(), "LARGE=".len() + size);
            assert!(inbox.receive::<Request>(theirs.as_fd()).unwrap().is_none());
        }
    }
}
