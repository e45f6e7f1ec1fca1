//! Text to text: a file in, what was understood out.

mod broken;
mod seeds;
mod shapes;

use std::fmt::Write;
use std::sync::Arc;

use super::*;
use crate::text::{Diagnostics, SourceFile, Span};

/// What was understood, one line a thing, with the source text behind each span.
fn render(document: &Document, diagnostics: &Diagnostics) -> String {
    let file = &document.file;
    let cut = |span: Span| file.slice(span).replace('\r', "\\r").replace('\n', "\\n");
    let mut out = String::new();
    let status = document.status.map_or("-", WorkplanStatus::as_str);
    writeln!(out, "workplan {} | {} | {status}", document.id, document.title).unwrap();
    for line in &document.preconditions {
        writeln!(out, "  requires {} <{}>", line.text, cut(line.span)).unwrap();
    }
    for task in &document.tasks {
        writeln!(out, "{} {} | {} | {}", task.short, task.id, task.title, task.status.as_str())
            .unwrap();
        for (short, span) in &task.needs {
            writeln!(out, "  needs {short} <{}>", cut(*span)).unwrap();
        }
        for clause in &task.clauses {
            writeln!(out, "  clause {} <{}>", clause.text, cut(clause.span)).unwrap();
        }
        for (text, span) in &task.completions {
            writeln!(out, "  completed {text} <{}>", cut(*span)).unwrap();
        }
        if let Some(steps) = &task.steps {
            let count = steps.list.as_ref().and_then(|n| n.as_seq()).map_or(0, <[_]>::len);
            writeln!(out, "  steps {count} <{}>", cut(steps.span)).unwrap();
        }
    }
    for block in &document.shell_blocks {
        let attributes: Vec<String> = block
            .attributes
            .iter()
            .map(|a| match &a.value {
                Some(value) => format!("{}=[{value}]", a.name),
                None => a.name.clone(),
            })
            .collect();
        let task = block.task.as_deref().unwrap_or("-");
        writeln!(out, "{} {task} {} {:?}", block.shell, attributes.join(" "), block.script)
            .unwrap();
    }
    for d in diagnostics.iter() {
        let at = d.line_column().unwrap();
        write!(out, "{:?} {} {}:{} {}", d.severity, d.code, at.line, at.column, d.message).unwrap();
        write!(out, " <{}>", cut(d.span.unwrap())).unwrap();
        for label in &d.labels {
            write!(out, " ({} <{}>)", label.text, cut(label.span)).unwrap();
        }
        if let Some(help) = d.help.as_ref().filter(|h| h.starts_with("did you mean")) {
            write!(out, " {help}").unwrap();
        }
        out.push('\n');
    }
    out
}

fn read(name: &str, text: &str) -> (Document, Diagnostics) {
    let file: Arc<SourceFile> = SourceFile::new(name, text);
    parse(&file)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let (document, diagnostics) = read("W-1.md", text);
    let out = render(&document, &diagnostics);
    let want: String = expected.lines().skip(1).fold(String::new(), |all, line| {
        all + line.strip_prefix("        ").unwrap_or(line) + "\n"
    });
    let want = want.trim_end().to_owned() + "\n";
    assert!(out == want, "\n--- text\n{text}\n--- got\n{out}\n--- expected\n{want}");
}
