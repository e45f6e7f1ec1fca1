//! Random plans, outcomes and disasters against invariants.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use workplan_engine::kind::{Class, Past};
use workplan_engine::plan::{OnFailure, StepIx};
use workplan_engine::run::{Ending, Event, Input, StepState, Timer};

use super::sim::{
    Build, Flavour, Leaves, Outcome, Process, Repair, Run, Spec, Val, command, gate, manual, proof,
    somebody, state,
};

/// A part of a plan.
#[derive(Debug, Clone)]
enum Item {
    Step { pick: u8, needs: u16, flags: u8 },
    Bracket { items: Vec<Item>, flags: u8 },
}

/// What happens next in a process that is not left in peace.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// An action ends, or a timer rings.
    Goes(u8),
    Dies(u8),
    Cancel,
    Kill,
    Budget(u8),
    /// Somebody else makes or removes an effect.
    Changes(u8, bool),
    /// Somebody answers while it runs.
    Answers(bool),
}

#[derive(Debug, Clone)]
struct Story {
    items: Vec<Item>,
    jobs: usize,
    outcomes: Vec<(u8, u8, u8)>,
    bad_undos: Vec<u8>,
    fates: Vec<Fate>,
    back: bool,
}

fn item() -> impl Strategy<Value = Item> {
    let step = || {
        (any::<u8>(), any::<u16>(), any::<u8>()).prop_map(|(pick, needs, flags)| Item::Step {
            pick,
            needs,
            flags,
        })
    };
    let inner = (prop::collection::vec(step(), 0..3), any::<u8>())
        .prop_map(|(items, flags)| Item::Bracket { items, flags });
    let inside = prop_oneof![5 => step(), 1 => inner];
    let bracket = (prop::collection::vec(inside, 1..4), any::<u8>())
        .prop_map(|(items, flags)| Item::Bracket { items, flags });
    prop_oneof![4 => step(), 1 => bracket]
}

fn fate(disturbed: bool) -> impl Strategy<Value = Fate> {
    let changes = if disturbed { 4 } else { 0 };
    prop_oneof![
        60 => any::<u8>().prop_map(Fate::Goes),
        4 => any::<u8>().prop_map(Fate::Dies),
        2 => Just(Fate::Cancel),
        1 => Just(Fate::Kill),
        2 => any::<u8>().prop_map(Fate::Budget),
        2 => any::<bool>().prop_map(Fate::Answers),
        changes => (any::<u8>(), any::<bool>()).prop_map(|(v, d)| Fate::Changes(v, d)),
    ]
}

fn story(disturbed: bool) -> impl Strategy<Value = Story> {
    (
        prop::collection::vec(item(), 1..7),
        1_usize..4,
        prop::collection::vec((any::<u8>(), 1_u8..4, any::<u8>()), 0..5),
        prop::collection::vec(any::<u8>(), 0..2),
        prop::collection::vec(fate(disturbed), 0..80),
        any::<bool>(),
    )
        .prop_map(|(items, jobs, outcomes, bad_undos, fates, back)| Story {
            items,
            jobs,
            outcomes,
            bad_undos,
            fates,
            back,
        })
}

/// Some of the steps in `from`, as the bits say.
fn some(from: &[StepIx], bits: u16) -> Vec<StepIx> {
    from.iter()
        .rev()
        .enumerate()
        .filter(|(i, _)| bits >> (i % 16) & 1 == 1)
        .map(|(_, s)| *s)
        .collect()
}

/// Adds items; those inside of a bracket come after its opening.
fn add(b: &mut Build, items: &[Item], open: Option<StepIx>) -> Vec<StepIx> {
    let mut own = Vec::new();
    for item in items {
        let all: Vec<StepIx> = (0..b.plan.steps.len()).collect();
        match item {
            Item::Step { pick, needs, flags } => {
                let mut needs = some(&all, *needs & (needs >> 5));
                needs.extend(open.filter(|o| !needs.contains(o)));
                let step = add_step(b, *pick, *flags, needs, open.is_some());
                own.push(step);
            }
            Item::Bracket { items, flags } => {
                let name = format!("b{}", b.plan.brackets.len() + b.plan.steps.len());
                let id = format!("s{}", b.plan.steps.len());
                let opening = b.open(&id, open.as_slice());
                let inside = add(b, items, Some(opening));
                let mut needs = inside.clone();
                needs.push(opening);
                let id = format!("s{}", b.plan.steps.len());
                let close = b.close(&id, opening, &needs);
                let on_failure = if flags & 1 == 0 { OnFailure::Release } else { OnFailure::Hold };
                b.bracket(&name, opening, close, on_failure);
                if flags & 6 == 6 && open.is_none() {
                    b.plan.brackets.last_mut().expect("just added").gate =
                        Some("may it?".to_owned());
                }
                own.extend(inside);
                own.extend([opening, close]);
            }
        }
    }
    own
}

fn relies_on_bracket(b: &Build, needs: &[StepIx]) -> bool {
    let mut stack = needs.to_vec();
    while let Some(step) = stack.pop() {
        if b.plan.steps[step].class == Class::Bracket {
            return true;
        }
        stack.extend(&b.plan.steps[step].needs);
    }
    false
}

