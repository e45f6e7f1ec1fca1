//! Brackets: what is inside, and what must not be.

use std::collections::HashSet;

use super::binder::Binder;
use super::build::Built;
use super::needs::Edges;
use crate::document::TaskStatus;
use crate::kind::UndoPlan;
use crate::plan::model::{Bracket, OnFailure, StepIx, TaskIx};
use crate::plan::raw::{RawBracket, RawPlan, Word};
use crate::text::Diagnostic;

impl Binder<'_> {
    pub(super) fn brackets(
        &mut self,
        file_plan: Option<&RawPlan>,
        edges: &Edges,
        built: &Built,
    ) -> Vec<Bracket> {
        let Some(plan) = file_plan else { return Vec::new() };
        let mut out = Vec::new();
        let mut names: HashSet<&str> = HashSet::new();
        for raw in &plan.brackets {
            if !names.insert(&raw.name.text) {
                self.found.push(
                    Diagnostic::error(
                        "duplicate-id",
                        &plan.file,
                        raw.name.span,
                        format!("there are two brackets `{}`", raw.name.text),
                    )
                    .with_help("give one of them another name"),
                );
                continue;
            }
            let open = self.end_of_bracket(plan, raw, &raw.open, "opened");
            let close = self.end_of_bracket(plan, raw, &raw.close, "closed");
            let (Some(open), Some(close)) = (open, close) else { continue };
            let Some(bracket) = self.bracket(plan, raw, (open, close), edges, built) else {
                continue;
            };
            if let Some(other) = out.iter().find(|other| cross(other, &bracket)) {
                self.crossing(plan, raw, other);
            }
            out.push(bracket);
        }
        out
    }

    fn crossing(&mut self, plan: &RawPlan, raw: &RawBracket, other: &Bracket) {
        let (name, open, close) = (&raw.name.text, &raw.open.text, &raw.close.text);
        let other_name = &other.name;
        let mut problem = Diagnostic::error(
            "brackets-cross",
            &plan.file,
            raw.name.span,
            format!(
                "only one end of the bracket `{name}` (`{open}` … `{close}`) is inside the bracket `{other_name}`"
            ),
        )
        .with_help(format!(
            "put both ends of one inside the other, or close the first before the second opens: `{}` … `{}`",
            self.placed[other.open].id, self.placed[other.close].id
        ));
        if let Some(first) = plan.brackets.iter().find(|b| b.name.text == *other_name) {
            problem = problem.with_label_in(&plan.file, first.name.span, "the other one");
        }
        self.found.push(problem);
    }

    fn end_of_bracket(
        &mut self,
        plan: &RawPlan,
        raw: &RawBracket,
        word: &Word,
        what: &str,
    ) -> Option<StepIx> {
        let found = self.names.step(&word.text, "");
        if found.is_none() {
            let all = self.placed.iter().map(|p| p.id.as_str());
            let help = self
                .names
                .suggest(&word.text, all)
                .unwrap_or_else(|| "give the full name, for example `T02.stop`".to_owned());
            let message = format!(
                "the bracket `{}` is {what} by `{}`, which is no step",
                raw.name.text, word.text
            );
            self.found.push(
                Diagnostic::error("unknown-step", &plan.file, word.span, message).with_help(help),
            );
        }
        found
    }

    fn bracket(
        &mut self,
        plan: &RawPlan,
        raw: &RawBracket,
        (open, close): (StepIx, StepIx),
        edges: &Edges,
        built: &Built,
    ) -> Option<Bracket> {
        let after = edges.whole.after(open);
        if !after.contains(&close) {
            self.found.push(
                Diagnostic::error(
                    "bracket-unordered",
                    &plan.file,
                    raw.close.span,
                    format!("`{}` does not come after `{}`", raw.close.text, raw.open.text),
                )
                .with_help(
                    "the step that closes a bracket needs, directly or not, the one that opens it",
                ),
            );
            return None;
        }
        let before = edges.whole.before(close);
        let mut inside: Vec<usize> = after.intersection(&before).copied().collect();
        inside.sort_unstable();
        let nodes = self.nodes();
        for task in 0..self.tasks.len() {
            if after.contains(&nodes.begin(task)) && before.contains(&nodes.end(task)) {
                self.person_inside(plan, raw, task);
            }
        }
        inside.retain(|node| *node < self.placed.len());
        for ix in &inside {
            self.step_inside(*ix, raw, built);
        }
        Some(Bracket {
            name: raw.name.text.clone(),
            open,
            close,
            inside,
            budget_ms: raw.budget_ms,
            on_failure: raw.on_failure,
            gate: raw.gate.clone(),
        })
    }

    fn person_inside(&mut self, plan: &RawPlan, bracket: &RawBracket, task: TaskIx) {
        let task = &self.tasks[task];
        if task.steps.is_empty() && task.status != TaskStatus::Done {
            self.found.push(
                Diagnostic::error(
                    "gate-in-bracket",
                    &plan.file,
                    bracket.name.span,
                    format!(
                        "task `{}` has no steps and waits for a person inside the bracket `{}`",
                        task.id, bracket.name.text
                    ),
                )
                .with_help("let the bracket open after it, or close before it"),
            );
        }
    }

    fn step_inside(&mut self, ix: StepIx, bracket: &RawBracket, built: &Built) {
        let placed = &self.placed[ix];
        let name = &bracket.name.text;
        if built.waits[ix] {
            self.found.push(
                Diagnostic::error(
                    "gate-in-bracket",
                    &placed.raw.file,
                    placed.raw.uses.span,
                    format!("`{}` waits for a person inside the bracket `{name}`", placed.id),
                )
                .with_help("ask before it opens: `gate: {approve: …}` on the bracket, or a step that it needs"),
            );
        } else if let Some(UndoPlan::Cannot(why)) = &built.undo[ix]
            && bracket.on_failure == OnFailure::Release
        {
            self.found.push(
                Diagnostic::note(
                    "no-undo-in-bracket",
                    &placed.raw.file,
                    placed.raw.id.span,
                    format!(
                        "`{}` cannot be taken back ({why}); when `{name}` is released, what it did stays",
                        placed.id
                    ),
                )
                .with_help("give it an `undo`, or make sure that what stays does no harm"),
            );
        }
    }
}

/// Whether of two brackets one has only one of its ends inside the other: what releases one would
/// have to do to the other cannot be said.
fn cross(one: &Bracket, other: &Bracket) -> bool {
    let inside = |bracket: &Bracket, step| bracket.inside.binary_search(&step).is_ok();
    let half = |a: &Bracket, b: &Bracket| inside(a, b.open) != inside(a, b.close);
    // With an end that is the same step, one is inside the other.
    let shared = one.open == other.open || one.close == other.close;
    !shared && (half(one, other) || half(other, one))
}
