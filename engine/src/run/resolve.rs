//! What must run, computed backwards from the goals.
//!
//! Pure: it says which steps to look at, is told what was seen, and ends with a mark on each.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Scope;
use crate::kind::{Class, Observation, Seen};
use crate::plan::{Plan, StepIx};
use blocked::held;

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Nothing that is due needs it.
    NotNeeded(String),
    /// A look is under way.
    Looking,
    /// It uses what steps before it give, and they are looked at first.
    Awaiting,
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
    /// The record of its success in an earlier run or in this one, where there is one that counts.
    fn done_before(&self, step: StepIx) -> Option<String>;
    /// Changed or added since the last run of the workplan, or done and taken back in this one.
    fn edited(&self, step: StepIx) -> bool;
    /// The bracket is open in this run.
    fn bracket_open(&self, bracket: usize) -> bool;
}

/// Why a step is due that uses what is not known yet.
const AWAITED: &str = "it uses what an earlier step will give";

/// The computation under way.
#[derive(Debug, Clone)]
pub struct Resolver {
    marks: Vec<Mark>,
    visited: Vec<bool>,
    /// For steps that open or close: the brackets.
    edges: Vec<Option<usize>>,
    /// Brackets that have to be open for a step that is due, or are open already.
    active: Vec<bool>,
    /// For each step, the brackets that open when it acts.
    around: Vec<Vec<usize>>,
    /// For each step, whom its acting makes doubtful: the proofs that need it, and the steps that
    /// read what it writes or gives.
    doubts: Vec<Vec<StepIx>>,
    /// For each step, the next ones that change what it changes.
    rewrites: Vec<Vec<StepIx>>,
    /// The step that will act and change what this one changes, before it.
    overwritten: Vec<Option<StepIx>>,
    /// Steps that use what others give, until those were looked at.
    awaiting: BTreeSet<StepIx>,
    /// Steps that were looked at only because another one reads what they write, and of which a
    /// look says nothing: with why.
    passed_over: HashMap<StepIx, String>,
    /// Steps that are looked at only because another one reads what they write.
    casual: HashSet<StepIx>,
    /// Goals, and what due steps need; a valid proof wants nothing.
    wanted: Vec<bool>,
    /// Gates that nothing wanted so far.
    gates: HashSet<StepIx>,
    /// All gates that were looked at.
    asking: HashSet<StepIx>,
    /// Steps that are due and whose consequences are not drawn yet.
    fresh: Vec<StepIx>,
    outstanding: usize,
    to_look: Vec<StepIx>,
    only: Option<StepIx>,
    /// The task that alone is asked for.
    task: Option<String>,
    alone: HashSet<StepIx>,
}

