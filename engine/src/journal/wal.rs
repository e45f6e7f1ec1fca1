//! Looks at the write-ahead log before SQLite does.
//!
//! SQLite reads the log up to the first frame that does not check and silently takes that for
//! its end. After a power loss this is right: what follows was never committed. After damage it
//! would make a run forget steps that were done. The difference can be told: a commit is synced
//! before the next one is written, so at most one commit may stand behind a frame that does not
//! check; and SQLite's index (`-shm`) counts a frame only once it is synced.
//!
//! Layout: <https://sqlite.org/fileformat2.html#walformat> and <https://sqlite.org/walformat.html>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::JournalError;

/// A log of this length, in bytes, holds nothing.
pub(super) const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// How often a log that looks damaged is read again, since a live writer may have changed it
/// under the first reading.
const READINGS: usize = 3;

/// Refuses a log that lost commits. Only to be called while this process has no locking connection
/// to the journal, since it opens and closes the index.
pub(super) fn verify(journal: &Path, wal: &Path, shm: &Path) -> Result<(), JournalError> {
    let mut said = None;
    for _ in 0..READINGS {
        match look(wal, shm).map_err(|source| JournalError::io(wal, source))? {
            None => return Ok(()),
            Some(what) => said = Some(what),
        }
    }
    match said {
        Some(what) => Err(JournalError::corrupt(journal, what)),
        None => Ok(()),
    }
}

fn look(wal: &Path, shm: &Path) -> io::Result<Option<String>> {
    // The index is read first: a live writer only moves on from what it says.
    let index = Index::read(shm)?;
    let file = match File::open(wal) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(missing(index)),
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len();
    if length <= HEADER as u64 {
        return Ok(missing(index));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut head = [0; HEADER];
    if !fill(&mut reader, &mut head)? {
        return Ok(missing(index));
    }
    let Some(log) = Log::of(&head) else {
        // A file that grew before its content reached the disk is all zeros.
        return Ok(if is_zero(&head) && rest_is_zero(&mut reader)? {
            missing(index)
        } else {
            Some("the header of its write-ahead log is damaged".into())
        });
    };
    let mut frame = vec![0; FRAME_HEADER + log.page];
    let mut sum = log.sum;
    let (mut good, mut at, mut lost_commits) = (0_u32, 0_u32, 0_u32);
    let mut broken = None;
    while fill(&mut reader, &mut frame)? {
        at += 1;
        let of_this_log = frame[8..16] == log.salt;
        if broken.is_none() {
            let next = log.checksum(log.checksum(sum, &frame[..8]), &frame[FRAME_HEADER..]);
            if of_this_log && next == (be(&frame[16..20]), be(&frame[20..24])) {
                sum = next;
                good = at;
                continue;
            }
            broken = Some(at);
        }
        if of_this_log && be(&frame[4..8]) != 0 {
            lost_commits += 1;
        }
    }
    let frames_lost = index.is_some_and(|i| i.salt == log.salt && i.frames > good);
    // A writer may have started the log anew, or folded it, while it was read.
    if !(lost_commits > 1 || frames_lost) || !starts_with(wal, &head)? {
        return Ok(None);
    }
    let broken = broken.unwrap_or(at + 1);
    Ok(Some(format!(
        "its write-ahead log is damaged at frame {broken}, and committed events stand behind it"
    )))
}

fn starts_with(wal: &Path, head: &[u8; HEADER]) -> io::Result<bool> {
    let mut now = [0; HEADER];
    match File::open(wal) {
        Ok(mut file) => Ok(fill(&mut file, &mut now)? && now == *head),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// A clean end folds the log into the journal and removes the index before the log.
fn missing(index: Option<Index>) -> Option<String> {
    index
        .filter(|index| index.frames > index.folded)
        .map(|_| "its write-ahead log is missing or empty, and committed events were in it".into())
}

struct Log {
    page: usize,
    big_endian: bool,
    salt: [u8; 8],
    sum: (u32, u32),
}

impl Log {
    fn of(head: &[u8; HEADER]) -> Option<Self> {
        let magic = be(&head[0..4]);
        if magic & !1 != 0x377f_0682 {
            return None;
        }
        let page = usize::try_from(be(&head[8..12])).ok()?;
        if !page.is_power_of_two() || !(512..=65536).contains(&page) {
            return None;
        }
        let mut log = Self {
            page,
            big_endian: magic & 1 == 1,
            salt: head[16..24].try_into().ok()?,
            sum: (0, 0),
        };
        log.sum = log.checksum((0, 0), &head[..24]);
        (log.sum == (be(&head[24..28]), be(&head[28..32]))).then_some(log)
    }

    fn checksum(&self, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let word = |word: &[u8]| {
            let word = [word[0], word[1], word[2], word[3]];
            if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        for pair in bytes.chunks_exact(8) {
            a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
        }
        (a, b)
    }
}

/// The part of SQLite's index that says how much of which log is committed.
struct Index {
    salt: [u8; 8],
    frames: u32,
    /// How many of them the journal's file itself has, too.
    folded: u32,
}

impl Index {
    fn read(shm: &Path) -> io::Result<Option<Self>> {
        let mut start = [0; 100];
        let mut file = match File::open(shm) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if !fill(&mut file, &mut start)? {
            return Ok(None);
        }
        let (one, two, folded) = (&start[..48], &start[48..96], &start[96..]);
        // Two equal copies: one that differs was being written when its writer died.
        if one != two || one[12] == 0 {
            return Ok(None);
        }
        let order =
            Log { page: 0, big_endian: cfg!(target_endian = "big"), salt: [0; 8], sum: (0, 0) };
        let native =
            |at: usize| u32::from_ne_bytes([one[at], one[at + 1], one[at + 2], one[at + 3]]);
        if order.checksum((0, 0), &one[..40]) != (native(40), native(44)) {
            return Ok(None);
        }
        let mut salt = [0; 8];
        salt.copy_from_slice(&one[32..40]);
        let folded = u32::from_ne_bytes([folded[0], folded[1], folded[2], folded[3]]);
        Ok(Some(Self { salt, frames: native(16), folded }))
    }
}

fn be(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

fn rest_is_zero(reader: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(true),
            n if is_zero(&buffer[..n]) => {}
            _ => return Ok(false),
        }
    }
}

/// False where fewer bytes are left than the buffer holds.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
