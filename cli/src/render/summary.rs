//! What a run came to: tasks with their clauses, and the sums.

use workplan_engine::document::TaskStatus;
use workplan_engine::run::{Direction, RunState, StepState, task_progress};

use crate::render::count;
use crate::term::{Paint, Printer, Style};

/// A task's id with its title, where it has one.
pub(crate) fn task_name(id: &str, between: &str, title: &str) -> String {
    if title.is_empty() { id.to_owned() } else { format!("{id}{between}{title}") }
}

/// A line a task that the run had to do with; unproven clauses are named below it.
pub(crate) fn task_lines(printer: &Printer, paint: Paint, state: &RunState) -> Vec<String> {
    let mut lines = Vec::new();
    for (ix, task) in state.plan.tasks.iter().enumerate() {
        if task.id.is_empty() {
            continue;
        }
        let name = task_name(&task.id, " ", &task.title);
        let name = printer.clean_err(&name).into_owned();
        if task.steps.is_empty() {
            if !matches!(task.status, TaskStatus::Done | TaskStatus::Cancelled) {
                lines.push(format!("{name}: a person's task, {}", task.status.as_str()));
            }
            continue;
        }
        let progress = task_progress(&state.plan, state, ix);
        if let Some(status) = given_back(state, ix) {
            lines.push(format!("{name}: {status}, as before"));
            continue;
        }
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

/// The status that a rollback gave back to a task; the evidence says nothing about it any more.
pub(crate) fn given_back(state: &RunState, task: usize) -> Option<&str> {
    let id = &state.plan.tasks[task].id;
    // As written, quotes included; what was written since is the bare word.
    let before = state.statuses_before.get(id)?.trim_matches(['"', '\'']);
    let is_back = matches!(state.direction, Direction::Back { .. });
    state.written.get(id).filter(|now| is_back && now.as_str() == before).map(String::as_str)
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
