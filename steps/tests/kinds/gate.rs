//! `gate.approve` and `manual`.

use serde_json::json;
use std::path::PathBuf;
use workplan_engine::kind::{Past, Seen, Wait};

use crate::support::{World, build, interrupted, step, succeeded};

#[tokio::test]
async fn a_gate_is_opened_anew_in_each_run() {
    let world = World::new();
    let gate = step("gate.approve", json!({"message": "Go?", "allowed_signers": "keys/signers"}));
    assert_eq!(
        gate.waits(),
        Some(Wait::Gate {
            message: "Go?".to_owned(),
            signers: Some(PathBuf::from("keys/signers"))
        })
    );
    for past in [Past::Never, succeeded(), interrupted(), Past::Claimed] {
        assert_eq!(gate.observe(&world.look(past)).await.seen, Seen::Absent);
    }
}

#[tokio::test]
async fn a_persons_word_stands_and_is_not_weak() {
    let world = World::new();
    let manual = step("manual", json!({"instructions": "Plug it in."}));
    assert_eq!(manual.waits(), Some(Wait::Manual { instructions: "Plug it in.".to_owned() }));
    let seen = manual.observe(&world.look(succeeded())).await;
    assert_eq!((seen.is_done(), seen.weak), (true, false));
    assert_eq!(seen.record.as_deref(), Some("run r0"));
    for past in [Past::Never, Past::Failed, interrupted(), Past::Claimed] {
        assert_eq!(manual.observe(&world.look(past)).await.seen, Seen::Absent);
    }
    let changes = manual.preview(&world.look(Past::Never), &seen).await;
    assert_eq!(changes[0].op, "ask");
}

#[test]
fn a_question_without_words_is_refused() {
    assert!(build("gate.approve", json!({"message": " "})).is_err());
    assert!(build("manual", json!({"instructions": ""})).is_err());
}
