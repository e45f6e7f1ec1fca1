//! Every prefix of every reference run: after a death at any point, the next process ends in the
//! same world as an unbroken run, and does nothing twice.

use workplan_engine::plan::OnFailure;
use workplan_engine::run::Ending;

use super::sim::{
    Build, Cut, Leaves, Outcome, Repair, Run, Val, command, gate, manual, proof, state,
};

/// A reference plan with its name.
struct Reference {
    name: &'static str,
    build: Build,
    outcomes: Vec<((usize, u32), Outcome)>,
    /// Small enough for a second death in each resume.
    small: bool,
}

impl Reference {
    fn new(name: &'static str, build: Build) -> Self {
        Self { name, build, outcomes: Vec::new(), small: true }
    }

    fn run(&self, jobs: usize) -> Run {
        let mut run = Run::new(&self.build, jobs);
        run.outcomes = self.outcomes.iter().copied().collect();
        run
    }
}

fn references() -> Vec<Reference> {
    let mut out = Vec::new();

    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let c = b.step("b", Spec { prepares: true, ..state() }, &[a]);
    b.step("c", Spec { repair: Repair::ToDone, ..state() }, &[c]);
    out.push(Reference::new("chain", b));

    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let l = b.step("l", command(false), &[a]);
    let r = b.step("r", Spec { repair: Repair::Impossible, ..state() }, &[a]);
    b.step("d", state(), &[l, r]);
    out.push(Reference::new("diamond", b));

    let mut b = Build::new();
    let leaves: Vec<_> = (0..4).map(|i| b.step(&format!("w{i}"), state(), &[])).collect();
    b.step("check", proof(&leaves), &leaves);
    out.push(Reference::new("wide with a proof at the end", b));

    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let g = b.step("gate", gate(), &[a]);
    let m = b.step("by-hand", manual(), &[g]);
    b.step("z", state(), &[m]);
    out.push(Reference::new("gate and person", b));

    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let f = b.step("flaky", state(), &[a]);
    b.retry(f, 2);
    b.step("z", command(false), &[f]);
    let mut reference = Reference::new("retry", b);
    reference.outcomes = vec![((f, 1), Outcome::Fails(Val::Half)), ((f, 2), Outcome::Lies)];
    out.push(reference);

    let mut b = Build::new();
    let fence = b.step("fence", state(), &[]);
    let copy = b.step("copy", state(), &[fence]);
    let compare = b.step("compare", proof(&[copy]), &[copy]);
    b.plan.steps[copy].holds = vec![fence];
    b.plan.steps[compare].holds = vec![fence, copy];
    b.plan.steps[compare].proves = true;
    out.push(Reference::new("holds", b));

    for on_failure in [OnFailure::Release, OnFailure::Hold] {
        let mut b = outage(on_failure, false);
        b.plan.brackets[0].gate = Some("Gitea goes away".to_owned());
        let mut reference = Reference::new("outage", b);
        reference.small = false;
        out.push(reference);
    }

    let mut reference =
        Reference::new("outage with a point of no return", outage(OnFailure::Release, true));
    reference.small = false;
    out.push(reference);

    for (on_failure, outcome) in [
        (OnFailure::Release, Outcome::Fails(Val::Half)),
        (OnFailure::Release, Outcome::TimesOut(Val::Done)),
        (OnFailure::Hold, Outcome::Fails(Val::Absent)),
    ] {
        for failing in [1, 2, 3, 6] {
            let b = outage(on_failure, false);
            let mut reference = Reference::new("outage in which a step fails", b);
            // A command that ends by itself with an error has left nothing, by contract.
            let ends = failing == 2 && matches!(outcome, Outcome::Fails(_));
            let outcome = if ends { Outcome::Fails(Val::Absent) } else { outcome };
            reference.outcomes = vec![((failing, 1), outcome)];
            reference.small = false;
            out.push(reference);
        }
    }

    let mut b = Build::new();
    let stop = b.step("stop", state(), &[]);
    let work = b.step("work", command(true), &[stop]);
    let start = b.close("start", stop, &[work]);
    b.bracket("outage", stop, start, OnFailure::Release);
    out.push(Reference::new("small outage", b));

    out
}

use super::sim::Spec;

/// stop, dump, restore, switch, check, start, and a proof at the end.
fn outage(on_failure: OnFailure, no_return: bool) -> Build {
    let mut b = Build::new();
    let before = b.step("before", state(), &[]);
    let stop = b.step("stop", state(), &[before]);
    let dump = b.step("dump", command(false), &[stop]);
    let restore = b.step("restore", Spec { prepares: true, ..state() }, &[dump]);
    let switch = b.step("switch", state(), &[restore]);
    b.plan.steps[switch].point_of_no_return = no_return;
    let check = b.step("check", proof(&[restore]), &[switch]);
    b.plan.steps[check].proves = true;
    let start = b.close("start", stop, &[check]);
    b.step("login", proof(&[stop, switch]), &[start]);
    b.bracket("outage", stop, start, on_failure);
    b
}

/// All that actions under way may leave at a cut.
fn leavings(cut: &Cut) -> Vec<Vec<Leaves>> {
    let mut out = vec![Vec::new()];
    for _ in cut.acting() {
        out = out
            .into_iter()
            .flat_map(|head: Vec<Leaves>| {
                [Leaves::Nothing, Leaves::Half, Leaves::All].map(|l| {
                    let mut next = head.clone();
                    next.push(l);
                    next
                })
            })
            .collect();
    }
    out
}

