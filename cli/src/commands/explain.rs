//! `workplan explain`: all that is known about one step of a run.

use workplan_engine::plan::StepIx;
use workplan_engine::text::did_you_mean;

use crate::app::App;
use crate::args::Explain;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::ExplainDocument;
use crate::render::state_style;
use crate::term::{Style, duration_ms, local_ms};
use crate::view::RunView;

use super::select;

/// Explains a step.
pub(crate) fn explain(app: &App, args: &Explain) -> Result<Exit, Failure> {
    let here = select::here(app)?;
    let view = here.newest(args.run.as_deref())?;
    let ix = step_named(&view, &args.step)?;
    if args.json {
        app.printer.json(&ExplainDocument::new(&here.dir, &view, ix))?;
    } else {
        show(app, &here, &view, ix);
    }
    Ok(exit::DONE)
}

/// The step of a name: `T02.copy`, or `copy` where only one step is called so.
pub(crate) fn step_named(view: &RunView, name: &str) -> Result<StepIx, Failure> {
    if let Some(ix) = view.state.step(name) {
        return Ok(ix);
    }
    let steps = &view.state.plan.steps;
    let tail = |id: &str| id.rsplit_once('.').map_or(id, |(_, t)| t).to_owned();
    let fitting: Vec<usize> = (0..steps.len()).filter(|ix| tail(&steps[*ix].id) == name).collect();
    match fitting[..] {
        [ix] => Ok(ix),
        [] => Err(Failure::usage(format!("run {} has no step `{name}`", view.id())).with_help(
            did_you_mean(name, steps.iter().map(|s| s.id.as_str()))
                .unwrap_or_else(|| format!("`workplan status {}` lists its steps", view.id())),
        )),
        _ => Err(Failure::usage(format!("several steps are called `{name}`")).with_help(
            fitting.iter().map(|ix| format!("`{}`", steps[*ix].id)).collect::<Vec<_>>().join(", "),
        )),
    }
}

fn show(app: &App, here: &select::Here, view: &RunView, ix: StepIx) {
    let printer = &app.printer;
    let (plan, rec) = (&view.state.plan, &view.state.steps[ix]);
    let step = &plan.steps[ix];
    let say = |line: String| printer.data_line(&printer.clean_out(&line));
    let word = view.step_word(ix);
    printer.data_line(&format!(
        "{} ({}) in run {}: {}",
        printer.clean_out(&step.id),
        step.kind,
        view.id(),
        printer.out.paint(state_style(rec.state), word)
    ));
    if let Some(reason) = view.step_reason(ix) {
        say(format!("  {reason}"));
    }
    let names = |list: &[usize]| {
        list.iter().map(|s| plan.steps[*s].id.clone()).collect::<Vec<_>>().join(", ")
    };
    if !step.needs.is_empty() {
        say(format!("  after {}", names(&step.needs)));
    }
    let after = &plan.dependents()[ix];
    if !after.is_empty() {
        say(format!("  before {}", names(after)));
    }
    for bracket in &plan.brackets {
        if bracket.open == ix || bracket.close == ix || bracket.inside.contains(&ix) {
            say(format!("  in bracket {}", bracket.name));
        }
    }
    if step.point_of_no_return {
        printer.data_line(
            "  point of no return: what comes after it cannot be taken back without loss",
        );
    }
    if rec.attempts > 0 {
        let times = match (rec.started_ms, rec.ended_ms) {
            (Some(from), Some(to)) => {
                format!(", {} to {} ({})", local_ms(from), local_ms(to), duration_ms(to - from))
            }
            (Some(from), None) => format!(", since {}", local_ms(from)),
            _ => String::new(),
        };
        printer.data_line(&format!(
            "  {}{times}",
            crate::render::count(rec.attempts as usize, "attempt")
        ));
    }
    if !step.with.0.is_empty() {
        printer.data_line(&printer.out.paint(Style::Bold, "with"));
        for (key, value) in &step.with.0 {
            say(format!(
                "  {key}: {}",
                value.as_str().map_or_else(|| value.to_string(), |t| t.replace('\n', "\n    "))
            ));
        }
    }
    if let Some(evidence) = &rec.evidence {
        printer.data_line(&printer.out.paint(Style::Bold, "evidence"));
        if evidence.weak {
            printer.data_line("  weak: it ran without an error; nothing looked at the world");
        }
        if let Some(person) = &evidence.person {
            say(format!("  {} says so: {}", person.who, person.reason));
        }
        for (name, fact) in &evidence.facts.0 {
            let value = fact
                .value
                .as_ref()
                .map_or_else(|| format!("sha256:{}", fact.digest.short()), ToString::to_string);
            say(format!("  {name} = {value}"));
        }
        for (name, value) in &evidence.outputs {
            say(format!("  output {name} = {value}"));
        }
        for note in &evidence.notes {
            say(format!("  {note}"));
        }
        if let Some(record) = &evidence.record {
            say(format!("  rests on {record}"));
        }
    }
    if let Some(error) = rec.last_error() {
        printer.data_line(&printer.out.paint(Style::Bold, "error"));
        say(format!("  {}", error.what));
        for line in &error.said {
            say(format!("    {line}"));
        }
        if let Some(help) = &error.help {
            say(format!("  help: {help}"));
        }
    }
    if let Some(log) = view.log(&here.dir, ix) {
        printer.data_line(&format!("  log: {}", log.display()));
    }
}
