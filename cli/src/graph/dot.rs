//! Graphviz.

use std::fmt::Write as _;

use super::Drawing;

/// The drawing as a Graphviz digraph.
pub(crate) fn dot(drawing: &Drawing) -> String {
    let mut out = String::from("digraph workplan {\n");
    let _ = writeln!(out, "  label={};", text(&drawing.title));
    out.push_str("  rankdir=TB; fontname=\"sans-serif\";\n");
    out.push_str("  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for (number, task) in drawing.tasks.iter().enumerate() {
        let inside = !task.label.is_empty();
        if inside {
            let _ =
                writeln!(out, "  subgraph cluster_t{number} {{\n    label={};", text(&task.label));
            if task.steps.is_empty() {
                let _ = writeln!(out, "    t{number}p [label=\"a person's task\", shape=oval];");
            }
        }
        for step in &task.steps {
            let the = &drawing.steps[*step];
            let mut label = format!("{}\n{}", the.id, the.kind);
            for note in &the.notes {
                let _ = write!(label, "\n({note})");
            }
            let mark = if the.bracket.is_some() {
                ", color=\"#c2410c\", penwidth=2, style=\"rounded,dashed\""
            } else {
                ""
            };
            let _ = writeln!(out, "    s{step} [label={}{mark}];", text(&label));
        }
        if inside {
            out.push_str("  }\n");
        }
    }
    for (from, to) in &drawing.lines {
        let _ = writeln!(out, "  s{from} -> s{to};");
    }
    for (number, bracket) in drawing.brackets.iter().enumerate() {
        let _ = writeln!(
            out,
            "  b{number} [label={}, shape=note, color=\"#c2410c\"];",
            text(&bracket.label)
        );
        for step in &bracket.steps {
            let _ = writeln!(
                out,
                "  b{number} -> s{step} [style=dotted, arrowhead=none, constraint=false, color=\"#c2410c\"];"
            );
        }
    }
    out.push_str("}\n");
    out
}

/// A quoted string.
fn text(raw: &str) -> String {
    let mut out = String::from("\"");
    for c in raw.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
