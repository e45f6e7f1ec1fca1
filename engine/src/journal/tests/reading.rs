//! Reading without a trace.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::*;

/// Names, sizes and times of everything in a folder.
fn trace(dir: &StateDir) -> Vec<String> {
    let mut seen: Vec<String> = fs::read_dir(dir.root())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let m = entry.metadata().unwrap();
            format!("{:?} {} {:?}", entry.file_name(), m.len(), m.modified().unwrap())
        })
        .collect();
    seen.sort();
    seen
}

fn modes(dir: &StateDir, folder: u32, file: u32) {
    for entry in fs::read_dir(dir.root()).unwrap() {
        let path = entry.unwrap().path();
        let mode = if path.is_dir() { folder } else { file };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(dir.root(), fs::Permissions::from_mode(folder)).unwrap();
}

/// Runs `work` without any right to write into the folder. Root would pass every permission
/// bit, so its thread takes another user's rights for files; the kernel keeps them per thread.
fn with_reading_rights_only<T: Send>(
    temp: &TempDir,
    dir: &StateDir,
    work: impl FnOnce() -> T + Send,
) -> T {
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    modes(dir, 0o555, 0o444);
    let done = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                if Uid::effective().is_root() {
                    setfsgid(Gid::from_raw(65534));
                    setfsuid(Uid::from_raw(65534));
                }
                let denied = fs::write(dir.root().join("x"), "").unwrap_err();
                assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
                work()
            })
            .join()
            .unwrap()
    });
    modes(dir, 0o755, 0o644);
    done
}

#[test]
fn no_journal_is_none_and_nothing_is_made() {
    let (temp, dir) = folder();
    assert!(Journal::open_if_exists(&dir).unwrap().is_none());
    assert!(matches!(Journal::open(&dir, Mode::ReadOnly), Err(JournalError::NotFound { .. })));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    // What a kill during the first opening may leave.
    dir.create().unwrap();
    fs::write(dir.journal(), "").unwrap();
    assert!(Journal::open_if_exists(&dir).unwrap().is_none());
    writer(&dir).append("r1", at(0), &finish_and_intent(1), &[]).unwrap();
    assert!(Journal::open_if_exists(&dir).unwrap().is_some());
}

#[test]
fn reading_leaves_no_trace() {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    journal.append("r1", at(0), &finish_and_intent(1), &[]).unwrap();
    let expected = content(&journal).unwrap();
    let killed = copy(&dir, &temp.path().join("killed"), true);
    // Beside a live writer, after a kill, and after a clean end.
    for state in ["live", "killed", "closed"] {
        let dir = if state == "killed" { &killed } else { &dir };
        if state == "closed" {
            journal = writer(&copy(dir, &temp.path().join("other"), true));
        }
        let before = trace(dir);
        let reading = reader(dir);
        assert_eq!(content(&reading).unwrap(), expected, "{state}");
        reading.verify().unwrap();
        drop(reading);
        assert_eq!(trace(dir), before, "{state}");
    }
    drop(journal);
}

#[test]
fn reading_rights_are_enough() {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    journal.append("r1", at(0), &finish_and_intent(1), &[]).unwrap();
    let expected = content(&journal).unwrap();
    let killed = copy(&dir, &temp.path().join("killed"), true);
    let says = |dir: &StateDir| {
        with_reading_rights_only(&temp, dir, || {
            let said = content(&Journal::open_if_exists(dir).unwrap().unwrap()).unwrap();
            match Journal::open(dir, Mode::ReadWrite) {
                Err(JournalError::ReadOnly { .. }) => {}
                other => panic!("{other:?}"),
            }
            said
        })
    };
    assert_eq!(says(&dir), expected, "beside a live writer");
    drop(journal);
    assert_eq!(trace(&dir).iter().filter(|name| name.contains("journal")).count(), 1);
    assert_eq!(says(&dir), expected, "after a clean end");
    assert_eq!(says(&killed), expected, "after a kill");
    // An empty log holds nothing that could be missed.
    fs::write(dir.root().join("journal.db-wal"), "").unwrap();
    assert_eq!(says(&dir), expected, "with an empty log");
}

#[test]
fn events_that_only_the_log_holds_are_not_silently_missed() {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    journal.append("r1", at(0), &finish_and_intent(1), &[]).unwrap();
    let left = copy(&dir, &temp.path().join("left"), false);
    let before = trace(&left);
    // Only a killed writer leaves a log without its index: it is read from a copy.
    assert_eq!(reader(&left).events("r1").unwrap().len(), 2);
    assert_eq!(trace(&left), before);
    assert_eq!(writer(&left).events("r1").unwrap().len(), 2);
}

