//! From one text to one text.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use workplan_engine::document;
use workplan_engine::kind::{
    Applied, Change, Class, Hands, Kind, Look, Observation, ParamProblem, ParamSpec, ParamType,
    Prepared, Resources, Step, StepError, UndoPlan, With,
};
use workplan_engine::plan::{self, Binding, Plan, Sources, Target};
use workplan_engine::text::{Diagnostic, Diagnostics, Severity, SourceFile};
use workplan_steps::catalogue;

/// One case: the workplan `W`, then `=== plan`, `=== target` and `=== set` with what belongs
/// there. A line `@T01 todo depends_on: [T02]` stands for a task's heading and block.
pub(crate) fn read(case: &str) -> (Binding, Diagnostics) {
    let mut parts: BTreeMap<&str, String> = BTreeMap::new();
    let mut part = "workplan";
    for line in case.trim_start_matches('\n').lines() {
        match line.strip_prefix("=== ") {
            Some(name) => part = name,
            None => writeln!(parts.entry(part).or_default(), "{}", task(line)).unwrap(),
        }
    }
    let registry = catalogue().with(Typed);
    let text = parts.remove("workplan").unwrap_or_else(|| task("@T01 todo"));
    let file = SourceFile::new("W.md", text);
    let (document, found) = document::parse(&file);
    assert!(!found.has_errors(), "{}", told(&found));
    let plan_file = parts.remove("plan").map(|text| SourceFile::new("plan.yaml", text));
    let (target, mut problems) = match parts.remove("target") {
        None => (Target::implicit("state:/s".to_owned()), Diagnostics::default()),
        Some(text) => {
            let file = SourceFile::new("lab.yaml", text);
            let (target, found) = Target::parse("lab", &file, "m1");
            (target.unwrap_or_else(|| Target::implicit(String::new())), found)
        }
    };
    let inputs: BTreeMap<String, String> = parts
        .remove("set")
        .unwrap_or_default()
        .lines()
        .map(|l| l.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap())
        .collect();
    assert!(parts.is_empty(), "{parts:?}");
    let mut binding = plan::bind(&Sources {
        document: &document,
        plan_file: plan_file.as_ref(),
        target: &target,
        inputs: &inputs,
        registry: &registry,
        path: PathBuf::from("/srv/W.md"),
    });
    problems.extend(std::mem::take(&mut binding.diagnostics));
    (binding, problems)
}

fn task(line: &str) -> String {
    let Some(rest) = line.strip_prefix('@') else { return line.to_owned() };
    let (id, rest) = rest.split_once(' ').unwrap();
    let (status, keys) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("## {id} — {id}\n```task\nid: W-{id}\nstatus: {status}\n{keys}\n```\n")
}

/// The findings, then the plan.
pub(crate) fn check(case: &str) -> String {
    let (binding, found) = read(case);
    let mut out = told(&found);
    if let Some(plan) = &binding.plan {
        out.push_str(&shown(plan));
    }
    for line in &binding.unbound_preconditions {
        writeln!(out, "unbound: {line}").unwrap();
    }
    out.trim_end().to_owned()
}

pub(crate) fn plan(case: &str) -> Plan {
    let (binding, found) = read(case);
    binding.plan.unwrap_or_else(|| panic!("{}", told(&found)))
}

fn told(found: &Diagnostics) -> String {
    let mut out = String::new();
    for d in found.iter() {
        let severity = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(out, "{severity}[{}] {}: {}", d.code, place(d), d.message).unwrap();
        for label in &d.labels {
            let file: &Arc<SourceFile> = label.file.as_ref().or(d.file.as_ref()).unwrap();
            let at = file.line_column(label.span.start);
            let path = file.path.display();
            writeln!(out, "  {path}:{}:{}: {}", at.line, at.column, label.text).unwrap();
        }
        let help = d.help.as_deref().unwrap_or_default();
        assert!(!help.is_empty(), "no help: {d:?}");
        assert!(!d.message.ends_with('.'), "{}", d.message);
        writeln!(out, "  help: {help}").unwrap();
    }
    out
}

