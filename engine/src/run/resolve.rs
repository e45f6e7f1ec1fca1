//! What must run, computed backwards from the goals.
//!
//! Pure: it says which steps to look at, is told what was seen, and ends with a mark on each.

use std::collections::HashSet;

use super::Scope;
use crate::document::TaskStatus;
use crate::kind::{Class, Observation, Seen};
use crate::plan::{Plan, StepIx};

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Nothing that is due needs it.
    NotNeeded(String),
    /// A look is under way.
    Looking,
    /// It opens or closes a bracket in which nothing was due so far.
    Deferred,
    /// It is so.
    So(Box<Observation>),
    /// It was done in this run already.
    Settled,
    /// It must run; says why, with what was seen.
    Due(String, Option<Box<Observation>>),
    /// Its status, or a person's task, is in the way.
    Blocked {
        /// In words.
        why: String,
        /// A person can change that, and something that is wanted depends on it.
        waits: bool,
    },
}

impl Mark {
    /// Whether it must run.
    #[must_use]
    pub fn is_due(&self) -> bool {
        matches!(self, Self::Due(..))
    }
}

/// Facts about a step that only the caller knows.
pub trait Knowledge {
    /// Done in this run already.
    fn settled(&self, step: StepIx) -> bool;
    /// To be done again by order.
    fn forced(&self, step: StepIx) -> bool;
    /// All outputs that its parameters refer to are known.
    fn lookable(&self, step: StepIx) -> bool;
    /// Changed or added since the last run of the workplan.
    fn edited(&self, step: StepIx) -> bool;
    /// The bracket is open in this run.
    fn bracket_open(&self, bracket: usize) -> bool;
}

/// The computation under way.
#[derive(Debug, Clone)]
pub struct Resolver {
    marks: Vec<Mark>,
    visited: Vec<bool>,
    /// For steps that open or close: the brackets.
    edges: Vec<Option<usize>>,
    active: Vec<bool>,
    outstanding: usize,
    proofs: Vec<StepIx>,
    to_look: Vec<StepIx>,
    only: Option<StepIx>,
    alone: HashSet<StepIx>,
}

