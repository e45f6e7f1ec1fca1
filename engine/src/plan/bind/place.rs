//! Tasks, and which steps are whose.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::binder::Binder;
use super::names::{full, listed};
use crate::document::TaskStatus;
use crate::plan::model::{PlanClause, PlanTask, TaskIx};
use crate::plan::raw::{RawPlan, RawStep};
use crate::plan::{reader, shell};
use crate::text::{Diagnostic, SourceFile, Span};

/// A step as written, with its task.
pub(super) struct Placed {
    pub(super) raw: RawStep,
    pub(super) task: TaskIx,
    /// The full name.
    pub(super) id: String,
}

/// Where the steps of a task come from: there can be one place only.
struct Origin {
    what: &'static str,
    file: Arc<SourceFile>,
    span: Span,
}

const SHELL: &str = "a shell block";

/// Steps with their tasks and the byte of the workplan that they belong to.
type Gathered = Vec<(usize, TaskIx, RawStep)>;

impl Binder<'_> {
    pub(super) fn make_tasks(&mut self) {
        let document = self.sources.document;
        for (ix, task) in document.tasks.iter().enumerate() {
            // The parser has complained about a second task of the same id.
            self.names.tasks.entry(task.short.clone()).or_insert(ix);
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
                .filter_map(|(short, _)| self.names.tasks.get(short).copied())
                .collect();
        }
    }

    /// The task of steps that stand outside of tasks, made when the first one is met.
    fn loose_task(&mut self) -> TaskIx {
        let ix = *self.names.tasks.entry(String::new()).or_insert(self.tasks.len());
        if ix == self.tasks.len() {
            let document = self.sources.document;
            self.tasks.push(PlanTask {
                id: String::new(),
                full_id: document.id.clone(),
                title: document.title.clone(),
                status: TaskStatus::Todo,
                steps: Vec::new(),
                needs: Vec::new(),
                clauses: Vec::new(),
            });
        }
        ix
    }

    /// Gathers the steps of all three forms and puts them into the order of the workplan.
    pub(super) fn place_steps(&mut self, file_plan: Option<&RawPlan>) {
        let mut origins: HashMap<TaskIx, Origin> = HashMap::new();
        let mut steps: Gathered = Vec::new();
        if let Some(plan) = file_plan {
            self.gather_plan(plan, &mut origins, &mut steps);
        }
        self.gather_blocks(&mut origins, &mut steps);
        self.gather_shell(&mut origins, &mut steps);
        // Stable: steps of one plan-file task keep their order.
        steps.sort_by_key(|(at, ..)| *at);
        for (_, task, raw) in steps {
            self.place(raw, task);
        }
    }

    fn gather_plan(
        &mut self,
        plan: &RawPlan,
        origins: &mut HashMap<TaskIx, Origin>,
        out: &mut Gathered,
    ) {
        let document = self.sources.document;
        for (word, steps) in &plan.tasks {
            let Some(task) = self.names.task(&word.text) else {
                let ids = self.tasks.iter().map(|t| t.id.as_str());
                let help = self.names.suggest(&word.text, ids.clone()).unwrap_or_else(|| {
                    if self.tasks.is_empty() {
                        "it has no tasks at all: a task is a heading with a `task` block".to_owned()
                    } else {
                        format!("its tasks are {}", listed(ids))
                    }
                });
                self.found.push(
                    Diagnostic::error(
                        "unknown-task",
                        &plan.file,
                        word.span,
                        format!("the workplan has no task `{}`", word.text),
                    )
                    .with_help(help),
                );
                continue;
            };
            if steps.is_empty() {
                continue;
            }
            let origin =
                Origin { what: "the plan file", file: Arc::clone(&plan.file), span: word.span };
            if self.claim(origins, task, origin) {
                let at = document.tasks[task].heading_span.start;
                out.extend(steps.iter().map(|step| (at, task, step.clone())));
            }
        }
    }

    fn gather_blocks(&mut self, origins: &mut HashMap<TaskIx, Origin>, out: &mut Gathered) {
        let document = self.sources.document;
        for (ix, task) in document.tasks.iter().enumerate() {
            let Some(block) = &task.steps else { continue };
            // A block that holds no list was reported by the parser.
            let Some(list) = block.list.as_ref().filter(|l| l.as_seq().is_some()) else { continue };
            let steps = reader::read_steps(&document.file, list, &mut self.found);
            let file = Arc::clone(&document.file);
            if self.claim(origins, ix, Origin { what: "a `steps` block", file, span: block.span }) {
                out.extend(steps.into_iter().map(|step| (block.span.start, ix, step)));
            }
        }
    }

    fn gather_shell(&mut self, origins: &mut HashMap<TaskIx, Origin>, out: &mut Gathered) {
        let document = self.sources.document;
        let mut refused: HashSet<TaskIx> = HashSet::new();
        for block in &document.shell_blocks {
            let task = match &block.task {
                Some(short) => match self.names.tasks.get(short) {
                    Some(ix) => *ix,
                    None => continue,
                },
                None => self.loose_task(),
            };
            if refused.contains(&task) {
                continue;
            }
            let known = origins.get(&task).is_some_and(|o| o.what == SHELL);
            let file = Arc::clone(&document.file);
            if !known
                && !self.claim(origins, task, Origin { what: SHELL, file, span: block.info_span })
            {
                refused.insert(task);
                continue;
            }
            if let Some(step) = shell::read(&document.file, block, &mut self.found) {
                out.push((block.info_span.start, task, step));
            }
        }
    }

    /// Steps of one task come from one place only.
    fn claim(
        &mut self,
        origins: &mut HashMap<TaskIx, Origin>,
        task: TaskIx,
        origin: Origin,
    ) -> bool {
        let Some(other) = origins.get(&task) else {
            origins.insert(task, origin);
            return true;
        };
        let id = &self.tasks[task].id;
        let message = if other.what == origin.what {
            format!("task `{id}` has steps twice in {}", other.what)
        } else {
            format!("task `{id}` has steps in {} and in {}", origin.what, other.what)
        };
        self.found.push(
            Diagnostic::error("steps-twice", &origin.file, origin.span, message)
                .with_label_in(&other.file, other.span, "its steps are here already")
                .with_help("keep one of the two"),
        );
        false
    }

    fn place(&mut self, raw: RawStep, task: TaskIx) {
        let id = full(&self.tasks[task].id, &raw.id.text);
        if self.names.task(&raw.id.text).is_some() {
            self.found.push(
                Diagnostic::error(
                    "bad-step-id",
                    &raw.file,
                    raw.id.span,
                    format!("`{}` is the id of a task, so no step can be called so", raw.id.text),
                )
                .with_help("give the step a name of its own; `needs` could not tell the two apart"),
            );
        }
        let ix = self.placed.len();
        if let Some(first) = self.names.steps.get(&id) {
            let first = &self.placed[*first].raw;
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
        self.names.steps.insert(id.clone(), ix);
        self.tasks[task].steps.push(ix);
        self.placed.push(Placed { raw, task, id });
    }
}
