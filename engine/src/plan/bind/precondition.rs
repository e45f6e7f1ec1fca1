//! Lines of the workplan's own list of pre-conditions and the checks bound to them.

use super::binder::Binder;
use super::names::listed;
use crate::document::Clause;
use crate::kind::Kind;
use crate::plan::model::PlanPrecondition;
use crate::plan::params::{self, Scope};
use crate::plan::raw::{RawPlan, RawPrecondition};
use crate::plan::resolve;
use crate::text::Diagnostic;

/// What a text of the plan file names.
enum Line {
    One(usize),
    Many,
    None,
}

impl Binder<'_> {
    pub(super) fn preconditions(
        &mut self,
        file_plan: Option<&RawPlan>,
        scope: &Scope<'_>,
    ) -> Vec<PlanPrecondition> {
        let Some(plan) = file_plan else { return Vec::new() };
        let mut out = Vec::new();
        for raw in &plan.preconditions {
            self.check_line(plan, raw);
            let Some(kind) = self.kind(&plan.file, &raw.uses) else { continue };
            let file = &plan.file;
            let at = raw.uses.span;
            let read =
                params::read(file, kind.as_ref(), at, &raw.with, scope, &|_| None, &mut self.found);
            if let Some(used) = read.uses.first() {
                self.found.push(
                    Diagnostic::error(
                        "bad-reference",
                        file,
                        used.span,
                        "a precondition is checked before any step; it cannot use an output",
                    )
                    .with_help("use values of the target or inputs"),
                );
                continue;
            }
            if !read.failed {
                self.check_kind(plan, raw, kind.as_ref(), &read);
            }
            out.push(PlanPrecondition {
                text: raw.text.text.clone(),
                kind: raw.uses.text.clone(),
                with: read.with,
            });
        }
        out
    }

    /// A precondition is only looked at, so its kind must be able to tell by looking.
    fn check_kind(
        &mut self,
        plan: &RawPlan,
        raw: &RawPrecondition,
        kind: &dyn Kind,
        read: &params::Read,
    ) {
        let Ok(with) = resolve::resolve(&read.with, kind.params(), &|_, _| None) else { return };
        let step = match kind.build(&with) {
            Ok(step) => step,
            Err(problems) => {
                self.problems(&plan.file, raw.uses.span, &raw.with, problems);
                return;
            }
        };
        let why = if step.waits().is_some() {
            "a precondition is looked at; this kind waits for a person"
        } else if raw.uses.text == "command" && !with.has("check") {
            "a precondition is looked at and never run; a `command` needs `check` here"
        } else {
            return;
        };
        self.found.push(
            Diagnostic::error("bad-precondition", &plan.file, raw.uses.span, why)
                .with_help("leave the line out: one without a check is named before a run"),
        );
    }

    fn check_line(&mut self, plan: &RawPlan, raw: &RawPrecondition) {
        let lines = self.sources.document.preconditions.iter().map(|l| l.text.as_str());
        let text = &raw.text.text;
        let (code, message, help) = match self.line(text) {
            Line::One(_) => return,
            Line::Many => (
                "ambiguous-precondition",
                format!("more than one line of the workplan's list begins with `{text}`"),
                "repeat more of the line that is meant".to_owned(),
            ),
            Line::None => (
                "unknown-precondition",
                format!("the workplan's own list has no line `{text}`"),
                self.names.suggest(text, lines.clone()).unwrap_or_else(|| {
                    if lines.len() == 0 {
                        "the workplan has no list under a heading \"Pre-conditions\"".to_owned()
                    } else {
                        format!("its lines are: {}", listed(lines))
                    }
                }),
            ),
        };
        self.found
            .push(Diagnostic::error(code, &plan.file, raw.text.span, message).with_help(help));
    }

    /// The line that a text names: it may repeat the beginning of a long line, up to a word's end.
    fn line(&self, text: &str) -> Line {
        let key = Clause::key(text);
        if key.is_empty() {
            return Line::None;
        }
        let keys: Vec<String> =
            self.sources.document.preconditions.iter().map(|l| Clause::key(&l.text)).collect();
        if let Some(at) = keys.iter().position(|k| *k == key) {
            return Line::One(at);
        }
        let begins = |line: &String| {
            line.strip_prefix(&key).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        let mut found = keys.iter().enumerate().filter(|(_, k)| begins(k)).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(at), None) => Line::One(at),
            (Some(_), Some(_)) => Line::Many,
            (None, _) => Line::None,
        }
    }

    /// Lines of the workplan's own list that nothing checks.
    pub(super) fn unbound(&self, file_plan: Option<&RawPlan>) -> Vec<String> {
        let lines = &self.sources.document.preconditions;
        let mut bound = vec![false; lines.len()];
        for raw in file_plan.iter().flat_map(|p| &p.preconditions) {
            if let Line::One(at) = self.line(&raw.text.text) {
                bound[at] = true;
            }
        }
        lines.iter().zip(bound).filter(|(_, bound)| !bound).map(|(l, _)| l.text.clone()).collect()
    }
}