/// File, line, column, and what the caret is under.
fn place(d: &Diagnostic) -> String {
    let (file, span, at) = (d.file.as_ref().unwrap(), d.span.unwrap(), d.line_column().unwrap());
    let under = file.slice(span).lines().next().unwrap_or_default();
    format!("{}:{}:{} «{under}»", file.path.display(), at.line, at.column)
}

fn shown(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        let names = |list: &[usize]| {
            list.iter().map(|ix| plan.steps[*ix].id.as_str()).collect::<Vec<_>>().join(", ")
        };
        write!(out, "{} {}", step.id, step.kind).unwrap();
        for (what, list) in [("needs", &step.needs), ("holds", &step.holds)] {
            if !list.is_empty() {
                write!(out, " {what} [{}]", names(list)).unwrap();
            }
        }
        if !step.needs_people.is_empty() {
            let people: Vec<&str> =
                step.needs_people.iter().map(|t| plan.tasks[*t].id.as_str()).collect();
            write!(out, " people [{}]", people.join(", ")).unwrap();
        }
        for (is, word) in
            [(step.always, "always"), (step.proves, "proves"), (step.point_of_no_return, "ponr")]
        {
            if is {
                write!(out, " {word}").unwrap();
            }
        }
        if let Some(ms) = step.timeout_ms {
            write!(out, " timeout {ms}ms").unwrap();
        }
        if let Some(retry) = step.retry {
            write!(out, " retry {}x{}ms", retry.max, retry.backoff_ms).unwrap();
        }
        out.push('\n');
    }
    for bracket in &plan.brackets {
        let names: Vec<&str> = bracket.inside.iter().map(|i| plan.steps[*i].id.as_str()).collect();
        writeln!(
            out,
            "bracket {} {} .. {} around [{}] {:?} {:?} {:?}",
            bracket.name,
            plan.steps[bracket.open].id,
            plan.steps[bracket.close].id,
            names.join(", "),
            bracket.budget_ms,
            bracket.on_failure,
            bracket.gate
        )
        .unwrap();
    }
    for p in &plan.preconditions {
        writeln!(out, "precondition {:?} {} {}", p.text, p.kind, json(&p.with)).unwrap();
    }
    for clause in plan.tasks.iter().flat_map(|t| &t.clauses) {
        let names: Vec<&str> = clause.steps.iter().map(|i| plan.steps[*i].id.as_str()).collect();
        writeln!(out, "clause {:?} by [{}]", clause.text, names.join(", ")).unwrap();
    }
    out
}

pub(crate) fn json(with: &With) -> String {
    serde_json::to_string(&with.0).unwrap()
}

/// A kind with a parameter of each type.
struct Typed;

const fn param(name: &'static str, ty: ParamType) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc: "A parameter." }
}

pub(crate) const TYPED: &[ParamSpec] = &[
    param("string", ParamType::String),
    param("script", ParamType::Script),
    param("bool", ParamType::Bool),
    param("int", ParamType::Int),
    param("duration", ParamType::Duration),
    param("strings", ParamType::Strings),
    param("map", ParamType::Map),
    param("secrets", ParamType::Secrets),
    param("secret", ParamType::Secret),
    param("mode", ParamType::Mode),
    param("word", ParamType::OneOf(&["one", "two"])),
];

impl Kind for Typed {
    fn name(&self) -> &'static str {
        "typed"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Has a parameter of each type."
    }

    fn params(&self) -> &'static [ParamSpec] {
        TYPED
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        match with.int("int") {
            Some(13) => Err(vec![ParamProblem::new("int", "13 brings bad luck")]),
            _ => Ok(Box::new(TypedStep)),
        }
    }
}

struct TypedStep;

#[async_trait]
impl Step for TypedStep {
    fn resources(&self) -> Resources {
        Resources { claimed: true, ..Resources::default() }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    async fn observe(&self, _look: &Look) -> Observation {
        Observation::absent()
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        Vec::new()
    }

    async fn apply(&self, _hands: &Hands) -> Result<Applied, StepError> {
        Ok(Applied::default())
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
