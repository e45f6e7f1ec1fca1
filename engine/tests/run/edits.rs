//! Plans that are edited, and steps that are ordered again, between run and resume.

use workplan_engine::plan::OnFailure;
use workplan_engine::run::{Ending, Event, StepRevision, StepState};

use super::sim::{Build, Outcome, Run, Val, state};

/// A chain in which the last step fails once.
fn stopped(names: &[&str]) -> (Build, Run) {
    let mut b = Build::new();
    let mut last = None;
    for name in names {
        last = Some(b.step(name, state(), last.as_slice()));
    }
    let mut run = Run::new(&b, 1);
    run.outcomes.insert((names.len() - 1, 1), Outcome::Fails(Val::Absent));
    assert_eq!(run.process().finish(), Ending::Failed);
    (b, run)
}

fn state_of(run: &Run, step: &str) -> StepState {
    let state = run.fold();
    state.steps[state.step(step).expect("the step exists")].state
}

fn begun(run: &Run) -> Vec<&str> {
    let intent = |e: &'_ Event| matches!(e, Event::StepIntent { .. });
    run.journal.iter().filter(|e| intent(e)).filter_map(Event::step).collect()
}

fn check(run: &Run) {
    assert!(run.oracle.violations.is_empty(), "{:?}\n{}", run.oracle.violations, run.story());
}

#[test]
fn a_changed_step_is_done_anew_and_its_old_meaning_can_be_taken_back() {
    let (_, mut run) = stopped(&["a", "b", "c"]);
    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let changed = b.step("b", state(), &[a]);
    let c = b.step("c", state(), &[changed]);
    let old = b.step("b (before)", state(), &[a]);
    b.plan.steps[old].retired = true;
    // The effects keep their places: `b` now makes another one.
    for (step, var) in [(a, 0), (changed, 3), (c, 2), (old, 1)] {
        b.specs[step].var = var;
    }
    let kept = Some("b (before)".to_owned());
    run.edit(&b, vec![StepRevision::Changed { step: "b".to_owned(), kept }], Vec::new());
    assert_eq!(run.settle(), Ending::Succeeded, "{}", run.story());
    check(&run);
    assert_eq!(begun(&run), ["a", "b", "c", "b", "c"]);
    assert_eq!(run.world.vars, [Val::Done; 4]);
    run.roll_back();
    assert_eq!(run.settle(), Ending::RolledBack);
    assert_eq!(run.world.vars, [Val::Absent; 4], "{}", run.story());
}

#[test]
fn added_removed_and_renamed_steps() {
    let (_, mut run) = stopped(&["a", "b", "c"]);
    let mut b = Build::new();
    let new = b.step("new", state(), &[]);
    let a = b.step("first", state(), &[]);
    let c = b.step("c", state(), &[a, new]);
    let gone = b.step("b", state(), &[a]);
    b.plan.steps[gone].retired = true;
    for (step, var) in [(a, 0), (gone, 1), (c, 2), (new, 3)] {
        b.specs[step].var = var;
    }
    let revisions = vec![
        StepRevision::Added { step: "new".to_owned() },
        StepRevision::Removed { step: "b".to_owned() },
        StepRevision::Renamed { from: "a".to_owned(), to: "first".to_owned() },
    ];
    run.edit(&b, revisions, Vec::new());
    assert_eq!(run.settle(), Ending::Succeeded, "{}", run.story());
    check(&run);
    assert_eq!(begun(&run), ["a", "b", "c", "new", "c"]);
    assert_eq!(state_of(&run, "first"), StepState::Done);
    run.roll_back();
    assert_eq!(run.settle(), Ending::RolledBack);
    assert_eq!(run.world.vars, [Val::Absent; 4], "what is gone from the plan goes back too");
}

