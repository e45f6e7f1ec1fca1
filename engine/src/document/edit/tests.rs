use proptest::prelude::*;

use super::*;
use crate::document::parse;

const DATE: &str = "2026-02-03";

fn document(text: &str) -> Document {
    parse(&SourceFile::new("W-1.md", text)).0
}

fn completion(task: &str, run: &str, evidence: &str) -> Completion {
    Completion {
        task: task.to_owned(),
        date: DATE.to_owned(),
        run: run.to_owned(),
        evidence: evidence.to_owned(),
    }
}

/// Sets T01 to done with a line of run `r1`.
fn finish() -> Edit {
    Edit {
        statuses: [("T01".to_owned(), NewValue::Set(TaskStatus::Done))].into(),
        updated: Some(NewValue::Set(DATE.to_owned())),
        complete: vec![completion("T01", "r1", "ab")],
        ..Edit::default()
    }
}

/// The edit that takes `edit` back.
fn inverse(document: &Document, edit: &Edit) -> Edit {
    let task = |short: &str| document.tasks.iter().find(|t| t.short == short).unwrap();
    Edit {
        statuses: edit
            .statuses
            .keys()
            .map(|short| {
                let raw = task(short).status_written(&document.file).unwrap();
                (short.clone(), NewValue::Restore(raw.to_owned()))
            })
            .collect(),
        workplan_status: edit
            .workplan_status
            .as_ref()
            .map(|_| NewValue::Restore(document.status_written().unwrap().to_owned())),
        updated: document.updated_written().map(|raw| NewValue::Restore(raw.to_owned())),
        complete: Vec::new(),
        remove: edit.complete.iter().map(|c| (c.task.clone(), c.run.clone())).collect(),
    }
}

const LINE: &str = "Completed on 2026-02-03 by workplan run r1 (evidence sha256:ab).";

/// Applies [`finish`]; `+` in the expected text stands for our line.
#[track_caller]
fn check(text: &str, expected: &str) {
    let before = document(text);
    let after = apply(&before, &finish()).unwrap();
    assert_eq!(after, expected.replace('+', LINE), "{text:?}");
    let back = apply(&document(&after), &inverse(&before, &finish())).unwrap();
    assert_eq!(back, text, "taken back");
}

const TASK: &str = "# T\n\n## T01 - A\n\n```task\nid: W-1-T01\nstatus: todo\n```\n";
const DONE: &str = "# T\n\n## T01 - A\n\n```task\nid: W-1-T01\nstatus: done\n```\n";

#[track_caller]
fn check_tail(tail: &str, expected: &str) {
    check(&format!("{TASK}{tail}"), &format!("{DONE}{expected}"));
}

#[test]
fn the_line_is_a_paragraph_at_the_end_of_the_section() {
    check(TASK.trim_end(), &format!("{}\n\n+", DONE.trim_end()));
    check_tail("", "\n+\n");
    check_tail("\nText.", "\nText.\n\n+");
    check_tail("\nText.\n", "\nText.\n\n+\n");
    check_tail("\nText.  \n\n\n", "\nText.  \n\n+\n\n\n");
    check_tail("\nText.\t\n \t\n", "\nText.\t\n\n+\n \t\n");
    check_tail("\n- a\n  - b\n", "\n- a\n  - b\n\n+\n");
    check_tail("\n- a\n  ```\n  b\n  ```\n", "\n- a\n  ```\n  b\n  ```\n\n+\n");
    check_tail("\n> a\n", "\n> a\n\n+\n");
    check_tail("\n    code\n", "\n    code\n\n+\n");
    check_tail("\n| a |\n|---|\n| b |\n", "\n| a |\n|---|\n| b |\n\n+\n");
    check_tail("\n[a]: http://b\n", "\n[a]: http://b\n\n+\n");
    check_tail("\n<div>\n", "\n<div>\n\n+\n");
}

#[test]
fn before_a_closing_rule_or_heading() {
    check_tail("\nText.\n\n---\n\n## Next\n", "\nText.\n\n+\n\n---\n\n## Next\n");
    check_tail("\nText.\n***\n## Next\n", "\nText.\n\n\n+\n\n***\n## Next\n");
    check_tail("---\n## Next\n", "\n\n+\n\n---\n## Next\n");
    check_tail("Next\n===\n", "\n\n+\n\nNext\n===\n");
    check_tail("## Next\n", "\n+\n## Next\n");
    check_tail("\n### Deeper\n\nText.\n\n## Next\n", "\n### Deeper\n\nText.\n\n+\n\n## Next\n");
}

