//! From steps as written to typed steps.

use serde_json::json;
use std::sync::Arc;

use super::binder::Binder;
use crate::digest::Digest;
use crate::kind::{Class, Kind, ParamProblem, Resources, UndoPlan, With};
use crate::plan::model::{PlanStep, StepIx};
use crate::plan::params::{self, OutputUse, Read, Scope};
use crate::plan::raw::RawParam;
use crate::plan::resolve;
use crate::text::{Diagnostic, SourceFile, Span};

/// What is known of the steps, by their index.
#[derive(Default)]
pub(super) struct Built {
    pub(super) steps: Vec<PlanStep>,
    pub(super) resources: Vec<Resources>,
    /// How each would be taken back; `None` where the step could not be built.
    pub(super) undo: Vec<Option<UndoPlan>>,
    /// What each brings about from what it reads.
    pub(super) brings: Vec<Option<String>>,
    /// Which of them wait for a person.
    pub(super) waits: Vec<bool>,
    /// References to outputs, each with the step that holds it.
    pub(super) uses: Vec<(StepIx, OutputUse)>,
}

impl Binder<'_> {
    pub(super) fn build(&mut self, scope: &Scope<'_>) -> Built {
        let mut built = Built::default();
        for ix in 0..self.placed.len() {
            self.build_one(ix, scope, &mut built);
        }
        built
    }

    fn build_one(&mut self, ix: StepIx, scope: &Scope<'_>, built: &mut Built) {
        let placed = &mut self.placed[ix];
        let written = std::mem::take(&mut placed.raw.with);
        let uses = placed.raw.uses.clone();
        let (file, at) = (Arc::clone(&placed.raw.file), placed.raw.id.span);
        let mut step = PlanStep {
            id: placed.id.clone(),
            task: placed.task,
            kind: uses.text.clone(),
            class: Class::State,
            with: With::default(),
            needs: Vec::new(),
            needs_people: Vec::new(),
            timeout_ms: placed.raw.timeout_ms,
            retry: placed.raw.retry,
            holds: Vec::new(),
            sources: Vec::new(),
            overwrites: Vec::new(),
            superseded_by: None,
            point_of_no_return: placed.raw.point_of_no_return,
            always: false,
            retired: false,
            proves: false,
            meaning: Digest::of(b""),
        };
        // What could not be built was reported; nothing is said about its claims.
        built.resources.push(Resources { claimed: true, ..Resources::default() });
        built.undo.push(None);
        built.brings.push(None);
        built.waits.push(false);
        if let Some(kind) = self.kind(&file, &uses) {
            step.class = kind.class();
            let (names, placed) = (&self.names, &self.placed);
            let own = self.tasks[step.task].id.as_str();
            // One name for one step, wherever the reference stands.
            let name = |written: &str| Some(placed[names.step(written, own)?].id.clone());
            let read =
                params::read(&file, kind.as_ref(), at, &written, scope, &name, &mut self.found);
            self.try_out(ix, kind.as_ref(), &written, &read, built);
            built.uses.extend(read.uses.into_iter().map(|used| (ix, used)));
            step.with = read.with;
            step.always = step.with.str("due") == Some("always");
            step.meaning = Digest::of_json(&json!([step.kind, step.with]));
        }
        built.steps.push(step);
    }

    /// Builds the step as far as its parameters are known before a run, and asks what it touches.
    fn try_out(
        &mut self,
        ix: StepIx,
        kind: &dyn Kind,
        written: &[RawParam],
        read: &Read,
        built: &mut Built,
    ) {
        if read.failed {
            return;
        }
        let open = |key: &str| match read.with.0.get(key) {
            Some(value) => resolve::has_open(value),
            None => key.is_empty() && read.with.0.values().any(resolve::has_open),
        };
        let sample = resolve::sample(&read.with, kind.params());
        match kind.build(&sample) {
            Ok(step) => {
                built.resources[ix] = step.resources();
                built.undo[ix] = Some(step.undo_plan());
                built.brings[ix] = step.brings_about();
                built.waits[ix] = step.waits().is_some();
            }
            Err(mut problems) => {
                // What depends on a value of the run is judged in the run.
                problems.retain(|p| !open(&p.key));
                let raw = &self.placed[ix].raw;
                let (file, at) = (Arc::clone(&raw.file), raw.id.span);
                self.problems(&file, at, written, problems);
            }
        }
    }

    /// Tells what a kind found wrong in its parameters.
    pub(super) fn problems(
        &mut self,
        file: &Arc<SourceFile>,
        at: Span,
        written: &[RawParam],
        problems: Vec<ParamProblem>,
    ) {
        for problem in problems {
            let span = written.iter().find(|p| p.key == problem.key).map_or(at, |p| p.value.span);
            let help = problem.help.unwrap_or_else(|| {
                "the reference of the kind says what its parameters are".to_owned()
            });
            self.found.push(
                Diagnostic::error("bad-parameter", file, span, problem.message).with_help(help),
            );
        }
    }
}
