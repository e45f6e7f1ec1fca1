//! Places for a layered picture: a task is a band of its own, in it a step is one row below the
//! last that it needs.

use unicode_width::UnicodeWidthStr;

use super::Drawing;

/// Pixels.
pub(super) const CHAR: usize = 8;
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
    let mut right = drawing.title.width() * CHAR + 2 * MARGIN;
    for bracket in &layout.brackets {
        right = right.max(bracket.x + bracket.w + MARGIN);
    }
    for (number, task) in drawing.tasks.iter().enumerate() {
        let head = if task.label.is_empty() { 0 } else { HEAD };
        let mut inner = y + head + PAD;
        let mut band = task.label.width() * CHAR + 2 * PAD;
        for row in rows(drawing, number) {
            let mut x = MARGIN + PAD;
            let mut tallest = 0;
            for step in row {
                let (w, h) = size(drawing, step);
                layout.steps[step] = Rect { x, y: inner, w, h };
                x += w + GAP_X;
                tallest = tallest.max(h);
            }
            band = band.max(x - GAP_X - MARGIN + PAD);
            inner += tallest + GAP_Y;
        }
        let bottom = if task.steps.is_empty() { inner + HEAD } else { inner - GAP_Y + PAD };
        layout.tasks.push(Rect { x: MARGIN, y, w: band, h: bottom - y });
        right = right.max(MARGIN + band + MARGIN);
        y = bottom + PAD;
    }
    layout.width = right;
    layout.height = y + MARGIN - PAD;
    layout
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
