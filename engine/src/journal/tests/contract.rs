//! What appending and reading promise.

use super::*;

fn created(target: &str) -> Projection {
    Projection::RunCreated { workplan: "WP".into(), path: "wp.md".into(), target: target.into() }
}

#[test]
fn what_was_appended_is_read_and_chained() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let first = journal
        .append("r1", at(0), &[NewEvent::of_run("run.created", json!({"b": 1, "a": 0.1}))], &[])
        .unwrap();
    let more = journal.append("r1", at(5), &finish_and_intent(1), &[]).unwrap();
    let written: Vec<_> = first.into_iter().chain(more).collect();
    assert_eq!(journal.events("r1").unwrap(), written);
    assert_eq!(journal.events_after("r1", 1).unwrap(), written[1..]);
    assert_eq!(journal.events_after("r1", 3).unwrap(), []);
    assert_eq!(journal.head("r1").unwrap(), Head { seq: 3, hash: written[2].hash });
    assert_eq!(written[1].prev, written[0].hash);
    journal.verify().unwrap();
}

#[test]
fn json_lines_have_the_documented_shape_and_can_be_verified_alone() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let stored = journal
        .append(
            "06ck",
            at(0),
            &[
                NewEvent::of_run("run.created", json!({"z": [1.0, 1e300, 0.1], "ä": "\u{7f}"})),
                NewEvent::of_step("step.intent", "T02.copy", json!(null)),
            ],
            &[],
        )
        .unwrap();
    let line = serde_json::to_string(&stored[1]).unwrap();
    let expected = format!(
        r#"{{"seq":2,"at":"2026-09-21T14:13:20.000Z","run":"06ck","kind":"step.intent","step":"T02.copy","data":null,"prev":"{}","hash":"{}"}}"#,
        stored[0].hash, stored[1].hash
    );
    assert_eq!(line, expected);
    for event in &stored {
        let line = serde_json::to_string(event).unwrap();
        let back: StoredEvent = serde_json::from_str(&line).unwrap();
        assert_eq!(back.computed_hash(), event.hash);
        assert_eq!(&back, event);
    }
    assert!(!serde_json::to_string(&stored[0]).unwrap().contains("\"step\""));
}

#[test]
fn every_part_of_an_event_is_hashed() {
    let (_temp, dir) = folder();
    let event = &writer(&dir)
        .append("r1", at(0), &[NewEvent::of_step("k", "s", json!({"a": 1}))], &[])
        .unwrap()[0];
    let changed = [
        StoredEvent { seq: 2, ..event.clone() },
        StoredEvent { at: at(1), ..event.clone() },
        StoredEvent { run: "r2".into(), ..event.clone() },
        StoredEvent { kind: "ks".into(), step: Some(String::new()), ..event.clone() },
        StoredEvent { step: None, ..event.clone() },
        StoredEvent { data: json!({"a": 2}), ..event.clone() },
        StoredEvent { prev: event.hash, ..event.clone() },
    ];
    for changed in changed {
        assert_ne!(changed.computed_hash(), event.hash, "{changed:?}");
    }
}

