//! `workplan do`: one step of any kind without a workplan.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use workplan_engine::document;
use workplan_engine::journal::StateDir;
use workplan_engine::kind::{Class, Kind, ParamType};
use workplan_engine::plan::{self, Sources};
use workplan_engine::session::{
    self, Loaded, Outcome, PlannedAction, Preview, SourceOptions, StartOptions, StepPreview, World,
};
use workplan_engine::text::{SourceFile, did_you_mean};

use crate::app::App;
use crate::args::Do;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::DoDocument;
use crate::render::PlanView;
use crate::secrets::Secrets;
use crate::view::RunView;
use crate::{person, state, world};

use super::{given, go, load};

/// The name of the one step.
const STEP: &str = "do";

/// Does one step: observe, show, run, verify; journaled.
pub(crate) fn single(app: &App, args: &Do) -> Result<Exit, Failure> {
    once(app, args, &format!("workplan do {} …", args.kind))
}

/// The same for a command with words of its own.
pub(super) fn once(app: &App, args: &Do, again: &str) -> Result<Exit, Failure> {
    let mut world = world::world(app);
    let Some(kind) = world.registry.get(&args.kind).cloned() else {
        let near = did_you_mean(&args.kind, world.registry.names());
        return Err(Failure::usage(format!("there is no kind `{}`", args.kind)).with_help(
            near.unwrap_or_else(|| {
                format!("the kinds are {}", world.registry.names().collect::<Vec<_>>().join(", "))
            }),
        ));
    };
    let dir = state::of_current_folder(app)?;
    let given = given::take(kind.as_ref(), &args.with);
    world.secrets = Arc::new(Secrets::new(app.env.clone()).with_given(given.secrets));
    let loaded = bind(app, args, &world, (kind.as_ref(), &given.with), &dir)?;
    let plan = loaded.plan.as_ref().ok_or_else(|| {
        Failure::new(exit::INVALID, format!("`{}` cannot be done so; nothing was done", args.kind))
    })?;
    let preview = go::runtime()?.block_on(session::preview(&world, plan, None, None))?;
    let shown =
        preview.steps.first().ok_or_else(|| Failure::new(exit::INTERNAL, "a step is missing"))?;
    if args.dry_run {
        return dry_run(app, args, plan, &preview, shown);
    }
    let acts = matches!(shown.action, PlannedAction::Run | PlannedAction::Repair);
    // A proof that only reads needs nobody's leave.
    let reads = kind.class() == Class::Proof && shown.changes.iter().all(|c| c.op == "read");
    if acts && (!reads || shown.changes.is_empty()) {
        let lines = view(app, plan, &preview, false).lines();
        let lines = lines.iter().filter(|l| !l.is_empty());
        lines
            .for_each(|line| if args.yes { app.printer.say(line) } else { app.printer.talk(line) });
        if !go::permitted(app, args.yes, &format!("Do {}?", args.kind), again)? {
            app.printer.talk("nothing was done");
            return Ok(exit::WAITING);
        }
    }
    if !dir.root().exists() && dir.root().ends_with(".workplan") {
        dir.create()?;
        dir.ignore_in_git()?;
    }
    let options = StartOptions { single: true, ..StartOptions::default() };
    let (exit, outcome) = go::drive(app, &dir, false, async |live, control| {
        session::start(&world, &dir, &loaded, options, live, control).await
    })?;
    if let Some(outcome) = outcome {
        finish(app, args, &dir, &outcome, shown)?;
    }
    Ok(exit)
}

