//! Journals of any size.

use std::path::Path;

use serde_json::json;
use workplan_engine::journal::{Journal, JournalError, Mode, NewEvent, Projection, StateDir};

/// Fills a state folder with finished runs as a driver commits them: the beginning, then for each
/// step an intent and an outcome, then the end; about `2 * steps + 2` events a run.
///
/// # Errors
/// The journal's.
pub fn fill(state: &Path, runs: usize, steps: usize) -> Result<(), JournalError> {
    let dir = StateDir::new(state);
    dir.create()?;
    let mut journal = Journal::open(&dir, Mode::ReadWrite)?;
    for run in 0..runs {
        fill_run(&mut journal, run, steps)?;
    }
    Ok(())
}

/// Appends so many commits as a chain of steps makes them: the outcome of one step and the intent
/// of the next.
///
/// # Errors
/// The journal's.
pub fn chain(state: &Path, commits: usize) -> Result<(), JournalError> {
    let dir = StateDir::new(state);
    dir.create()?;
    let mut journal = Journal::open(&dir, Mode::ReadWrite)?;
    (0..commits).try_for_each(|step| outcome_and_intent(&mut journal, step))
}

/// One such commit.
///
/// # Errors
/// The journal's.
pub fn outcome_and_intent(journal: &mut Journal, step: usize) -> Result<(), JournalError> {
    let (done, begun) = (format!("s{step}"), format!("s{}", step + 1));
    let evidence = json!({"facts": {}, "notes": [], "weak": true, "outputs": {}});
    let events = [
        NewEvent::of_step(
            "step_done",
            &done,
            json!({"attempt": 1, "evidence": evidence, "step": done}),
        ),
        NewEvent::of_step(
            "step_intent",
            &begun,
            json!({"attempt": 1, "forced": false, "step": begun}),
        ),
    ];
    let row = |step: String, outcome: &str, event| Projection::History {
        target: "state:/srv".to_owned(),
        workplan: "BENCH".to_owned(),
        meaning: format!("sha256:{step:0>64}"),
        step,
        outcome: outcome.to_owned(),
        event,
    };
    let derived = [row(done, "done", 0), row(begun, "begun", 1)];
    journal.append("run", jiff::Timestamp::UNIX_EPOCH, &events, &derived).map(drop)
}

fn fill_run(journal: &mut Journal, run: usize, steps: usize) -> Result<(), JournalError> {
    let id = format!("run-{run:06}");
    let at = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(run as i64);
    let mut events = vec![NewEvent::of_run("run.started", json!({"run": id}))];
    let mut derived = vec![Projection::RunCreated {
        workplan: format!("BENCH-PL-WP-{:04}", run % 50),
        path: "/srv/workplans/bench.md".to_owned(),
        target: "state:/srv".to_owned(),
    }];
    for step in 0..steps {
        let name = format!("T{:02}.s{step}", step / 10);
        events.push(NewEvent::of_step("step.intent", &name, json!({"attempt": 1, "step": name})));
        let evidence = json!({"facts": {"check": 0}, "notes": [], "weak": true});
        let data = json!({"attempt": 1, "evidence": evidence, "step": name});
        events.push(NewEvent::of_step("step.done", &name, data));
        derived.push(Projection::History {
            target: "state:/srv".to_owned(),
            workplan: format!("BENCH-PL-WP-{:04}", run % 50),
            step: name,
            meaning: format!("sha256:{step:064x}"),
            outcome: "done".to_owned(),
            event: events.len() - 1,
        });
    }
    events.push(NewEvent::of_run("run.ended", json!({"reason": "", "state": "succeeded"})));
    derived.push(Projection::RunEnded { state: "succeeded".to_owned() });
    journal.append(&id, at, &events, &derived).map(drop)
}
