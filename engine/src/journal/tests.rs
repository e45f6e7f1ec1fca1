//! Tests of the journal as a whole.

mod contract;
mod damage;
mod reading;

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::*;

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
}

pub(super) fn folder() -> (TempDir, StateDir) {
    let temp = TempDir::new().unwrap();
    let dir = StateDir::new(temp.path().join("state"));
    (temp, dir)
}

pub(super) fn writer(dir: &StateDir) -> Journal {
    Journal::open(dir, Mode::ReadWrite).unwrap()
}

pub(super) fn reader(dir: &StateDir) -> Journal {
    Journal::open(dir, Mode::ReadOnly).unwrap()
}

pub(super) fn finish_and_intent(n: usize) -> Vec<NewEvent> {
    vec![
        NewEvent::of_step("step.done", format!("T02.s{n}"), json!({"rows": n, "exit": 0})),
        NewEvent::of_step("step.intent", format!("T02.s{}", n + 1), json!({"attempt": 1})),
    ]
}

/// The three files of a journal that may be open, as they are now. Another process copies them:
/// if this one opened and closed them, the kernel would drop SQLite's locks on them.
pub(super) fn copy(from: &StateDir, to: &Path, with_index: bool) -> StateDir {
    copy_with(from, to, with_index, |source, target| {
        let copied = std::process::Command::new("cp").args([source, target]).status();
        assert!(copied.unwrap().success());
    })
}

/// Like `copy`, quicker, for a journal that nobody has open.
pub(super) fn copy_closed(from: &StateDir, to: &Path, with_index: bool) -> StateDir {
    copy_with(from, to, with_index, |source, target| {
        std::fs::copy(source, target).unwrap();
    })
}

fn copy_with(
    from: &StateDir,
    to: &Path,
    with_index: bool,
    copy_file: impl Fn(&Path, &Path),
) -> StateDir {
    let to = StateDir::new(to);
    to.create().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("journal.db{suffix}");
        let (source, target) = (from.root().join(&name), to.root().join(&name));
        if source.exists() && (with_index || suffix != "-shm") {
            copy_file(&source, &target);
        } else if target.exists() {
            std::fs::remove_file(target).unwrap();
        }
    }
    to
}

/// Everything that a journal says, or the error that stops it.
pub(super) fn content(journal: &Journal) -> Result<String, JournalError> {
    let mut said = String::new();
    for row in journal.runs(&RunFilter::default())? {
        said += &format!("{row:?}\n{:?}\n", journal.head(&row.run)?);
        for event in journal.events(&row.run)? {
            said += &serde_json::to_string(&event).unwrap();
            said.push('\n');
            if let Some(step) = &event.step {
                said += &format!("{:?}\n", journal.history("here", "WP", "m1", step)?);
            }
        }
    }
    said += &format!("{:?}\n", journal.kv("plan_spent/1")?);
    Ok(said)
}
