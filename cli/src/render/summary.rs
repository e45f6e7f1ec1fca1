//! What a run came to: tasks with their clauses, and the sums.

use workplan_engine::document::TaskStatus;
use workplan_engine::run::{RunPhase, RunState, StepState, task_progress};

use crate::render::count;
use crate::term::{Paint, Printer, Style};

/// A line a task that the run had to do with; unproven clauses are named below it.
pub(crate) fn task_lines(printer: &Printer, paint: Paint, state: &RunState) -> Vec<String> {
    let taken_back =
        matches!(&state.phase, RunPhase::Ended { state, .. } if state == "rolled_back");
    let mut lines = Vec::new();
    for (ix, task) in state.plan.tasks.iter().enumerate() {
        if task.id.is_empty() {
            continue;
        }
        let name = format!("{} {}", task.id, task.title);
        let name = printer.clean_err(&name).into_owned();
        if task.steps.is_empty() {
            if !matches!(task.status, TaskStatus::Done | TaskStatus::Cancelled) {
                lines.push(format!("{name}: a person's task, {}", task.status.as_str()));
            }
            continue;
        }
        if taken_back {
            // The workplan says again what it said before the run.
            let before =
                state.statuses_before.get(&task.id).map(|s| s.trim().trim_matches(['"', '\'']));
            let status = before.unwrap_or_else(|| task.status.as_str());
            let status = printer.clean_err(status);
            lines.push(format!("{name}: {}", paint.paint(Style::Dim, &status)));
            continue;
        }
        let progress = task_progress(&state.plan, state, ix);
        let Some(status) = progress.status else { continue };
        let style = if status == TaskStatus::Done { Style::Green } else { Style::Yellow };
        lines.push(format!("{name}: {}", paint.paint(style, status.as_str())));
        for clause in progress.clauses.iter().filter(|c| !c.proven) {
            let why = clause.why_not.as_deref().unwrap_or("no step proves it");
            let line = format!("    not proven: {} ({why})", clause.text);
            lines.push(printer.clean_err(&line).into_owned());
        }
    }
    lines
}

/// Sums over the steps of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunSummary {
    /// Done by this run, or found done after an attempt of it.
    pub(crate) done: usize,
    /// Were so.
    pub(crate) so: usize,
    /// Nothing that is due needs them.
    pub(crate) not_needed: usize,
    /// Failed.
    pub(crate) failed: usize,
    /// Cannot be told.
    pub(crate) unknown: usize,
    /// Wait for a person.
    pub(crate) waiting: usize,
    /// Taken back.
    pub(crate) undone: usize,
    /// Could not be taken back.
    pub(crate) stuck: usize,
    /// Not begun.
    pub(crate) pending: usize,
}

impl RunSummary {
    /// Of a run.
    pub(crate) fn of(state: &RunState) -> Self {
        let mut sum = Self::default();
        for rec in &state.steps {
            match rec.state {
                StepState::Done | StepState::Adopted => sum.done += 1,
                StepState::Skipped if rec.so => sum.so += 1,
                StepState::Skipped => sum.not_needed += 1,
                StepState::Failed => sum.failed += 1,
                StepState::Unknown | StepState::Running | StepState::Undoing => sum.unknown += 1,
                StepState::Waiting => sum.waiting += 1,
                StepState::Undone => sum.undone += 1,
                StepState::UndoFailed => sum.stuck += 1,
                StepState::Pending => sum.pending += 1,
            }
        }
        sum
    }

    /// `3 done, 4 were so, 1 failed`.
    pub(crate) fn text(&self) -> String {
        let parts = [
            (self.done, "done"),
            (self.so, "so already"),
            (self.not_needed, "not needed"),
            (self.undone, "taken back"),
            (self.failed, "failed"),
            (self.stuck, "could not be taken back"),
            (self.unknown, "unknown"),
            (self.waiting, "waiting for a person"),
            (self.pending, "not begun"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() { count(0, "step") } else { parts.join(", ") }
    }
}
