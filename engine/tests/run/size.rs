//! Plans of ten thousand steps: no decision may cost more because the plan is long.

use std::time::{Duration, Instant};

use workplan_engine::plan::OnFailure;
use workplan_engine::run::{Ending, Input};

use super::sim::{Build, Process, Run, command, state};

const COUNT: usize = 10_000;

/// Performs all in order without the oracle's own cost: only decisions are timed.
fn drive(run: &mut Run) -> (Ending, Duration) {
    let mut process: Process<'_> = run.process();
    process.quiet = true;
    let mut spent = Duration::ZERO;
    let mut input = Some(Input::Begin);
    let mut queue = std::collections::VecDeque::new();
    while let Some(next) = input.take() {
        let begun = Instant::now();
        process.input(next);
        spent += begun.elapsed();
        queue.extend(process.queue.drain(..));
        input = queue.pop_front().map(|action| process.outcome(action));
    }
    (process.ended.expect("it ended"), spent)
}

/// Twice as many steps may take twice as long and somewhat more, never four times as long.
fn linear(name: &str, build: impl Fn(usize) -> Build) {
    let mut took = Vec::new();
    for count in [COUNT / 4, COUNT] {
        let mut run = Run::new(&build(count), 4);
        let (ending, forward) = drive(&mut run);
        assert_eq!(ending, Ending::Succeeded, "{name}");
        run.roll_back_quietly();
        let (ending, back) = drive(&mut run);
        assert_eq!(ending, Ending::RolledBack, "{name}");
        took.push((forward, back));
    }
    let (small, large) = (took[0], took[1]);
    for (what, small, large) in [("forward", small.0, large.0), ("back", small.1, large.1)] {
        assert!(
            large < small * 12 + Duration::from_millis(500),
            "{name} {what}: {small:?} for {}, {large:?} for {COUNT}",
            COUNT / 4
        );
        assert!(large < Duration::from_secs(5), "{name} {what}: {large:?}");
    }
}

#[test]
fn a_chain_a_level_and_a_long_outage_take_linear_time() {
    linear("chain", |count| {
        let mut b = Build::new();
        let mut last = None;
        for i in 0..count {
            last = Some(b.step(&format!("s{i}"), command(false), last.as_slice()));
        }
        b
    });
    linear("level", |count| {
        let mut b = Build::new();
        let first = b.step("first", state(), &[]);
        let level: Vec<_> =
            (0..count).map(|i| b.step(&format!("s{i}"), state(), &[first])).collect();
        b.step("last", state(), &level);
        b
    });
    linear("outage", |count| {
        let mut b = Build::new();
        let stop = b.open("stop", &[]);
        let mut last = stop;
        for i in 0..count {
            last = b.step(&format!("s{i}"), state(), &[last]);
        }
        let start = b.close("start", stop, &[last]);
        b.bracket("outage", stop, start, OnFailure::Release);
        b
    });
}
