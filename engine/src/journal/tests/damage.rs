//! Kills, flipped bits, missing pieces, full disks: never a wrong content believed.

use std::fs;

use super::*;

fn history(event: usize, step: String) -> Projection {
    Projection::History {
        target: "here".into(),
        workplan: "WP".into(),
        step,
        meaning: "m1".into(),
        outcome: "done".into(),
        event,
    }
}

/// One commit of a small journal; two runs in turn.
fn commit(journal: &mut Journal, n: usize) {
    let mut updates = vec![history(0, format!("T02.s{n}"))];
    if n == 2 {
        updates.push(Projection::Kv { key: "plan_spent/1".into(), value: "r".into(), event: 1 });
    }
    let run = if n < 5 { "06ck-first" } else { "06ck-second" };
    journal.append(run, at(n as i64), &finish_and_intent(n), &updates).unwrap();
}

const COMMITS: usize = 8;

/// The whole journal folded into its file, and what it says.
fn folded() -> (TempDir, StateDir, String) {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    (0..COMMITS).for_each(|n| commit(&mut journal, n));
    drop(journal);
    assert!(!dir.root().join("journal.db-wal").exists());
    let said = content(&reader(&dir)).unwrap();
    (temp, dir, said)
}

/// As a kill leaves it: everything in the log. Also what it said after each commit.
fn killed() -> (TempDir, StateDir, Vec<String>) {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    let mut said = vec![content(&journal).unwrap()];
    for n in 0..COMMITS {
        commit(&mut journal, n);
        said.push(content(&journal).unwrap());
    }
    let left = copy(&dir, &temp.path().join("killed"), true);
    (temp, left, said)
}

fn says(dir: &StateDir, mode: Mode) -> Result<String, JournalError> {
    content(&Journal::open(dir, mode)?)
}

#[test]
fn a_kill_after_any_commit_loses_nothing() {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    for n in 0..COMMITS {
        commit(&mut journal, n);
        let before = content(&journal).unwrap();
        for with_index in [true, false] {
            let left = copy(&dir, &temp.path().join(format!("{n}-{with_index}")), with_index);
            if with_index {
                assert_eq!(says(&left, Mode::ReadOnly).unwrap(), before);
            }
            let mut resumed = writer(&left);
            assert_eq!(content(&resumed).unwrap(), before);
            commit(&mut resumed, COMMITS);
            resumed.verify().unwrap();
        }
    }
}

#[test]
fn an_append_that_was_not_committed_is_not_there() {
    let (temp, dir) = folder();
    let mut journal = writer(&dir);
    commit(&mut journal, 0);
    let before = content(&journal).unwrap();
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.execute_batch(
        "PRAGMA cache_size = 1; BEGIN IMMEDIATE;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO events SELECT 100 + i, 0, 'r', 'k', NULL, hex(zeroblob(900)), NULL,
             zeroblob(32), zeroblob(32) FROM n;",
    )
    .unwrap();
    let left = copy(&dir, &temp.path().join("left"), true);
    let log = fs::metadata(left.root().join("journal.db-wal")).unwrap().len();
    assert!(log > 500_000, "the open transaction did not spill into the log: {log}");
    assert_eq!(says(&left, Mode::ReadOnly).unwrap(), before);
    assert_eq!(says(&left, Mode::ReadWrite).unwrap(), before);
}

#[test]
fn a_flipped_bit_in_the_file_is_found_or_harmless() {
    let (_temp, dir, expected) = folded();
    let sound = fs::read(dir.journal()).unwrap();
    let mut found = 0;
    for (n, at) in (0..100).chain((100..sound.len()).step_by(29)).enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        fs::write(dir.journal(), &bytes).unwrap();
        match says(&dir, Mode::ReadOnly) {
            Ok(said) => assert_eq!(said, expected, "byte {at}, bit {}", n % 8),
            Err(_) => found += 1,
        }
    }
    assert!(found > 100, "only {found} were found");
}

