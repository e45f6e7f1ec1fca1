//! The bytes between a child process and its files.

use std::io::{self, PipeReader, Read as _};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::child::ChildEnd;
use super::output::{Lines, Log, Tail};
use super::redact::RedactStream;
use super::{ChildSpec, Stdin};

/// The most that is read at once.
const READ_BYTES: usize = 64 * 1024;
/// The same until a step turns out to say much: most say little.
const FIRST_READ_BYTES: usize = 512;

/// What is written to the child, and how much of it was.
type Input = (pipe::Sender, Vec<u8>, usize);

/// Our ends of the pipes.
pub(super) struct Pipes {
    stdin: Option<Input>,
    /// `None` when it goes elsewhere.
    stdout: Option<PipeReader>,
    /// `None` when standard error shares the other pipe, which keeps the order.
    stderr: Option<PipeReader>,
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
    let output = || -> io::Result<(Option<PipeReader>, ChildEnd)> {
        let (ours, theirs) = io::pipe()?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Some(ours), theirs.into()))
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

/// One output pipe.
enum Pipe {
    /// Nobody waits for it: most steps end before they have said anything.
    Unwatched(PipeReader),
    Watched(pipe::Receiver),
    Closed,
}

/// One output pipe and what is done with it.
struct Stream {
    pipe: Pipe,
    redact: RedactStream,
    lines: Lines,
    limit: usize,
    captured: Vec<u8>,
    truncated: bool,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<PipeReader>, spec: &ChildSpec, capture: Option<usize>) -> Stream {
        Stream {
            buffer: vec![0; if pipe.is_some() { FIRST_READ_BYTES } else { 0 }],
            pipe: pipe.map_or(Pipe::Closed, Pipe::Unwatched),
            redact: spec.redactor.stream(),
            lines: Lines::default(),
            limit: capture.unwrap_or(0),
            captured: Vec::new(),
            truncated: false,
            bytes: 0,
        }
    }

    fn watch(&mut self) -> io::Result<()> {
        if let Pipe::Unwatched(_) = self.pipe
            && let Pipe::Unwatched(pipe) = std::mem::replace(&mut self.pipe, Pipe::Closed)
        {
            self.pipe = Pipe::Watched(pipe::Receiver::from_owned_fd(pipe.into())?);
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Pipe::Watched(pipe) => pipe.read(&mut self.buffer).await,
            Pipe::Unwatched(_) | Pipe::Closed => std::future::pending().await,
        }
    }

    /// Reads what is there. `None` where that was all by now, but not for ever.
    fn read_now(&mut self) -> io::Result<Option<usize>> {
        let Pipe::Unwatched(pipe) = &mut self.pipe else { return Ok(None) };
        loop {
            match pipe.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                length => return length.map(Some),
            }
        }
    }

    fn take(&mut self, length: usize, capture: bool, log: &mut Log, tail: &mut Tail) {
        if length == 0 {
            self.pipe = Pipe::Closed;
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
        if length == FIRST_READ_BYTES {
            self.buffer.resize(READ_BYTES, 0);
        }
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
        self.streams.iter().any(|stream| !matches!(stream.pipe, Pipe::Closed))
    }

    /// Starts to wait for output.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.streams.iter_mut().try_for_each(Stream::watch)
    }

    /// Takes the output of a child that has ended, as far as nobody waited for it yet.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        for (stream, capture) in self.streams.iter_mut().zip(self.capture) {
            while let Some(length) = stream.read_now()? {
                stream.take(length, capture, &mut self.log, &mut self.tail);
            }
        }
        // What is open now is held by somebody else.
        self.watch()
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
