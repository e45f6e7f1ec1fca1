//! A plan for people: what each step would do and why, before anything is done.

use std::path::PathBuf;

use similar::{ChangeTag, TextDiff};
use workplan_engine::duration;
use workplan_engine::kind::{Change, UndoPlan};
use workplan_engine::plan::{OnFailure, Plan, TargetRef};
use workplan_engine::session::{PlannedAction, Preview, StepPreview, Unmet};

use super::{action_sign, count, task_name};
use crate::term::{Paint, Style, sanitize};

/// What is shown of a plan.
pub(crate) struct PlanView<'p> {
    /// The plan.
    pub(crate) plan: &'p Plan,
    /// What was seen.
    pub(crate) preview: &'p Preview,
    /// Lines of the workplan's own list that nothing checks.
    pub(crate) unbound: &'p [String],
    /// The digest of the plan.
    pub(crate) digest: &'p str,
    /// Colour.
    pub(crate) paint: Paint,
    /// Whether the text goes to a terminal.
    pub(crate) tty: bool,
    /// Also the steps that would be skipped because nothing needs them.
    pub(crate) all: bool,
    /// The folders of the target's repos, and their names.
    pub(crate) repos: Vec<(String, String)>,
}

impl PlanView<'_> {
    /// Everything: preconditions, tasks, steps, changes, what cannot be taken back, the sum.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut out = vec![self.heading()];
        out.extend(self.preconditions());
        for (ix, task) in self.plan.tasks.iter().enumerate() {
            let steps: Vec<String> = self.task(ix);
            if task.id.is_empty() && steps.is_empty() {
                continue;
            }
            out.push(String::new());
            if !task.id.is_empty() {
                let title = self.clean(&task_name(&task.id, " — ", &task.title));
                out.push(format!(
                    "{} ({})",
                    self.paint.paint(Style::Bold, &title),
                    task.status.as_str()
                ));
            }
            if task.steps.is_empty() {
                out.push("  no steps: a person's task; the run passes it by".to_owned());
            }
            out.extend(steps);
        }
        out.extend(self.irreversible());
        out.push(String::new());
        out.push(self.summary());
        out.push(format!("digest sha256:{}", self.digest));
        out
    }

    fn heading(&self) -> String {
        let target = &self.plan.target;
        let record = if target.of_record {
            ""
        } else {
            " (not the target of record: statuses are written to a copy)"
        };
        let live = if target.live { ", live" } else { "" };
        let text = format!(
            "Plan for {} on {} ({}{live}){record}",
            self.plan.workplan.id, target.name, target.kind
        );
        self.clean(&text)
    }

    fn preconditions(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (line, met) in &self.preview.preconditions {
            out.push(match met {
                Ok(()) => {
                    format!("  {} {}", self.paint.paint(Style::Green, "met:"), self.clean(line))
                }
                Err(Unmet::NotLooked) => {
                    let (words, line) = ("not looked at in a dry-run:", self.clean(line));
                    format!("  {} {line}", self.paint.paint(Style::Yellow, words))
                }
                Err(Unmet::No(why)) => format!(
                    "  {} {} ({})",
                    self.paint.paint(Style::Red, "not met:"),
                    self.clean(line),
                    self.clean(why)
                ),
            });
        }
        for line in self.unbound {
            out.push(format!("  not checked by anything: {}", self.clean(line)));
        }
        if !out.is_empty() {
            out.insert(0, "Pre-conditions".to_owned());
        }
        out
    }

    fn task(&self, task: usize) -> Vec<String> {
        let mut out = Vec::new();
        for ix in self.in_order(task) {
            for bracket in &self.plan.brackets {
                if bracket.open == ix && self.acts(bracket) {
                    out.push(self.opening(bracket));
                }
            }
            let inside =
                self.plan.brackets.iter().any(|b| {
                    self.acts(b) && (b.open == ix || b.close == ix || b.inside.contains(&ix))
                });
            let edge = if inside { self.paint.paint(Style::Yellow, "│ ") } else { String::new() };
            out.extend(self.step(ix).into_iter().map(|line| format!("  {edge}{line}")));
            for bracket in &self.plan.brackets {
                if bracket.close == ix && self.acts(bracket) {
                    let end = format!("  └ {} ends", bracket.name);
                    out.push(self.paint.paint(Style::Yellow, &self.clean(&end)));
                }
            }
        }
        out
    }

    /// The steps of a task as they would run.
    fn in_order(&self, task: usize) -> Vec<usize> {
        let mut steps: Vec<usize> = self.plan.tasks[task]
            .steps
            .iter()
            .copied()
            .filter(|s| !self.plan.steps[*s].retired)
            .collect();
        steps.sort_unstable();
        steps
    }

    /// Whether anything in a bracket would act, so that it would open.
    fn acts(&self, bracket: &workplan_engine::plan::Bracket) -> bool {
        bracket.inside.iter().chain([&bracket.open, &bracket.close]).any(|s| {
            matches!(self.preview.steps[*s].action, PlannedAction::Run | PlannedAction::Repair)
        })
    }

    fn opening(&self, bracket: &workplan_engine::plan::Bracket) -> String {
        let budget = bracket.budget_ms.map_or_else(
            || "no budget".to_owned(),
            |ms| format!("at most {}", duration::format(std::time::Duration::from_millis(ms))),
        );
        let after = match bracket.on_failure {
            OnFailure::Release => "released",
            OnFailure::Hold => "held open for a person",
        };
        let gate =
            bracket.gate.as_ref().map_or_else(String::new, |gate| format!("; asks first: {gate}"));
        let text = format!("  ┌ {}: {budget}, on failure {after}{gate}", bracket.name);
        self.paint.paint(Style::Yellow, &self.clean(&text))
    }

    fn step(&self, ix: usize) -> Vec<String> {
        let (step, shown) = (&self.plan.steps[ix], &self.preview.steps[ix]);
        let (sign, style) = action_sign(shown.action.as_str());
        let acts = matches!(shown.action, PlannedAction::Run | PlannedAction::Repair);
        let estimate = shown.estimate_ms.filter(|_| acts).map_or_else(String::new, |ms| {
            format!(", about {}", duration::human(std::time::Duration::from_millis(ms)))
        });
        let head = format!("{} ({}{estimate}): {}", step.id, step.kind, shown.reason);
        let mut out = vec![format!("{} {}", self.paint.paint(style, sign), self.clean(&head))];
        if shown.action == PlannedAction::Skip && !self.all {
            return out;
        }
        // A file with changes of single keys is named once.
        let mut file = None;
        for change in &shown.changes {
            let (named, key) = match change.path.split_once(": ") {
                Some((named, key)) if named.contains('/') => (named, Some(key)),
                _ => (change.path.as_str(), None),
            };
            match key {
                Some(key) if one_key(change) => {
                    if file != Some(named) {
                        let named = self.short(named);
                        out.push(self.clean(&format!("    update {named}")));
                    }
                    out.push(self.key(key, change));
                }
                _ => out.extend(self.change(change)),
            }
            file = Some(named);
        }
        if matches!(shown.action, PlannedAction::Run | PlannedAction::Repair) {
            out.extend(self.undo(shown));
            if step.point_of_no_return {
                let mark =
                    "    POINT OF NO RETURN: what comes after it cannot be taken back without loss";
                out.push(self.paint.paint(Style::Red, mark));
            }
        }
        out
    }

    fn undo(&self, shown: &StepPreview) -> Option<String> {
        match &shown.undo {
            UndoPlan::Can(how) => {
                let how = how.lines().collect::<Vec<_>>().join("; ");
                Some(self.paint.paint(Style::Dim, &self.clean(&format!("    undo: {how}"))))
            }
            UndoPlan::NotNeeded => None,
            UndoPlan::Cannot(why) => Some(self.clean(&format!("    no undo: {why}"))),
        }
    }

    /// A key of a file, in one line.
    fn key(&self, key: &str, change: &Change) -> String {
        let (sign, style, value) = match (shown(&change.before), shown(&change.after)) {
            (Some(before), Some(after)) => ('~', Style::Yellow, format!("{before} -> {after}")),
            (Some(before), None) => ('-', Style::Red, before),
            (None, after) => ('+', Style::Green, after.unwrap_or_default()),
        };
        // What is empty is written as what it is.
        let value = if value.is_empty() { "\"\"".to_owned() } else { value };
        self.paint.paint(style, &self.clean(&format!("      {sign} {key}: {value}")))
    }

    /// A path in a repo that the target names, as people write it in a plan: `REPO:path`.
    fn short(&self, path: &str) -> String {
        for (root, name) in &self.repos {
            if let Some(rest) = path.strip_prefix(root.as_str())
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return match rest.trim_start_matches('/') {
                    "" => name.clone(),
                    rest => format!("{name}:{rest}"),
                };
            }
        }
        path.to_owned()
    }

    fn change(&self, change: &Change) -> Vec<String> {
        let (before, after) = (shown(&change.before), shown(&change.after));
        let path = match change.path.strip_prefix("commit in ") {
            Some(repo) => format!("commit in {}", self.short(repo)),
            None => self.short(&change.path),
        };
        let told = matches!(change.op.as_str(), "run" | "ask");
        let mut out = vec![self.clean(&format!("    {} {}", change.op, first(&path)))];
        out.extend(path.lines().skip(1).map(|line| self.clean(&format!("      {line}"))));
        match (before, after) {
            (None, None) => {}
            (Some(before), Some(after)) if one_line(&before) && one_line(&after) => {
                out.push(self.clean(&format!("      {before} -> {after}")));
            }
            (Some(before), Some(after)) if !told => {
                out.extend(difference(&before, &after).map(|(sign, line)| {
                    let style = match sign {
                        '-' => Style::Red,
                        '+' => Style::Green,
                        _ => Style::Dim,
                    };
                    self.paint.paint(style, &self.clean(&format!("      {sign} {line}")))
                }));
            }
            (before, after) => {
                let side = |sign: char, text: Option<String>, style| {
                    text.unwrap_or_default()
                        .lines()
                        .map(|line| {
                            self.paint.paint(style, &self.clean(&format!("      {sign} {line}")))
                        })
                        .collect::<Vec<_>>()
                };
                let (minus, plus) = if told { (' ', ' ') } else { ('-', '+') };
                out.extend(side(minus, before, Style::Red));
                out.extend(side(plus, after, if told { Style::Dim } else { Style::Green }));
            }
        }
        out
    }

    /// What rollback could not take back.
    fn irreversible(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (step, shown) in self.plan.steps.iter().zip(&self.preview.steps) {
            if !matches!(shown.action, PlannedAction::Run | PlannedAction::Repair) {
                continue;
            }
            if let UndoPlan::Cannot(why) = &shown.undo {
                out.push(self.clean(&format!("  {}: {why}", step.id)));
            }
        }
        if !out.is_empty() {
            out.insert(0, String::new());
            out.insert(1, "A rollback cannot take back".to_owned());
        }
        out
    }

    /// `3 to run, 4 so, 0 unknown`, or that there is nothing to do.
    pub(crate) fn summary(&self) -> String {
        let of = |action| self.preview.steps.iter().filter(|s| s.action == action).count();
        let (run, repair) = (of(PlannedAction::Run), of(PlannedAction::Repair));
        let (blocked, unknown) = (of(PlannedAction::Blocked), of(PlannedAction::Unknown));
        let mut text = format!("{run} to run, ");
        if repair > 0 {
            text.push_str(&format!("{repair} to repair, "));
        }
        text.push_str(&format!("{} so, ", of(PlannedAction::Skip)));
        if blocked > 0 {
            text.push_str(&format!("{blocked} blocked, "));
        }
        text.push_str(&format!("{unknown} unknown"));
        if run + repair + unknown + blocked == 0 {
            return format!("nothing to do ({})", count(self.preview.steps.len(), "step"));
        }
        text
    }

    fn clean(&self, text: &str) -> String {
        if self.tty { sanitize(text).into_owned() } else { text.to_owned() }
    }
}