#[test]
fn an_order_to_do_steps_again_outlives_a_death_before_they_begin() {
    let (b, mut run) = stopped(&["a", "b", "c"]);
    run.disturbed = true; // Doing a step again is what is asked for.
    run.edit(&b, Vec::new(), vec!["b".to_owned()]);
    run.resume();
    assert_eq!(run.settle(), Ending::Succeeded);
    check(&run);
    assert_eq!(begun(&run), ["a", "b", "c", "b", "c"]);
    run.resume();
    assert_eq!(run.settle(), Ending::Succeeded);
    assert_eq!(begun(&run).len(), 5, "an order is carried out once");
}

#[test]
fn a_step_inside_of_a_closed_bracket_is_done_again_inside_of_it() {
    let mut b = Build::new();
    let stop = b.open("stop", &[]);
    let work = b.step("work", state(), &[stop]);
    let start = b.close("start", stop, &[work]);
    b.bracket("outage", stop, start, OnFailure::Release);
    b.step("after", state(), &[start]);
    let mut run = Run::new(&b, 1);
    run.outcomes.insert((3, 1), Outcome::Fails(Val::Absent));
    assert_eq!(run.process().finish(), Ending::Failed);
    run.disturbed = true;
    run.edit(&b, Vec::new(), vec!["work".to_owned()]);
    // A death after each commit of the second outage leaves a bracket that is closed in the end.
    run.cuts = Some(Vec::new());
    let mut whole = run.clone();
    assert_eq!(whole.settle(), Ending::Succeeded, "{}", whole.story());
    check(&whole);
    assert_eq!(begun(&whole), ["stop", "work", "start", "after", "stop", "work", "start", "after"]);
    for cut in whole.cuts.clone().unwrap_or_default() {
        let mut next = whole.died(&cut, &[]);
        next.resume();
        assert_eq!(next.settle(), Ending::Succeeded, "{}", next.story());
        check(&next);
        assert_eq!(next.world.vars[stop], Val::Absent, "{}", next.story());
        assert!(next.fold().open_brackets().next().is_none());
    }
}

#[test]
fn a_rollback_to_a_step_takes_back_what_comes_after_it() {
    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let c = b.step("b", state(), &[a]);
    b.step("c", state(), &[c]);
    b.step("other", state(), &[]);
    b.plan.steps[a].proves = true; // So it is done although `b` is so.
    let mut run = Run::new(&b, 1);
    run.world.set(c, Val::Done); // It was so before the run.
    run.outcomes.insert((3, 1), Outcome::Fails(Val::Absent));
    assert_eq!(run.process().finish(), Ending::Failed);
    let absent = Val::Absent;
    for (to, left) in [
        ("a", [Val::Done, Val::Done, absent, absent]),
        // What was so is not a place in the run's order: what comes after it goes back.
        ("b", [Val::Done, Val::Done, absent, absent]),
        ("c", [Val::Done, Val::Done, Val::Done, absent]),
    ] {
        let mut run = run.clone();
        run.roll_back_to(to);
        assert_eq!(run.settle(), Ending::RolledBack, "{}", run.story());
        assert_eq!(run.world.vars, left, "{to}: {}", run.story());
    }
}

#[test]
fn what_is_held_on_to_is_looked_at_again_before_a_resume_begins_anything() {
    let mut b = Build::new();
    let fence = b.step("fence", state(), &[]);
    let count = b.step("count", state(), &[fence]);
    let between = b.step("between", state(), &[count]);
    let copy = b.step("copy", state(), &[between]);
    b.plan.steps[copy].holds = vec![fence, count];
    let mut run = Run::new(&b, 1);
    run.outcomes.insert((between, 1), Outcome::Fails(Val::Absent));
    assert_eq!(run.process().finish(), Ending::Failed);
    let mut broken = run.clone();
    broken.world.set(fence, Val::Absent);
    broken.world.set(count, Val::Absent);
    broken.resume();
    assert_eq!(broken.process().finish(), Ending::Failed);
    assert_eq!(begun(&broken), ["fence", "count", "between"], "{}", broken.story());
    let failed = |e: &&Event| matches!(e, Event::StepFailed { attempt: 0, .. });
    assert_eq!(broken.journal.iter().filter(failed).count(), 1, "{}", broken.story());
    run.resume();
    assert_eq!(run.settle(), Ending::Succeeded);
    check(&run);
}
