//! Places for a layered picture: a task is a band of its own, in it a step is one row below the
//! last that it needs. What goes from a whole task to a whole task is one line between bands;
//! where other bands are in between, it takes a lane to the right of them.

use std::collections::BTreeSet;

use unicode_width::UnicodeWidthStr;

use workplan_engine::plan::StepIx;

use super::Drawing;

/// Pixels.
const CHAR: usize = 8;
/// Of a bold letter of a title.
const TITLE_CHAR: usize = 9;
/// Between bands: room for an arrow.
const BAND_GAP: usize = 32;
/// Between lanes beside the bands.
const LANE: usize = 14;
const BOX_HEIGHT: usize = 40;
const NOTE_HEIGHT: usize = 16;
const GAP_X: usize = 28;
const GAP_Y: usize = 34;
const PAD: usize = 18;
const HEAD: usize = 30;
const MARGIN: usize = 24;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) w: usize,
    pub(super) h: usize,
}

/// Where everything goes.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The whole picture.
    pub(super) width: usize,
    /// The whole picture.
    pub(super) height: usize,
    /// A band a task.
    pub(super) tasks: Vec<Rect>,
    /// A box a step.
    pub(super) steps: Vec<Rect>,
    /// A line of text a bracket, under the title.
    pub(super) brackets: Vec<Rect>,
    /// Lines from step to step.
    pub(super) lines: Vec<(StepIx, StepIx)>,
    /// Lines from band to band.
    pub(super) joins: Vec<Join>,
}

/// A line from a whole task to a whole task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where it goes down, if bands are in between.
    pub(super) lane: Option<usize>,
}

/// Lays a drawing out.
pub(super) fn lay_out(drawing: &Drawing) -> Layout {
    let mut layout =
        Layout { steps: vec![Rect::default(); drawing.steps.len()], ..Layout::default() };
    let mut y = MARGIN + HEAD;
    for bracket in &drawing.brackets {
        let w = bracket.label.width() * CHAR + 2 * PAD;
        layout.brackets.push(Rect { x: MARGIN, y, w, h: HEAD - 4 });
        y += HEAD;
    }
    y += if drawing.brackets.is_empty() { 0 } else { PAD };
    let mut right = drawing.title.width() * TITLE_CHAR + 2 * MARGIN;
    for bracket in &layout.brackets {
        right = right.max(bracket.x + bracket.w + MARGIN);
    }
    for (number, task) in drawing.tasks.iter().enumerate() {
        let head = if task.label.is_empty() { 0 } else { HEAD };
        let mut inner = y + head + PAD;
        let mut band = task.label.width() * TITLE_CHAR + 2 * PAD;
        let rows = rows(drawing, number);
        let widths: Vec<usize> = rows.iter().map(|row| row_width(drawing, row)).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (row, width) in rows.into_iter().zip(widths) {
            let mut x = MARGIN + PAD + (widest - width) / 2;
            let mut tallest = 0;
            for step in row {
                let (w, h) = size(drawing, step);
                layout.steps[step] = Rect { x, y: inner, w, h };
                x += w + GAP_X;
                tallest = tallest.max(h);
            }
            inner += tallest + GAP_Y;
        }
        band = band.max(widest + 2 * PAD);
        let bottom = if task.steps.is_empty() { inner + HEAD } else { inner - GAP_Y + PAD };
        layout.tasks.push(Rect { x: MARGIN, y, w: band, h: bottom - y });
        right = right.max(MARGIN + band + MARGIN);
        y = bottom + BAND_GAP;
    }
    layout.height = y + MARGIN - BAND_GAP;
    let (lines, joins) = joined(drawing);
    layout.lines = lines;
    layout.joins = joins;
    let lanes = take_lanes(&mut layout);
    layout.width = right.max(lanes + MARGIN);
    layout
}

fn row_width(drawing: &Drawing, row: &[StepIx]) -> usize {
    row.iter().map(|step| size(drawing, *step).0).sum::<usize>() + GAP_X * (row.len().max(1) - 1)
}