fn add_step(b: &mut Build, pick: u8, flags: u8, needs: Vec<StepIx>, inside: bool) -> StepIx {
    let acts = |b: &Build| {
        // A service that a bracket takes down and brings back is no subject of a proof.
        let subject =
            |n: &&StepIx| b.specs[**n].acts() && b.plan.steps[**n].class != Class::Bracket;
        needs.iter().filter(subject).map(|n| b.specs[*n].var).collect::<Vec<_>>()
    };
    let undo = flags & 3 != 3;
    let spec = match pick % 10 {
        0..4 => {
            let repair = match flags >> 2 & 3 {
                0 | 1 => Repair::ToAbsent,
                2 => Repair::ToDone,
                _ => Repair::Impossible,
            };
            Spec { undo, repair, prepares: flags & 16 != 0, ..state() }
        }
        // What a released bracket has to do again without taking it back must be safe to do again.
        4 | 5 => Spec { undo, ..command(flags & 4 != 0 || !undo && relies_on_bracket(b, &needs)) },
        6 | 7 => proof(&acts(b)),
        8 if !inside => gate(),
        9 if !inside => manual(),
        _ => state(),
    };
    let id = format!("s{}", b.plan.steps.len());
    let lasts = |n: &StepIx| {
        b.specs[*n].flavour == Flavour::State && b.plan.steps[*n].class != Class::Bracket
    };
    let holds: Vec<StepIx> = needs.iter().copied().filter(lasts).take(1).collect();
    let step = b.step(&id, spec, &needs);
    if flags & 32 != 0 {
        b.plan.steps[step].holds = holds;
    }
    if flags & 64 != 0 {
        b.retry(step, 1 + u32::from(flags >> 7));
    }
    b.plan.steps[step].proves = flags & 128 != 0;
    b.plan.steps[step].point_of_no_return = flags == 77;
    step
}

fn build(story: &Story) -> Build {
    let mut b = Build::new();
    add(&mut b, &story.items, None);
    b
}

fn begin(story: &Story) -> Run {
    let b = build(story);
    let count = b.plan.steps.len();
    let mut run = Run::new(&b, story.jobs);
    for (step, attempt, how) in &story.outcomes {
        let step = usize::from(*step) % count;
        let checked = run.specs[step].flavour == Flavour::State;
        let outcome = match how % 8 {
            0 => Outcome::NotStarted,
            1 if checked => Outcome::Lies,
            2 if checked => Outcome::Fails(Val::Half),
            3 if checked => Outcome::Fails(Val::Done),
            4 => Outcome::TimesOut(Val::Half),
            5 => Outcome::TimesOut(Val::Done),
            6 => Outcome::TimesOut(Val::Absent),
            _ => Outcome::Fails(Val::Absent),
        };
        run.outcomes.insert((step, u32::from(*attempt)), outcome);
    }
    for step in &story.bad_undos {
        *run.bad_undos.entry(usize::from(*step) % count).or_default() += 1;
    }
    run
}

/// How a process that was not left in peace came to its end.
enum Fell {
    Ended(Ending),
    Died,
}

fn suffer(run: &mut Run, fates: &mut impl Iterator<Item = Fate>) -> Fell {
    let mut process = run.process();
    process.input(Input::Begin);
    while process.ended.is_none() {
        let fate = fates.next().unwrap_or(Fate::Goes(0));
        match fate {
            Fate::Goes(pick) => {
                if process.queue.is_empty() {
                    if !process.ring() {
                        process.run.oracle.violations.push("it is stuck".to_owned());
                        return Fell::Died;
                    }
                } else {
                    let at = usize::from(pick) % process.queue.len();
                    if process.is_killed() {
                        process.stop(at, leaves(pick));
                    } else {
                        process.perform(at);
                    }
                }
            }
            Fate::Dies(how) => {
                let queue = std::mem::take(&mut process.queue);
                for (i, action) in queue.iter().enumerate() {
                    process.run.leave(action, leaves(how.wrapping_add(i as u8)));
                }
                return Fell::Died;
            }
            Fate::Cancel => process.input(Input::Cancel { kill: false }),
            Fate::Kill => process.input(Input::Cancel { kill: true }),
            Fate::Budget(pick) => {
                let budgets: Vec<usize> = (0..process.timers.len())
                    .filter(|t| !matches!(process.timers[*t], Timer::Retry(_)))
                    .collect();
                if let Some(at) = budgets.get(usize::from(pick) % budgets.len().max(1)) {
                    let timer = process.timers.remove(*at);
                    process.input(Input::Woke(timer));
                }
            }
            Fate::Changes(var, done) => {
                let var = usize::from(var) % process.run.world.vars.len();
                let val = if done { Val::Done } else { Val::Absent };
                process.run.world.set(var, val);
                process.run.disturbed = true;
            }
            Fate::Answers(yes) => answer_live(&mut process, yes),
        }
    }
    process.check_end();
    Fell::Ended(process.ended.expect("it ended"))
}

fn leaves(how: u8) -> Leaves {
    match how % 3 {
        0 => Leaves::Nothing,
        1 => Leaves::Half,
        _ => Leaves::All,
    }
}

