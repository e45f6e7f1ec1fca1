//! Events of journals and saved plans, of other versions or damaged.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use workplan_engine::run::{Event, RunState};
use workplan_engine::session::SavedPlan;

use crate::stir::{config, twist, twisted};

const WORKPLAN: &str = "# R\n\n```sh step=a check=\"test -f a\" undo=\"rm a\"\ntouch a\n```\n\n```sh step=b undo=\"rm b\"\n\
touch b\n```\n\n```sh step=c check=\"test -f c\"\ntouch c; false\n```\n";

struct Records {
    /// Kind and data of each event of a run that failed and was taken back.
    events: Vec<Value>,
    plan: Value,
}

/// Made by the real binary, once.
static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("r.md"), WORKPLAN).expect("a file");
    let plan = said(folder.path(), &["plan", "r.md", "--json"]);
    said(folder.path(), &["run", "r.md", "--yes"]);
    let status: Value =
        serde_json::from_str(&said(folder.path(), &["status", "--json"])).expect("JSON");
    let run = status["run"]["id"].as_str().expect("a run").to_owned();
    said(folder.path(), &["rollback", &run, "--yes"]);
    let events = said(folder.path(), &["log", "--json"]);
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .map(|event: Value| json!({"kind": event["kind"], "data": event["data"]}))
        .collect();
    assert!(events.len() > 8, "{events:?}");
    Records { events, plan: serde_json::from_str(&plan).expect("JSON") }
});

fn said(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workplan"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    String::from_utf8(command.output().expect("the binary runs").stdout).expect("UTF-8")
}

/// As a journal is read: what cannot be decoded is refused by name, the rest is folded.
fn fold(events: &[Value]) -> Option<RunState> {
    let mut state: Option<RunState> = None;
    for value in events {
        let event: Event = serde_json::from_value(value.clone()).ok()?;
        let again = serde_json::to_value(&event).expect("an event is JSON");
        let back: Event = serde_json::from_value(again).expect("what was written is read");
        assert_eq!(back, event, "an event survives the journal");
        match (&mut state, &event) {
            (Some(state), event) => state.apply(7, event),
            (None, Event::RunStarted(started)) => state = Some(RunState::begin(7, started)),
            (None, _) => {}
        }
    }
    state
}

#[test]
fn the_original_is_folded() {
    let state = fold(&RECORDS.events).expect("a run");
    assert_eq!(state.steps.len(), 3);
    let plan: SavedPlan = serde_json::from_value(RECORDS.plan.clone()).expect("a plan");
    assert_eq!(plan.steps().count(), 3);
    assert!(plan.moved(&plan).is_empty());
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn events_that_are_not_ours_are_refused_or_folded(
        twists in prop::collection::vec((any::<usize>(), twist()), 0..6),
        moves in prop::collection::vec((any::<usize>(), any::<usize>()), 0..6),
        lost in prop::collection::vec(any::<usize>(), 0..3),
    ) {
        let mut events = RECORDS.events.clone();
        for (at, twist) in &twists {
            let count = events.len();
            twisted(&mut events[at % count], twist);
        }
        for (from, to) in moves {
            let count = events.len();
            events.swap(from % count, to % count);
        }
        for at in lost {
            events.remove(at % events.len());
        }
        drop(fold(&events));
    }

    #[test]
    fn a_plan_that_is_not_ours_is_refused_or_differs(twists in prop::collection::vec(twist(), 1..5)) {
        let mut value = RECORDS.plan.clone();
        for twist in &twists {
            twisted(&mut value, twist);
        }
        let text = value.to_string();
        if let Ok(plan) = serde_json::from_str::<SavedPlan>(&text) {
            let _ = (plan.computed_digest(), plan.has_changes(), plan.steps().count());
            let ours: SavedPlan = serde_json::from_value(RECORDS.plan.clone()).expect("a plan");
            let _ = (ours.moved(&plan), plan.moved(&ours));
            let written = serde_json::to_string(&plan).expect("a plan is JSON");
            let back: SavedPlan = serde_json::from_str(&written).expect("what was written is read");
            prop_assert_eq!(back.computed_digest(), plan.computed_digest());
        }
    }
}