/// Lines from step to step, and those of them put together that go from all ends of one task to
/// all beginnings of another.
fn joined(drawing: &Drawing) -> (Vec<(StepIx, StepIx)>, Vec<Join>) {
    let task = |step: StepIx| drawing.steps[step].task;
    let inside = |step: StepIx, from: bool| {
        drawing
            .lines
            .iter()
            .any(|(a, b)| task(*a) == task(*b) && (if from { *a } else { *b }) == step)
    };
    let pairs: BTreeSet<(usize, usize)> =
        drawing.lines.iter().map(|(a, b)| (task(*a), task(*b))).filter(|(a, b)| a != b).collect();
    let all: BTreeSet<&(StepIx, StepIx)> = drawing.lines.iter().collect();
    let (mut lines, mut joins) = (drawing.lines.clone(), Vec::new());
    for (from, to) in pairs {
        // Steps outside of tasks have no band that a line could begin or end at.
        if drawing.tasks[from].label.is_empty() || drawing.tasks[to].label.is_empty() || to < from {
            continue;
        }
        let ends = drawing.tasks[from].steps.iter().filter(|s| !inside(**s, true));
        let whole = ends.clone().all(|end| {
            let mut starts = drawing.tasks[to].steps.iter().filter(|s| !inside(**s, false));
            starts.all(|start| all.contains(&(*end, *start)))
        });
        if whole {
            lines.retain(|(a, b)| {
                (task(*a), task(*b)) != (from, to) || inside(*a, true) || inside(*b, false)
            });
            joins.push(Join { from, to, lane: None });
        }
    }
    (lines, joins)
}

/// Gives each line that passes other bands a lane of its own; where the last lane is.
fn take_lanes(layout: &mut Layout) -> usize {
    let tasks = &layout.tasks;
    let mut taken: Vec<(usize, usize, usize)> = Vec::new();
    // Short ones first: they stay near the bands.
    let mut order: Vec<usize> = (0..layout.joins.len()).collect();
    order.sort_by_key(|ix| layout.joins[*ix].to - layout.joins[*ix].from);
    let edge = tasks.iter().map(|t| t.x + t.w).max().unwrap_or(0);
    let mut last = edge;
    for ix in order {
        let Join { from, to, .. } = layout.joins[ix];
        if to == from + 1 {
            continue;
        }
        let free = |lane: usize| taken.iter().all(|(l, f, t)| *l != lane || *t <= from || to <= *f);
        let lane = (0..).find(|lane| free(*lane)).unwrap_or(0);
        taken.push((lane, from, to));
        let x = edge + LANE * (lane + 1);
        layout.joins[ix].lane = Some(x);
        last = last.max(x);
    }
    last
}

/// The steps of a task by the length of the longest way to them within the task.
fn rows(drawing: &Drawing, task: usize) -> Vec<Vec<usize>> {
    let steps = &drawing.tasks[task].steps;
    let mut depth = vec![0usize; drawing.steps.len()];
    // Steps stand after what they need, so one pass in their order is enough.
    let mut order = steps.clone();
    order.sort_unstable();
    for to in &order {
        for (from, _) in drawing.lines.iter().filter(|(_, end)| end == to) {
            if drawing.steps[*from].task == task {
                depth[*to] = depth[*to].max(depth[*from] + 1);
            }
        }
    }
    let count = order.iter().map(|s| depth[*s] + 1).max().unwrap_or(0);
    (0..count).map(|row| order.iter().copied().filter(|s| depth[*s] == row).collect()).collect()
}

fn size(drawing: &Drawing, step: usize) -> (usize, usize) {
    let the = &drawing.steps[step];
    let widest =
        the.notes.iter().map(|n| n.width()).chain([the.id.width(), the.kind.width()]).max();
    let w = widest.unwrap_or(0) * CHAR + 2 * PAD;
    (w, BOX_HEIGHT + the.notes.len() * NOTE_HEIGHT)
}
