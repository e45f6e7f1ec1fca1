//! What must be true of every journal, told independently of the machine's own state.

use workplan_engine::plan::{Plan, StepIx};
use workplan_engine::run::{Event, StepRevision};

use super::world::{Flavour, Spec};

/// What the journal says of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Step {
    /// It was finished by this run and not taken back.
    standing: bool,
    /// An attempt that was begun and has no end.
    intent: Option<u32>,
    /// Done, adopted or passed by in this process: nobody has to wait for it.
    out_of_the_way: bool,
    /// A look after the attempt said that it is so.
    verified: bool,
}

/// Reads events as they are committed.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    steps: Vec<Step>,
    /// Open brackets.
    open: Vec<bool>,
    /// Brackets that are being released.
    releasing: Vec<bool>,
    held: Vec<bool>,
    ended: Option<(String, String)>,
    backwards: bool,
    pub(crate) violations: Vec<String>,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            steps: vec![Step::default(); plan.steps.len()],
            open: vec![false; plan.brackets.len()],
            releasing: vec![false; plan.brackets.len()],
            held: vec![false; plan.brackets.len()],
            ended: None,
            backwards: false,
            violations: Vec::new(),
        }
    }

    /// The same journal under an edited plan.
    pub(crate) fn revised(&self, old: &Plan, new: &Plan, revisions: &[StepRevision]) -> Self {
        let mut next = Self::new(new);
        for (ix, step) in new.steps.iter().enumerate() {
            let mut from = Some(step.id.as_str());
            for revision in revisions {
                match revision {
                    StepRevision::Renamed { from: name, to } if *to == step.id => from = Some(name),
                    StepRevision::Changed { step: name, kept } => {
                        if kept.as_deref() == Some(&step.id) {
                            from = Some(name);
                        } else if *name == step.id {
                            from = None;
                        }
                    }
                    _ => {}
                }
            }
            if let Some(from) = from.and_then(|name| old.step(name)) {
                next.steps[ix] = self.steps[from].clone();
            }
        }
        next.open.clone_from(&self.open);
        next.releasing.clone_from(&self.releasing);
        next.held.clone_from(&self.held);
        next.ended.clone_from(&self.ended);
        next.violations.clone_from(&self.violations);
        next
    }

    fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// A look after an attempt said that it is so.
    pub(crate) fn verified(&mut self, step: StepIx) {
        self.steps[step].verified = true;
    }

    /// How the last process ended.
    pub(crate) fn ended(&self) -> Option<&(String, String)> {
        self.ended.as_ref()
    }

    /// Brackets that stand open without a word about it.
    pub(crate) fn silently_open(&self, plan: &Plan) -> Vec<String> {
        let said = self.ended.as_ref().map_or("", |(_, reason)| reason);
        (0..self.open.len())
            .filter(|b| self.open[*b])
            .filter(|b| {
                let told = said.contains(&format!("`{}`", plan.brackets[*b].name));
                let killed = self.ended.as_ref().is_some_and(|(s, _)| s == "interrupted");
                !(told && (self.held[*b] || killed))
            })
            .map(|b| plan.brackets[b].name.clone())
            .collect()
    }

    fn bracket(plan: &Plan, name: &str) -> usize {
        plan.brackets.iter().position(|b| b.name == name).expect("the bracket exists")
    }

    /// All that must have come before a step and has not.
    fn in_the_way(&self, plan: &Plan, step: StepIx) -> Option<StepIx> {
        let mut seen = vec![false; plan.steps.len()];
        let mut stack = plan.steps[step].needs.clone();
        while let Some(need) = stack.pop() {
            if std::mem::replace(&mut seen[need], true) {
                continue;
            }
            let there = self.steps[need].standing || self.steps[need].out_of_the_way;
            if !there && !plan.steps[need].retired {
                return Some(need);
            }
            stack.extend(plan.steps[need].needs.iter().copied());
        }
        None
    }

    /// Takes in one committed event.
    pub(crate) fn event(&mut self, plan: &Plan, specs: &[Spec], event: &Event) {
        if let Some((state, _)) = &self.ended
            && !matches!(
                event,
                Event::RunResumed { .. }
                    | Event::RollbackStarted { .. }
                    | Event::StepResolved { .. }
                    | Event::GateApproved { .. }
                    | Event::GateRejected { .. }
            )
        {
            let what = format!("{event:?} after the end ({state})");
            self.violated(what);
        }
        let step = event.step().map(|name| plan.step(name).expect("the step exists"));
        match event {
            Event::RunResumed { .. } | Event::RollbackStarted { .. } => {
                self.ended = None;
                self.held.fill(false);
                self.backwards |= matches!(event, Event::RollbackStarted { .. });
                for step in &mut self.steps {
                    step.out_of_the_way = false;
                    step.verified = false;
                }
            }
            Event::RunEnded { state, reason } => self.ended = Some((state.clone(), reason.clone())),
            Event::BracketOpened { bracket, .. } => self.open[Self::bracket(plan, bracket)] = true,
            Event::BracketClosed { bracket } => {
                let ix = Self::bracket(plan, bracket);
                self.open[ix] = false;
                self.releasing[ix] = false;
            }
            Event::BracketReleasing { bracket, .. } => {
                self.releasing[Self::bracket(plan, bracket)] = true;
            }
            Event::BracketReleased { bracket } => {
                let ix = Self::bracket(plan, bracket);
                self.open[ix] = false;
                self.releasing[ix] = false;
                let bracket = &plan.brackets[ix];
                for step in bracket.inside.iter().chain([&bracket.open, &bracket.close]) {
                    self.steps[*step].standing = false;
                }
            }
            Event::BracketHeld { bracket, .. } => {
                let ix = Self::bracket(plan, bracket);
                self.held[ix] = true;
                self.releasing[ix] = false;
            }
            _ => {}
        }
        let Some(ix) = step else { return };
        let name = &plan.steps[ix].id;
        match event {
            Event::StepIntent { attempt, forced, .. } => {
                if self.backwards {
                    self.violated(format!("`{name}` was begun while going back"));
                }
                if let Some(need) = self.in_the_way(plan, ix) {
                    self.violated(format!("`{name}` was begun before `{}`", plan.steps[need].id));
                }
                let reopens = plan.brackets.iter().any(|b| b.open == ix || b.close == ix);
                if self.steps[ix].standing && !forced && !reopens {
                    self.violated(format!("`{name}` was finished and is begun again"));
                }
                for (b, bracket) in plan.brackets.iter().enumerate() {
                    if bracket.inside.contains(&ix) && !self.open[b] && specs[ix].acts() {
                        self.violated(format!("`{name}` was begun outside of `{}`", bracket.name));
                    }
                    if bracket.close == ix && self.releasing[b] {
                        self.violated(format!("`{name}` was begun in a release"));
                    }
                }
                self.steps[ix].intent = Some(*attempt);
                self.steps[ix].verified = false;
                self.steps[ix].out_of_the_way = false;
            }
            Event::StepDone { attempt, .. } => {
                let begun = self.steps[ix].intent == Some(*attempt);
                let asked = specs[ix].flavour == Flavour::Gate;
                if !(asked || begun && self.steps[ix].verified) {
                    self.violated(format!("`{name}` is called done without intent and verify"));
                }
                self.finished(ix);
            }
            Event::StepAdopted { .. } | Event::StepResolved { done: true, .. } => self.finished(ix),
            Event::StepSkipped { .. } => self.steps[ix].out_of_the_way = true,
            Event::StepFailed { .. } | Event::StepReset { .. } | Event::StepResolved { .. } => {
                self.steps[ix].intent = None;
                self.steps[ix].standing = false;
            }
            // What a release passes by is stale: what it rests on is taken back.
            Event::UndoSkipped { .. } if !self.backwards => self.steps[ix].standing = false,
            Event::UndoDone { .. } | Event::UndoIntent { .. } => {
                self.steps[ix].intent = None;
                self.steps[ix].standing = false;
            }
            _ => {}
        }
    }

    fn finished(&mut self, step: StepIx) {
        self.steps[step].standing = true;
        self.steps[step].intent = None;
        self.steps[step].out_of_the_way = true;
    }
}
