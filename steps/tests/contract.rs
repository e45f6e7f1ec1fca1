//! What every kind of the catalogue must keep to, and what each promises beyond.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod kinds;
mod support;

use std::collections::BTreeMap;
use workplan_engine::kind::{
    Applied, ErrorCause, Hands, Look, Observation, Past, Prepared, Seen, Step, StepError, UndoPlan,
};
use workplan_steps::catalogue;

use kinds::fixture::{Fixture, fixture, has_parts};
use support::{interrupted, until};

/// What the engine does with a step that is due: looks, captures, acts, looks again.
async fn attempt(step: &dyn Step, hands: &Hands) -> Result<(Prepared, Applied), StepError> {
    let before = step.observe(hands).await;
    assert_eq!(before.seen, Seen::Absent);
    let prepared = step.prepare(hands).await?;
    let applied = step.apply(hands).await?;
    let verdict = match step.verify_now(hands, &applied) {
        Some(verdict) => verdict,
        None => step.verify(hands, &applied).await,
    };
    assert!(verdict.is_done(), "{verdict:?}");
    Ok((prepared, applied))
}

/// What is on record after a success.
fn past(applied: &Applied) -> Past {
    Past::Succeeded { record: "run r1".to_owned(), outputs: applied.outputs.clone() }
}

async fn observed(step: &dyn Step, look: &Look) -> Observation {
    let seen = step.observe(look).await;
    if let Some(now) = step.observe_now(look) {
        assert_eq!(now, seen, "both ways to look say the same");
    }
    seen
}

/// A kind's name, its world, its step in it.
type Case = (&'static str, Box<dyn Fixture>, Box<dyn Step>);

/// All kinds that act; a kind without a fixture fails here.
async fn acting() -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    for kind in catalogue().iter().filter(|kind| has_parts(kind.name())) {
        let fixture = fixture(kind.name()).await;
        let step = kind.build(&fixture.with()).unwrap_or_else(|p| panic!("{}: {p:?}", kind.name()));
        if step.waits().is_none() {
            all.push((kind.name(), fixture, step));
        }
    }
    assert!(all.len() >= 3);
    all
}

#[test]
fn every_kind_is_described() {
    for kind in catalogue().iter() {
        assert!(kind.about().ends_with('.'), "{}", kind.name());
        let mut names = BTreeMap::new();
        for param in kind.params() {
            assert!(param.doc.ends_with('.'), "{}.{}", kind.name(), param.name);
            assert!(names.insert(param.name, ()).is_none(), "{}.{}", kind.name(), param.name);
        }
    }
}

#[tokio::test]
async fn absent_becomes_done_and_stays_done() {
    for (name, fixture, step) in acting().await {
        fixture.release();
        let (_, applied) = attempt(&*step, &fixture.world().hands(Past::Never)).await.unwrap();
        assert!(fixture.is_there(), "{name}");
        let again = observed(&*step, &fixture.world().look(past(&applied))).await;
        assert_eq!(again.seen, Seen::Done, "{name}");
        let kind = catalogue();
        let declared = kind.get(name).unwrap().outputs(&fixture.with());
        assert!(
            declared.keys().eq(applied.outputs.keys()),
            "{name}: outputs are those that were declared"
        );
        let before = fixture.fingerprint();
        observed(&*step, &fixture.world().look(past(&applied))).await;
        step.preview(&fixture.world().look(past(&applied)), &again).await;
        assert_eq!(fixture.fingerprint(), before, "{name}: looking changes nothing");
    }
}

#[tokio::test]
async fn killed_while_it_acts_it_is_observed_and_then_finished() {
    for (name, fixture, step) in acting().await {
        let prepared = step.prepare(&fixture.world().look(Past::Never)).await.unwrap();
        fixture.cut_off(&*step).await;
        assert!(!fixture.is_there(), "{name}: the cut came before the end");
        fixture.release();

        let hands = fixture.world().hands(interrupted());
        let mut seen = observed(&*step, &hands).await.seen;
        if matches!(seen, Seen::Half(_)) {
            step.repair(&hands, &seen).await.unwrap();
            seen = observed(&*step, &hands).await.seen;
        }
        assert!(matches!(seen, Seen::Absent | Seen::Done), "{name}: {seen:?}");
        if seen == Seen::Absent {
            let applied = step.apply(&hands).await.unwrap();
            let verdict = step.verify(&hands, &applied).await;
            assert!(verdict.is_done(), "{name}: {verdict:?}");
        }
        assert!(fixture.is_there(), "{name}");

        if matches!(step.undo_plan(), UndoPlan::Can(_)) {
            step.undo(&hands, &prepared).await.unwrap();
            assert!(!fixture.is_there(), "{name}");
        }
    }
}

