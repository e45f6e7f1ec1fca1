//! Where a step's output goes: a log file, the last lines, and captured bytes.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Sender;

const TAIL_LINES: usize = 20;
/// A longer line is cut for the tail and the screen; the log has it whole.
const LINE_BYTES: usize = 2048;
/// How much of the end is kept of a log that has reached its limit.
const LOG_END_BYTES: usize = 64 * 1024;

/// The log file, made when there is something to write. Errors of the disk are remembered, never
/// returned: a full disk must neither kill nor block the step.
#[derive(Debug)]
pub(super) struct Log {
    /// `None` where none is wanted or writing failed.
    path: Option<PathBuf>,
    file: Option<File>,
    room: u64,
    left_out: u64,
    end: VecDeque<u8>,
    pub(super) error: Option<io::Error>,
}

impl Log {
    pub(super) fn new(path: Option<&Path>, limit: u64) -> Log {
        let path = path.map(Path::to_owned);
        Log { path, file: None, room: limit, left_out: 0, end: VecDeque::new(), error: None }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.path.is_none() || bytes.is_empty() {
            return;
        }
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let (now, later) = bytes.split_at(fits);
        self.room -= fits as u64;
        self.put(now);
        if !later.is_empty() {
            if self.left_out == 0 && self.end.is_empty() {
                self.put(b"\n[workplan: the log's size limit is reached; its end follows]\n");
            }
            self.end.extend(later);
            let surplus = self.end.len().saturating_sub(LOG_END_BYTES);
            self.end.drain(..surplus);
            self.left_out += surplus as u64;
        }
    }

    /// Writes the end of a log that has reached its limit.
    pub(super) fn finish(&mut self) {
        if self.left_out > 0 {
            let marker = format!("[workplan: {} bytes are left out here]\n", self.left_out);
            self.put(marker.as_bytes());
        }
        let end: Vec<u8> = std::mem::take(&mut self.end).into();
        self.put(&end);
    }

    fn put(&mut self, bytes: &[u8]) {
        let Some(path) = self.path.as_ref().filter(|_| !bytes.is_empty()) else { return };
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => OpenOptions::new().create(true).append(true).mode(0o600).open(path),
        };
        match file.and_then(|mut file| file.write_all(bytes).map(|()| file)) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.error = Some(error);
                self.path = None;
            }
        }
    }
}

/// The last lines of the combined output, and the screen's copy of every line.
#[derive(Debug)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    screen: Option<Sender<String>>,
}

impl Tail {
    pub(super) fn new(screen: Option<Sender<String>>) -> Tail {
        Tail { lines: VecDeque::new(), screen }
    }

    fn push(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        if let Some(screen) = &self.screen {
            // A slow screen misses lines; the child is not held up for it.
            let _ = screen.try_send(line.clone());
        }
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Cuts one stream into lines. A lone carriage return starts the line again, as a progress bar
/// means it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    returned: bool,
    cut: bool,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8], tail: &mut Tail) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            match *first {
                b'\n' => {
                    self.end(tail);
                    rest = &rest[1..];
                }
                b'\r' => {
                    self.returned = true;
                    rest = &rest[1..];
                }
                _ => {
                    let until = rest.iter().position(|byte| b"\r\n".contains(byte));
                    let (text, after) = rest.split_at(until.unwrap_or(rest.len()));
                    self.text(text);
                    rest = after;
                }
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
            self.cut = false;
        }
        let room = LINE_BYTES - self.line.len();
        self.cut |= text.len() > room;
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn end(&mut self, tail: &mut Tail) {
        if std::mem::take(&mut self.cut) {
            self.line.extend_from_slice("…".as_bytes());
        }
        tail.push(&self.line);
        self.line.clear();
        self.returned = false;
    }

    /// Ends a last line without a line end.
    pub(super) fn finish(&mut self, tail: &mut Tail) {
        if !self.line.is_empty() {
            self.end(tail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut tail = Tail::new(None);
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut tail);
        }
        lines.finish(&mut tail);
        assert_eq!(tail.into_lines(), expected);
    }

    #[test]
    fn lines_are_cut_at_line_ends_however_they_arrive() {
        check(&["a\nb"], &["a", "b"]);
        check(&["a", "b\r", "\nc\n\n"], &["ab", "c", ""]);
        check(&["10%\r20%", "\r100%\ndone\r\n"], &["100%", "done"]);
    }

    #[test]
    fn the_tail_is_bounded() {
        let many: String = (0..30).map(|n| format!("{n}\n")).collect();
        let expected: Vec<String> = (10..30).map(|n| n.to_string()).collect();
        check(&[&many], &expected.iter().map(String::as_str).collect::<Vec<_>>());
        let long = "x".repeat(5000);
        check(&[&long, "\ny"], &[&format!("{}…", &long[..LINE_BYTES]), "y"]);
    }

    #[test]
    fn a_slow_screen_loses_lines_and_blocks_nothing() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut tail = Tail::new(Some(sender));
        Lines::default().push(b"a\nb\n", &mut tail);
        assert_eq!(receiver.try_recv().unwrap(), "a");
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn a_log_over_its_limit_keeps_head_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::new(Some(&path), 10);
        log.write(b"0123456789");
        log.write(&vec![b'x'; LOG_END_BYTES]);
        log.write(b"the end");
        log.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("0123456789\n[workplan: the log's size limit"), "{}", &text[..80]);
        assert!(text.contains("[workplan: 7 bytes are left out here]\nxxx"));
        assert!(text.ends_with("xthe end"));
    }

    #[test]
    fn a_log_is_made_when_there_is_something_to_write_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Log::new(Some(&path), 10).finish();
        assert!(!path.exists());
        for _ in 0..2 {
            let mut log = Log::new(Some(&path), 10);
            log.write(b"a\n");
            log.finish();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"a\na\n");
        let mut nowhere = Log::new(Some(&folder.path().join("no/log")), 10);
        nowhere.write(b"a");
        assert_eq!(nowhere.error.unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_is_remembered() {
        let mut log = Log::new(Some(Path::new("/dev/full")), 1 << 20);
        log.write(b"text");
        log.write(b"more");
        log.finish();
        assert_eq!(log.error.unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