#[test]
fn a_flipped_bit_in_the_file_is_found_by_a_writer_too() {
    let (temp, dir, expected) = folded();
    let sound = fs::read(dir.journal()).unwrap();
    let mut found = 0;
    for (n, at) in (0..sound.len()).step_by(131).enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        let left = copy_closed(&dir, &temp.path().join("left"), false);
        fs::write(left.journal(), &bytes).unwrap();
        match says(&left, Mode::ReadWrite) {
            Ok(said) => assert_eq!(said, expected, "byte {at}, bit {}", n % 8),
            Err(_) => found += 1,
        }
    }
    assert!(found > 20, "only {found} were found");
}

#[test]
fn a_flipped_bit_in_the_log_is_found_or_harmless() {
    let (temp, dir, said) = killed();
    let sound = fs::read(dir.root().join("journal.db-wal")).unwrap();
    let mut found = 0;
    for (n, at) in (0..80).chain((80..sound.len()).step_by(397)).enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let left = copy_closed(&dir, &temp.path().join("flipped"), true);
            fs::write(left.root().join("journal.db-wal"), &bytes).unwrap();
            match says(&left, mode) {
                Ok(now) => assert_eq!(now, said[COMMITS], "byte {at}, bit {}", n % 8),
                Err(JournalError::Corrupt { .. }) => found += 1,
                Err(e) => panic!("byte {at}: {e:?}"),
            }
        }
    }
    assert!(found > 100, "only {found} were found");
}

/// Without the index nothing tells a damaged last commit from one that a power loss tore before
/// it was confirmed; everything before it stands.
#[test]
fn without_the_index_only_the_very_last_commit_can_be_lost() {
    let (temp, dir, said) = killed();
    let sound = fs::read(dir.root().join("journal.db-wal")).unwrap();
    let (mut found, mut lost) = (0, 0);
    for (n, at) in (0..sound.len()).step_by(397).enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        let left = copy_closed(&dir, &temp.path().join("flipped"), false);
        fs::write(left.root().join("journal.db-wal"), &bytes).unwrap();
        match says(&left, Mode::ReadWrite) {
            Ok(now) if now == said[COMMITS - 1] => lost += 1,
            Ok(now) => assert_eq!(now, said[COMMITS], "byte {at}, bit {}", n % 8),
            Err(JournalError::Corrupt { .. }) => found += 1,
            Err(e) => panic!("byte {at}: {e:?}"),
        }
    }
    assert!(found > 5 * lost, "found {found}, lost {lost}");
}

#[test]
fn a_file_cut_short_is_found() {
    let (temp, dir, _) = folded();
    let sound = fs::read(dir.journal()).unwrap();
    for length in (1..sound.len()).step_by(1021).chain((4096..sound.len()).step_by(4096)) {
        let left = copy_closed(&dir, &temp.path().join("left"), false);
        fs::write(left.journal(), &sound[..length]).unwrap();
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            assert!(says(&left, mode).is_err(), "{length} of {} bytes, {mode:?}", sound.len());
        }
        assert_eq!(fs::metadata(left.journal()).unwrap().len(), length as u64, "was changed");
    }
}

#[test]
fn a_log_cut_short_is_found() {
    let (temp, dir, _) = killed();
    let sound = fs::read(dir.root().join("journal.db-wal")).unwrap();
    for length in (0..sound.len()).step_by(3011) {
        let left = copy_closed(&dir, &temp.path().join("left"), true);
        fs::write(left.root().join("journal.db-wal"), &sound[..length]).unwrap();
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let said = says(&left, mode);
            assert!(said.is_err(), "{length} of {} bytes, {mode:?}: {said:?}", sound.len());
        }
    }
    let left = copy_closed(&dir, &temp.path().join("left"), true);
    fs::remove_file(left.root().join("journal.db-wal")).unwrap();
    let e = says(&left, Mode::ReadWrite).unwrap_err();
    assert!(e.to_string().contains("log is missing or empty"), "{e}");
}

