//! Points of no return, and the outages that come before and after them.

use workplan_engine::plan::OnFailure;
use workplan_engine::run::Ending;

use super::sim::{Build, Outcome, Run, Val, state};

/// Something that cannot be taken back, then an outage in which the work fails; with `inside`, it is
/// in the outage itself.
fn failed(inside: bool) -> Run {
    let mut b = Build::new();
    let before = b.step("before", state(), &[]);
    let stop = b.step("stop", state(), &[before]);
    let switch = b.step("switch", state(), &[stop]);
    let work = b.step("work", state(), &[switch]);
    let start = b.close("start", stop, &[work]);
    b.bracket("outage", stop, start, OnFailure::Release);
    b.plan.steps[if inside { switch } else { before }].point_of_no_return = true;
    let mut run = Run::new(&b, 1);
    run.outcomes.insert((work, 1), Outcome::Fails(Val::Absent));
    assert_eq!(run.process().finish(), Ending::Failed);
    assert!(run.oracle.violations.is_empty(), "{:?}\n{}", run.oracle.violations, run.story());
    run
}

#[test]
fn one_that_was_passed_before_an_outage_does_not_keep_the_service_down() {
    let run = failed(false);
    assert_eq!(run.fold().brackets[0].open_since_ms, None, "{}", run.story());
    let (before, inside) = run.world.vars.split_at(1);
    assert_eq!(before, [Val::Done], "a release goes back to the opening and not behind it");
    assert!(inside.iter().all(|v| *v == Val::Absent), "{}", run.story());
}

#[test]
fn one_that_was_passed_inside_holds_it() {
    let run = failed(true);
    assert!(run.fold().brackets[0].open_since_ms.is_some(), "{}", run.story());
    assert_eq!(run.world.vars[2], Val::Done, "{}", run.story());
}
