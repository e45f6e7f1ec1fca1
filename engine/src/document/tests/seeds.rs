//! The workplans of the field, unchanged, and small variants of them.

use super::*;

/// A seed, or `None` (said loudly) where the folder is absent.
fn seed(name: &str) -> Option<String> {
    let path = format!("{}/../../shared/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(e) => {
            eprintln!("SKIPPED: {path}: {e}");
            None
        }
    }
}

const BASELINE: &str = "RAIL-PL-WP-0001-platform-baseline.md";
const FINISHED: &str = "RAILIANCE-WP-0005.md";

fn understood(text: &str) -> String {
    let (document, diagnostics) = read(BASELINE, text);
    render(&document, &diagnostics)
}

#[test]
fn baseline() {
    let Some(text) = seed(BASELINE) else { return };
    let (document, diagnostics) = read(BASELINE, &text);
    assert_eq!(diagnostics, Diagnostics::default());
    assert_eq!((document.id.as_str(), document.tasks.len()), ("RAIL-PL-WP-0001", 6));
    assert_eq!(document.title, "S3 Platform Services Baseline");
    assert_eq!(document.status, Some(WorkplanStatus::Active));
    assert_eq!(document.preconditions.len(), 3);
    assert_eq!(
        document.preconditions[1].text,
        "Active backup on Nextcloud before any migration step"
    );
    let edges: Vec<(&str, &str)> = document
        .tasks
        .iter()
        .flat_map(|t| t.needs.iter().map(|(need, _)| (t.short.as_str(), need.as_str())))
        .collect();
    assert_eq!(edges, [("T02", "T01"), ("T03", "T02")]);
    let clauses: Vec<&str> =
        document.tasks[0].clauses.iter().map(|c| document.file.slice(c.span)).collect();
    assert_eq!(
        clauses,
        [
            "`make pg-deploy` succeeds",
            "three postgresql-ha pods + pgpool\nRunning in the `platform` namespace",
            "`make smoke` still passes",
        ]
    );
    let counts: Vec<usize> = document.tasks.iter().map(|t| t.clauses.len()).collect();
    assert_eq!(counts, [3, 3, 3, 1, 3, 3]);
    for task in &document.tasks {
        let section = document.file.slice(task.section_span);
        assert!(section.starts_with("### T0") && section.ends_with('.'), "{section}");
        assert_eq!(task.status_written(&document.file), Some("todo"));
    }
}

#[test]
fn finished() {
    let Some(text) = seed(FINISHED) else { return };
    let (document, diagnostics) = read(FINISHED, &text);
    assert_eq!(diagnostics, Diagnostics::default());
    assert_eq!((document.id.as_str(), document.tasks.len()), ("RAILIANCE-WP-0005", 6));
    assert_eq!(document.status, Some(WorkplanStatus::Finished));
    for task in &document.tasks {
        assert_eq!((task.status, task.clauses.len()), (TaskStatus::Done, 1));
        let section = document.file.slice(task.section_span);
        assert!(section.starts_with("## T0") && section.ends_with('.'), "{section}");
        assert_eq!(task.completed.is_some(), task.short != "T01");
    }
    assert_eq!(
        document.tasks[5].clauses[0].text,
        "registry growth is no longer only a note in S5 app docs"
    );
}

#[test]
fn variants_say_the_same() {
    for name in [BASELINE, FINISHED] {
        let Some(text) = seed(name) else { return };
        let plain = understood(&text);
        assert_eq!(understood(&format!("\u{feff}{text}")), plain);
        assert_eq!(understood(&text.replace('\n', "\r\n")).replace("\\r", ""), plain);
        for dash in [" - ", " – ", " — ", ": ", " "] {
            let mut other = text.clone();
            for n in 1..=6 {
                for mark in [" — ", " - "] {
                    let heading = format!("# T0{n}{mark}");
                    other = other.replace(&heading, &format!("# T0{n}{dash}"));
                }
            }
            assert_eq!(understood(&other), plain, "{dash:?}");
        }
        for level in ["## T0", "#### T0"] {
            let other = text.replace("### T0", level);
            assert_eq!(understood(&other), plain, "{level}");
        }
        let tildes: String =
            text.split_inclusive('\n').map(|line| line.replace("```", "~~~")).collect();
        assert_eq!(understood(&tildes), plain);
    }
}

#[test]
fn written_back_and_taken_back() {
    for name in [BASELINE, FINISHED] {
        let Some(text) = seed(name) else { return };
        for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
            let (document, _) = read(name, &text);
            let edit = Edit {
                statuses: [("T02".to_owned(), NewValue::Set(TaskStatus::InProgress))].into(),
                workplan_status: Some(NewValue::Set(WorkplanStatus::Blocked)),
                updated: Some(NewValue::Set("2026-12-24".to_owned())),
                complete: ["T01", "T06"]
                    .map(|task| Completion {
                        task: task.to_owned(),
                        date: "2026-12-24".to_owned(),
                        run: "r-1".to_owned(),
                        evidence: "0a".repeat(32),
                    })
                    .to_vec(),
                remove: Vec::new(),
            };
            let after = apply(&document, &edit).unwrap();
            let (changed, diagnostics) = read(name, &after);
            assert_eq!(diagnostics, Diagnostics::default());
            assert_eq!(changed.updated_written(), Some("\"2026-12-24\""));
            assert_eq!(changed.tasks[1].status, TaskStatus::InProgress);
            assert!(changed.tasks[5].completed.as_ref().unwrap().0.contains("by workplan run r-1"));
            fn raw<T>(value: Option<&str>) -> NewValue<T> {
                NewValue::Restore(value.unwrap().to_owned())
            }
            let back = Edit {
                statuses: [(
                    "T02".to_owned(),
                    raw(document.tasks[1].status_written(&document.file)),
                )]
                .into(),
                workplan_status: Some(raw(document.status_written())),
                updated: Some(raw(document.updated_written())),
                complete: Vec::new(),
                remove: ["T01", "T06"].map(|task| (task.to_owned(), "r-1".to_owned())).to_vec(),
            };
            assert_eq!(apply(&changed, &back).unwrap(), text);
        }
    }
}
