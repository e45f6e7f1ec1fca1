//! Binds steps to tasks, resolves names, orders, and finds what contradicts itself.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::graph::Graph;
use super::model::{
    Bracket, Plan, PlanClause, PlanPrecondition, PlanStep, PlanTask, StepIx, TaskIx, WorkplanRef,
};
use super::params::{self, OutputUse, Scope};
use super::raw::{RawPlan, RawStep, Word};
use super::reader;
use super::shell;
use super::target::Target;
use crate::digest::Digest;
use crate::document::{Clause, Document};
use crate::kind::{OutputType, Registry, Resources, With};
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};

/// What a plan is made of.
pub struct Sources<'a> {
    /// The workplan.
    pub document: &'a Document,
    /// The plan file, where there is one.
    pub plan_file: Option<&'a Arc<SourceFile>>,
    /// The target.
    pub target: &'a Target,
    /// Values of inputs, by name, as the user gave them.
    pub inputs: &'a BTreeMap<String, String>,
    /// The catalogue.
    pub registry: &'a Registry,
    /// The workplan's absolute path.
    pub path: PathBuf,
}

/// A plan, or as much of one as could be made.
#[derive(Debug)]
pub struct Binding {
    /// The plan; `None` where there are errors.
    pub plan: Option<Plan>,
    /// Everything that was found.
    pub diagnostics: Diagnostics,
    /// Lines of the workplan's own list that no check is bound to.
    pub unbound_preconditions: Vec<String>,
}

/// Makes the plan.
#[must_use]
pub fn bind(sources: &Sources<'_>) -> Binding {
    let mut binder = Binder {
        sources,
        found: Diagnostics::default(),
        tasks: Vec::new(),
        raw: Vec::new(),
        by_id: HashMap::new(),
        task_by_id: HashMap::new(),
    };
    let file_plan = sources.plan_file.and_then(|f| reader::read_plan(f, &mut binder.found));
    let plan = binder.plan(file_plan.as_ref());
    let unbound = binder.unbound(file_plan.as_ref());
    let failed = binder.found.has_errors();
    let mut diagnostics = binder.found;
    diagnostics.sort();
    Binding { plan: plan.filter(|_| !failed), diagnostics, unbound_preconditions: unbound }
}

/// A step as written, with its task.
struct Placed {
    raw: RawStep,
    task: TaskIx,
    id: String,
}

struct Binder<'a> {
    sources: &'a Sources<'a>,
    found: Diagnostics,
    tasks: Vec<PlanTask>,
    raw: Vec<Placed>,
    by_id: HashMap<String, StepIx>,
    task_by_id: HashMap<String, TaskIx>,
}

impl<'a> Binder<'a> {
    fn plan(&mut self, file_plan: Option<&RawPlan>) -> Option<Plan> {
        let document = self.sources.document;
        if let Some(raw) = file_plan {
            self.check_workplan(raw);
        }
        self.make_tasks();
        self.place_steps(file_plan);
        let (mut needs, people) = self.needs();
        let inputs = file_plan.map(|p| p.inputs.clone()).unwrap_or_default();
        let input_values = self.input_values(file_plan);
        let sources = self.sources;
        let scope = Scope { target: sources.target, inputs: &inputs, input_values: &input_values };
        let mut steps = Vec::with_capacity(self.raw.len());
        let mut uses: Vec<(StepIx, OutputUse)> = Vec::new();
        let mut resources: Vec<Resources> = Vec::new();
        for ix in 0..self.raw.len() {
            let (step, step_uses, claim) = self.step(ix, &scope);
            uses.extend(step_uses.into_iter().map(|u| (ix, u)));
            steps.push(step);
            resources.push(claim);
        }
        self.check_outputs(&uses, &steps, &mut needs);
        for list in &mut needs {
            list.sort_unstable();
            list.dedup();
        }
        let graph = Graph::new(&needs);
        let order = match graph.order() {
            Ok(order) => order,
            Err(cycle) => {
                self.cycle(&cycle);
                return None;
            }
        };
        self.holds(&mut steps, &graph);
        self.races(&resources, &graph);
        let brackets = self.brackets(file_plan, &graph, &steps);
        let preconditions = self.preconditions(file_plan, &scope);
        self.clauses(&mut steps);
        for (ix, step) in steps.iter_mut().enumerate() {
            step.needs = std::mem::take(&mut needs[ix]);
            step.needs_people = people[ix].clone();
        }
        let plan = Plan {
            workplan: WorkplanRef {
                id: document.id.clone(),
                title: document.title.clone(),
                path: self.sources.path.clone(),
            },
            target: {
                let mut target = self.sources.target.reference.clone();
                if let Some(record) = file_plan.and_then(|p| p.target_of_record.as_ref()) {
                    target.of_record = target.implicit || *record == target.name;
                }
                target
            },
            tasks: std::mem::take(&mut self.tasks),
            steps,
            brackets,
            preconditions,
        };
        Some(reorder(plan, &order))
    }

