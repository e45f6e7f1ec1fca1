//! Edges of the graph, the order of shell blocks, and cycles.

use std::collections::HashSet;
use std::sync::Arc;

use super::binder::Binder;
use crate::plan::graph::Graph;
use crate::plan::model::{StepIx, TaskIx};
use crate::text::{Diagnostic, SourceFile, Span};

/// Steps that the search for a place of default edges may visit. It is only begun where the plain
/// rule gives a cycle; a plan that is too large for it is told about that cycle.
const VISITS: usize = 20_000_000;

/// Who comes after whom.
pub(super) struct Edges {
    /// The steps that each step needs.
    pub(super) needs: Vec<Vec<StepIx>>,
    /// The person's tasks that each step waits for.
    pub(super) people: Vec<Vec<TaskIx>>,
    /// Steps and tasks together, see [`Nodes`].
    pub(super) whole: Graph,
}

/// Numbers of nodes in the graph of steps and tasks. A task has a node that all of its steps come
/// after, and one that comes after all of them. So a task without steps takes part in the order,
/// and an edge between two tasks is one edge however many steps they have.
#[derive(Clone, Copy)]
pub(super) struct Nodes {
    steps: usize,
}

impl Nodes {
    pub(super) fn begin(self, task: TaskIx) -> usize {
        self.steps + 2 * task
    }

    pub(super) fn end(self, task: TaskIx) -> usize {
        self.begin(task) + 1
    }

    /// The task whose end this is.
    fn ended(self, node: usize) -> Option<TaskIx> {
        let task = node.checked_sub(self.steps)?;
        (task % 2 == 1).then_some(task / 2)
    }
}

