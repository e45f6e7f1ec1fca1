//! From a name to a step or a task.

use std::cell::Cell;
use std::collections::HashMap;

use super::binder::Binder;
use crate::plan::model::{StepIx, TaskIx};
use crate::plan::raw::Word;
use crate::text::{Diagnostic, did_you_mean};

/// Comparisons of names that a binding may spend on "did you mean": a file with as many mistakes
/// as lines is still answered at once.
const COMPARISONS: usize = 1_000_000;

/// Names that a help text lists before it stops.
const LISTED: usize = 12;

/// Steps and tasks by name.
pub(super) struct Names {
    /// `<WORKPLAN>-`, which full ids begin with.
    prefix: String,
    pub(super) steps: HashMap<String, StepIx>,
    /// By short id; the empty one holds the steps outside of tasks.
    pub(super) tasks: HashMap<String, TaskIx>,
    left: Cell<usize>,
}

impl Names {
    pub(super) fn new(workplan: &str) -> Self {
        Self {
            prefix: format!("{workplan}-"),
            steps: HashMap::new(),
            tasks: HashMap::new(),
            left: Cell::new(COMPARISONS),
        }
    }

    /// A step by a name as written in a step of the task with the short id `own`.
    pub(super) fn step(&self, name: &str, own: &str) -> Option<StepIx> {
        if !own.is_empty()
            && let Some(ix) = self.steps.get(&full(own, name))
        {
            return Some(*ix);
        }
        let stripped = || self.steps.get(name.strip_prefix(&self.prefix)?);
        self.steps.get(name).or_else(stripped).copied()
    }

    /// A task by short or full id.
    pub(super) fn task(&self, name: &str) -> Option<TaskIx> {
        let short = name.strip_prefix(&self.prefix).unwrap_or(name);
        if short.is_empty() { None } else { self.tasks.get(short).copied() }
    }

    /// "Did you mean", while there is work left to spend on it.
    pub(super) fn suggest<'n>(
        &self,
        word: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        did_you_mean(
            word,
            names.into_iter().take_while(|_| {
                let left = self.left.get();
                self.left.set(left.saturating_sub(1));
                left > 0
            }),
        )
    }
}

/// The full name of a step of a task.
pub(super) fn full(task: &str, step: &str) -> String {
    if task.is_empty() { step.to_owned() } else { format!("{task}.{step}") }
}

/// Names for a help text, not all of them where there are many.
pub(super) fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let count = names.len();
    let shown: Vec<String> = names.take(LISTED).map(|n| format!("`{n}`")).collect();
    if count > LISTED {
        format!("{}, and {} more", shown.join(", "), count - LISTED)
    } else {
        shown.join(", ")
    }
}

impl Binder<'_> {
    /// The short id of a step's task.
    pub(super) fn own(&self, ix: StepIx) -> &str {
        &self.tasks[self.placed[ix].task].id
    }

    /// A name in a step that names nothing.
    pub(super) fn unknown_step(&mut self, ix: StepIx, word: &Word, what: &str) {
        let placed = &self.placed[ix];
        let own = self.tasks[placed.task].id.as_str();
        let siblings =
            self.tasks[placed.task].steps.iter().map(|s| self.placed[*s].raw.id.text.as_str());
        let tasks = self.tasks.iter().map(|t| t.id.as_str()).filter(|t| !t.is_empty() && *t != own);
        let all = self.placed.iter().map(|p| p.id.as_str());
        // The step itself is near to any slip in its own name, and never meant.
        let names = siblings
            .chain(tasks)
            .chain(all)
            .filter(|n| *n != placed.id && *n != placed.raw.id.text);
        let help = self.names.suggest(&word.text, names).unwrap_or_else(|| {
            "name a step of the same task, `T01.step`, or a whole task".to_owned()
        });
        self.found.push(
            Diagnostic::error(
                "unknown-step",
                &placed.raw.file,
                word.span,
                format!("`{}` {what} `{}`, which is no step or task", placed.id, word.text),
            )
            .with_help(help),
        );
    }
}
