//! The passes in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::names::Names;
use super::place::Placed;
use super::races;
use crate::document::Document;
use crate::kind::{Kind, Registry};
use crate::plan::graph::Graph;
use crate::plan::model::{Plan, PlanStep, PlanTask, StepIx, TargetRef, WorkplanRef};
use crate::plan::order::Order;
use crate::plan::params::Scope;
use crate::plan::raw::{RawPlan, Word};
use crate::plan::reader;
use crate::plan::target::Target;
use crate::text::{Diagnostic, Diagnostics, SourceFile};

/// What a plan is made of.
pub struct Sources<'a> {
    /// The workplan.
    pub document: &'a Document,
    /// The plan file, where there is one.
    pub plan_file: Option<&'a Arc<SourceFile>>,
    /// The target.
    pub target: &'a Target,
    /// Values of inputs, by name, as the user gave them.
    pub inputs: &'a BTreeMap<String, String>,
    /// The catalogue.
    pub registry: &'a Registry,
    /// The workplan's absolute path.
    pub path: PathBuf,
}

/// A plan, or as much of one as could be made.
#[derive(Debug)]
pub struct Binding {
    /// The plan; `None` where there are errors.
    pub plan: Option<Plan>,
    /// Everything that was found.
    pub diagnostics: Diagnostics,
    /// Lines of the workplan's own list that no check is bound to.
    pub unbound_preconditions: Vec<String>,
}

/// Makes the plan. Works in time that grows with the size of the sources, also where there are
/// many errors.
#[must_use]
pub fn bind(sources: &Sources<'_>) -> Binding {
    let mut binder = Binder {
        sources,
        found: Diagnostics::default(),
        tasks: Vec::new(),
        placed: Vec::new(),
        names: Names::new(&sources.document.id),
    };
    let file_plan = sources.plan_file.and_then(|f| reader::read_plan(f, &mut binder.found));
    let plan = binder.plan(file_plan.as_ref());
    let unbound_preconditions = binder.unbound(file_plan.as_ref());
    let failed = binder.found.has_errors();
    let mut diagnostics = binder.found;
    diagnostics.sort();
    Binding { plan: plan.filter(|_| !failed), diagnostics, unbound_preconditions }
}

pub(super) struct Binder<'a> {
    pub(super) sources: &'a Sources<'a>,
    pub(super) found: Diagnostics,
    pub(super) tasks: Vec<PlanTask>,
    pub(super) placed: Vec<Placed>,
    pub(super) names: Names,
}