    fn check_workplan(&mut self, raw: &RawPlan) {
        let Some(named) = &raw.workplan else { return };
        let id = &self.sources.document.id;
        if &named.text != id {
            self.found.push(
                Diagnostic::error(
                    "wrong-workplan",
                    &raw.file,
                    named.span,
                    format!("this plan file binds `{}`, the workplan is `{id}`", named.text),
                )
                .with_help("name the right plan file with `--steps PATH`, or correct `workplan:`"),
            );
        }
    }

    fn make_tasks(&mut self) {
        let document = self.sources.document;
        for task in &document.tasks {
            let ix = self.tasks.len();
            self.task_by_id.insert(task.short.clone(), ix);
            self.tasks.push(PlanTask {
                id: task.short.clone(),
                full_id: task.id.clone(),
                title: task.title.clone(),
                status: task.status,
                steps: Vec::new(),
                needs: Vec::new(),
                clauses: task
                    .clauses
                    .iter()
                    .map(|c| PlanClause { text: c.text.clone(), steps: Vec::new() })
                    .collect(),
            });
        }
        for (ix, task) in document.tasks.iter().enumerate() {
            self.tasks[ix].needs = task
                .needs
                .iter()
                .filter_map(|(short, _)| self.task_by_id.get(short).copied())
                .collect();
        }
    }

    /// The task of steps that stand outside of tasks, made when the first one is met.
    fn loose_task(&mut self) -> TaskIx {
        if let Some(ix) = self.task_by_id.get("") {
            return *ix;
        }
        let ix = self.tasks.len();
        self.task_by_id.insert(String::new(), ix);
        self.tasks.push(PlanTask {
            id: String::new(),
            full_id: self.sources.document.id.clone(),
            title: self.sources.document.title.clone(),
            status: crate::document::TaskStatus::Todo,
            steps: Vec::new(),
            needs: Vec::new(),
            clauses: Vec::new(),
        });
        ix
    }