#[test]
fn a_log_whose_journal_is_empty_is_not_thrown_away() {
    let (_temp, dir, _) = killed();
    fs::write(dir.journal(), "").unwrap();
    let log = fs::read(dir.root().join("journal.db-wal")).unwrap();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let e = says(&dir, mode).unwrap_err();
        assert!(e.to_string().contains("it was cut to 0 bytes"), "{e}");
    }
    assert_eq!(fs::read(dir.root().join("journal.db-wal")).unwrap(), log);
}

/// Runs SQL behind the journal's back; the triggers are put back so that the schema is the same.
fn tamper(dir: &StateDir, sql: &str) {
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    let triggers: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
    for (_, create) in &triggers {
        conn.execute_batch(create).unwrap();
    }
}

#[test]
fn tampering_is_found_and_named() {
    let cases = [
        ("UPDATE events SET data = '{}' WHERE seq = 3", "event 3: content does not match its hash"),
        ("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 1", "event 1: content does not match"),
        ("DELETE FROM events WHERE seq = 4", "event 5: missing events between 3 and it"),
        ("DELETE FROM events WHERE seq = 1", "event 2: missing events before it"),
        ("DELETE FROM events WHERE seq = 16", "event 16: the newest event of the run is missing"),
        // The newest event of the first run, to which the second run's first is bound.
        ("UPDATE events SET anchor = zeroblob(32) WHERE seq = 11", "event 11: missing events"),
        ("UPDATE events SET anchor = x'' WHERE seq = 2", "event 2: missing events between"),
        ("UPDATE runs SET state = 'succeeded' WHERE run = '06ck-first'", "does not match its seal"),
        ("DELETE FROM runs WHERE run = '06ck-first'", "rows of the table `runs` are missing"),
        ("UPDATE history SET outcome = 'failed' WHERE seq = 1", "does not match its seal"),
        ("DELETE FROM history WHERE seq = 1", "rows of the table `history` are missing"),
        ("DELETE FROM seals WHERE name = 'kv'", "rows of the table `kv` are missing"),
    ];
    for (sql, expected) in cases {
        let (_temp, dir, _) = folded();
        tamper(&dir, sql);
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            match says(&dir, mode) {
                Err(e @ JournalError::Corrupt { .. }) => {
                    assert!(e.to_string().contains(expected), "{sql}: {e}");
                    assert!(e.help().contains("nothing was changed or deleted"), "{}", e.help());
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
}

#[test]
fn nothing_is_appended_to_a_chain_that_lost_its_end() {
    let (_temp, dir, _) = folded();
    tamper(&dir, "DELETE FROM events WHERE seq = 16");
    let mut journal = writer(&dir);
    let refused = journal.append("06ck-second", at(0), &finish_and_intent(1), &[]);
    assert!(matches!(refused, Err(JournalError::Corrupt { seq: Some(16), .. })), "{refused:?}");
    assert_eq!(journal.event(16).unwrap(), None);
}

#[test]
fn a_run_taken_out_whole_is_missed_by_the_next() {
    let (_temp, dir, _) = folded();
    tamper(&dir, "DELETE FROM events WHERE run = '06ck-first'");
    let e = reader(&dir).events("06ck-second").unwrap_err();
    assert!(e.to_string().contains("is not the one of then"), "{e}");
}

#[test]
fn a_full_disk_is_said_and_what_was_committed_stays() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    commit(&mut journal, 0);
    let before = content(&journal).unwrap();
    let pages = |journal: &mut Journal, sql: &str| -> i64 {
        journal.source.get_mut().conn().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let size = pages(&mut journal, "PRAGMA page_count");
    pages(&mut journal, &format!("PRAGMA max_page_count = {}", size + 1));
    let large = [NewEvent::of_run("x", json!({"text": "x".repeat(100_000)}))];
    let full = journal.append("06ck-first", at(1), &large, &[]);
    assert!(matches!(full, Err(JournalError::NoSpace { .. })), "{full:?}");
    assert_eq!(content(&journal).unwrap(), before);
    pages(&mut journal, "PRAGMA max_page_count = 100000");
    journal.append("06ck-first", at(1), &large, &[]).unwrap();
    journal.verify().unwrap();
}
