//! A picture without any tool.

use std::fmt::Write as _;

use super::Drawing;
use super::layout::{Join, Layout, Rect, lay_out};

const STYLE: &str = "\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}\
.title{font-weight:700;font-size:14px}.small{font-size:11px;fill:#59636e}.note{font-size:11px;fill:#b45309}\
.task{fill:#f6f8fa;stroke:#d1d9e0}.step{fill:#fff;stroke:#59636e}.bracket{stroke:#c2410c;stroke-width:2;stroke-dasharray:6 3}\
.line{fill:none;stroke:#59636e;stroke-width:1.3}.tip{fill:#59636e}.back{fill:#fff}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.note{fill:#f0883e}.task{fill:#161b22;stroke:#3d444d}\
.step{fill:#0d1117;stroke:#9198a1}.line{stroke:#9198a1}.tip{fill:#9198a1}.back{fill:#0d1117}.bracket{stroke:#f0883e}}";

/// The drawing as an SVG file.
pub(crate) fn svg(drawing: &Drawing) -> String {
    let layout = lay_out(drawing);
    let mut out = String::new();
    let (w, h) = (layout.width, layout.height);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>\n<style>{STYLE}</style>", text(&drawing.title));
    out.push_str("<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n");
    let _ = writeln!(out, "<rect class=\"back\" width=\"{w}\" height=\"{h}\"/>");
    let _ =
        writeln!(out, "<text class=\"title\" x=\"24\" y=\"34\">{}</text>", text(&drawing.title));
    for (bracket, place) in drawing.brackets.iter().zip(&layout.brackets) {
        rect(&mut out, "step bracket", place, 4);
        label(&mut out, "", place.x + 12, place.y + 18, &bracket.label);
    }
    for (task, place) in drawing.tasks.iter().zip(&layout.tasks) {
        if task.label.is_empty() {
            continue;
        }
        rect(&mut out, "task", place, 8);
        label(&mut out, "title", place.x + 14, place.y + 22, &task.label);
        if task.steps.is_empty() {
            label(&mut out, "small", place.x + 14, place.y + 50, "a person's task");
        }
    }
    for join in &layout.joins {
        band_line(&mut out, &layout, *join);
    }
    for (from, to) in &layout.lines {
        line(&mut out, &layout, *from, *to);
    }
    for (step, place) in drawing.steps.iter().zip(&layout.steps) {
        rect(&mut out, if step.bracket.is_some() { "step bracket" } else { "step" }, place, 5);
        label(&mut out, "", place.x + 12, place.y + 18, &step.id);
        label(&mut out, "small", place.x + 12, place.y + 33, &step.kind);
        for (number, note) in step.notes.iter().enumerate() {
            label(&mut out, "note", place.x + 12, place.y + 49 + 16 * number, note);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn rect(out: &mut String, class: &str, place: &Rect, round: usize) {
    let Rect { x, y, w, h } = place;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\"/>"
    );
}

fn label(out: &mut String, class: &str, x: usize, y: usize, raw: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(out, "<text{class} x=\"{x}\" y=\"{y}\">{}</text>", text(raw));
}

/// From the lower edge of one box to the upper edge of the other.
fn line(out: &mut String, layout: &Layout, from: usize, to: usize) {
    let (a, b) = (&layout.steps[from], &layout.steps[to]);
    let (x1, y1) = (a.x + a.w / 2, a.y + a.h);
    let (x2, y2) = (b.x + b.w / 2, b.y);
    let bend = y2.saturating_sub(y1) / 2;
    let (c1, c2) = (y1 + bend, y2.saturating_sub(bend));
    let _ = writeln!(
        out,
        "<path class=\"line\" marker-end=\"url(#tip)\" d=\"M{x1} {y1}C{x1} {c1} {x2} {c2} {x2} {y2}\"/>"
    );
}

/// From one band to another: straight down to the next one, around those in between.
fn band_line(out: &mut String, layout: &Layout, join: Join) {
    let (a, b) = (&layout.tasks[join.from], &layout.tasks[join.to]);
    let path = match join.lane {
        None => {
            let x = a.x + 40;
            format!("M{x} {}V{}", a.y + a.h, b.y)
        }
        // Lines out of a band and into it do not meet.
        Some(x) => {
            let (y1, y2) = (a.y + a.h - 12, b.y + 14);
            format!("M{} {y1}H{x}V{y2}H{}", a.x + a.w, b.x + b.w)
        }
    };
    let _ = writeln!(out, "<path class=\"line\" marker-end=\"url(#tip)\" d=\"{path}\"/>");
}

/// Text between tags; XML 1.0 has no control characters at all.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in raw.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