    fn place_steps(&mut self, file_plan: Option<&RawPlan>) {
        let document = self.sources.document;
        let mut bound: HashMap<TaskIx, (&'static str, Arc<SourceFile>, Span)> = HashMap::new();
        if let Some(plan) = file_plan {
            for (word, steps) in &plan.tasks {
                let prefix = format!("{}-", document.id);
                let short = word.text.strip_prefix(&prefix).unwrap_or(&word.text);
                let Some(task) = self.task_by_id.get(short).copied() else {
                    let names: Vec<&str> = self.tasks.iter().map(|t| t.id.as_str()).collect();
                    self.found.push(
                        Diagnostic::error(
                            "unknown-task",
                            &plan.file,
                            word.span,
                            format!("the workplan has no task `{}`", word.text),
                        )
                        .with_help(
                            did_you_mean(short, names.iter().copied())
                                .unwrap_or_else(|| format!("its tasks are {}", names.join(", "))),
                        ),
                    );
                    continue;
                };
                bound.insert(task, ("the plan file", Arc::clone(&plan.file), word.span));
                for step in steps {
                    self.place(step.clone(), task);
                }
            }
        }
        for (ix, task) in document.tasks.iter().enumerate() {
            let Some(block) = &task.steps else { continue };
            if !self.first_binding(&mut bound, ix, "a `steps` block", block.span) {
                continue;
            }
            let Some(list) = &block.list else { continue };
            for step in reader::read_steps(&document.file, list, &mut self.found) {
                self.place(step, ix);
            }
        }
        let mut shell_tasks: Vec<TaskIx> = Vec::new();
        for block in &document.shell_blocks {
            let task = match &block.task {
                Some(short) => match self.task_by_id.get(short) {
                    Some(ix) => *ix,
                    None => continue,
                },
                None => self.loose_task(),
            };
            if !shell_tasks.contains(&task) {
                if !self.first_binding(&mut bound, task, "a shell block", block.info_span) {
                    continue;
                }
                shell_tasks.push(task);
            }
            if let Some(step) = shell::read(&document.file, block, &mut self.found) {
                self.place(step, task);
            }
        }
    }

    /// Steps of one task come from one place only.
    fn first_binding(
        &mut self,
        bound: &mut HashMap<TaskIx, (&'static str, Arc<SourceFile>, Span)>,
        task: TaskIx,
        what: &'static str,
        span: Span,
    ) -> bool {
        let file = Arc::clone(&self.sources.document.file);
        if let Some((other, other_file, other_span)) = bound.get(&task) {
            self.found.push(
                Diagnostic::error(
                    "steps-twice",
                    &file,
                    span,
                    format!("task `{}` has steps in {what} and in {other}", self.tasks[task].id),
                )
                .with_label_in(other_file, *other_span, format!("{other} has them too"))
                .with_help("keep one of the two"),
            );
            return false;
        }
        bound.insert(task, (what, file, span));
        true
    }

    fn place(&mut self, raw: RawStep, task: TaskIx) {
        let prefix = &self.tasks[task].id;
        let id = if prefix.is_empty() {
            raw.id.text.clone()
        } else {
            format!("{prefix}.{}", raw.id.text)
        };
        let ix = self.raw.len();
        if let Some(first) = self.by_id.get(&id) {
            let first = &self.raw[*first].raw;
            self.found.push(
                Diagnostic::error(
                    "duplicate-id",
                    &raw.file,
                    raw.id.span,
                    format!("there are two steps `{id}`"),
                )
                .with_label_in(&first.file, first.id.span, "the first is here")
                .with_help("give one of them another name"),
            );
            return;
        }
        self.by_id.insert(id.clone(), ix);
        self.tasks[task].steps.push(ix);
        self.raw.push(Placed { raw, task, id });
    }

    /// A step by a name as written in a step of `task`.
    fn find(&self, name: &str, task: TaskIx) -> Option<StepIx> {
        let own = &self.tasks[task].id;
        if !own.is_empty()
            && let Some(ix) = self.by_id.get(&format!("{own}.{name}"))
        {
            return Some(*ix);
        }
        if let Some(ix) = self.by_id.get(name) {
            return Some(*ix);
        }
        let full = name.strip_prefix(&format!("{}-", self.sources.document.id))?;
        self.by_id.get(full).copied()
    }

    fn find_task(&self, name: &str) -> Option<TaskIx> {
        let short = name.strip_prefix(&format!("{}-", self.sources.document.id)).unwrap_or(name);
        if short.is_empty() { None } else { self.task_by_id.get(short).copied() }
    }

    /// Edges of all steps, and the person's tasks that each waits for.
    fn needs(&mut self) -> (Vec<Vec<StepIx>>, Vec<Vec<TaskIx>>) {
        let count = self.raw.len();
        let mut needs: Vec<Vec<StepIx>> = vec![Vec::new(); count];
        let mut tasks_of: Vec<Vec<TaskIx>> = vec![Vec::new(); count];
        for ix in 0..count {
            let task = self.raw[ix].task;
            let words = self.raw[ix].raw.needs.clone().unwrap_or_default();
            for word in words {
                if let Some(need) = self.find(&word.text, task) {
                    needs[ix].push(need);
                } else if let Some(other) = self.find_task(&word.text) {
                    if other == task {
                        let file = Arc::clone(&self.raw[ix].raw.file);
                        self.found.push(
                            Diagnostic::error(
                                "needs-itself",
                                &file,
                                word.span,
                                format!("`{}` needs its own task `{}`", self.raw[ix].id, word.text),
                            )
                            .with_help("name the steps that it comes after"),
                        );
                    } else {
                        tasks_of[ix].push(other);
                    }
                } else {
                    self.unknown_step(ix, &word, "needs");
                }
            }
        }
        self.shell_order(&mut needs);
        // A task's own order reaches its steps through those that need no other of the same task.
        for ix in 0..count {
            let task = self.raw[ix].task;
            let root = !needs[ix].iter().any(|n| self.raw[*n].task == task);
            if root {
                tasks_of[ix].extend(self.tasks[task].needs.iter().copied());
            }
        }
        let sinks = self.sinks(&needs);
        let mut people = vec![Vec::new(); count];
        for ix in 0..count {
            let mut queue = std::mem::take(&mut tasks_of[ix]);
            let mut seen = Vec::new();
            while let Some(task) = queue.pop() {
                if seen.contains(&task) {
                    continue;
                }
                seen.push(task);
                if self.tasks[task].steps.is_empty() {
                    people[ix].push(task);
                    queue.extend(self.tasks[task].needs.iter().copied());
                } else {
                    needs[ix].extend(sinks[task].iter().copied());
                }
            }
            people[ix].sort_unstable();
        }
        (needs, people)
    }

    /// Shell blocks without `needs` come after the block before them, unless the tasks are
    /// ordered the other way round.
    fn shell_order(&self, needs: &mut [Vec<StepIx>]) {
        let mut before: Option<StepIx> = None;
        for ix in 0..self.raw.len() {
            if !self.raw[ix].raw.from_shell {
                continue;
            }
            if self.raw[ix].raw.needs.is_none()
                && let Some(previous) = before
                && (self.raw[previous].task == self.raw[ix].task
                    || !self.task_reaches(self.raw[previous].task, self.raw[ix].task))
            {
                needs[ix].push(previous);
            }
            before = Some(ix);
        }
    }

    /// Whether `task` comes after `other`, directly or not.
    fn task_reaches(&self, task: TaskIx, other: TaskIx) -> bool {
        let mut stack = self.tasks[task].needs.clone();
        let mut seen = std::collections::HashSet::new();
        while let Some(at) = stack.pop() {
            if at == other {
                return true;
            }
            if seen.insert(at) {
                stack.extend(self.tasks[at].needs.iter().copied());
            }
        }
        false
    }

    /// Per task, the steps that no other step of the task needs.
    fn sinks(&self, needs: &[Vec<StepIx>]) -> Vec<Vec<StepIx>> {
        let mut needed = vec![false; self.raw.len()];
        for (ix, list) in needs.iter().enumerate() {
            for need in list {
                if self.raw[*need].task == self.raw[ix].task && *need != ix {
                    needed[*need] = true;
                }
            }
        }
        self.tasks
            .iter()
            .map(|t| {
                let ends: Vec<StepIx> = t.steps.iter().copied().filter(|s| !needed[*s]).collect();
                // A cycle inside the task leaves no end; the cycle itself is reported elsewhere.
                if ends.is_empty() { t.steps.clone() } else { ends }
            })
            .collect()
    }

    fn unknown_step(&mut self, ix: StepIx, word: &Word, what: &str) {
        let task = self.raw[ix].task;
        let own = &self.tasks[task].id;
        let mut names: Vec<String> = self.by_id.keys().cloned().collect();
        names.extend(self.tasks[task].steps.iter().map(|s| self.raw[*s].raw.id.text.clone()));
        names.extend(self.tasks.iter().map(|t| t.id.clone()).filter(|t| !t.is_empty() && t != own));
        names.sort();
        let file = Arc::clone(&self.raw[ix].raw.file);
        self.found.push(
            Diagnostic::error(
                "unknown-step",
                &file,
                word.span,
                format!("`{}` {what} `{}`, which is no step or task", self.raw[ix].id, word.text),
            )
            .with_help(
                did_you_mean(&word.text, names.iter().map(String::as_str)).unwrap_or_else(|| {
                    "name a step of the same task, `T01.step`, or a whole task".to_owned()
                }),
            ),
        );
    }

    fn input_values(&mut self, file_plan: Option<&RawPlan>) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        let Some(plan) = file_plan else { return values };
        for (name, spec) in &plan.inputs {
            match self.sources.inputs.get(name) {
                Some(text) => match spec.read(text) {
                    Some(value) => {
                        values.insert(name.clone(), value);
                    }
                    None => self.found.push(
                        Diagnostic::error(
                            "wrong-type",
                            &plan.file,
                            spec.span,
                            format!("the input `{name}` is a {}, `{text}` is none", spec.ty),
                        )
                        .with_help("correct the value given with `--set`"),
                    ),
                },
                None => {
                    if let Some(default) = &spec.default {
                        values.insert(name.clone(), default.clone());
                    }
                }
            }
        }
        values
    }

    fn step(&mut self, ix: StepIx, scope: &Scope<'_>) -> (PlanStep, Vec<OutputUse>, Resources) {
        let placed = &self.raw[ix];
        let raw = placed.raw.clone();
        let mut step = PlanStep {
            id: placed.id.clone(),
            task: placed.task,
            kind: raw.uses.text.clone(),
            class: crate::kind::Class::State,
            with: With::default(),
            needs: Vec::new(),
            needs_people: Vec::new(),
            timeout_ms: raw.timeout_ms,
            retry: raw.retry,
            holds: Vec::new(),
            point_of_no_return: raw.point_of_no_return,
            always: false,
            retired: false,
            proves: !raw.done_when.is_empty(),
            meaning: Digest::of(b""),
        };
        let Some(kind) = self.kind(&raw.file, &raw.uses) else {
            return (step, Vec::new(), Resources::default());
        };
        step.class = kind.class();
        let read =
            params::read(&raw.file, kind.as_ref(), raw.id.span, &raw.with, scope, &mut self.found);
        step.with = read.with;
        step.always = step.with.str("due") == Some("always");
        step.meaning = Digest::of_json(&json!([step.kind, step.with]));
        let mut resources = Resources::default();
        if !read.failed {
            let open = step.with.0.values().any(params::has_open);
            let built = params::resolve(&step.with, kind.params(), &|step, output| {
                // Before a run an open reference stands for itself.
                Some(Value::String(format!("${{{{ steps.{step}.outputs.{output} }}}}")))
            })
            .ok()
            .and_then(|with| match kind.build(&with) {
                Ok(step) => Some(step),
                Err(problems) if !open => {
                    for problem in problems {
                        let span = raw
                            .with
                            .iter()
                            .find(|p| p.key == problem.key)
                            .map_or(raw.id.span, |p| p.value.span);
                        self.found.push(
                            Diagnostic::error("bad-parameter", &raw.file, span, problem.message)
                                .with_help_opt(problem.help),
                        );
                    }
                    None
                }
                Err(_) => None,
            });
            if let Some(built) = built {
                resources = built.resources();
            }
        }
        (step, read.uses, resources)
    }

    fn kind(&mut self, file: &Arc<SourceFile>, uses: &Word) -> Option<Arc<dyn crate::kind::Kind>> {
        let registry: &'a Registry = self.sources.registry;
        if let Some(kind) = registry.get(&uses.text) {
            return Some(Arc::clone(kind));
        }
        self.found.push(
            Diagnostic::error(
                "unknown-kind",
                file,
                uses.span,
                format!("there is no kind of step `{}`", uses.text),
            )
            .with_help(did_you_mean(&uses.text, registry.names()).unwrap_or_else(
                || format!("the kinds are {}", registry.names().collect::<Vec<_>>().join(", ")),
            )),
        );
        None
    }

    fn check_outputs(
        &mut self,
        uses: &[(StepIx, OutputUse)],
        steps: &[PlanStep],
        needs: &mut [Vec<StepIx>],
    ) {
        for (ix, used) in uses {
            let file = Arc::clone(&self.raw[*ix].raw.file);
            let Some(from) = self.find(&used.step, self.raw[*ix].task) else {
                let names: Vec<String> = self.by_id.keys().cloned().collect();
                self.found.push(
                    Diagnostic::error(
                        "unknown-reference",
                        &file,
                        used.span,
                        format!("there is no step `{}`", used.step),
                    )
                    .with_help_opt(did_you_mean(&used.step, names.iter().map(String::as_str))),
                );
                continue;
            };
            let Some(kind) = self.sources.registry.get(&steps[from].kind) else { continue };
            let outputs: BTreeMap<String, OutputType> = kind.outputs(&steps[from].with);
            let Some(ty) = outputs.get(&used.output) else {
                self.found.push(
                    Diagnostic::error(
                        "unknown-reference",
                        &file,
                        used.span,
                        format!("`{}` has no output `{}`", steps[from].id, used.output),
                    )
                    .with_help(
                        did_you_mean(&used.output, outputs.keys().map(String::as_str))
                            .unwrap_or_else(|| {
                                if outputs.is_empty() {
                                    format!("`{}` declares no `outputs`", steps[from].id)
                                } else {
                                    let names: Vec<&str> =
                                        outputs.keys().map(String::as_str).collect();
                                    format!("its outputs are {}", names.join(", "))
                                }
                            }),
                    ),
                );
                continue;
            };
            if let Some(wanted) = used.wanted
                && !params::accepts(wanted, *ty)
            {
                self.found.push(Diagnostic::error(
                    "wrong-type",
                    &file,
                    used.span,
                    format!(
                        "`{}` of `{}` is {}, wanted is {}",
                        used.output,
                        steps[from].id,
                        match ty {
                            OutputType::String => "text",
                            OutputType::Int => "a number",
                            OutputType::Bool => "a boolean",
                        },
                        wanted.expected()
                    ),
                ));
            }
            // Using an output means coming after the step that has it.
            needs[*ix].push(from);
        }
    }

    fn cycle(&mut self, cycle: &[StepIx]) {
        let Some(first) = cycle.first() else { return };
        let chain: Vec<&str> = cycle.iter().map(|ix| self.raw[*ix].id.as_str()).collect();
        let placed = &self.raw[*first];
        let mut problem = Diagnostic::error(
            "dependency-cycle",
            &placed.raw.file,
            placed.raw.id.span,
            format!("these steps wait for each other: {}", chain.join(" -> ")),
        )
        .with_help("each needs the next; take one `needs` or pre-condition out");
        for ix in cycle.iter().skip(1).take(cycle.len().saturating_sub(2)).take(6) {
            let other = &self.raw[*ix].raw;
            problem = problem.with_label_in(&other.file, other.id.span, "is in the cycle");
        }
        self.found.push(problem);
    }

    fn holds(&mut self, steps: &mut [PlanStep], graph: &Graph) {
        for (ix, step) in steps.iter_mut().enumerate() {
            let words = self.raw[ix].raw.holds.clone();
            for word in words {
                match self.find(&word.text, self.raw[ix].task) {
                    None => self.unknown_step(ix, &word, "holds on to"),
                    Some(held) => {
                        if !graph.before(ix).contains(&held) {
                            let file = Arc::clone(&self.raw[ix].raw.file);
                            self.found.push(
                                Diagnostic::error(
                                    "holds-unordered",
                                    &file,
                                    word.span,
                                    format!(
                                        "`{}` holds on to `{}` but does not come after it",
                                        self.raw[ix].id, word.text
                                    ),
                                )
                                .with_help("add it to `needs` as well"),
                            );
                        }
                        step.holds.push(held);
                    }
                }
            }
        }
    }

    fn races(&mut self, resources: &[Resources], graph: &Graph) {
        let mut writers: BTreeMap<&str, Vec<StepIx>> = BTreeMap::new();
        for (ix, claim) in resources.iter().enumerate() {
            for name in &claim.writes {
                let list = writers.entry(name).or_default();
                if list.last() != Some(&ix) {
                    list.push(ix);
                }
            }
        }
        for (name, list) in writers {
            for (at, first) in list.iter().enumerate() {
                let (after, before) = (graph.after(*first), graph.before(*first));
                for second in &list[at + 1..] {
                    if after.contains(second) || before.contains(second) {
                        continue;
                    }
                    let (a, b) = (&self.raw[*first], &self.raw[*second]);
                    self.found.push(
                        Diagnostic::error(
                            "unordered-writers",
                            &b.raw.file,
                            b.raw.id.span,
                            format!("`{}` and `{}` both change `{name}`, in no order", a.id, b.id),
                        )
                        .with_label_in(&a.raw.file, a.raw.id.span, "the other one")
                        .with_help(format!(
                            "say which comes first, for example `needs: [{}]`",
                            a.id
                        )),
                    );
                }
            }
        }
        let silent: Vec<StepIx> =
            (0..resources.len()).filter(|ix| !resources[*ix].claimed).collect();
        let unordered = silent.len() > 1
            && silent.windows(2).any(|pair| {
                !graph.after(pair[0]).contains(&pair[1])
                    && !graph.before(pair[0]).contains(&pair[1])
            });
        if unordered {
            let first = &self.raw[silent[0]].raw;
            self.found.push(
                Diagnostic::note(
                    "no-claims",
                    &first.file,
                    first.id.span,
                    format!(
                        "{} steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out",
                        silent.len()
                    ),
                )
                .with_help("with `--jobs 1`, the default, they run one after the other"),
            );
        }
    }

    fn brackets(
        &mut self,
        file_plan: Option<&RawPlan>,
        graph: &Graph,
        steps: &[PlanStep],
    ) -> Vec<Bracket> {
        let Some(plan) = file_plan else { return Vec::new() };
        let mut out: Vec<Bracket> = Vec::new();
        for raw in &plan.brackets {
            let mut find = |word: &Word, what: &str| {
                let found = self.by_id.get(&word.text).copied();
                if found.is_none() {
                    let names: Vec<String> = self.by_id.keys().cloned().collect();
                    self.found.push(
                        Diagnostic::error(
                            "unknown-step",
                            &plan.file,
                            word.span,
                            format!(
                                "the bracket `{}` is {what} by `{}`, which is no step",
                                raw.name.text, word.text
                            ),
                        )
                        .with_help(
                            did_you_mean(&word.text, names.iter().map(String::as_str))
                                .unwrap_or_else(|| {
                                    "give the full name, for example `T02.stop`".to_owned()
                                }),
                        ),
                    );
                }
                found
            };
            let (open, close) = (find(&raw.open, "opened"), find(&raw.close, "closed"));
            let (Some(open), Some(close)) = (open, close) else { continue };
            let after = graph.after(open);
            if !after.contains(&close) {
                self.found.push(
                    Diagnostic::error(
                        "bracket-unordered",
                        &plan.file,
                        raw.close.span,
                        format!("`{}` does not come after `{}`", raw.close.text, raw.open.text),
                    )
                    .with_help("the step that closes a bracket needs, directly or not, the one that opens it"),
                );
                continue;
            }
            if out.iter().any(|b| b.name == raw.name.text) {
                self.found.push(Diagnostic::error(
                    "duplicate-id",
                    &plan.file,
                    raw.name.span,
                    format!("there are two brackets `{}`", raw.name.text),
                ));
                continue;
            }
            let before = graph.before(close);
            let mut inside: Vec<StepIx> = after.intersection(&before).copied().collect();
            inside.sort_unstable();
            for ix in &inside {
                self.check_inside(*ix, &raw.name, &steps[*ix]);
            }
            out.push(Bracket {
                name: raw.name.text.clone(),
                open,
                close,
                inside,
                budget_ms: raw.budget_ms,
                on_failure: raw.on_failure,
                gate: raw.gate.clone(),
            });
        }
        out
    }

    fn check_inside(&mut self, ix: StepIx, bracket: &Word, step: &PlanStep) {
        let raw = self.raw[ix].raw.clone();
        if step.kind == "gate.approve" || step.kind == "manual" {
            self.found.push(
                Diagnostic::error(
                    "gate-in-bracket",
                    &raw.file,
                    raw.uses.span,
                    format!(
                        "`{}` waits for a person inside the bracket `{}`",
                        self.raw[ix].id, bracket.text
                    ),
                )
                .with_help("ask before it opens: `gate: {approve: …}` on the bracket, or a step that it needs"),
            );
        }
        if step.kind == "command"
            && step.with.has("run")
            && !step.with.has("undo")
            && !step.with.bool("readonly")
        {
            self.found.push(
                Diagnostic::note(
                    "no-undo-in-bracket",
                    &raw.file,
                    raw.id.span,
                    format!(
                        "`{}` declares no `undo`; when `{}` is released, what it did stays",
                        self.raw[ix].id, bracket.text
                    ),
                )
                .with_help("add `undo`, or make sure that what stays does no harm"),
            );
        }
    }

    fn preconditions(
        &mut self,
        file_plan: Option<&RawPlan>,
        scope: &Scope<'_>,
    ) -> Vec<PlanPrecondition> {
        let Some(plan) = file_plan else { return Vec::new() };
        let mut out = Vec::new();
        for raw in &plan.preconditions {
            let lines = &self.sources.document.preconditions;
            let key = Clause::key(&raw.text.text);
            // The plan file may repeat the beginning of a long line.
            if !lines.iter().any(|l| Clause::key(&l.text).starts_with(&key)) {
                let names: Vec<&str> = lines.iter().map(|l| l.text.as_str()).collect();
                let help =
                    did_you_mean(&raw.text.text, names.iter().copied()).unwrap_or_else(|| {
                        if names.is_empty() {
                            "the workplan has no list under a heading \"Pre-conditions\"".to_owned()
                        } else {
                            format!("its lines are: {}", names.join("; "))
                        }
                    });
                self.found.push(
                    Diagnostic::error(
                        "unknown-precondition",
                        &plan.file,
                        raw.text.span,
                        format!("the workplan's own list has no line `{}`", raw.text.text),
                    )
                    .with_help(help),
                );
            }
            let Some(kind) = self.kind(&plan.file, &raw.uses) else { continue };
            let read = params::read(
                &plan.file,
                kind.as_ref(),
                raw.uses.span,
                &raw.with,
                scope,
                &mut self.found,
            );
            if let Some(used) = read.uses.first() {
                self.found.push(Diagnostic::error(
                    "bad-reference",
                    &plan.file,
                    used.span,
                    "a precondition is checked before any step; it cannot use an output",
                ));
                continue;
            }
            if !read.failed
                && let Ok(with) = params::resolve(&read.with, kind.params(), &|_, _| None)
                && let Err(problems) = kind.build(&with)
            {
                for problem in problems {
                    let span = raw
                        .with
                        .iter()
                        .find(|p| p.key == problem.key)
                        .map_or(raw.uses.span, |p| p.value.span);
                    self.found.push(
                        Diagnostic::error("bad-parameter", &plan.file, span, problem.message)
                            .with_help_opt(problem.help),
                    );
                }
            }
            out.push(PlanPrecondition {
                text: raw.text.text.clone(),
                kind: raw.uses.text.clone(),
                with: read.with,
            });
        }
        out
    }

    /// Lines of the workplan's own list that nothing checks.
    fn unbound(&self, file_plan: Option<&RawPlan>) -> Vec<String> {
        let bound: Vec<String> = file_plan
            .map(|p| p.preconditions.iter().map(|r| Clause::key(&r.text.text)).collect())
            .unwrap_or_default();
        self.sources
            .document
            .preconditions
            .iter()
            .filter(|l| !bound.iter().any(|b| Clause::key(&l.text).starts_with(b)))
            .map(|l| l.text.clone())
            .collect()
    }

    fn clauses(&mut self, steps: &mut [PlanStep]) {
        for ix in 0..steps.len() {
            let words = self.raw[ix].raw.done_when.clone();
            let task = self.raw[ix].task;
            for word in words {
                let key = Clause::key(&word.text);
                let place =
                    self.tasks[task].clauses.iter().position(|c| Clause::key(&c.text) == key);
                match place {
                    Some(at) => self.tasks[task].clauses[at].steps.push(ix),
                    None => {
                        let file = Arc::clone(&self.raw[ix].raw.file);
                        let names: Vec<String> =
                            self.tasks[task].clauses.iter().map(|c| c.text.clone()).collect();
                        let help = did_you_mean(&word.text, names.iter().map(String::as_str))
                            .unwrap_or_else(|| {
                                if names.is_empty() {
                                    format!("task `{}` has no \"Done when\"", self.tasks[task].id)
                                } else {
                                    format!("its clauses are: {}", names.join("; "))
                                }
                            });
                        self.found.push(
                            Diagnostic::error(
                                "unknown-clause",
                                &file,
                                word.span,
                                format!("no \"Done when\" clause says `{}`", word.text),
                            )
                            .with_help(help),
                        );
                    }
                }
            }
        }
    }
}

/// Puts the steps into an order in which each comes after all that it needs.
fn reorder(mut plan: Plan, order: &[StepIx]) -> Plan {
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let moved = |list: &mut Vec<StepIx>| {
        for ix in list.iter_mut() {
            *ix = place[*ix];
        }
        list.sort_unstable();
    };
    let mut slots: Vec<Option<PlanStep>> = plan.steps.into_iter().map(Some).collect();
    plan.steps = order.iter().filter_map(|old| slots[*old].take()).collect();
    for step in &mut plan.steps {
        moved(&mut step.needs);
        moved(&mut step.holds);
    }
    for task in &mut plan.tasks {
        moved(&mut task.steps);
        for clause in &mut task.clauses {
            moved(&mut clause.steps);
        }
    }
    for bracket in &mut plan.brackets {
        bracket.open = place[bracket.open];
        bracket.close = place[bracket.close];
        moved(&mut bracket.inside);
    }
    plan
}