impl Binder<'_> {
    fn plan(&mut self, file_plan: Option<&RawPlan>) -> Option<Plan> {
        if let Some(raw) = file_plan {
            self.check_workplan(raw);
        }
        self.make_tasks();
        self.place_steps(file_plan);
        let nothing = BTreeMap::new();
        let input_values = self.input_values(file_plan);
        let scope = Scope {
            target: self.sources.target,
            inputs: file_plan.map_or(&nothing, |p| &p.inputs),
            input_values: &input_values,
        };
        let mut built = self.build(&scope);
        self.clauses(&mut built.steps);
        let preconditions = self.preconditions(file_plan, &scope);
        let implied = self.check_outputs(&built);
        let edges = match self.edges(implied.clone()) {
            Ok(edges) => edges,
            Err(untied) => {
                // What else is wrong need not wait until the cycle is mended.
                let all = untied.order().ok()?;
                let mut before = Order::new(&untied, &all);
                let steps = self.placed.len();
                let order: Vec<StepIx> = all.iter().copied().filter(|ix| *ix < steps).collect();
                let touched = self.touched(&built.resources, &order);
                self.races(&touched, &mut before);
                // That steps are in no order follows from the cycle and is no news beside it.
                self.found.0.retain(|d| d.code != "no-claims");
                return None;
            }
        };
        let graph = Graph::new(&edges.needs);
        // The edges were found to be free of cycles.
        let order = graph.order().ok()?;
        let mut before = Order::new(&graph, &order);
        self.holds(&mut built.steps, &mut before);
        let touched = self.touched(&built.resources, &order);
        self.races(&touched, &mut before);
        self.silent(&built.resources, &order, &mut before);
        self.supersede(&mut built, &touched, &order, &mut before);
        let earlier = races::earlier(&touched, built.steps.len(), &mut before);
        for (ix, (step, earlier)) in built.steps.iter_mut().zip(earlier).enumerate() {
            step.sources = earlier.sources;
            step.sources.extend(&implied[ix]);
            step.overwrites = earlier.overwrites;
            for list in [&mut step.sources, &mut step.overwrites] {
                list.sort_unstable();
                list.dedup();
            }
        }
        let brackets = self.brackets(file_plan, &edges, &built);
        for (step, (needs, people)) in
            built.steps.iter_mut().zip(edges.needs.into_iter().zip(edges.people))
        {
            step.needs = needs;
            step.needs_people = people;
        }
        let document = self.sources.document;
        let plan = Plan {
            workplan: WorkplanRef {
                id: document.id.clone(),
                title: document.title.clone(),
                path: self.sources.path.clone(),
            },
            target: self.target(file_plan),
            tasks: std::mem::take(&mut self.tasks),
            steps: built.steps,
            brackets,
            preconditions,
            demands: Vec::new(),
        };
        Some(reorder(plan, &order))
    }

    fn target(&self, file_plan: Option<&RawPlan>) -> TargetRef {
        let mut target = self.sources.target.reference.clone();
        if let Some(record) = file_plan.and_then(|p| p.target_of_record.as_ref()) {
            target.of_record = target.implicit || *record == target.name;
        }
        target.values.clone_from(&self.sources.target.values);
        target.hides = crate::kind::secret_variables(self.sources.target.values.values());
        target
    }

    fn check_workplan(&mut self, raw: &RawPlan) {
        let Some(named) = &raw.workplan else { return };
        let id = &self.sources.document.id;
        if &named.text != id {
            self.found.push(
                Diagnostic::error(
                    "wrong-workplan",
                    &raw.file,
                    named.span,
                    format!("this plan file binds `{}`, the workplan is `{id}`", named.text),
                )
                .with_help("name the right plan file with `--steps PATH`, or correct `workplan:`"),
            );
        }
    }

    fn input_values(&mut self, file_plan: Option<&RawPlan>) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        let Some(plan) = file_plan else { return values };
        for (name, spec) in &plan.inputs {
            let Some(text) = self.sources.inputs.get(name) else {
                values.extend(spec.default.clone().map(|default| (name.clone(), default)));
                continue;
            };
            match spec.read(text) {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => self.found.push(
                    Diagnostic::error(
                        "wrong-type",
                        &plan.file,
                        spec.span,
                        format!("the input `{name}` is of type {}, `{text}` is not", spec.ty),
                    )
                    .with_help("correct the value given with `--set`"),
                ),
            }
        }
        values
    }

    /// The kind of a name, or a finding.
    pub(super) fn kind(&mut self, file: &Arc<SourceFile>, uses: &Word) -> Option<Arc<dyn Kind>> {
        let registry = self.sources.registry;
        if let Some(kind) = registry.get(&uses.text) {
            return Some(Arc::clone(kind));
        }
        let help = self.names.suggest(&uses.text, registry.names()).unwrap_or_else(|| {
            format!("the kinds are {}", registry.names().collect::<Vec<_>>().join(", "))
        });
        self.found.push(
            Diagnostic::error(
                "unknown-kind",
                file,
                uses.span,
                format!("there is no kind of step `{}`", uses.text),
            )
            .with_help(help),
        );
        None
    }
}

/// Puts the steps into an order in which each comes after all that it needs.
fn reorder(mut plan: Plan, order: &[StepIx]) -> Plan {
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let moved = |list: &mut Vec<StepIx>| {
        for ix in list.iter_mut() {
            *ix = place[*ix];
        }
        list.sort_unstable();
    };
    let mut slots: Vec<Option<PlanStep>> = plan.steps.into_iter().map(Some).collect();
    plan.steps = order.iter().filter_map(|old| slots[*old].take()).collect();
    for step in &mut plan.steps {
        moved(&mut step.needs);
        moved(&mut step.holds);
        moved(&mut step.sources);
        moved(&mut step.overwrites);
        step.superseded_by = step.superseded_by.map(|ix| place[ix]);
    }
    for task in &mut plan.tasks {
        moved(&mut task.steps);
        for clause in &mut task.clauses {
            moved(&mut clause.steps);
        }
    }
    for bracket in &mut plan.brackets {
        bracket.open = place[bracket.open];
        bracket.close = place[bracket.close];
        moved(&mut bracket.inside);
    }
    plan
}