#[tokio::test]
async fn undo_takes_back_and_a_second_time_does_nothing() {
    for (name, fixture, step) in acting().await {
        fixture.release();
        let before = fixture.fingerprint();
        let hands = fixture.world().hands(Past::Never);
        let (prepared, applied) = attempt(&*step, &hands).await.unwrap();
        let hands = fixture.world().hands(past(&applied));
        match step.undo_plan() {
            UndoPlan::Can(how) => assert!(!how.is_empty(), "{name}"),
            UndoPlan::NotNeeded => assert_eq!(fixture.fingerprint(), before, "{name}"),
            UndoPlan::Cannot(why) => panic!("{name}: the fixture must be undoable: {why}"),
        }
        for _ in 0..2 {
            step.undo(&hands, &prepared).await.unwrap();
            assert_eq!(fixture.fingerprint(), before, "{name}");
        }
    }
}

/// What the engine asks before it takes a step back: the journal has the undo data, the bytes
/// beside it are not read for a look.
#[tokio::test]
async fn looking_back_tells_ours_from_before_and_from_others() {
    for (name, fixture, step) in acting().await {
        if !matches!(step.undo_plan(), UndoPlan::Can(_)) {
            continue;
        }
        fixture.release();
        let hands = fixture.world().hands(Past::Never);
        let (prepared, applied) = attempt(&*step, &hands).await.unwrap();
        let journaled = Prepared { undo: prepared.undo.clone(), bytes: None };
        let hands = fixture.world().hands(past(&applied));
        assert_eq!(step.look_back(&hands, &journaled).await.seen, Seen::Done, "{name}");
        step.undo(&hands, &prepared).await.unwrap();
        assert_eq!(step.look_back(&hands, &journaled).await.seen, Seen::Absent, "{name}");

        let (prepared, applied) =
            attempt(&*step, &fixture.world().hands(Past::Never)).await.unwrap();
        let journaled = Prepared { undo: prepared.undo.clone(), bytes: None };
        fixture.put_foreign();
        let foreign = fixture.fingerprint();
        let hands = fixture.world().hands(past(&applied));
        let seen = step.look_back(&hands, &journaled).await.seen;
        assert!(matches!(seen, Seen::Unknown(_)), "{name}: {seen:?}");
        assert_eq!(fixture.fingerprint(), foreign, "{name}: looking changes nothing");
    }
}

#[tokio::test]
async fn what_somebody_else_put_there_is_not_taken_back() {
    for (name, fixture, step) in acting().await {
        fixture.release();
        let hands = fixture.world().hands(Past::Never);
        let (prepared, applied) = attempt(&*step, &hands).await.unwrap();
        fixture.put_foreign();
        let foreign = fixture.fingerprint();
        let hands = fixture.world().hands(past(&applied));
        let seen = observed(&*step, &hands).await.seen;
        assert!(matches!(seen, Seen::Absent | Seen::Unknown(_)), "{name}: {seen:?}");
        let undone = step.undo(&hands, &prepared).await;
        assert_eq!(fixture.fingerprint(), foreign, "{name}: {undone:?}");
    }
}

#[tokio::test]
async fn a_step_that_waits_never_acts() {
    let mut waiting = 0;
    for kind in catalogue().iter().filter(|kind| has_parts(kind.name())) {
        let fixture = fixture(kind.name()).await;
        let step = kind.build(&fixture.with()).unwrap();
        if step.waits().is_none() {
            continue;
        }
        waiting += 1;
        let hands = fixture.world().hands(Past::Never);
        assert_eq!(observed(&*step, &hands).await.seen, Seen::Absent);
        let error = step.apply(&hands).await.unwrap_err();
        assert_eq!(error.cause, ErrorCause::NotStarted);
        for _ in 0..2 {
            let undone = step.undo(&hands, &Prepared::default()).await;
            match step.undo_plan() {
                UndoPlan::NotNeeded => undone.unwrap(),
                UndoPlan::Cannot(why) => {
                    assert_eq!(why, "a person did it");
                    assert_eq!(undone.unwrap_err().cause, ErrorCause::NotStarted);
                }
                UndoPlan::Can(how) => panic!("{}: nothing was done: {how}", kind.name()),
            }
        }
    }
    assert_eq!(waiting, 2);
}

/// Starts an attempt, waits until it is in the middle, cancels it. Returns how it ended.
pub(crate) async fn cancel_when(
    step: &dyn Step,
    hands: &Hands,
    what: &str,
    in_the_middle: impl Fn() -> bool,
) -> StepError {
    let cut = async {
        until(what, in_the_middle).await;
        hands.cancel().cancel();
    };
    let (ended, ()) = tokio::join!(step.apply(hands), cut);
    ended.unwrap_err()
}
