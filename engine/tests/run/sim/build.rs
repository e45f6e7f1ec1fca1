//! Plans for the simulated world.

use std::sync::Arc;

use workplan_engine::digest::Digest;
use workplan_engine::document::TaskStatus;
use workplan_engine::kind::{Class, With};
use workplan_engine::plan::{
    Bracket, Graph, OnFailure, Plan, PlanStep, PlanTask, Retry, StepIx, TargetRef, WorkplanRef,
};

use super::world::{Flavour, Repair, Spec, World};

/// A plan in the making, with what the world knows of its steps.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) plan: Plan,
    pub(crate) specs: Vec<Spec>,
}

/// A step whose effect can be looked at.
pub(crate) fn state() -> Spec {
    Spec {
        flavour: Flavour::State,
        var: usize::MAX,
        inverse: false,
        undo: true,
        repair: Repair::ToAbsent,
        prepares: false,
    }
}

/// A command without a check.
pub(crate) fn command(rerun_safe: bool) -> Spec {
    Spec { flavour: Flavour::Command { rerun_safe }, repair: Repair::Impossible, ..state() }
}

/// Evidence about the effects of other steps.
pub(crate) fn proof(subject: &[StepIx]) -> Spec {
    Spec { flavour: Flavour::Proof { subject: subject.to_vec() }, undo: false, ..state() }
}

/// A person decides.
pub(crate) fn gate() -> Spec {
    Spec { flavour: Flavour::Gate, undo: false, ..state() }
}

/// A person does it.
pub(crate) fn manual() -> Spec {
    Spec { flavour: Flavour::Manual, undo: false, ..state() }
}

impl Build {
    pub(crate) fn new() -> Self {
        let task = PlanTask {
            id: "T01".to_owned(),
            full_id: "WP-T01".to_owned(),
            title: "all".to_owned(),
            status: TaskStatus::Todo,
            steps: Vec::new(),
            needs: Vec::new(),
            clauses: Vec::new(),
        };
        let plan = Plan {
            workplan: WorkplanRef {
                id: "WP".to_owned(),
                title: "simulated".to_owned(),
                path: "/wp.md".into(),
            },
            target: TargetRef {
                name: "local".to_owned(),
                kind: "local".to_owned(),
                identity: "world".to_owned(),
                of_record: true,
                live: false,
                implicit: true,
                hides: Vec::new(),
                folder: Default::default(),
                values: Default::default(),
            },
            tasks: vec![task],
            steps: Vec::new(),
            brackets: Vec::new(),
            preconditions: Vec::new(),
            demands: Vec::new(),
        };
        Self { plan, specs: Vec::new() }
    }

    /// Adds a step after those that it needs.
    pub(crate) fn step(&mut self, id: &str, mut spec: Spec, needs: &[StepIx]) -> StepIx {
        let ix = self.plan.steps.len();
        if spec.var == usize::MAX {
            spec.var = ix;
        }
        let class = match spec.flavour {
            Flavour::Proof { .. } => Class::Proof,
            _ => Class::State,
        };
        self.plan.tasks[0].steps.push(ix);
        self.plan.steps.push(PlanStep {
            id: id.to_owned(),
            task: 0,
            kind: "simulated".to_owned(),
            class,
            with: With::default(),
            needs: needs.to_vec(),
            needs_people: Vec::new(),
            timeout_ms: None,
            retry: None,
            holds: Vec::new(),
            sources: Vec::new(),
            overwrites: Vec::new(),
            superseded_by: None,
            point_of_no_return: false,
            always: false,
            retired: false,
            proves: false,
            meaning: Digest::of(id.as_bytes()),
        });
        self.specs.push(spec);
        ix
    }

    /// A step that opens a bracket.
    pub(crate) fn open(&mut self, id: &str, needs: &[StepIx]) -> StepIx {
        let step = self.step(id, state(), needs);
        self.plan.steps[step].class = Class::Bracket;
        step
    }

    /// The step that closes what `open` opened.
    pub(crate) fn close(&mut self, id: &str, open: StepIx, needs: &[StepIx]) -> StepIx {
        let spec = Spec { inverse: true, var: self.specs[open].var, ..state() };
        self.step(id, spec, needs)
    }

    /// Declares a bracket; what is inside follows from the order.
    pub(crate) fn bracket(
        &mut self,
        name: &str,
        open: StepIx,
        close: StepIx,
        on_failure: OnFailure,
    ) {
        let needs: Vec<Vec<StepIx>> = self.plan.steps.iter().map(|s| s.needs.clone()).collect();
        let graph = Graph::new(&needs);
        let before = graph.before(close);
        let mut inside: Vec<StepIx> =
            graph.after(open).into_iter().filter(|s| before.contains(s)).collect();
        inside.sort_unstable();
        for step in [open, close] {
            self.plan.steps[step].class = Class::Bracket;
        }
        self.plan.brackets.push(Bracket {
            name: name.to_owned(),
            open,
            close,
            inside,
            budget_ms: Some(60_000),
            on_failure,
            gate: None,
        });
    }

    pub(crate) fn retry(&mut self, step: StepIx, max: u32) {
        self.plan.steps[step].retry = Some(Retry { max, backoff_ms: 1000 });
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::new(self.plan.clone())
    }

    pub(crate) fn world(&self) -> World {
        World::new(self.specs.len())
    }
}
