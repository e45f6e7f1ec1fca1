//! What is due, for small plans and a world that is a table.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::digest::Digest;
use crate::document::TaskStatus;
use crate::kind::With;
use crate::plan::{Bracket, OnFailure, PlanStep, PlanTask, TargetRef, WorkplanRef};

mod brackets;

/// A plan in the making; names are kept short so that a test reads like the plan.
struct Case {
    plan: Plan,
    seen: HashMap<StepIx, Seen>,
    settled: HashSet<StepIx>,
    forced: HashSet<StepIx>,
    edited: HashSet<StepIx>,
    /// Steps that were done before.
    before: HashSet<StepIx>,
    blind: HashSet<StepIx>,
    /// Steps of which a look says nothing.
    unseen: HashSet<StepIx>,
    /// Steps whose look, where it says that they are so, makes every other one lookable.
    gives: HashSet<StepIx>,
    gates: HashSet<StepIx>,
    open: HashSet<usize>,
    looks: Vec<StepIx>,
}

impl Knowledge for Case {
    fn settled(&self, step: StepIx) -> bool {
        self.settled.contains(&step)
    }
    fn forced(&self, step: StepIx) -> bool {
        self.forced.contains(&step)
    }
    fn lookable(&self, step: StepIx) -> bool {
        let given = |g| self.looks.contains(g) && self.seen.get(g) == Some(&Seen::Done);
        !self.blind.contains(&step) || self.gives.iter().any(given)
    }
    fn edited(&self, step: StepIx) -> bool {
        self.edited.contains(&step)
    }
    fn done_before(&self, step: StepIx) -> Option<String> {
        self.before.contains(&step).then(|| "run 1".to_owned())
    }
    fn bracket_open(&self, bracket: usize) -> bool {
        self.open.contains(&bracket)
    }
}

impl Case {
    fn new() -> Self {
        let workplan =
            WorkplanRef { id: "WP".to_owned(), title: "WP".to_owned(), path: "/wp.md".into() };
        let target = TargetRef {
            name: "local".to_owned(),
            kind: "local".to_owned(),
            identity: "here".to_owned(),
            of_record: true,
            live: false,
            implicit: true,
            hides: Vec::new(),
            folder: Default::default(),
            values: Default::default(),
        };
        let plan = Plan {
            workplan,
            target,
            tasks: Vec::new(),
            steps: Vec::new(),
            brackets: Vec::new(),
            preconditions: Vec::new(),
            demands: Vec::new(),
        };
        let mut this = Self {
            plan,
            seen: HashMap::new(),
            settled: HashSet::new(),
            forced: HashSet::new(),
            edited: HashSet::new(),
            before: HashSet::new(),
            blind: HashSet::new(),
            unseen: HashSet::new(),
            gives: HashSet::new(),
            gates: HashSet::new(),
            open: HashSet::new(),
            looks: Vec::new(),
        };
        this.task("T01", TaskStatus::Todo);
        this
    }

    fn task(&mut self, id: &str, status: TaskStatus) -> usize {
        self.plan.tasks.push(PlanTask {
            id: id.to_owned(),
            full_id: format!("WP-{id}"),
            title: id.to_owned(),
            status,
            steps: Vec::new(),
            needs: Vec::new(),
            clauses: Vec::new(),
        });
        self.plan.tasks.len() - 1
    }