impl Binder<'_> {
    pub(super) fn nodes(&self) -> Nodes {
        Nodes { steps: self.placed.len() }
    }

    /// All edges; `implied` are those that references to outputs make. After a cycle, which is told,
    /// only an order that is good for finding steps in none.
    pub(super) fn edges(&mut self, implied: Vec<Vec<StepIx>>) -> Result<Edges, Graph> {
        let mut needs = implied;
        let tasks_of = self.written(&mut needs);
        let mut whole = self.whole(&needs, &tasks_of);
        for (step, before) in self.default_edges(&whole) {
            needs[step].push(before);
            whole[step].push(before);
        }
        let whole = Graph::new(&whole);
        if whole.order().is_err() {
            for cycle in whole.cycles() {
                self.cycle(&cycle);
            }
            return Err(whole.untied());
        }
        let people = self.task_edges(&mut needs, tasks_of);
        for list in &mut needs {
            list.sort_unstable();
            list.dedup();
        }
        Ok(Edges { needs, people, whole })
    }

    /// Puts the steps that `needs` names into the list of each step; gives the tasks that it names.
    fn written(&mut self, needs: &mut [Vec<StepIx>]) -> Vec<Vec<TaskIx>> {
        let mut tasks_of: Vec<Vec<TaskIx>> = vec![Vec::new(); self.placed.len()];
        for ix in 0..self.placed.len() {
            let task = self.placed[ix].task;
            let Some(words) = self.placed[ix].raw.needs.take() else { continue };
            for word in &words {
                if let Some(need) = self.names.step(&word.text, self.own(ix)) {
                    needs[ix].push(need);
                } else if let Some(other) = self.names.task(&word.text) {
                    if other != task {
                        tasks_of[ix].push(other);
                        continue;
                    }
                    let placed = &self.placed[ix];
                    self.found.push(
                        Diagnostic::error(
                            "needs-itself",
                            &placed.raw.file,
                            word.span,
                            format!("`{}` needs its own task `{}`", placed.id, word.text),
                        )
                        .with_help("name the steps that it comes after"),
                    );
                } else {
                    self.unknown_step(ix, word, "needs");
                }
            }
            self.placed[ix].raw.needs = Some(words);
        }
        tasks_of
    }

    /// What each node of the graph of steps and tasks needs.
    fn whole(&self, needs: &[Vec<StepIx>], tasks_of: &[Vec<TaskIx>]) -> Vec<Vec<usize>> {
        let nodes = self.nodes();
        let mut whole: Vec<Vec<usize>> = Vec::with_capacity(needs.len() + 2 * self.tasks.len());
        for (ix, placed) in self.placed.iter().enumerate() {
            let mut list = needs[ix].clone();
            list.extend(tasks_of[ix].iter().map(|t| nodes.end(*t)));
            list.push(nodes.begin(placed.task));
            whole.push(list);
        }
        for (ix, task) in self.tasks.iter().enumerate() {
            whole.push(task.needs.iter().map(|t| nodes.end(*t)).collect());
            let mut end = task.steps.clone();
            end.push(nodes.begin(ix));
            whole.push(end);
        }
        whole
    }

    /// Shell blocks without `needs` come after the block before them, unless what is written says
    /// otherwise. Gives step and block before it.
    fn default_edges(&self, whole: &[Vec<usize>]) -> Vec<(StepIx, StepIx)> {
        let mut edges: Vec<(StepIx, StepIx)> = Vec::new();
        let mut before: Option<StepIx> = None;
        for (ix, placed) in self.placed.iter().enumerate().filter(|(_, p)| p.raw.from_shell) {
            if let (None, Some(previous)) = (&placed.raw.needs, before) {
                edges.push((ix, previous));
            }
            before = Some(ix);
        }
        if edges.is_empty() {
            return edges;
        }
        let mut with_all = whole.to_vec();
        for (step, before) in &edges {
            with_all[*step].push(*before);
        }
        if Graph::new(&with_all).order().is_ok() || Graph::new(whole).order().is_err() {
            return edges;
        }
        let mut so_far = whole.to_vec();
        let mut seen = vec![usize::MAX; whole.len()];
        let mut visits = 0;
        edges.retain(|(step, before)| {
            let mut stack = vec![*before];
            while let Some(node) = stack.pop() {
                if node == *step {
                    return false;
                }
                visits += 1;
                if visits > VISITS {
                    break;
                }
                for need in &so_far[node] {
                    if seen[*need] != *step {
                        seen[*need] = *step;
                        stack.push(*need);
                    }
                }
            }
            so_far[*step].push(*before);
            true
        });
        edges
    }

    /// Adds the edges between steps that follow from the order of tasks; gives the person's tasks
    /// that each step waits for.
    fn task_edges(
        &self,
        needs: &mut [Vec<StepIx>],
        mut tasks_of: Vec<Vec<TaskIx>>,
    ) -> Vec<Vec<TaskIx>> {
        let inside = |ix: StepIx, need: &StepIx| self.placed[*need].task == self.placed[ix].task;
        let mut needed = vec![false; needs.len()];
        for (ix, list) in needs.iter().enumerate() {
            // A task's order reaches its steps through those that need no other of the same task.
            if !list.iter().any(|need| inside(ix, need)) {
                tasks_of[ix].extend(&self.tasks[self.placed[ix].task].needs);
            }
            for need in list.iter().filter(|need| inside(ix, need)) {
                needed[*need] = true;
            }
        }
        let mut people = vec![Vec::new(); needs.len()];
        for (ix, mut queue) in tasks_of.into_iter().enumerate() {
            let mut seen = HashSet::new();
            while let Some(task) = queue.pop() {
                if !seen.insert(task) {
                    continue;
                }
                if self.tasks[task].steps.is_empty() {
                    people[ix].push(task);
                    queue.extend(&self.tasks[task].needs);
                } else {
                    // Steps that no other of the task needs come after all of it.
                    needs[ix].extend(self.tasks[task].steps.iter().filter(|s| !needed[**s]));
                }
            }
            people[ix].sort_unstable();
        }
        people
    }

    /// Tells a cycle of the graph of steps and tasks.
    fn cycle(&mut self, cycle: &[usize]) {
        // A task is named only where the cycle passes it from end to begin; else its step is there.
        let nodes = self.nodes();
        let mut members: Vec<(String, Arc<SourceFile>, Span)> = cycle
            .windows(2)
            .filter_map(|pair| {
                if let Some(placed) = self.placed.get(pair[0]) {
                    return Some((
                        placed.id.clone(),
                        Arc::clone(&placed.raw.file),
                        placed.raw.id.span,
                    ));
                }
                let task = nodes.ended(pair[0]).filter(|task| pair[1] == nodes.begin(*task))?;
                let written = self.sources.document.tasks.get(task)?;
                let span = written.needs.first().map_or(written.heading_span, |(_, span)| *span);
                Some((written.short.clone(), Arc::clone(&self.sources.document.file), span))
            })
            .collect();
        // Told from the place that a reader comes to first.
        let start = (0..members.len()).min_by_key(|at| (&members[*at].1.path, members[*at].2));
        members.rotate_left(start.unwrap_or_default());
        let Some(((first, file, span), others)) = members.split_first() else { return };
        let mut chain: Vec<&str> = members.iter().map(|(id, ..)| id.as_str()).collect();
        chain.push(first);
        let shown = if chain.len() > 20 {
            let (head, tail) = (&chain[..10], &chain[chain.len() - 9..]);
            format!("{} -> … -> {}", head.join(" -> "), tail.join(" -> "))
        } else {
            chain.join(" -> ")
        };
        let from_shell = cycle.iter().any(|ix| {
            self.placed.get(*ix).is_some_and(|p| p.raw.from_shell && p.raw.needs.is_none())
        });
        let help = if from_shell {
            "each needs the next; a shell block without `needs` comes after the block before it, `needs=\"\"` frees it"
        } else {
            "each needs the next; take one `needs`, reference or pre-condition out"
        };
        let message = if others.is_empty() {
            format!("`{first}` waits for itself")
        } else {
            format!("these wait for each other: {shown}")
        };
        let mut problem =
            Diagnostic::error("dependency-cycle", file, *span, message).with_help(help);
        for (_, file, span) in others.iter().take(6) {
            problem = problem.with_label_in(file, *span, "is in the cycle");
        }
        self.found.push(problem);
    }
}