/// Cuts at the commits, and inside of batches: of the latter, nothing was performed.
fn all_cuts(run: &Run, from: usize) -> Vec<Cut> {
    let at_commits = run.cuts.clone().unwrap_or_default();
    let mut out = Vec::new();
    let mut last: Option<Cut> = None;
    for cut in at_commits {
        if let Some(last) = &last {
            for events in last.events + 1..cut.events {
                // What the decision asked for was never begun; what it was told about has ended.
                let mut in_flight = last.in_flight.clone();
                in_flight.retain(|a| cut.in_flight.contains(a));
                out.push(Cut { events, world: cut.world.clone(), in_flight });
            }
        }
        last = Some(cut.clone());
        out.push(cut);
    }
    out.retain(|c| c.events >= from);
    out
}

fn check(run: &Run, context: &str) {
    assert!(
        run.oracle.violations.is_empty(),
        "{context}\n{}\n{}",
        run.oracle.violations.join("\n"),
        run.story()
    );
}

#[test]
fn a_run_that_dies_anywhere_ends_in_the_same_world() {
    for reference in references() {
        for jobs in [1, 3] {
            let mut whole = reference.run(jobs);
            whole.cuts = Some(Vec::new());
            let ending = whole.settle();
            check(&whole, reference.name);
            assert_eq!(ending, Ending::Succeeded, "{}\n{}", reference.name, whole.story());
            for cut in all_cuts(&whole, 1) {
                for leaves in leavings(&cut) {
                    let context =
                        format!("{} jobs {jobs}, cut at {} {leaves:?}", reference.name, cut.events);
                    let mut next = whole.died(&cut, &leaves);
                    next.cuts = reference.small.then(Vec::new);
                    next.resume();
                    let ending = next.settle();
                    check(&next, &context);
                    assert_eq!(ending, Ending::Succeeded, "{context}\n{}", next.story());
                    assert_eq!(next.world.vars, whole.world.vars, "{context}\n{}", next.story());
                    if reference.small {
                        dies_again(&next, cut.events, &whole, &context);
                    }
                }
            }
        }
    }
}

/// A second death at each point of a resume.
fn dies_again(run: &Run, from: usize, whole: &Run, context: &str) {
    for cut in all_cuts(run, from + 1) {
        for leaves in leavings(&cut) {
            let context = format!("{context}, then at {} {leaves:?}", cut.events);
            let mut next = run.died(&cut, &leaves);
            next.resume();
            let ending = next.settle();
            check(&next, &context);
            assert_eq!(ending, Ending::Succeeded, "{context}\n{}", next.story());
            assert_eq!(next.world.vars, whole.world.vars, "{context}\n{}", next.story());
        }
    }
}

/// Where a plan's rollback ends: nothing of what has an undo is there.
fn check_back(run: &Run, ending: Ending, context: &str) {
    check(run, context);
    assert_eq!(ending, Ending::RolledBack, "{context}\n{}", run.story());
    assert!(run.world.vars.iter().all(|v| *v == Val::Absent), "{context}\n{}", run.story());
}

#[test]
fn a_run_that_dies_anywhere_can_be_taken_back() {
    for reference in references() {
        for jobs in [1, 3] {
            let mut whole = reference.run(jobs);
            whole.cuts = Some(Vec::new());
            whole.settle();
            for cut in all_cuts(&whole, 1) {
                for leaves in leavings(&cut) {
                    let context = format!(
                        "{} jobs {jobs}, back from {} {leaves:?}",
                        reference.name, cut.events
                    );
                    let mut next = whole.died(&cut, &leaves);
                    next.roll_back();
                    next.cuts = reference.small.then(Vec::new);
                    let ending = next.settle();
                    check_back(&next, ending, &context);
                    for cut in all_cuts(&next, cut.events + 1) {
                        for leaves in leavings(&cut) {
                            let context = format!("{context}, then at {} {leaves:?}", cut.events);
                            let mut last = next.died(&cut, &leaves);
                            last.resume();
                            let ending = last.settle();
                            check_back(&last, ending, &context);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_rollback_that_dies_anywhere_goes_on_or_begins_again() {
    for reference in references() {
        let mut whole = reference.run(1);
        whole.settle();
        let from = whole.journal.len() + 1;
        whole.roll_back();
        whole.cuts = Some(Vec::new());
        let ending = whole.settle();
        check_back(&whole, ending, reference.name);
        for cut in all_cuts(&whole, from) {
            for leaves in leavings(&cut) {
                for again in [false, true] {
                    let context = format!(
                        "{}, rollback cut at {} {leaves:?}, again {again}",
                        reference.name, cut.events
                    );
                    let mut next = whole.died(&cut, &leaves);
                    if again {
                        next.roll_back();
                    } else {
                        next.resume();
                    }
                    next.cuts = reference.small.then(Vec::new);
                    let ending = next.settle();
                    check_back(&next, ending, &context);
                    for cut in all_cuts(&next, cut.events + 1) {
                        for leaves in leavings(&cut) {
                            let context = format!("{context}, then at {} {leaves:?}", cut.events);
                            let mut last = next.died(&cut, &leaves);
                            last.resume();
                            let ending = last.settle();
                            check_back(&last, ending, &context);
                        }
                    }
                }
            }
        }
    }
}