#[test]
fn line_ends_follow_the_place() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    check(&crlf(TASK), &format!("{}\r\n+\r\n", crlf(DONE)));
    check(crlf(TASK).trim_end(), &format!("{}\r\n\r\n+", crlf(DONE).trim_end()));
    check(&format!("{TASK}\nText.\r\n"), &format!("{DONE}\nText.\r\n\r\n+\r\n"));
    check(&format!("\u{feff}{TASK}"), &format!("\u{feff}{DONE}\n+\n"));
}

#[test]
fn values_keep_quotes_and_comments() {
    let text = |updated: &str, status: &str| {
        format!(
            "---\nid: W-1\nupdated: {updated} # day\nstatus: active\n---\n## T01 - A\n```task\n\
             id: W-1-T01\nstatus: {status} # ü\npriority: high\n```\n"
        )
    };
    for quote in ["", "\"", "'"] {
        let of = |value: &str| format!("{quote}{value}{quote}");
        check(&text(&of("2026-01-01"), &of("todo")), &(text(&of(DATE), &of("done")) + "\n+\n"));
    }
    check(&text("\"2026-01-01\"", "wip"), &(text(&format!("\"{DATE}\""), "done") + "\n+\n"));
    check(&text("", "finished"), &(text("", "finished") + "\n+\n"));
}

#[test]
fn another_line_stays_and_ours_is_replaced() {
    let by_hand = "Completed on 2026-01-01 by hand.";
    check_tail(&format!("\n{by_hand}\n"), &format!("\n{by_hand}\n\n+\n"));
    let once = apply(&document(TASK), &finish()).unwrap();
    let again = Edit { complete: vec![completion("T01", "r1", "cd")], ..finish() };
    let twice = apply(&document(&once), &again).unwrap();
    assert_eq!(twice, once.replace("sha256:ab", "sha256:cd"));
    assert_eq!(apply(&document(&once), &finish()).unwrap(), once);
}

#[test]
fn lines_of_two_runs_leave_in_any_order() {
    for text in [TASK.to_owned(), format!("{TASK}---\n"), TASK.replace('\n', "\r\n")] {
        let add = |text: &str, run: &str| {
            let edit = Edit { complete: vec![completion("T01", run, "ab")], ..Edit::default() };
            apply(&document(text), &edit).unwrap()
        };
        let remove = |text: &str, run: &str| {
            let edit = Edit { remove: vec![("T01".to_owned(), run.to_owned())], ..Edit::default() };
            apply(&document(text), &edit).unwrap()
        };
        let both = add(&add(&text, "r1"), "r2");
        assert_eq!(remove(&remove(&both, "r2"), "r1"), text);
        assert_eq!(remove(&remove(&both, "r1"), "r2"), text);
        assert_eq!(remove(&text, "r1"), text, "nothing to remove");
        let swap = Edit {
            remove: vec![("T01".to_owned(), "r1".to_owned())],
            complete: vec![completion("T01", "r2", "ab")],
            ..Edit::default()
        };
        assert_eq!(apply(&document(&add(&text, "r1")), &swap).unwrap(), add(&text, "r2"));
    }
}

#[test]
fn words_written_into_our_paragraph_stay() {
    let text = format!("{TASK}\n{LINE}\nAnd more.\n");
    let edit = Edit { remove: vec![("T01".to_owned(), "r1".to_owned())], ..Edit::default() };
    assert_eq!(apply(&document(&text), &edit).unwrap(), format!("{TASK}\nAnd more.\n"));
}

