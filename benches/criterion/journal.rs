//! Appending to the journal, and asking it.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use workplan_engine::journal::{Journal, Mode, RunFilter, StateDir};

/// On a disk, since what counts is the way to it and back; `WORKPLAN_BENCH_DIR=/dev/shm` shows what
/// is left without it.
fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("WORKPLAN_BENCH_DIR");
    let parent = parent.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(parent).expect("a folder")
}

fn append(c: &mut Criterion) {
    let folder = folder();
    let dir = StateDir::new(folder.path());
    dir.create().expect("a state folder");
    let mut journal = Journal::open(&dir, Mode::ReadWrite).expect("a journal");
    let mut steps = 0..;
    c.bench_function("append an outcome and an intent", |b| {
        b.iter(|| {
            let step = steps.next().expect("numbers have no end");
            workplan_bench::outcome_and_intent(&mut journal, step).expect("room");
        });
    });
}

fn ask(c: &mut Criterion) {
    let folder = folder();
    let dir = StateDir::new(folder.path());
    workplan_bench::fill(folder.path(), 200, 499).expect("a journal");
    let mut group = c.benchmark_group("a journal of 200,000 events");
    group.sample_size(20);
    group.bench_function("open, runs, newest run", |b| {
        b.iter(|| {
            let journal = Journal::open(&dir, Mode::ReadOnly).expect("a journal");
            let rows = journal.runs(&RunFilter::default()).expect("its runs");
            black_box(journal.events(&rows[0].run)).expect("its events")
        });
    });
    group.finish();
}

criterion_group!(benches, append, ask);
criterion_main!(benches);