#[test]
fn a_reader_follows_writers_that_come_and_go() {
    let (_temp, dir) = folder();
    writer(&dir).append("r1", at(0), &finish_and_intent(0), &[]).unwrap();
    let reading = reader(&dir);
    let mut expected = 2;
    for n in 1..4 {
        let mut journal = writer(&dir);
        assert_eq!(reading.events("r1").unwrap().len(), expected);
        for _ in 0..2 {
            journal.append("r1", at(n), &finish_and_intent(1), &[]).unwrap();
            expected += 2;
            assert_eq!(reading.events("r1").unwrap().len(), expected, "live, writer {n}");
        }
        drop(journal);
        assert_eq!(reading.events("r1").unwrap().len(), expected, "after writer {n}");
    }
}

#[test]
fn a_reader_does_not_block_a_writer() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    journal.append("r1", at(0), &finish_and_intent(0), &[]).unwrap();
    let busy = journal.source.get_mut().conn().busy_timeout(std::time::Duration::ZERO);
    busy.unwrap();
    let reading = reader(&dir);
    let source = reading.source.borrow();
    source.conn().execute_batch("BEGIN").unwrap();
    let count = || -> i64 {
        source.conn().query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 2);
    journal.append("r1", at(1), &finish_and_intent(1), &[]).unwrap();
    assert_eq!(count(), 2, "the reader's view does not move within its transaction");
    assert_eq!(journal.events("r1").unwrap().len(), 4);
}

#[test]
fn readers_beside_a_busy_writer_always_see_a_sound_chain() {
    let (_temp, dir) = folder();
    drop(writer(&dir));
    writer(&dir).append("r1", at(0), &finish_and_intent(0), &[]).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..30 {
                // Opened anew each time: the log comes and goes under the readers.
                let mut journal = writer(&dir);
                journal.append("r1", at(n), &finish_and_intent(1), &[]).unwrap();
            }
        });
        let kept = reader(&dir);
        let mut seen = 0;
        while !writing.is_finished() {
            for reading in [&kept, &reader(&dir)] {
                let now = reading.events("r1").unwrap().len();
                assert!(now >= seen, "{now} after {seen}");
                seen = now;
            }
        }
        writing.join().unwrap();
        assert_eq!(kept.events("r1").unwrap().len(), 62);
    });
}

#[test]
fn a_reader_cannot_append() {
    let (_temp, dir) = folder();
    drop(writer(&dir));
    let refused = reader(&dir).append("r1", at(0), &finish_and_intent(0), &[]);
    assert!(matches!(refused, Err(JournalError::ReadOnly { .. })), "{refused:?}");
}

#[test]
fn a_state_folder_is_the_owners_alone_and_says_why_it_cannot_be() {
    let (temp, dir) = folder();
    dir.create().unwrap();
    dir.create().unwrap();
    dir.ignore_in_git().unwrap();
    dir.ignore_in_git().unwrap();
    assert_eq!(fs::read_to_string(dir.root().join(".gitignore")).unwrap(), "*\n");
    drop(writer(&dir));
    for (path, expected) in [(dir.root().to_path_buf(), 0o700), (dir.journal(), 0o600)] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
    }
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    for taken in [file.clone(), file.join("below")] {
        match StateDir::new(&taken).create() {
            Err(JournalError::NotAFolder { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let below = StateDir::new(dir.root().join("below"));
    let refused = with_reading_rights_only(&temp, &dir, || below.create());
    assert!(matches!(refused, Err(JournalError::ReadOnly { .. })), "{refused:?}");
}

/// How many file locks this process has on the journal, as the kernel sees it.
fn locks(dir: &StateDir) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = |name: &str| fs::metadata(dir.root().join(name)).unwrap().ino();
    let inodes = [inode("journal.db"), inode("journal.db-shm")].map(|n| format!(":{n}"));
    let pid = std::process::id().to_string();
    fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.get(4) == Some(&pid.as_str()) && inodes.iter().any(|n| fields[5].ends_with(n))
        })
        .count()
}

#[test]
fn reading_in_the_same_process_does_not_drop_the_writers_locks() {
    let (_temp, dir) = folder();
    writer(&dir).append("r1", at(0), &finish_and_intent(0), &[]).unwrap();
    let (follows, stays) = (reader(&dir), reader(&dir));
    let mut journal = writer(&dir);
    journal.append("r1", at(1), &finish_and_intent(1), &[]).unwrap();
    let held = locks(&dir);
    assert!(held >= 2, "a writer locks the journal and its index: {held}");
    assert_eq!(follows.events("r1").unwrap().len(), 4);
    drop(follows);
    drop(stays);
    drop(reader(&dir));
    drop(writer(&dir));
    assert_eq!(locks(&dir), held);
}
