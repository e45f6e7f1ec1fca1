//! The bytes between a child process and its files.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::output::{Lines, Log, Tail};
use super::redact::RedactStream;
use super::{ChildSpec, Stdin};

const READ_BYTES: usize = 64 * 1024;

/// Our ends of the pipes.
pub(super) struct Pipes {
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    /// `None` when standard error shares the other pipe, which keeps the order.
    stderr: Option<pipe::Receiver>,
}

/// The child's ends.
pub(super) struct Theirs {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

pub(super) fn pipes(spec: &ChildSpec) -> io::Result<(Pipes, Theirs)> {
    let output = || -> io::Result<(pipe::Receiver, OwnedFd)> {
        let (ours, theirs) = io::pipe()?;
        Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs.into()))
    };
    let (stdout, their_stdout) = output()?;
    let (stderr, their_stderr) = if spec.capture_stdout.is_some() || spec.capture_stderr.is_some() {
        let (stderr, theirs) = output()?;
        (Some(stderr), theirs)
    } else {
        (None, their_stdout.try_clone()?)
    };
    let (stdin, their_stdin) = match spec.stdin {
        Stdin::Null => (None, None),
        Stdin::Bytes(_) => {
            let (theirs, ours) = io::pipe()?;
            (Some(pipe::Sender::from_owned_fd(ours.into())?), Some(theirs.into()))
        }
    };
    let theirs = Theirs { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
    Ok((Pipes { stdin, stdout, stderr }, theirs))
}

/// One output pipe and what is done with it.
struct Stream {
    pipe: Option<pipe::Receiver>,
    redact: RedactStream,
    lines: Lines,
    limit: usize,
    captured: Vec<u8>,
    truncated: bool,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<pipe::Receiver>, spec: &ChildSpec, capture: Option<usize>) -> Stream {
        Stream {
            buffer: vec![0; if pipe.is_some() { READ_BYTES } else { 0 }],
            pipe,
            redact: spec.redactor.stream(),
            lines: Lines::default(),
            limit: capture.unwrap_or(0),
            captured: Vec::new(),
            truncated: false,
            bytes: 0,
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, length: usize, capture: bool, log: &mut Log, tail: &mut Tail) {
        if length == 0 {
            self.pipe = None;
            return;
        }
        let bytes = &self.buffer[..length];
        self.bytes += length as u64;
        if capture {
            let room = self.limit - self.captured.len();
            self.truncated |= length > room;
            self.captured.extend_from_slice(&bytes[..length.min(room)]);
        }
        let shown = self.redact.push(bytes);
        log.write(shown);
        self.lines.push(shown, tail);
    }

    fn end(&mut self, log: &mut Log, tail: &mut Tail) {
        let shown = self.redact.finish();
        log.write(shown);
        self.lines.push(shown, tail);
        self.lines.finish(tail);
    }
}

/// The start of a stream.
pub(super) struct Captured {
    pub(super) bytes: Vec<u8>,
    pub(super) truncated: bool,
}

/// What there is to say of a child's output, see [`Finished`](super::Finished).
pub(super) struct Output {
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    pub(super) tail: Vec<String>,
    pub(super) bytes: u64,
    pub(super) open: bool,
    pub(super) log_error: Option<io::Error>,
}

/// The bytes that flow between the child and its files.
pub(super) struct Flow {
    streams: [Stream; 2],
    capture: [bool; 2],
    stdin: Option<(pipe::Sender, Vec<u8>, usize)>,
    log: Log,
    tail: Tail,
}

impl Flow {
    pub(super) fn new(spec: &ChildSpec, log: Log, pipes: Pipes) -> Flow {
        let stdin = match (&spec.stdin, pipes.stdin) {
            (Stdin::Bytes(bytes), Some(pipe)) => Some((pipe, bytes.clone(), 0)),
            _ => None,
        };
        Flow {
            streams: [
                Stream::new(Some(pipes.stdout), spec, spec.capture_stdout),
                Stream::new(pipes.stderr, spec, spec.capture_stderr),
            ],
            capture: [spec.capture_stdout.is_some(), spec.capture_stderr.is_some()],
            stdin,
            log,
            tail: Tail::new(spec.on_line.clone()),
        }
    }

    /// Whether an output pipe is open.
    pub(super) fn is_open(&self) -> bool {
        self.streams.iter().any(|stream| stream.pipe.is_some())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_open() || self.stdin.is_some()
    }

    /// Lets the child's input go, which nobody reads any more.
    pub(super) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Writes out what is kept back, and says what there was.
    pub(super) fn finish(self) -> Output {
        let open = self.is_open();
        let (mut log, mut tail, mut bytes) = (self.log, self.tail, 0);
        let [stdout, stderr] = self.streams.map(|mut stream| {
            bytes += stream.bytes;
            stream.end(&mut log, &mut tail);
            Captured { bytes: stream.captured, truncated: stream.truncated }
        });
        log.finish();
        Output { stdout, stderr, tail: tail.into_lines(), bytes, open, log_error: log.error }
    }

    /// Moves some bytes one way or another. Cancelling it loses none.
    pub(super) async fn pump(&mut self) -> io::Result<()> {
        let [stdout, stderr] = &mut self.streams;
        tokio::select! {
            length = stdout.read() => {
                stdout.take(length?, self.capture[0], &mut self.log, &mut self.tail);
            }
            length = stderr.read() => {
                stderr.take(length?, self.capture[1], &mut self.log, &mut self.tail);
            }
            open = feed(&mut self.stdin) => {
                if !open {
                    self.stdin = None;
                }
            }
        }
        Ok(())
    }
}

/// Writes some of the input; says whether there is more to write. Errors end it: a child need not
/// read its input, and its exit says how it fared.
async fn feed(stdin: &mut Option<(pipe::Sender, Vec<u8>, usize)>) -> bool {
    match stdin {
        None => std::future::pending().await,
        Some((pipe, bytes, written)) => match pipe.write(&bytes[*written..]).await {
            Ok(more) => {
                *written += more;
                *written < bytes.len()
            }
            Err(_) => false,
        },
    }
}