impl Resolver {
    /// Begins with the goals; [`Resolver::take_looks`] says what to look at first.
    #[must_use]
    pub fn start(plan: &Plan, scope: Option<&Scope>, know: &dyn Knowledge) -> Self {
        let count = plan.steps.len();
        let mut edges = vec![None; count];
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            edges[bracket.open] = Some(ix);
            edges[bracket.close] = Some(ix);
        }
        let mut this = Self {
            marks: vec![Mark::NotNeeded(String::new()); count],
            visited: vec![false; count],
            edges,
            active: (0..plan.brackets.len()).map(|b| know.bracket_open(b)).collect(),
            outstanding: 0,
            proofs: Vec::new(),
            to_look: Vec::new(),
            only: None,
            alone: HashSet::new(),
        };
        if let Some(Scope::Only(name)) = scope
            && let Some(step) = plan.step(name)
        {
            this.only = Some(step);
            this.visit(plan, know, step);
            return this;
        }
        for goal in goals(plan, scope, know) {
            this.visit(plan, know, goal);
        }
        for bracket in 0..plan.brackets.len() {
            if this.active[bracket] {
                this.open_bracket(plan, know, bracket);
            }
        }
        this.settle(plan, know);
        this
    }

    /// Steps to look at now; each must be answered with [`Resolver::looked`].
    pub fn take_looks(&mut self) -> Vec<StepIx> {
        std::mem::take(&mut self.to_look)
    }

    /// Whether every look was answered and nothing more is to be looked at.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.outstanding == 0 && self.to_look.is_empty()
    }

    /// Takes in what was seen of a step.
    pub fn looked(&mut self, plan: &Plan, know: &dyn Knowledge, step: StepIx, seen: Observation) {
        self.outstanding -= 1;
        if self.alone.contains(&step) {
            // The end of a bracket that nothing opens: it acts only on what was really seen.
            self.marks[step] = match seen.seen {
                Seen::Absent if !seen.not_looked => {
                    Mark::Due("it is not so".to_owned(), Some(Box::new(seen)))
                }
                Seen::Done => Mark::So(Box::new(seen)),
                _ => Mark::Deferred,
            };
            if self.marks[step].is_due() {
                self.visit_needs(plan, know, step);
            }
        } else {
            match seen.seen.clone() {
                Seen::Done => {
                    self.marks[step] = Mark::So(Box::new(seen));
                    if plan.steps[step].class == Class::Proof {
                        self.proofs.push(step);
                        self.visit_needs(plan, know, step);
                    }
                }
                Seen::Absent if seen.not_looked => {
                    self.due(plan, know, step, "not looked at".to_owned(), Some(seen));
                }
                Seen::Absent => {
                    self.due(plan, know, step, "it is not so".to_owned(), Some(seen));
                }
                Seen::Half(what) => {
                    self.due(plan, know, step, format!("half done: {what}"), Some(seen));
                }
                Seen::Unknown(why) => {
                    self.due(plan, know, step, format!("cannot be told yet: {why}"), Some(seen));
                }
            }
        }
        self.settle(plan, know);
    }

    /// The marks, in the plan's order.
    #[must_use]
    pub fn finish(mut self, plan: &Plan) -> Vec<Mark> {
        self.block(plan);
        for step in 0..self.marks.len() {
            match &self.marks[step] {
                Mark::Deferred => {
                    let name = self.edges[step].map_or("", |b| plan.brackets[b].name.as_str());
                    self.marks[step] = Mark::NotNeeded(format!("nothing inside `{name}` will act"));
                }
                Mark::NotNeeded(_) => {
                    let why = if plan.steps[step].retired {
                        "it is gone from the workplan"
                    } else if self.only.is_some() {
                        "not asked for"
                    } else {
                        "not needed: what comes after it is so"
                    };
                    self.marks[step] = Mark::NotNeeded(why.to_owned());
                }
                _ => {}
            }
        }
        self.marks
    }

    fn visit(&mut self, plan: &Plan, know: &dyn Knowledge, first: StepIx) {
        // A stack of its own: a chain of 100,000 steps must not be 100,000 calls deep.
        let mut stack = vec![first];
        while let Some(step) = stack.pop() {
            if self.visited[step] || plan.steps[step].retired {
                continue;
            }
            self.visited[step] = true;
            if let Some(mark) = self.blocked(plan, step) {
                self.marks[step] = mark;
                continue;
            }
            if know.settled(step) && !know.forced(step) {
                self.marks[step] = Mark::Settled;
                continue;
            }
            let why = if know.forced(step) {
                "done again by order"
            } else if self.edges[step].is_some_and(|b| !self.active[b]) {
                self.marks[step] = Mark::Deferred;
                continue;
            } else if plan.steps[step].always {
                "due in every run"
            } else if !know.lookable(step) {
                "it uses what an earlier step will give"
            } else {
                self.marks[step] = Mark::Looking;
                self.outstanding += 1;
                self.to_look.push(step);
                continue;
            };
            self.marks[step] = Mark::Due(why.to_owned(), None);
            if self.only.is_none() {
                stack.extend(plan.steps[step].needs.iter().copied());
            }
        }
    }

    fn visit_needs(&mut self, plan: &Plan, know: &dyn Knowledge, step: StepIx) {
        if self.only.is_some() {
            return;
        }
        for need in &plan.steps[step].needs {
            self.visit(plan, know, *need);
        }
    }

    fn due(
        &mut self,
        plan: &Plan,
        know: &dyn Knowledge,
        step: StepIx,
        why: String,
        seen: Option<Observation>,
    ) {
        self.marks[step] = Mark::Due(why, seen.map(Box::new));
        self.visited[step] = true;
        self.visit_needs(plan, know, step);
    }

    fn blocked(&self, plan: &Plan, step: StepIx) -> Option<Mark> {
        let planned = &plan.steps[step];
        let task = &plan.tasks[planned.task];
        if task.is_held() {
            let why = format!("task `{}` is {}", task.id, task.status.as_str());
            return Some(Mark::Blocked { why, waits: false });
        }
        let person =
            planned.needs_people.iter().find(|t| plan.tasks[**t].status != TaskStatus::Done)?;
        let person = &plan.tasks[*person];
        let why =
            format!("it needs `{}`, a person's task that is {}", person.id, person.status.as_str());
        Some(Mark::Blocked { why, waits: true })
    }

    /// Spreads what follows from the marks once no look is outstanding.
    fn settle(&mut self, plan: &Plan, know: &dyn Knowledge) {
        while self.is_finished() {
            let mut changed = false;
            for bracket in 0..self.active.len() {
                if self.active[bracket] {
                    continue;
                }
                let acts = plan.brackets[bracket]
                    .inside
                    .iter()
                    .chain([&plan.brackets[bracket].open])
                    .any(|s| self.marks[*s].is_due());
                if acts {
                    self.active[bracket] = true;
                    self.open_bracket(plan, know, bracket);
                    changed = true;
                }
            }
            let stale: Vec<StepIx> = self
                .proofs
                .iter()
                .copied()
                .filter(|p| matches!(self.marks[*p], Mark::So(_)))
                .filter(|p| plan.steps[*p].needs.iter().any(|n| self.marks[*n].is_due()))
                .collect();
            for proof in stale {
                let need = plan.steps[proof].needs.iter().find(|n| self.marks[**n].is_due());
                let name = need.map_or("", |n| plan.steps[*n].id.as_str());
                let seen = match std::mem::replace(&mut self.marks[proof], Mark::Deferred) {
                    Mark::So(seen) => Some(*seen),
                    _ => None,
                };
                self.due(plan, know, proof, format!("what it proves changes with `{name}`"), seen);
                changed = true;
            }
            if !changed {
                changed = self.look_at_closed(plan, know);
            }
            if !changed {
                return;
            }
        }
    }

    /// Something inside acts: the bracket opens and closes.
    fn open_bracket(&mut self, plan: &Plan, know: &dyn Knowledge, bracket: usize) {
        let name = &plan.brackets[bracket].name;
        for step in [plan.brackets[bracket].open, plan.brackets[bracket].close] {
            if plan.steps[step].retired || know.settled(step) && !know.forced(step) {
                if !self.visited[step] {
                    self.visited[step] = true;
                    self.marks[step] = Mark::Settled;
                }
                continue;
            }
            if self.marks[step].is_due() {
                continue;
            }
            self.visited[step] = true;
            if let Some(mark) = self.blocked(plan, step) {
                self.marks[step] = mark;
                continue;
            }
            let why = format!("`{name}` opens: a step inside it will act");
            self.due(plan, know, step, why, None);
        }
    }

    /// The end of a bracket that stays shut is looked at: a service that is down for another
    /// reason is still the goal's business.
    fn look_at_closed(&mut self, plan: &Plan, know: &dyn Knowledge) -> bool {
        let mut any = false;
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            let step = bracket.close;
            if !self.active[ix]
                && self.marks[step] == Mark::Deferred
                && know.lookable(step)
                && self.alone.insert(step)
            {
                self.marks[step] = Mark::Looking;
                self.outstanding += 1;
                self.to_look.push(step);
                any = true;
            }
        }
        any
    }

    /// What needs a blocked step is blocked as well.
    fn block(&mut self, plan: &Plan) {
        if self.only.is_some() {
            return;
        }
        for step in 0..self.marks.len() {
            if !self.marks[step].is_due() {
                continue;
            }
            let blocker = plan.steps[step].needs.iter().find_map(|n| match &self.marks[*n] {
                Mark::Blocked { why, .. } => Some((*n, why.clone())),
                _ => None,
            });
            if let Some((need, why)) = blocker {
                let why = format!("it needs `{}`: {why}", plan.steps[need].id);
                self.marks[step] = Mark::Blocked { why, waits: true };
            }
        }
        // A bracket must not open when it cannot close.
        for bracket in &plan.brackets {
            let stuck =
                bracket.inside.iter().chain([&bracket.close]).find_map(|s| match &self.marks[*s] {
                    Mark::Blocked { why, .. } => Some((*s, why.clone())),
                    _ => None,
                });
            let Some((at, why)) = stuck else { continue };
            for step in bracket.inside.iter().chain([&bracket.open]) {
                if self.marks[*step].is_due() {
                    let why = format!(
                        "`{}` could not close: `{}`: {why}",
                        bracket.name, plan.steps[at].id
                    );
                    self.marks[*step] = Mark::Blocked { why, waits: true };
                }
            }
        }
    }
}

/// Steps that nothing needs, that prove a clause, that are due in every run, that were edited
/// since the last run, or that are to be done again.
fn goals(plan: &Plan, scope: Option<&Scope>, know: &dyn Knowledge) -> Vec<StepIx> {
    let mut needed = vec![false; plan.steps.len()];
    let in_scope = |step: StepIx| match scope {
        Some(Scope::Task(task)) => plan.tasks[plan.steps[step].task].id == *task,
        _ => true,
    };
    for (ix, step) in plan.steps.iter().enumerate() {
        for need in &step.needs {
            // Inside one task's scope, only the task's own steps make a step not a goal.
            needed[*need] |= in_scope(ix) && !step.retired;
        }
    }
    (0..plan.steps.len())
        .filter(|ix| in_scope(*ix) && !plan.steps[*ix].retired)
        .filter(|ix| {
            let step = &plan.steps[*ix];
            !needed[*ix] || step.proves || step.always || know.edited(*ix) || know.forced(*ix)
        })
        .collect()
}