impl Resolver {
    /// Begins with the goals; [`Resolver::take_looks`] says what to look at first.
    #[must_use]
    pub fn start(plan: &Plan, scope: Option<&Scope>, know: &dyn Knowledge) -> Self {
        let count = plan.steps.len();
        let mut edges = vec![None; count];
        let mut around = vec![Vec::new(); count];
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            edges[bracket.open] = Some(ix);
            edges[bracket.close] = Some(ix);
            for step in bracket.inside.iter().chain([&bracket.open]) {
                around[*step].push(ix);
            }
        }
        let mut doubts = vec![Vec::new(); count];
        let mut rewrites = vec![Vec::new(); count];
        for (ix, step) in plan.steps.iter().enumerate() {
            let needs = if step.class == Class::Proof { &step.needs[..] } else { &[] };
            for before in needs.iter().chain(step.sources.iter().filter(|s| !needs.contains(s))) {
                doubts[*before].push(ix);
            }
            for before in &step.overwrites {
                rewrites[*before].push(ix);
            }
        }
        let mut this = Self {
            marks: vec![Mark::NotNeeded(String::new()); count],
            visited: vec![false; count],
            edges,
            active: (0..plan.brackets.len()).map(|b| know.bracket_open(b)).collect(),
            around,
            doubts,
            rewrites,
            overwritten: vec![None; count],
            awaiting: BTreeSet::new(),
            passed_over: HashMap::new(),
            casual: HashSet::new(),
            wanted: vec![false; count],
            gates: HashSet::new(),
            asking: HashSet::new(),
            fresh: Vec::new(),
            outstanding: 0,
            to_look: Vec::new(),
            only: None,
            task: match scope {
                Some(Scope::Task(task)) => Some(task.clone()),
                _ => None,
            },
            alone: HashSet::new(),
        };
        if let Some(Scope::Only(name)) = scope
            && let Some(step) = plan.step(name)
        {
            this.only = Some(step);
            this.wanted[step] = true;
            this.visit(plan, know, step);
        } else {
            for goal in goals(plan, scope, know) {
                this.wanted[goal] = true;
                this.visit(plan, know, goal);
            }
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

    /// Takes in what was seen of a step; `asks` where it is a gate. A gate changes nothing in the
    /// world, so that it stands open only before what is due: a proof that still holds does not
    /// ask again, and is not doubted because of it.
    pub fn looked(
        &mut self,
        plan: &Plan,
        know: &dyn Knowledge,
        step: StepIx,
        seen: Observation,
        asks: bool,
    ) {
        self.outstanding -= 1;
        if asks {
            self.asking.insert(step);
        }
        if self.marks[step] != Mark::Looking {
            // It became due while it was looked at.
        } else if self.alone.contains(&step) {
            // The end of a bracket that nothing opens: it acts only on what was really seen.
            self.marks[step] = match seen.seen {
                Seen::Absent if !seen.not_looked => {
                    Mark::Due("it is not so".to_owned(), Some(Box::new(seen)))
                }
                Seen::Done => Mark::So(Box::new(seen)),
                _ => Mark::Deferred,
            };
            if self.marks[step].is_due() {
                self.fresh.push(step);
                self.visit_needs(plan, know, step);
            }
        } else if let Some((later, record)) = self.superseded(plan, know, step, &seen) {
            // What is different is what a later step makes, and that one is looked at.
            let seen = Observation {
                seen: Seen::Done,
                record: Some(format!("{record}, superseded by `{}`", plan.steps[later].id)),
                ..seen
            };
            self.marks[step] = Mark::So(Box::new(seen));
            self.visit(plan, know, later);
        } else {
            match seen.seen.clone() {
                Seen::Done => {
                    self.marks[step] = Mark::So(Box::new(seen));
                    if plan.steps[step].class == Class::Proof {
                        self.visit_needs(plan, know, step);
                        let acts =
                            |n: &&StepIx| self.marks[**n].is_due() && !self.asking.contains(*n);
                        if let Some(need) = plan.steps[step].needs.iter().find(acts) {
                            self.outdated(plan, know, step, *need);
                        }
                    }
                    self.visit_sources(plan, know, step);
                    if let (Mark::So(_), Some(writer)) = (&self.marks[step], self.overwritten[step])
                    {
                        self.outdated(plan, know, step, writer);
                    }
                }
                Seen::Absent if asks && !self.wanted[step] => {
                    self.marks[step] = Mark::NotNeeded(String::new());
                    self.gates.insert(step);
                    self.visit_needs(plan, know, step);
                }
                Seen::Absent if seen.not_looked && self.casual.contains(&step) => {
                    // Nobody wants it for its own sake, and nothing says that it is not so.
                    let why = seen.record.unwrap_or_else(|| "not looked at".to_owned());
                    self.marks[step] = Mark::NotNeeded(String::new());
                    self.passed_over.insert(step, why);
                }
                Seen::Absent if seen.not_looked => {
                    // The record says why there was nothing to look at, where there is one.
                    let why = seen.record.clone().unwrap_or_else(|| "not looked at".to_owned());
                    self.due(plan, know, step, why, Some(seen));
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
        let asked = self.asked(plan);
        for (step, asked) in asked.into_iter().enumerate() {
            if !matches!(&self.marks[step], Mark::Deferred | Mark::Awaiting | Mark::NotNeeded(_)) {
                continue;
            }
            let shut = self.edges[step].filter(|b| !self.active[*b]);
            let why = if plan.steps[step].retired {
                "it is gone from the workplan".to_owned()
            } else if !asked {
                "not asked for".to_owned()
            } else if let Some(bracket) = shut {
                format!("nothing inside `{}` will act", plan.brackets[bracket].name)
            } else {
                "not needed: what comes after it is so".to_owned()
            };
            self.marks[step] = Mark::NotNeeded(why);
        }
        self.marks
    }

    /// The steps that are asked for, and those that they need.
    fn asked(&self, plan: &Plan) -> Vec<bool> {
        if self.only.is_some() {
            return vec![false; plan.steps.len()];
        }
        let Some(task) = &self.task else { return vec![true; plan.steps.len()] };
        let mut asked: Vec<bool> =
            plan.steps.iter().map(|step| plan.tasks[step.task].id == *task).collect();
        let mut stack: Vec<StepIx> = (0..asked.len()).filter(|ix| asked[*ix]).collect();
        while let Some(step) = stack.pop() {
            for need in &plan.steps[step].needs {
                if !std::mem::replace(&mut asked[*need], true) {
                    stack.push(*need);
                }
            }
        }
        asked
    }

    fn visit(&mut self, plan: &Plan, know: &dyn Knowledge, first: StepIx) {
        // A stack of its own: a chain of 100,000 steps must not be 100,000 calls deep.
        let mut stack = vec![first];
        while let Some(step) = stack.pop() {
            if plan.steps[step].retired {
                continue;
            }
            if self.visited[step] {
                self.take_up(step);
                continue;
            }
            self.visited[step] = true;
            if let Some(mark) = held(plan, step) {
                self.marks[step] = mark;
                continue;
            }
            if know.settled(step) && !know.forced(step) {
                self.marks[step] = Mark::Settled;
                continue;
            }
            let why = if know.forced(step) {
                "done again by order"
            } else if self.edges[step].is_some() {
                self.marks[step] = Mark::Deferred;
                continue;
            } else if plan.steps[step].always {
                "due in every run"
            } else if !know.lookable(step) {
                if self.only.is_none() {
                    self.marks[step] = Mark::Awaiting;
                    self.awaiting.insert(step);
                    stack.extend(plan.steps[step].sources.iter().copied());
                    continue;
                }
                AWAITED
            } else {
                self.marks[step] = Mark::Looking;
                self.outstanding += 1;
                self.to_look.push(step);
                continue;
            };
            self.marks[step] = Mark::Due(why.to_owned(), None);
            self.fresh.push(step);
            if self.only.is_none() {
                self.want_needs(plan, step);
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
        self.want_needs(plan, step);
    }

    /// It was looked at for another's sake; now it is needed itself.
    fn take_up(&mut self, step: StepIx) {
        self.casual.remove(&step);
        if let Some(why) = self.passed_over.remove(&step) {
            self.marks[step] = Mark::Due(why, None);
            self.fresh.push(step);
        }
    }

    /// Steps that waited for what others give are looked at, or due where nothing can give it
    /// without acting.
    fn look_at_awaiting(&mut self, plan: &Plan, know: &dyn Knowledge) -> bool {
        let Some(step) = self.awaiting.pop_first() else { return false };
        if self.marks[step] != Mark::Awaiting {
            return true;
        }
        if know.lookable(step) {
            self.marks[step] = Mark::Looking;
            self.outstanding += 1;
            self.to_look.push(step);
        } else {
            self.due(plan, know, step, AWAITED.to_owned(), None);
        }
        true
    }

    /// What a due step needs is wanted for its own sake: gates that were passed over are asked.
    fn want_needs(&mut self, plan: &Plan, step: StepIx) {
        let mut stack = if self.marks[step].is_due() { vec![step] } else { Vec::new() };
        while let Some(step) = stack.pop() {
            for need in &plan.steps[step].needs {
                self.wanted[*need] = true;
                if self.gates.remove(need) {
                    self.marks[*need] = Mark::Due("it is to be asked".to_owned(), None);
                    self.fresh.push(*need);
                    stack.push(*need);
                }
            }
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
        self.fresh.push(step);
        self.visit_needs(plan, know, step);
    }

    /// Spreads what follows from the marks once no look is outstanding.
    fn settle(&mut self, plan: &Plan, know: &dyn Knowledge) {
        while self.is_finished() {
            if let Some(step) = self.fresh.pop() {
                // A proof alone changes nothing: it is made without an outage around it.
                let acts = plan.steps[step].class != Class::Proof;
                for bracket in self.around[step].clone().into_iter().filter(|_| acts) {
                    if !std::mem::replace(&mut self.active[bracket], true) {
                        self.open_bracket(plan, know, bracket);
                    }
                }
                let asks = self.asking.contains(&step);
                if !asks {
                    self.doubt(plan, know, step);
                }
            } else if !self.look_at_awaiting(plan, know) && !self.look_at_closed(plan, know) {
                return;
            }
        }
    }

    /// Something inside acts: the bracket opens and closes.
    fn open_bracket(&mut self, plan: &Plan, know: &dyn Knowledge, bracket: usize) {
        let name = &plan.brackets[bracket].name;
        let open = know.bracket_open(bracket);
        for step in [plan.brackets[bracket].open, plan.brackets[bracket].close] {
            // What a closed bracket did is over: it opens and closes again.
            let settled = plan.steps[step].retired || open && know.settled(step);
            if self.marks[step].is_due() || matches!(self.marks[step], Mark::Blocked { .. }) {
                continue;
            }
            self.visited[step] = true;
            if let Some(mark) = held(plan, step) {
                self.marks[step] = mark;
            } else if settled && !know.forced(step) {
                self.marks[step] = Mark::Settled;
            } else {
                let what = if step == plan.brackets[bracket].close { "closes" } else { "opens" };
                let why = format!("`{name}` {what}: a step inside it will act");
                self.due(plan, know, step, why, None);
            }
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
}

/// Steps that nothing needs, that prove a clause, that are due in every run, that were edited
/// since the last run, or that are to be done again.
///
/// The end of a bracket comes after what is inside, but that it is so (the service is up) says
/// nothing of what is inside: it makes no step less of a goal.
fn goals(plan: &Plan, scope: Option<&Scope>, know: &dyn Knowledge) -> Vec<StepIx> {
    let mut needed = vec![false; plan.steps.len()];
    let mut closes = vec![false; plan.steps.len()];
    for bracket in &plan.brackets {
        closes[bracket.close] = true;
    }
    let in_scope = |step: StepIx| match scope {
        Some(Scope::Task(task)) => plan.tasks[plan.steps[step].task].id == *task,
        _ => true,
    };
    for (ix, step) in plan.steps.iter().enumerate().filter(|(ix, _)| !closes[*ix]) {
        for need in &step.needs {
            // Inside one task's scope, only the task's own steps make a step not a goal; steps of
            // a blocked or cancelled task never do: they will not ask for it.
            needed[*need] |= in_scope(ix) && !step.retired && !plan.tasks[step.task].is_held();
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

mod blocked;
mod doubt;

#[cfg(test)]
mod tests;
