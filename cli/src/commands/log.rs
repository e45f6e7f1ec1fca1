//! `workplan log`: what happened, or what a step printed.

use workplan_engine::journal::StoredEvent;

use crate::app::App;
use crate::args::Log;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::{EventLine, LogDocument};
use crate::term::{Style, local_ms};

use super::explain::step_named;
use super::select;

/// Prints the events of a run, or the output of one attempt.
pub(crate) fn log(app: &App, args: &Log) -> Result<Exit, Failure> {
    let here = select::here(app)?;
    let view = here.newest(args.run.as_deref())?;
    let Some(name) = &args.step else {
        for event in here.journal.event_pages(view.id(), 0)? {
            let event = event?;
            if args.json {
                app.printer.json_line(&EventLine::new(&event))?;
            } else {
                app.printer.data_line(&line(app, &event));
            }
        }
        return Ok(exit::DONE);
    };
    let ix = step_named(&view, name)?;
    let step = view.state.plan.steps[ix].id.clone();
    let attempt = args.attempt.unwrap_or_else(|| view.state.steps[ix].attempts.max(1));
    let path = match args.attempt {
        Some(n) => Some(here.dir.log(view.id(), &step, n)).filter(|p| p.is_file()),
        None => view.log(&here.dir, ix),
    };
    let begun = attempt <= view.state.steps[ix].attempts;
    let Some(path) = path.or_else(|| begun.then(|| here.dir.log(view.id(), &step, attempt))) else {
        return Err(Failure::usage(format!("`{step}` has no output in run {}", view.id()))
            .with_help(format!(
                "it is {}; `workplan explain {step}` says why",
                view.step_word(ix)
            )));
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        // It ran and said nothing; the first word makes the file.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Failure::io("read", &path, &e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    if args.json {
        let lines = text.lines().map(str::to_owned).collect();
        app.printer.json(&LogDocument {
            schema: "workplan/log/v1",
            run: view.id().to_owned(),
            step,
            attempt,
            file: path.display().to_string(),
            lines,
        })?;
    } else {
        app.printer.detail(&format!("{}", path.display()));
        app.printer.data(&app.printer.clean_out(&text));
        if !text.is_empty() && !text.ends_with('\n') {
            app.printer.data("\n");
        }
    }
    Ok(exit::DONE)
}

/// One event for people: time, what, step, the most telling of its particulars.
fn line(app: &App, event: &StoredEvent) -> String {
    let time = local_ms(event.at.as_millisecond());
    let step = event.step.as_deref().unwrap_or("");
    let told = telling(&event.data);
    let text = format!("{:<18} {step:<20} {told}", event.kind);
    format!(
        "{} {}",
        app.printer.out.paint(Style::Dim, &time),
        app.printer.clean_out(text.trim_end())
    )
}

fn telling(data: &serde_json::Value) -> String {
    let text = |key: &str| data.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let attempt = data.get("attempt").and_then(serde_json::Value::as_u64).filter(|n| *n > 1);
    let said = text("reason")
        .or_else(|| text("why"))
        .or_else(|| text("what"))
        .or_else(|| {
            data.get("error")
                .and_then(|e| e.get("what"))
                .and_then(|w| w.as_str())
                .map(str::to_owned)
        })
        .or_else(|| {
            let person = data.get("person")?;
            Some(format!("{}: {}", person.get("who")?.as_str()?, person.get("reason")?.as_str()?))
        })
        .unwrap_or_default();
    let state = text("state").or_else(|| text("gate")).or_else(|| text("bracket"));
    let mut parts: Vec<String> = Vec::new();
    parts.extend(state);
    parts.extend(attempt.map(|n| format!("attempt {n}")));
    if !said.is_empty() {
        parts.push(said.lines().next().unwrap_or_default().to_owned());
    }
    parts.join(": ")
}