#[test]
fn what_cannot_be_written() {
    let of = |text: &str, edit: Edit| apply(&document(text), &edit).unwrap_err().to_string();
    let unknown = Edit { remove: vec![("T09".to_owned(), "r1".to_owned())], ..Edit::default() };
    assert_eq!(of(TASK, unknown), "find the task `T09` in the workplan");
    let bad = |date: &str, run: &str, evidence: &str| Edit {
        complete: vec![Completion { date: date.to_owned(), ..completion("T01", run, evidence) }],
        ..Edit::default()
    };
    for (date, run, evidence, wrong) in
        [("today", "r1", "ab", "today"), (DATE, "r\n1", "ab", "r\n1"), (DATE, "r1", "xy", "xy")]
    {
        let expected =
            format!("write `{wrong}` into the workplan: it is no valid date, run id or digest");
        assert_eq!(of(TASK, bad(date, run, evidence)), expected);
    }
    let open = format!("{TASK}\n<!-- open\n");
    assert_eq!(
        of(&open, finish()),
        "change `T01`: the edited workplan would not be read back as meant"
    );
    let folded = TASK.replace("todo", ">\n  todo");
    assert_eq!(
        of(&folded, finish()),
        "change `status` of `T01`: its value is written over several lines"
    );
    let none = TASK.replace("status: todo\n", "");
    assert_eq!(of(&none, finish()), "change `status` of `T01`: it has no such key");
}

fn fragment() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("Text ü with *marks*.\n"),
        Just("Text with space.  \n"),
        Just("\n"),
        Just(" \t\n"),
        Just("- item\n  more\n"),
        Just("- item\n\n  ```\n  code\n  ```\n"),
        Just("1. one\n   - two\n"),
        Just("> quote\n"),
        Just("> ```\n> code\n> ```\n"),
        Just("    indented\n"),
        Just("```sh\ncode\n```\n"),
        Just("~~~\n---\n~~~\n"),
        Just("| a | b |\n|---|---|\n| c | d |\n"),
        Just("---\n"),
        Just("***\n"),
        Just("===\n"),
        Just("<div>\n</div>\n\n"),
        Just("<!-- note -->\n"),
        Just("[x]: http://y\n"),
        Just("## Other\n"),
        Just("#### Deep\n"),
        Just("Setext\n---\n"),
        Just("Done when: a; b.\n"),
        Just("Pre-condition: T01 done.\n"),
        Just("Completed on 2026-01-01 by hand.\n"),
        Just("\ttab\n"),
        Just("\u{a0}\n"),
    ]
}

fn section(number: usize) -> impl Strategy<Value = String> {
    let status = prop_oneof![
        Just("todo"),
        Just("\"in_progress\""),
        Just("'wip' # why"),
        Just("done\t# ü"),
        Just("open")
    ];
    (
        prop_oneof![Just("##"), Just("###")],
        status,
        proptest::collection::vec(fragment(), 0..5),
        any::<bool>(),
    )
        .prop_map(move |(level, status, parts, gap)| {
            let gap = if gap { "\n" } else { "" };
            format!(
                "{level} T0{number} — Title\n{gap}```task\nid: W-1-T0{number}\nstatus: {status}\n\
                 ```\n{}",
                parts.concat()
            )
        })
}

fn file() -> impl Strategy<Value = String> {
    (
        prop_oneof![
            Just(""),
            Just("---\nid: W-1\nupdated: \"2026-01-01\"\nstatus: active\n---\n"),
            Just("\u{feff}---\nid: W-1\nupdated: 2026-01-01 # ü\n---\n\n# Title\n\n"),
        ],
        (section(1), section(2), section(3)),
        0..3_u8,
        any::<bool>(),
    )
        .prop_map(|(front, (a, b, c), ends, last)| {
            let text = format!("{front}{a}{b}{c}");
            let text = if last { text } else { text.trim_end_matches('\n').to_owned() };
            match ends {
                0 => text,
                1 => text.replace('\n', "\r\n"),
                // Both kinds in one file.
                _ => text
                    .split_inclusive('\n')
                    .enumerate()
                    .map(|(i, l)| if i % 3 == 0 { l.replace('\n', "\r\n") } else { l.to_owned() })
                    .collect(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_edit_and_its_inverse_leave_no_trace(
        text in file(),
        which in proptest::sample::subsequence(vec!["T01", "T02", "T03"], 0..=3),
        status in prop_oneof![Just(TaskStatus::Done), Just(TaskStatus::InProgress)],
    ) {
        let before = document(&text);
        prop_assert_eq!(before.tasks.len(), 3);
        let edit = Edit {
            statuses: which.iter().map(|t| ((*t).to_owned(), NewValue::Set(status))).collect(),
            updated: Some(NewValue::Set(DATE.to_owned())),
            complete: which.iter().map(|t| completion(t, "r1", "ab")).collect(),
            ..Edit::default()
        };
        let after = apply(&before, &edit).unwrap();
        let back = apply(&document(&after), &inverse(&before, &edit)).unwrap();
        prop_assert_eq!(back, text);
    }
}