/// The plan of one step, checked as a plan file would be.
fn bind(
    app: &App,
    args: &Do,
    world: &World,
    (kind, with): (&dyn Kind, &[(String, Value)]),
    dir: &StateDir,
) -> Result<Loaded, Failure> {
    let here = std::env::current_dir().map_err(|e| Failure::io("find", Path::new("."), &e))?;
    let options = SourceOptions {
        workplan: here.join("do"),
        steps: None,
        target: args.target.target.clone(),
        set: args.target.set.clone(),
        implicit_identity: state::identity(dir),
        machine: person::machine_id(),
    };
    let (target, found) = session::load_target(&options, &here);
    load::say(app, &found);
    let Some(target) = target else {
        return Err(Failure::new(exit::INVALID, "the target cannot be used; nothing was done"));
    };
    let (mut document, _) = document::parse(&SourceFile::new(
        "do",
        "---\nid: do\n---\n\n## T01 — do\n\n```task\nid: do-T01\nstatus: todo\n```\n",
    ));
    document.id = format!("do:{}", args.kind);
    document.title = format!("one step of {}", args.kind);
    let text = step_text(args, kind, with)?;
    let plan_file: Arc<SourceFile> = SourceFile::new("--with", text);
    let binding = plan::bind(&Sources {
        document: &document,
        plan_file: Some(&plan_file),
        target: &target,
        inputs: &Default::default(),
        registry: &world.registry,
        path: here.join("do"),
    });
    load::say(app, &binding.diagnostics);
    if binding.diagnostics.has_errors() {
        return Err(Failure::new(
            exit::INVALID,
            format!("`{}` cannot be done so; nothing was done", args.kind),
        ));
    }
    let plan = binding.plan.map(|mut plan| {
        for step in &mut plan.steps {
            step.id = STEP.to_owned();
            step.timeout_ms = args
                .timeout
                .map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
                .or(step.timeout_ms);
        }
        for task in &mut plan.tasks {
            task.id.clear();
        }
        plan
    });
    Ok(Loaded {
        document: None,
        plan,
        diagnostics: binding.diagnostics,
        unbound_preconditions: Vec::new(),
        plan_file: None,
    })
}

/// The step as a plan file would say it: names, types and "did you mean" are then the engine's.
fn step_text(args: &Do, kind: &dyn Kind, given: &[(String, Value)]) -> Result<String, Failure> {
    let mut with: Map<String, Value> = Map::new();
    let mut plain: Vec<(String, String)> = Vec::new();
    for (key, value) in given {
        let (name, inner) = match key.split_once('.') {
            Some((name, inner)) if takes(kind, name).is_some_and(is_map) => (name, Some(inner)),
            _ => (key.as_str(), None),
        };
        match (takes(kind, name), inner) {
            (_, Some(inner)) => {
                let slot = with.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = slot {
                    map.insert(inner.to_owned(), value.clone());
                }
            }
            (Some(ParamType::Strings | ParamType::Outputs), None) => {
                let slot = with.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = slot {
                    list.push(value.clone());
                }
            }
            (
                Some(ParamType::Bool | ParamType::Int | ParamType::Mode | ParamType::Duration),
                None,
            ) if value.as_str().is_some_and(is_plain) => {
                twice(plain.iter().any(|(k, _)| k == name), name)?;
                plain.push((name.to_owned(), value.as_str().unwrap_or_default().to_owned()));
            }
            (Some(ParamType::Value), None) if with.contains_key(name) => {
                let slot = with.entry(name.to_owned()).or_insert(Value::Null);
                match slot {
                    Value::Array(list) => list.push(value.clone()),
                    first => *first = Value::Array(vec![first.take(), value.clone()]),
                }
            }
            _ => {
                twice(with.contains_key(name), name)?;
                with.insert(name.to_owned(), value.clone());
            }
        }
    }
    let quoted = |text: &str| Value::from(text).to_string();
    let workplan = quoted(&format!("do:{}", args.kind));
    let mut out = format!("workplan: {workplan}\ntasks:\n  T01:\n    steps:\n");
    let _ = writeln!(out, "      - id: {STEP}\n        uses: {}", quoted(kind.name()));
    if with.is_empty() && plain.is_empty() {
        return Ok(out);
    }
    out.push_str("        with:\n");
    for (key, value) in &with {
        let _ = writeln!(out, "          {}: {value}", quoted(key));
    }
    for (key, value) in &plain {
        let _ = writeln!(out, "          {}: {value}", quoted(key));
    }
    Ok(out)
}

/// Whether YAML reads a text as it stands, without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn twice(there: bool, name: &str) -> Result<(), Failure> {
    if there { Err(Failure::usage(format!("`--with {name}=…` was given twice"))) } else { Ok(()) }
}

