//! The bytes between a child process and its files.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::child::ChildEnd;
use super::output::{Lines, Log, Tail};
use super::redact::RedactStream;
use super::{ChildSpec, Stdin};

const READ_BYTES: usize = 64 * 1024;

/// What is written to the child, and how much of it was.
type Input = (pipe::Sender, Vec<u8>, usize);

/// Our ends of the pipes.
pub(super) struct Pipes {
    stdin: Option<Input>,
    /// `None` when it goes elsewhere.
    stdout: Option<pipe::Receiver>,
    /// `None` when standard error shares the other pipe, which keeps the order.
    stderr: Option<pipe::Receiver>,
}

/// The child's ends.
pub(super) struct Theirs {
    pub(super) stdin: Option<ChildEnd>,
    pub(super) stdout: ChildEnd,
    pub(super) stderr: ChildEnd,
}

/// Makes the pipes. Ends that the specification brought are taken out of it, so that ours are
/// closed with [`Theirs`].
pub(super) fn pipes(spec: &mut ChildSpec) -> io::Result<(Pipes, Theirs)> {
    let output = || -> io::Result<(Option<pipe::Receiver>, ChildEnd)> {
        let (ours, theirs) = io::pipe()?;
        Ok((Some(pipe::Receiver::from_owned_fd(ours.into())?), theirs.into()))
    };
    let captures = spec.capture_stdout.is_some() || spec.capture_stderr.is_some();
    let elsewhere = spec.stdout.take();
    let apart = captures || elsewhere.is_some();
    let (stdout, their_stdout) = match elsewhere {
        Some(end) => (None, end),
        None => output()?,
    };
    let (stderr, their_stderr) = if apart { output()? } else { (None, their_stdout.clone()) };
    let (stdin, their_stdin) = match std::mem::take(&mut spec.stdin) {
        Stdin::Null => (None, None),
        Stdin::Bytes(bytes) => {
            let (theirs, ours) = io::pipe()?;
            let sender = pipe::Sender::from_owned_fd(ours.into())?;
            (Some((sender, bytes, 0)), Some(theirs.into()))
        }
        Stdin::From(end) => (None, Some(end)),
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
    stdin: Option<Input>,
    log: Log,
    tail: Tail,
}

impl Flow {
    pub(super) fn new(spec: &ChildSpec, log: Log, pipes: Pipes) -> Flow {
        Flow {
            streams: [
                Stream::new(pipes.stdout, spec, spec.capture_stdout),
                Stream::new(pipes.stderr, spec, spec.capture_stderr),
            ],
            capture: [spec.capture_stdout.is_some(), spec.capture_stderr.is_some()],
            stdin: pipes.stdin,
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
async fn feed(stdin: &mut Option<Input>) -> bool {
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
