//! Pictures of a plan with everything in it.

use super::drawing::{BracketBox, StepBox, TaskBox};
use super::layout::{Rect, lay_out};
use super::{Drawing, dot, mermaid, svg};

fn step(id: &str, task: usize, bracket: Option<usize>, notes: &[&str]) -> StepBox {
    StepBox {
        id: id.to_owned(),
        kind: "command".to_owned(),
        notes: notes.iter().map(|n| (*n).to_owned()).collect(),
        bracket,
        task,
    }
}

fn sample() -> Drawing {
    Drawing {
        title: "WP-1 — Move <it> & \"run\"".to_owned(),
        tasks: vec![
            TaskBox { label: "T01 — One (todo)".into(), steps: vec![0, 1] },
            TaskBox { label: "T02 — By hand (done)".into(), steps: vec![] },
            TaskBox { label: String::new(), steps: vec![2] },
        ],
        steps: vec![
            step("T01.stop", 0, Some(0), &["opens outage"]),
            step("T01.open", 0, Some(0), &["closes outage", "point of no return"]),
            step("last", 2, None, &[]),
        ],
        lines: vec![(0, 1), (1, 2)],
        brackets: vec![BracketBox {
            label: "bracket outage: at most 5m, on failure release".into(),
            steps: vec![0, 1],
        }],
    }
}

#[test]
fn mermaid_text() {
    insta::assert_snapshot!(mermaid(&sample()));
}

#[test]
fn dot_text() {
    insta::assert_snapshot!(dot(&sample()));
}

#[test]
fn svg_is_escaped_and_whole() {
    let text = svg(&sample());
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    assert!(text.contains("Move &lt;it&gt; &amp; &quot;run&quot;"), "{text}");
    for tag in ["rect", "path", "text"] {
        assert!(text.contains(&format!("<{tag} ")), "{tag}");
    }
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

#[test]
fn boxes_stand_inside_the_picture_and_never_on_each_other() {
    let drawing = sample();
    let layout = lay_out(&drawing);
    for (ix, a) in layout.steps.iter().enumerate() {
        assert!(a.x + a.w <= layout.width && a.y + a.h <= layout.height, "{a:?}");
        for b in &layout.steps[ix + 1..] {
            assert!(!overlap(a, b), "{a:?} {b:?}");
        }
    }
    for (ix, a) in layout.tasks.iter().enumerate() {
        assert!(a.y + a.h <= layout.height, "{a:?}");
        for b in &layout.tasks[ix + 1..] {
            assert!(!overlap(a, b), "{a:?} {b:?}");
        }
    }
    assert!(layout.steps[0].y < layout.steps[1].y, "what needs another stands below it");
}

/// `tasks` tasks of two steps each that do not need each other.
fn tasks(count: usize, lines: Vec<(usize, usize)>) -> Drawing {
    Drawing {
        title: "WP".to_owned(),
        tasks: (0..count)
            .map(|t| TaskBox { label: format!("T{t} — task"), steps: vec![2 * t, 2 * t + 1] })
            .collect(),
        steps: (0..2 * count).map(|s| step(&format!("s{s}"), s / 2, None, &[])).collect(),
        lines,
        brackets: vec![],
    }
}

#[test]
fn all_lines_between_two_tasks_are_one() {
    let whole = |a: usize, b: usize| [(a, b), (a, b + 1), (a + 1, b), (a + 1, b + 1)];
    let lines: Vec<_> = [whole(0, 2), whole(0, 4), whole(2, 4)].concat();
    let layout = lay_out(&tasks(3, lines));
    assert!(layout.lines.is_empty(), "{:?}", layout.lines);
    let joins: Vec<_> = layout.joins.iter().map(|j| (j.from, j.to, j.lane.is_some())).collect();
    assert_eq!(joins, [(0, 1, false), (0, 2, true), (1, 2, false)]);
    let lane = layout.joins[1].lane.unwrap();
    assert!(layout.tasks.iter().all(|t| t.x + t.w < lane) && lane < layout.width);
}

#[test]
fn a_line_that_is_only_of_some_steps_stays_one_of_steps() {
    let layout = lay_out(&tasks(2, vec![(0, 2), (1, 2)]));
    assert_eq!(layout.lines, [(0, 2), (1, 2)]);
    assert!(layout.joins.is_empty());
}

#[test]
fn long_titles_are_inside_the_picture() {
    let mut drawing = sample();
    drawing.title = "m".repeat(120);
    drawing.tasks[0].label = "m".repeat(140);
    let layout = lay_out(&drawing);
    // Bold letters of 14 pixels are 8.5 pixels wide.
    assert!(layout.width > 24 + 120 * 17 / 2 && layout.tasks[0].w > 14 + 140 * 17 / 2);
}