/// The first question that is open is answered from another process.
fn answer_live(process: &mut Process<'_>, yes: bool) {
    let waiting = process.machine.state.steps.iter().enumerate().find_map(|(ix, rec)| {
        let step = process.run.plan.steps[ix].id.clone();
        match (rec.state, &rec.wait) {
            (StepState::Waiting, Some((gate, workplan_engine::kind::Wait::Gate { .. }))) => {
                Some(if yes {
                    Event::GateApproved { gate: gate.clone(), person: somebody() }
                } else {
                    Event::GateRejected { gate: gate.clone(), person: somebody() }
                })
            }
            (StepState::Waiting, _) => {
                Some(Event::StepResolved { step, done: yes, person: somebody() })
            }
            (StepState::Unknown, _) => {
                let spec = process.run.specs[ix].clone();
                let busy = process
                    .queue
                    .iter()
                    .any(|a| format!("{a:?}").contains(&format!("step: {ix},")));
                if busy || process.run.world.vars[spec.var] == Val::Half {
                    return None;
                }
                let done = process.run.world.is_done(&spec);
                Some(Event::StepResolved { step, done, person: somebody() })
            }
            _ => None,
        }
    });
    if let Some(event) = waiting {
        process.run.commit(event.clone());
        process.input(Input::Answered(Box::new(event)));
    }
}

/// Lives through all fates, then comes to an end in peace.
fn live(story: &Story) -> Result<(Run, Ending), TestCaseError> {
    let mut run = begin(story);
    let mut fates = story.fates.iter().copied();
    let mut ended = None;
    for _ in 0..30 {
        let fell = suffer(&mut run, &mut fates);
        check(&run)?;
        match fell {
            Fell::Ended(Ending::Succeeded) => {
                ended = Some(Ending::Succeeded);
                break;
            }
            Fell::Ended(Ending::Waiting) => {
                run.answer();
                run.resume();
            }
            Fell::Ended(_) | Fell::Died => run.resume(),
        }
        if fates.len() == 0 {
            break;
        }
    }
    run.reopen_gates();
    if story.back {
        run.roll_back();
    } else if let Some(ending) = ended {
        return Ok((run, ending));
    } else {
        run.resume();
    }
    let ending = run.settle_whatever();
    check(&run)?;
    Ok((run, ending))
}

fn check(run: &Run) -> Result<(), TestCaseError> {
    prop_assert!(
        run.oracle.violations.is_empty(),
        "{}\n{}\n{}",
        run.oracle.violations.join("\n"),
        run.plan_text(),
        run.story()
    );
    Ok(())
}

fn in_peace(run: &Run, ending: Ending, back: bool) -> Result<(), TestCaseError> {
    let told = format!("{}\n{}", run.plan_text(), run.story());
    if back {
        prop_assert_eq!(ending, Ending::RolledBack, "{}", told);
        for (ix, spec) in run.specs.iter().enumerate() {
            // An attempt that may be run again is not looked for when it was cut short.
            let known = spec.flavour != (Flavour::Command { rerun_safe: true });
            if spec.acts() && spec.undo && !spec.inverse && known {
                prop_assert_eq!(run.world.vars[spec.var], Val::Absent, "s{} {}", ix, told);
            }
        }
    } else {
        prop_assert_eq!(ending, Ending::Succeeded, "{}", told);
        for (ix, spec) in run.specs.iter().enumerate() {
            let closed = run.plan.brackets.iter().any(|b| b.open == ix);
            if spec.acts() && !closed {
                prop_assert!(run.world.is_done(spec), "s{} {}", ix, told);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        // PROPTEST_CASES multiplies; a failure's seed is kept beside this file and tried first.
        cases: ProptestConfig::default().cases * 8,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_it_comes_to_a_good_end(story in story(false)) {
        let (run, ending) = live(&story)?;
        in_peace(&run, ending, story.back)?;
    }

    #[test]
    fn whatever_others_do_nothing_is_done_out_of_order(story in story(true)) {
        live(&story)?;
    }

    #[test]
    fn a_second_run_has_nothing_to_do(story in story(false)) {
        let story = Story { back: false, ..story };
        let (first, _) = live(&story)?;
        let state = first.fold();
        let mut second = Run::new(&build(&story), story.jobs);
        second.world = first.world.clone();
        for (ix, rec) in state.steps.iter().enumerate() {
            if rec.state.is_done() || rec.state == StepState::Skipped && rec.so {
                let outputs = rec.evidence.clone().unwrap_or_default().outputs;
                second.past.insert(ix, Past::Succeeded { record: "r1".to_owned(), outputs });
            }
        }
        let ending = second.settle();
        check(&second)?;
        prop_assert_eq!(ending, Ending::Succeeded);
        let begun = second.journal.iter().find(|e| {
            matches!(e, Event::StepIntent { .. } | Event::RepairIntent { .. } | Event::BracketOpened { .. })
        });
        prop_assert!(begun.is_none(), "{:?}\n{}\n{}\n{}", begun, first.plan_text(), first.story(), second.story());
    }
}