#[test]
fn somebody_elses_event_is_seen_and_the_expectation_fails() {
    let (_temp, dir) = folder();
    let (mut engine, mut approver) = (writer(&dir), writer(&dir));
    let event = [NewEvent::of_run("x", json!({}))];
    engine.append_expecting("r1", 0, at(0), &event, &[]).unwrap();
    approver.append("r1", at(1), &event, &[]).unwrap();
    match engine.append_expecting("r1", 1, at(2), &event, &[]) {
        Err(JournalError::Moved { expected: 1, found: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.events_after("r1", 1).unwrap().len(), 1);
    engine.append_expecting("r1", 2, at(3), &event, &[]).unwrap();
    assert_eq!(approver.events("r1").unwrap().len(), 3);
}

#[test]
fn an_unsound_request_writes_nothing() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let history = |step: &str, event| Projection::History {
        target: "here".into(),
        workplan: "WP".into(),
        step: step.into(),
        meaning: "m1".into(),
        outcome: "done".into(),
        event,
    };
    let events = [NewEvent::of_step("step.done", "T01.a", json!({}))];
    for (run, events, update) in [
        ("", &events[..], created("here")),
        ("r1", &[], created("here")),
        ("r1", &events, history("T01.a", 1)),
        ("r1", &events, history("T01.b", 0)),
        ("r1", &events, Projection::Kv { key: "k".into(), value: "v".into(), event: 1 }),
    ] {
        let refused = journal.append(run, at(0), events, &[update]);
        assert!(matches!(refused, Err(JournalError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(journal.runs(&RunFilter::default()).unwrap(), []);
    assert_eq!(journal.append("r1", at(0), &[], &[]).unwrap(), []);
}

#[test]
fn runs_are_listed_found_and_followed_to_their_end() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let event = [NewEvent::of_run("x", json!({}))];
    for (n, run) in ["06ck1", "06ck2", "07aa"].into_iter().enumerate() {
        let target = if n == 1 { "there" } else { "here" };
        journal.append(run, at(n as i64), &event, &[created(target)]).unwrap();
    }
    let ids = |rows: Vec<RunRow>| rows.into_iter().map(|row| row.run).collect::<Vec<_>>();
    assert_eq!(ids(journal.runs(&RunFilter::default()).unwrap()), ["07aa", "06ck2", "06ck1"]);
    let newest = RunFilter { limit: Some(1), ..RunFilter::default() };
    assert_eq!(ids(journal.runs(&newest).unwrap()), ["07aa"]);
    assert_eq!(ids(journal.unfinished("here").unwrap()), ["07aa", "06ck1"]);
    let owner = Owner::this_process("07aa", at(9)).unwrap();
    journal
        .append("07aa", at(9), &event, &[Projection::Owner { owner: Some(owner.clone()) }])
        .unwrap();
    assert_eq!(journal.run_row("07aa").unwrap().owner, Some(owner));
    journal
        .append("07aa", at(10), &event, &[Projection::RunEnded { state: "succeeded".into() }])
        .unwrap();
    let row = journal.run_row("07aa").unwrap();
    assert_eq!((row.ended_at, row.owner, row.head_seq), (Some(at(10)), None, 5));
    assert_eq!(ids(journal.unfinished("here").unwrap()), ["06ck1"]);
    for state in ["failed", "waiting", "interrupted", "rolling_back", "rollback_incomplete"] {
        let update = Projection::RunState { state: state.into() };
        journal.append("07aa", at(11), &event, &[update]).unwrap();
        assert_eq!(ids(journal.unfinished("here").unwrap()), ["07aa", "06ck1"], "{state}");
    }

    assert_eq!(journal.find("07").unwrap().run, "07aa");
    assert_eq!(journal.find("06CK2").unwrap().run, "06ck2");
    match journal.find("06ck") {
        Err(JournalError::Ambiguous { runs, .. }) => assert_eq!(runs, ["06ck2", "06ck1"]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(journal.find("08"), Err(JournalError::NotFound { .. })));
    assert!(matches!(journal.find(""), Err(JournalError::NotFound { .. })));
    assert!(matches!(journal.events("08"), Err(JournalError::NotFound { .. })));
}

#[test]
fn history_and_values_name_their_event() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let mut attempt = |run: &str, outcome: &str| {
        journal
            .append(
                run,
                at(0),
                &[
                    NewEvent::of_run("x", json!({})),
                    NewEvent::of_step("step.done", "T01.a", json!({})),
                ],
                &[
                    Projection::History {
                        target: "here".into(),
                        workplan: "WP".into(),
                        step: "T01.a".into(),
                        meaning: "m1".into(),
                        outcome: outcome.into(),
                        event: 1,
                    },
                    Projection::Kv { key: "plan_spent/1".into(), value: outcome.into(), event: 0 },
                ],
            )
            .unwrap();
    };
    attempt("r1", "failed");
    attempt("r2", "done");
    let found = journal.history("here", "WP", "m1", "T01.a").unwrap().unwrap();
    assert_eq!((found.outcome.as_str(), found.run.as_str(), found.seq), ("done", "r2", 4));
    assert_eq!(journal.history("there", "WP", "m1", "T01.a").unwrap(), None);
    assert_eq!(journal.history("here", "WP", "m2", "T01.a").unwrap(), None);
    let value = journal.kv("plan_spent/1").unwrap().unwrap();
    assert_eq!((value.value.as_str(), value.seq), ("done", 3));
    assert_eq!(journal.kv("plan_spent/2").unwrap(), None);
    assert_eq!(journal.event(4).unwrap().unwrap().step.as_deref(), Some("T01.a"));
    journal.verify().unwrap();
}

#[test]
fn writers_of_different_runs_do_not_disturb_each_other() {
    let (_temp, dir) = folder();
    drop(writer(&dir));
    std::thread::scope(|scope| {
        for run in ["r1", "r2", "r3"] {
            let dir = &dir;
            scope.spawn(move || {
                let mut journal = writer(dir);
                for n in 0..40 {
                    journal.append(run, at(n as i64), &finish_and_intent(n), &[]).unwrap();
                }
            });
        }
    });
    let journal = reader(&dir);
    for run in ["r1", "r2", "r3"] {
        assert_eq!(journal.events(run).unwrap().len(), 80);
    }
    journal.verify().unwrap();
}

#[test]
fn a_long_run_is_read_in_pages() {
    let (_temp, dir) = folder();
    let mut journal = writer(&dir);
    let many: Vec<_> = (0..700).flat_map(finish_and_intent).collect();
    journal.append("r1", at(0), &many, &[]).unwrap();
    journal.append("r2", at(0), &many[..1], &[]).unwrap();
    let mut pages = journal.event_pages("r1", 3).unwrap();
    assert_eq!(pages.next().unwrap().unwrap().seq, 4);
    // What is appended meanwhile belongs to the next reading.
    writer(&dir).append("r1", at(1), &many[..1], &[]).unwrap();
    assert_eq!(pages.map(|event| event.unwrap().seq).last(), Some(1400));
    assert_eq!(journal.events("r1").unwrap().len(), 1401);
    for exactly_a_page in [128, 256] {
        let after = 1400 - exactly_a_page;
        let read = journal.events_after("r1", after).unwrap();
        assert_eq!(read.len() as u64, exactly_a_page + 1);
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (_temp, dir) = folder();
    drop(writer(&dir));
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    let before = std::fs::read(dir.journal()).unwrap();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        match Journal::open(&dir, mode) {
            Err(e @ JournalError::Newer { found: 7, known: 1, .. }) => {
                assert!(e.to_string().contains("written by a newer workplan"), "{e}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(std::fs::read(dir.journal()).unwrap(), before);
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let (_temp, dir) = folder();
    dir.create().unwrap();
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)").unwrap();
    drop(conn);
    for foreign in [std::fs::read(dir.journal()).unwrap(), b"Dear diary, ".repeat(99)] {
        std::fs::write(dir.journal(), &foreign).unwrap();
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let opened = Journal::open(&dir, mode);
            assert!(matches!(opened, Err(JournalError::Corrupt { .. })), "{opened:?}");
        }
        assert_eq!(std::fs::read(dir.journal()).unwrap(), foreign);
    }
}

#[test]
fn events_cannot_be_changed_or_deleted_by_accident() {
    let (_temp, dir) = folder();
    writer(&dir).append("r1", at(0), &finish_and_intent(1), &[]).unwrap();
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    for sql in ["UPDATE events SET kind = 'x'", "DELETE FROM events"] {
        let refused = conn.execute(sql, []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
