//! Mermaid, for Markdown.

use std::fmt::Write as _;

use super::Drawing;

/// The drawing as a Mermaid flowchart.
pub(crate) fn mermaid(drawing: &Drawing) -> String {
    let mut out = String::from("flowchart TD\n");
    let _ = writeln!(out, "  %% {}", comment(&drawing.title));
    for (number, task) in drawing.tasks.iter().enumerate() {
        let indent = if task.label.is_empty() { "  " } else { "    " };
        if !task.label.is_empty() {
            let _ = writeln!(out, "  subgraph t{number}[\"{}\"]", text(&task.label));
            if task.steps.is_empty() {
                let _ = writeln!(out, "    t{number}p([\"a person's task\"])");
            }
        }
        for step in &task.steps {
            let the = &drawing.steps[*step];
            let mut label = format!("{}<br/><small>{}</small>", text(&the.id), text(&the.kind));
            for note in &the.notes {
                let _ = write!(label, "<br/><em>{}</em>", text(note));
            }
            let class = the.bracket.map_or_else(String::new, |b| format!(":::bracket{b}"));
            let _ = writeln!(out, "{indent}s{step}[\"{label}\"]{class}");
        }
        if !task.label.is_empty() {
            out.push_str("  end\n");
        }
    }
    for (from, to) in &drawing.lines {
        let inside = drawing.steps[*from].bracket.is_some()
            && drawing.steps[*from].bracket == drawing.steps[*to].bracket;
        let _ = writeln!(out, "  s{from} {} s{to}", if inside { "==>" } else { "-->" });
    }
    for (number, bracket) in drawing.brackets.iter().enumerate() {
        let _ = writeln!(out, "  b{number}>\"{}\"]:::bracket{number}", text(&bracket.label));
        if let Some(first) = bracket.steps.first() {
            let _ = writeln!(out, "  b{number} -.- s{first}");
        }
        let _ = writeln!(
            out,
            "  classDef bracket{number} stroke:#c2410c,stroke-width:3px,stroke-dasharray:6 3"
        );
    }
    out
}

/// Text inside quotes: Mermaid knows entities, and takes some words and signs for syntax.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in raw.chars() {
        match c {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '|' | '\\' | '{' | '}' | '[' | ']' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn comment(raw: &str) -> String {
    raw.chars().map(|c| if c.is_control() || c == '{' || c == '}' { ' ' } else { c }).collect()
}