fn takes(kind: &dyn Kind, name: &str) -> Option<ParamType> {
    kind.params().iter().find(|p| p.name == name).map(|p| p.ty)
}

fn is_map(ty: ParamType) -> bool {
    matches!(ty, ParamType::Map | ParamType::Secrets)
}

fn view<'v>(app: &App, plan: &'v plan::Plan, preview: &'v Preview, stdout: bool) -> PlanView<'v> {
    let printer = &app.printer;
    PlanView {
        plan,
        preview,
        unbound: &[],
        digest: plan.steps.first().map_or("", |s| s.meaning.as_str()),
        paint: if stdout { printer.out } else { printer.err },
        tty: if stdout { printer.out_tty } else { printer.err_tty },
        all: true,
        repos: crate::render::repos(&plan.target),
    }
}

fn changes(shown: &StepPreview) -> Vec<Value> {
    shown.changes.iter().filter_map(|c| serde_json::to_value(c).ok()).collect()
}

fn dry_run(
    app: &App,
    args: &Do,
    plan: &plan::Plan,
    preview: &Preview,
    shown: &StepPreview,
) -> Result<Exit, Failure> {
    if args.json {
        app.printer.json(&DoDocument {
            schema: "workplan/do/v1",
            kind: args.kind.clone(),
            action: shown.action.as_str().to_owned(),
            state: None,
            reason: Some(shown.reason.clone()),
            run: None,
            outputs: Map::new(),
            facts: facts(&shown.facts),
            changes: changes(shown),
            error: None,
            log: None,
        })?;
    } else {
        let lines = view(app, plan, preview, true).lines();
        lines.iter().filter(|l| !l.is_empty()).for_each(|line| app.printer.data_line(line));
    }
    Ok(exit::DONE)
}

fn facts(facts: &workplan_engine::kind::Facts) -> Map<String, Value> {
    let json = |fact| serde_json::to_value(fact).unwrap_or(Value::Null);
    facts.0.iter().map(|(name, fact)| (name.clone(), json(fact))).collect()
}

/// Prints what became of it: the document, or outputs and facts as lines.
fn finish(
    app: &App,
    args: &Do,
    dir: &StateDir,
    outcome: &Outcome,
    shown: &StepPreview,
) -> Result<(), Failure> {
    let journal = state::open_existing(dir)?;
    let view = RunView::load(&journal, journal.run_row(&outcome.run)?)?;
    let rec = &view.state.steps[0];
    let evidence = rec.evidence.clone().unwrap_or_default();
    let log: Option<PathBuf> = view.log(dir, 0);
    // A proof that did not pass still says what it found.
    let mut outputs = evidence.outputs.clone();
    outputs.extend(rec.error.iter().flat_map(|e| e.outputs.clone()));
    if args.json {
        return app.printer.json(&DoDocument {
            schema: "workplan/do/v1",
            kind: args.kind.clone(),
            action: shown.action.as_str().to_owned(),
            state: Some(view.step_word(0).to_owned()),
            reason: view.step_reason(0),
            run: Some(outcome.run.clone()),
            outputs: outputs.into_iter().collect(),
            facts: facts(&evidence.facts),
            changes: changes(shown),
            error: rec.error.as_ref().map(|e| e.what.clone()),
            log: log.map(|p| p.display().to_string()),
        });
    }
    for (name, value) in &outputs {
        if let Some(list) = value.as_array() {
            for item in list {
                app.printer.data_line(&app.printer.clean_out(&format!("{name}: {}", line(item))));
            }
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        app.printer.data_line(&app.printer.clean_out(&format!("{name}={text}")));
    }
    for (name, fact) in &evidence.facts.0 {
        if let Some(value) = &fact.value {
            app.printer.detail(&app.printer.clean_err(&format!("  {name} = {value}")));
        }
    }
    Ok(())
}

/// One item of a list on one line: its values in their order.
fn line(item: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match item {
        Value::Object(map) => map.values().map(plain).collect::<Vec<_>>().join(": "),
        other => plain(other),
    }
}