    /// A state step of the newest task; absent.
    fn step(&mut self, id: &str, needs: &[StepIx]) -> StepIx {
        let task = self.plan.tasks.len() - 1;
        self.plan.steps.push(PlanStep {
            id: id.to_owned(),
            task,
            kind: "simulated".to_owned(),
            class: Class::State,
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
        self.plan.steps.len() - 1
    }

    fn proof(&mut self, id: &str, needs: &[StepIx]) -> StepIx {
        let step = self.step(id, needs);
        self.plan.steps[step].class = Class::Proof;
        step
    }

    fn so(&mut self, steps: &[StepIx]) {
        self.seen.extend(steps.iter().map(|s| (*s, Seen::Done)));
    }

    fn bracket(&mut self, open: StepIx, close: StepIx, inside: &[StepIx]) {
        self.plan.brackets.push(Bracket {
            name: "outage".to_owned(),
            open,
            close,
            inside: inside.to_vec(),
            budget_ms: None,
            on_failure: OnFailure::Release,
            gate: None,
        });
    }

    fn resolve(&mut self, scope: Option<Scope>) -> Vec<Mark> {
        self.looks.clear();
        let mut resolver = Resolver::start(&self.plan, scope.as_ref(), self);
        loop {
            let looks = resolver.take_looks();
            if looks.is_empty() {
                assert!(resolver.is_finished());
                return resolver.finish(&self.plan);
            }
            for step in looks {
                self.looks.push(step);
                let seen = self.seen.get(&step).cloned().unwrap_or(Seen::Absent);
                let asks = self.gates.contains(&step);
                let seen = match self.unseen.contains(&step) {
                    true => Observation { not_looked: true, ..Observation::absent() },
                    false => Observation::new(seen),
                };
                resolver.looked(&self.plan, self, step, seen, asks);
            }
        }
    }

    /// The names of the steps that are due.
    fn due(&mut self, scope: Option<Scope>) -> Vec<&str> {
        let marks = self.resolve(scope);
        let due = (0..marks.len()).filter(|s| marks[*s].is_due());
        due.map(|s| self.plan.steps[s].id.as_str()).collect()
    }
}

#[test]
fn what_is_so_needs_nothing_before_it() {
    let mut case = Case::new();
    let a = case.step("a", &[]);
    let b = case.step("b", &[a]);
    case.step("c", &[b]);
    case.so(&[b]);
    assert_eq!(case.due(None), ["c"]);
    assert!(!case.looks.contains(&a), "nobody has to look at it");
    case.so(&[2]);
    assert_eq!(case.due(None), [""; 0]);
}

#[test]
fn half_unknown_and_unlookable_steps_are_due_with_what_they_need() {
    for seen in [Seen::Half("a part".to_owned()), Seen::Unknown("no answer".to_owned())] {
        let mut case = Case::new();
        let a = case.step("a", &[]);
        let b = case.step("b", &[a]);
        case.seen.insert(b, seen);
        assert_eq!(case.due(None), ["a", "b"]);
    }
    let mut case = Case::new();
    let a = case.step("a", &[]);
    let b = case.step("b", &[a]);
    case.so(&[b]);
    case.blind.insert(b);
    assert_eq!(case.due(None), ["a", "b"]);
    assert_eq!(case.looks, [a]);
}

#[test]
fn a_proof_is_due_again_when_what_it_directly_needs_acts() {
    let mut case = Case::new();
    let far = case.step("far", &[]);
    let near = case.step("near", &[far]);
    let proof = case.proof("proof", &[near]);
    let later = case.proof("later", &[proof]);
    case.so(&[near, proof, later]);
    assert_eq!(case.due(None), [""; 0], "`far` is behind what is so");
    case.plan.steps[far].always = true;
    assert_eq!(case.due(None), ["far"], "`near` does not act");
    case.seen.insert(near, Seen::Absent);
    assert_eq!(case.due(None), ["far", "near", "proof", "later"]);
}

#[test]
fn a_gate_is_asked_only_before_what_is_due() {
    let mut case = Case::new();
    let work = case.step("work", &[]);
    let gate = case.step("gate", &[work]);
    let proof = case.proof("proof", &[gate]);
    case.gates.insert(gate);
    case.so(&[work, proof]);
    assert_eq!(case.due(None), [""; 0], "a valid proof does not ask again");
    case.seen.insert(work, Seen::Absent);
    assert_eq!(case.due(None), ["work"], "and it is `work` alone that is missing");
    let other = case.step("other", &[gate]);
    assert_eq!(case.due(None), ["work", "gate", "other"]);
    case.so(&[other]);
    case.seen.insert(proof, Seen::Absent);
    assert_eq!(case.due(None), ["work", "gate", "proof"]);
}

#[test]
fn scopes() {
    let task = |id: &str| Some(Scope::Task(id.to_owned()));
    let only = |id: &str| Some(Scope::Only(id.to_owned()));
    let mut case = Case::new();
    let a = case.step("a", &[]);
    let b = case.step("b", &[a]);
    case.task("T02", TaskStatus::Todo);
    let c = case.step("c", &[b]);
    case.step("d", &[c]);
    assert_eq!(case.due(None), ["a", "b", "c", "d"]);
    assert_eq!(case.due(task("T01")), ["a", "b"], "`b` is its goal although T02 needs it");
    assert_eq!(case.due(task("T02")), ["a", "b", "c", "d"], "with what it needs");
    let marks = case.resolve(task("T01"));
    assert_eq!(marks[c], Mark::NotNeeded("not asked for".to_owned()));
    case.so(&[c]);
    let marks = case.resolve(task("T02"));
    assert_eq!(marks[a], Mark::NotNeeded("not needed: what comes after it is so".to_owned()));
    case.seen.remove(&c);
    assert_eq!(case.due(only("c")), ["c"]);
    let marks = case.resolve(only("c"));
    assert_eq!(marks[a], Mark::NotNeeded("not asked for".to_owned()));
    // `--from` is the whole plan with orders to do steps again.
    case.so(&[a, b, c, 3]);
    case.forced.extend([c, 3]);
    assert_eq!(case.due(Some(Scope::From("c".to_owned()))), ["c", "d"]);
    let mut case = brackets::outage();
    case.forced.insert(2);
    assert_eq!(
        case.due(only("restore")),
        ["stop", "restore", "start"],
        "never under a live service"
    );
}

#[test]
fn edited_steps_those_that_prove_and_those_always_due_are_goals() {
    let mut case = Case::new();
    let a = case.step("a", &[]);
    let b = case.step("b", &[a]);
    case.so(&[b]);
    assert_eq!(case.due(None), [""; 0]);
    case.edited.insert(a);
    assert_eq!(case.due(None), ["a"]);
    case.edited.clear();
    case.plan.steps[a].proves = true;
    assert_eq!(case.due(None), ["a"]);
    case.plan.steps[a].proves = false;
    case.plan.steps[b].always = true;
    assert_eq!(case.due(None), ["a", "b"]);
    case.settled.insert(b);
    assert_eq!(case.due(None), [""; 0], "once in a run");
    case.plan.steps[b].retired = true;
    case.settled.clear();
    assert_eq!(case.due(None), ["a"], "what is gone makes no demands");
}

#[test]
fn a_held_task_blocks_what_needs_it_and_nothing_else() {
    for status in [TaskStatus::Blocked, TaskStatus::Cancelled] {
        let mut case = Case::new();
        let a = case.step("a", &[]);
        case.task("T02", status);
        let b = case.step("b", &[a]);
        case.task("T03", TaskStatus::Todo);
        let c = case.step("c", &[b]);
        let d = case.step("d", &[]);
        let marks = case.resolve(None);
        assert!(marks[a].is_due() && marks[d].is_due());
        assert!(matches!(marks[b], Mark::Blocked { waits: false, .. }));
        let Mark::Blocked { why, waits: true } = &marks[c] else { panic!("{:?}", marks[c]) };
        assert!(why.starts_with("it needs `b`: task `T02` is "), "{why}");
        case.so(&[c]);
        assert!(matches!(case.resolve(None)[c], Mark::So(_)), "what is so waits for nobody");
    }
}

#[test]
fn a_persons_task_blocks_but_what_can_be_done_is_done() {
    let mut case = Case::new();
    let a = case.step("a", &[]);
    let b = case.step("b", &[a]);
    let c = case.step("c", &[b]);
    let person = case.task("T02", TaskStatus::Todo);
    case.plan.steps[b].needs_people = vec![person];
    let marks = case.resolve(None);
    assert!(marks[a].is_due());
    assert_eq!(
        marks[b],
        Mark::Blocked {
            why: "it needs `T02`, a person's task that is todo".to_owned(),
            waits: true
        }
    );
    assert!(matches!(marks[c], Mark::Blocked { waits: true, .. }));
    case.plan.tasks[person].status = TaskStatus::Done;
    assert_eq!(case.due(None), ["a", "b", "c"]);
}

#[test]
fn a_long_chain_is_resolved_without_depth() {
    for class in [Class::State, Class::Proof] {
        let mut case = Case::new();
        for i in 0..100_000_usize {
            let needs: Vec<StepIx> = i.checked_sub(1).into_iter().collect();
            let step = case.step(&format!("s{i}"), &needs);
            case.plan.steps[step].class = class;
        }
        let marks = case.resolve(None);
        assert!(marks.iter().all(Mark::is_due));
        assert_eq!(case.looks.len(), 100_000);
        case.looks.clear();
        let all: Vec<StepIx> = (0..100_000).collect();
        case.so(&all);
        assert!(!case.resolve(None).iter().any(Mark::is_due));
        let looked = if class == Class::Proof { 100_000 } else { 1 };
        assert_eq!(case.looks.len(), looked, "a proof rests on what it needs, a state does not");
    }
}

#[test]
fn a_step_that_is_so_reads_what_is_still_to_change() {
    // The release is as the file says, and the file is not yet as it shall be.
    let mut case = Case::new();
    let file = case.step("file", &[]);
    let release = case.step("release", &[file]);
    case.plan.steps[release].sources = vec![file];
    let last = case.proof("last", &[release]);
    case.so(&[release, last]);
    assert_eq!(case.due(None), ["file", "release", "last"]);
    case.so(&[file]);
    assert_eq!(case.due(None), [""; 0]);
}

#[test]
fn what_an_earlier_step_will_change_is_not_taken_as_seen() {
    // A service that is stopped and started twice. It is stopped now, for the first time.
    let mut case = Case::new();
    let stop = case.step("stop", &[]);
    let copy = case.step("copy", &[stop]);
    let start = case.step("start", &[copy]);
    let again = case.step("again", &[start]);
    let last = case.step("last", &[again]);
    // Each is looked at for its own sake.
    case.plan.steps[start].proves = true;
    case.plan.steps[start].overwrites = vec![stop];
    case.plan.steps[again].overwrites = vec![start];
    case.so(&[stop, again]);
    assert_eq!(case.due(None), ["copy", "start", "again", "last"]);
    let marks = case.resolve(None);
    let Mark::Due(why, Some(_)) = &marks[again] else { panic!("{:?}", marks[again]) };
    assert_eq!(why, "`start` comes first and changes the same");
    // Where nothing comes first that acts, what is so stays so.
    case.so(&[copy, start]);
    assert_eq!(case.due(None), ["last"]);
    case.so(&[last]);
    assert_eq!(case.due(None), [""; 0]);
    // It is told past a step that nobody asks for.
    let mut case = Case::new();
    let first = case.step("first", &[]);
    let between = case.step("between", &[]);
    let end = case.step("end", &[between]);
    let after = case.step("after", &[]);
    case.plan.steps[between].overwrites = vec![first];
    case.plan.steps[after].overwrites = vec![between];
    case.so(&[end, after]);
    assert_eq!(case.due(None), ["first", "after"]);
}

#[test]
fn what_cannot_be_looked_at_is_no_reason_to_do_what_is_so_again() {
    let mut case = Case::new();
    let file = case.step("file", &[]);
    let release = case.step("release", &[file]);
    case.plan.steps[release].sources = vec![file];
    case.so(&[release]);
    case.unseen.insert(file);
    assert_eq!(case.due(None), [""; 0]);
    let other = case.step("other", &[file]);
    assert_eq!(case.due(None), ["file", "release", "other"], "{other} needs it");
}

#[test]
fn what_gives_an_output_is_looked_at_before_what_uses_it() {
    let mut case = Case::new();
    let copy = case.step("copy", &[]);
    let compare = case.proof("compare", &[copy]);
    case.plan.steps[compare].sources = vec![copy];
    case.blind.insert(compare);
    case.gives.insert(copy);
    case.so(&[copy, compare]);
    assert_eq!(case.due(None), [""; 0]);
    case.seen.insert(copy, Seen::Absent);
    assert_eq!(case.due(None), ["copy", "compare"]);
}

/// Two deploys of one release, what the second one reads is written between them: deploy, values,
/// deploy again. The first was done before.
fn superseded() -> (Case, [StepIx; 3]) {
    let mut case = Case::new();
    let first = case.step("first", &[]);
    case.task("T02", TaskStatus::Todo);
    let values = case.step("values", &[first]);
    let second = case.step("second", &[values]);
    case.plan.steps[second].sources = vec![values];
    // It proves something, so that it is looked at for its own sake.
    case.plan.steps[first].proves = true;
    case.plan.steps[first].superseded_by = Some(second);
    case.before.insert(first);
    (case, [first, values, second])
}

#[test]
fn what_a_later_step_settles_is_not_done_again() {
    let (mut case, [first, values, second]) = superseded();
    // The values are written, the deploy did not come to it.
    case.so(&[values]);
    for seen in [Seen::Absent, Seen::Half("begun".to_owned())] {
        case.seen.insert(first, seen);
        let marks = case.resolve(None);
        let Mark::So(so) = &marks[first] else { panic!("{:?}", marks[first]) };
        assert_eq!(so.record.as_deref(), Some("run 1, superseded by `second`"));
        assert!(marks[second].is_due());
    }
    // All of it was done: the first one differs, and nothing is to be done.
    case.so(&[second]);
    assert_eq!(case.due(None), [""; 0]);
    assert!(case.looks.contains(&second), "the one that it is left to is looked at");
}

#[test]
fn what_was_never_done_is_done_whatever_comes_later() {
    let (mut case, [first, values, _]) = superseded();
    case.before.clear();
    assert_eq!(case.due(None), ["first", "values", "second"]);
    case.so(&[values]);
    assert_eq!(case.due(None), ["first", "second"]);
    // Nor is what cannot be told, or what is asked for by order.
    case.before.insert(first);
    case.seen.insert(first, Seen::Unknown("no answer".to_owned()));
    assert_eq!(case.due(None), ["first", "second"]);
    case.seen.remove(&first);
    case.forced.insert(first);
    assert!(case.due(None).contains(&"first"));
}

#[test]
fn a_later_step_that_does_not_come_settles_nothing() {
    let (mut case, [_, values, second]) = superseded();
    case.so(&[values]);
    assert_eq!(case.due(Some(Scope::Task("T01".to_owned()))), ["first"]);
    assert_eq!(case.due(Some(Scope::Only("first".to_owned()))), ["first"]);
    // Done before, it has settled it.
    case.before.insert(second);
    assert_eq!(case.due(Some(Scope::Task("T01".to_owned()))), ["second"]);
    case.before.remove(&second);
    let task = case.plan.steps[second].task;
    case.plan.tasks[task].status = TaskStatus::Cancelled;
    assert_eq!(case.due(None), ["first"]);
}