/// The lines that differ, with three around them; what is left out between is a line of `…`.
fn difference(before: &str, after: &str) -> impl Iterator<Item = (char, String)> {
    let diff = TextDiff::from_lines(before, after);
    let groups = diff.grouped_ops(3);
    let mut out = Vec::new();
    for (nth, group) in groups.iter().enumerate() {
        let skipped = group.first().is_some_and(|op| op.old_range().start > 0);
        if nth > 0 || skipped {
            out.push((' ', "…".to_owned()));
        }
        for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match line.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let text = line.value();
            out.push((sign, text.strip_suffix('\n').unwrap_or(text).to_owned()));
        }
    }
    out.into_iter()
}

/// The folders of the repos that a target names, the longest first, and their names.
pub(crate) fn repos(target: &TargetRef) -> Vec<(String, String)> {
    let real = |(name, folder): (&str, PathBuf)| {
        // Kinds show where a file really is.
        let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
        (folder.display().to_string(), name.to_owned())
    };
    let mut found: Vec<_> = target.place().repos().map(real).collect();
    found.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
    found
}

/// A value as people read it; `None` for none.
fn shown(value: &Option<serde_json::Value>) -> Option<String> {
    value.as_ref().filter(|v| !v.is_null()).map(|v| match v.as_str() {
        Some(text) => text.to_owned(),
        None => v.to_string(),
    })
}

/// Whether a change is that of one value that fits into a line.
fn one_key(change: &Change) -> bool {
    let fits = |v: &Option<serde_json::Value>| shown(v).is_none_or(|text| one_line(&text));
    matches!(change.op.as_str(), "create" | "update" | "delete")
        && fits(&change.before)
        && fits(&change.after)
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn one_line(text: &str) -> bool {
    !text.contains('\n') && text.len() <= 60
}
