//! "Done when" clauses and the steps that prove them.

use std::collections::HashMap;

use super::binder::Binder;
use super::names::listed;
use crate::document::Clause;
use crate::plan::model::{PlanStep, StepIx, TaskIx};
use crate::plan::raw::Word;
use crate::text::Diagnostic;

impl Binder<'_> {
    pub(super) fn clauses(&mut self, steps: &mut [PlanStep]) {
        let mut places: HashMap<(TaskIx, String), usize> = HashMap::new();
        for (task, planned) in self.tasks.iter().enumerate() {
            for (at, clause) in planned.clauses.iter().enumerate() {
                places.entry((task, Clause::key(&clause.text))).or_insert(at);
            }
        }
        for (ix, step) in steps.iter_mut().enumerate() {
            let words = std::mem::take(&mut self.placed[ix].raw.done_when);
            step.proves = !words.is_empty();
            for word in &words {
                self.clause(ix, word, &places);
            }
            // Without a check its word rests on an exit code, which proves nothing.
            if let Some(word) = words.first()
                && step.kind == "command"
                && !step.with.has("check")
            {
                self.found.push(
                    Diagnostic::warning(
                        "weak-proof",
                        &self.placed[ix].raw.file,
                        word.span,
                        format!(
                            "`{}` has no `check`; an exit code of 0 alone never proves a clause",
                            step.id
                        ),
                    )
                    .with_help("add a `check` that looks at what the clause says"),
                );
            }
        }
    }

    fn clause(&mut self, ix: StepIx, word: &Word, places: &HashMap<(TaskIx, String), usize>) {
        let task = self.placed[ix].task;
        let place = |text: &str| places.get(&(task, Clause::key(text))).copied();
        // A clause may hold a `;` in a code span, so the longest text that is one counts.
        let mut rest = word.text.as_str();
        while !rest.is_empty() {
            let ends = rest.match_indices(';').map(|(at, _)| at).chain([rest.len()]);
            let found = ends.filter_map(|end| Some((end, place(&rest[..end])?))).next_back();
            let end = match found {
                Some((end, at)) => {
                    self.bind_clause(task, at, ix);
                    end
                }
                None => {
                    let end = rest.find(';').unwrap_or(rest.len());
                    if !rest[..end].trim().is_empty() {
                        self.unknown_clause(ix, word, rest[..end].trim());
                    }
                    end
                }
            };
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    fn bind_clause(&mut self, task: TaskIx, at: usize, ix: StepIx) {
        let bound = &mut self.tasks[task].clauses[at].steps;
        if bound.last() != Some(&ix) {
            bound.push(ix);
        }
    }

    fn unknown_clause(&mut self, ix: StepIx, word: &Word, piece: &str) {
        let placed = &self.placed[ix];
        let task = &self.tasks[placed.task];
        let clauses = task.clauses.iter().map(|c| c.text.as_str());
        let help = self.names.suggest(piece, clauses.clone()).unwrap_or_else(|| {
            if task.id.is_empty() {
                "only a step of a task can prove a clause".to_owned()
            } else if task.clauses.is_empty() {
                format!("task `{}` has no \"Done when\"", task.id)
            } else {
                format!("its clauses are: {}", listed(clauses))
            }
        });
        self.found.push(
            Diagnostic::error(
                "unknown-clause",
                &placed.raw.file,
                word.span,
                format!("no \"Done when\" clause says `{piece}`"),
            )
            .with_help(help),
        );
    }
}
