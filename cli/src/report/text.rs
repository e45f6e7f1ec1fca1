//! The report in a terminal: what was proved, by what.

use workplan_engine::journal::StoredEvent;

use super::evidence::proofs;
use super::outage::{Outage, outages};
use crate::json::{ReportDocument, ReportTask};
use crate::render::{RunSummary, task_name};
use crate::term::{Printer, Style, duration_ms, local_ms};
use crate::view::RunView;

/// The lines of a run's report, harmless for the terminal.
pub(crate) fn lines(
    printer: &Printer,
    view: &RunView,
    report: &ReportDocument,
    events: &[StoredEvent],
) -> Vec<String> {
    let state = &view.state;
    let head = format!("{}: {}", report.run.workplan, report.title);
    let took = state.ended_ms.map(|end| format!(" after {}", duration_ms(end - state.started_ms)));
    let mut out = vec![
        printer.out.paint(Style::Bold, &printer.clean_out(&head)),
        format!(
            "run {} on {} from {}: {}{}: {}",
            report.run.id,
            report.run.target,
            local_ms(state.started_ms),
            view.word().replace('_', " "),
            took.unwrap_or_default(),
            RunSummary::of(state).text(),
        ),
    ];
    out.extend(view.down());
    out.extend(outages(events).into_iter().map(outage));
    for item in &report.tasks {
        out.push(String::new());
        task(printer, report, item, &mut out);
    }
    out
}

fn outage(outage: Outage) -> String {
    let Outage { name, from, took, budget, end, over } = outage;
    let mut line = format!("{name} from {from}");
    if !took.is_empty() {
        line = format!("{line} for {took}");
    }
    if !budget.is_empty() {
        line = format!("{line} of at most {budget}");
    }
    let over = if over { ", longer than allowed" } else { "" };
    format!("{line}{over}: {end}")
}

fn task(printer: &Printer, report: &ReportDocument, task: &ReportTask, out: &mut Vec<String>) {
    let paint = |style, text: &str| printer.out.paint(style, &printer.clean_out(text));
    let status = match task.status {
        _ if task.by_hand => format!("a person's task, {}", task.before),
        Some(status) => {
            let style = if status == "done" { Style::Green } else { Style::Yellow };
            format!("{} → {}", task.before, paint(style, status))
        }
        None => task.before.clone(),
    };
    let name = task_name(&task.id, " ", &task.title);
    out.push(format!("{}: {status}", paint(Style::Bold, &printer.clean_out(&name))));
    for clause in &task.clauses {
        let text = printer.clean_out(&clause.text);
        if !clause.proven {
            let why = clause.why_not.as_deref().unwrap_or("no step proves it");
            let why = printer.clean_out(why);
            out.push(format!("  {}  {text} ({why})", paint(Style::Yellow, "not proven")));
            continue;
        }
        out.push(format!("  {}  {text}", paint(Style::Green, "proven")));
        for proof in proofs(report, clause) {
            let mut line = format!("          {}", proof.step);
            if !proof.words.is_empty() {
                line = format!("{line}: {}", proof.words.join(", "));
            }
            out.push(paint(Style::Dim, &line));
        }
    }
}
