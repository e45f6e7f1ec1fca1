//! Text to text: a file in, what was understood out.

mod broken;
mod properties;
mod prose;
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

/// Each text and what was understood of it, as one reviewable snapshot.
fn check(name: &str, texts: &[&str]) {
    let mut out = String::new();
    for text in texts {
        let (document, diagnostics) = read("W-1.md", text);
        let shown = text.replace('\r', "\\r").replace('\u{feff}', "\\u{feff}");
        let understood = render(&document, &diagnostics);
        write!(out, "{shown}\n>>>\n{understood}\n=====================\n").unwrap();
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, out);
    });
}

/// A workplan of one task with this text after its block.
fn task(text: &str) -> String {
    format!("## T01 - A\n\n```task\nid: W-1-T01\nstatus: todo\n```\n\n{text}\n")
}

/// Three tasks; the text stands under the third.
fn third(text: &str) -> String {
    let other = |n: u8| task("").replace("T01", &format!("T0{n}"));
    format!(
        "{}{}{}",
        other(1),
        other(2),
        task(text).replace("## T01", "## T03").replace("W-1-T01", "W-1-T03")
    )
}

/// The findings alone, and what hangs on the last task.
fn check_prose(name: &str, texts: &[&str]) {
    let mut out = String::new();
    for text in texts {
        let whole = third(text);
        let (document, diagnostics) = read("W-1.md", &whole);
        let understood = render(&document, &diagnostics);
        let last = understood.find("T03 W-1-T03").map_or("", |i| &understood[i..]);
        let last = last.split_once('\n').map_or("", |(_, rest)| rest);
        write!(out, "{text}\n>>>\n{last}\n=====================\n").unwrap();
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, out);
    });
}
