//! The dependency graph: order, cycles as a chain, reachability.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{HashMap, HashSet, VecDeque};

use super::StepIx;

/// Steps and their order; an edge goes from a step to one that needs it.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: DiGraph<(), ()>,
}

impl Graph {
    /// The graph of `needs[step]`.
    #[must_use]
    pub fn new(needs: &[Vec<StepIx>]) -> Self {
        let edges = needs.iter().map(Vec::len).sum();
        let mut graph = DiGraph::with_capacity(needs.len(), edges);
        for _ in needs {
            graph.add_node(());
        }
        for (step, list) in needs.iter().enumerate() {
            for need in list {
                graph.add_edge(NodeIndex::new(*need), NodeIndex::new(step), ());
            }
        }
        Self { graph }
    }

    /// An order in which each step comes after all that it needs; ties in the order of the file.
    ///
    /// # Errors
    /// A cycle as a chain of steps, the first repeated at the end: each needs the next.
    pub fn order(&self) -> Result<Vec<StepIx>, Vec<StepIx>> {
        let mut missing: Vec<usize> = self
            .graph
            .node_indices()
            .map(|n| self.graph.neighbors_directed(n, petgraph::Incoming).count())
            .collect();
        let mut ready: std::collections::BTreeSet<usize> =
            missing.iter().enumerate().filter(|(_, m)| **m == 0).map(|(i, _)| i).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(step) = ready.pop_first() {
            order.push(step);
            for next in self.graph.neighbors(NodeIndex::new(step)) {
                missing[next.index()] -= 1;
                if missing[next.index()] == 0 {
                    ready.insert(next.index());
                }
            }
        }
        if order.len() < self.graph.node_count() {
            return Err(self.cycles().into_iter().next().unwrap_or_default());
        }
        Ok(order)
    }

    /// The steps that `step` needs directly.
    pub(super) fn needs(&self, step: StepIx) -> impl Iterator<Item = StepIx> {
        self.graph
            .neighbors_directed(NodeIndex::new(step), petgraph::Incoming)
            .map(NodeIndex::index)
    }

    /// The steps that need `step` directly.
    pub(super) fn dependents(&self, step: StepIx) -> impl Iterator<Item = StepIx> {
        self.graph.neighbors(NodeIndex::new(step)).map(NodeIndex::index)
    }

    /// A cycle of each knot of steps that need each other, see [`Graph::order`].
    pub(super) fn cycles(&self) -> Vec<Vec<StepIx>> {
        self.knots().iter().map(|component| self.cycle(component)).collect()
    }

    /// The same steps without cycles, for the other findings of a plan that has some: those that
    /// need each other form a row, and what needs one of them comes after all of them.
    pub(super) fn untied(&self) -> Self {
        let count = self.graph.node_count();
        // The first and the last of the row that each step is in.
        let mut row: Vec<(usize, usize)> = (0..count).map(|step| (step, step)).collect();
        let mut needs: Vec<Vec<StepIx>> = vec![Vec::new(); count];
        for mut knot in self.knots() {
            knot.sort();
            let (Some(first), Some(last)) = (knot.first(), knot.last()) else { continue };
            for node in &knot {
                row[node.index()] = (first.index(), last.index());
            }
            for pair in knot.windows(2) {
                needs[pair[1].index()].push(pair[0].index());
            }
        }
        for edge in self.graph.raw_edges() {
            let (need, step) = (row[edge.source().index()], row[edge.target().index()]);
            if need != step {
                needs[step.0].push(need.1);
            }
        }
        for list in &mut needs {
            list.sort_unstable();
            list.dedup();
        }
        Self::new(&needs)
    }

    /// Steps that need each other, or themselves.
    fn knots(&self) -> Vec<Vec<NodeIndex>> {
        // Tarjan's would do in one walk instead of two, but recurses as deep as the plan is long.
        kosaraju_scc(&self.graph)
            .into_iter()
            .filter(|c| c.len() > 1 || c.first().is_some_and(|n| self.graph.contains_edge(*n, *n)))
            .collect()
    }

    /// A shortest cycle through the first node of a strongly connected component.
    fn cycle(&self, component: &[NodeIndex]) -> Vec<StepIx> {
        let inside: HashSet<NodeIndex> = component.iter().copied().collect();
        let start = component.iter().copied().min().unwrap_or_default();
        // Breadth first along "needs" until the start comes up again.
        let mut from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            let mut needs: Vec<NodeIndex> = self
                .graph
                .neighbors_directed(node, petgraph::Incoming)
                .filter(|n| inside.contains(n))
                .collect();
            needs.sort();
            for need in needs {
                if need == start {
                    let mut chain = vec![start.index()];
                    let mut at = node;
                    while at != start {
                        chain.push(at.index());
                        at = from[&at];
                    }
                    chain.push(start.index());
                    chain.reverse();
                    return chain;
                }
                if let std::collections::hash_map::Entry::Vacant(slot) = from.entry(need) {
                    slot.insert(node);
                    queue.push_back(need);
                }
            }
        }
        vec![start.index()]
    }

    /// All steps that come after `step`, directly or not.
    #[must_use]
    pub fn after(&self, step: StepIx) -> HashSet<StepIx> {
        self.walk(step, petgraph::Outgoing)
    }

    /// All steps that `step` comes after, directly or not.
    #[must_use]
    pub fn before(&self, step: StepIx) -> HashSet<StepIx> {
        self.walk(step, petgraph::Incoming)
    }

    fn walk(&self, step: StepIx, direction: petgraph::Direction) -> HashSet<StepIx> {
        let mut seen = HashSet::new();
        let mut stack = vec![NodeIndex::new(step)];
        while let Some(node) = stack.pop() {
            for next in self.graph.neighbors_directed(node, direction) {
                if seen.insert(next.index()) {
                    stack.push(next);
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_like_the_file_and_shows_cycles_as_a_chain() {
        let graph = Graph::new(&[vec![2], vec![], vec![1]]);
        assert_eq!(graph.order(), Ok(vec![1, 2, 0]));
        assert_eq!(graph.after(1), HashSet::from([2, 0]));
        assert_eq!(graph.before(0), HashSet::from([1, 2]));
        let cycle = Graph::new(&[vec![2], vec![0], vec![1], vec![0]]).order().expect_err("a cycle");
        assert_eq!(cycle.first(), cycle.last());
        assert_eq!(cycle.len(), 4);
        assert_eq!(Graph::new(&[vec![0]]).order(), Err(vec![0, 0]));
    }

    #[test]
    fn what_comes_after_a_knot_comes_after_all_of_it() {
        // 0 and 1 need each other, 2 needs 0, 1 needs 3, 4 is free, 5 needs itself.
        let graph = Graph::new(&[vec![1], vec![0, 3], vec![0], vec![], vec![], vec![5]]).untied();
        assert_eq!(graph.order(), Ok(vec![3, 0, 1, 2, 4, 5]));
        assert_eq!(graph.after(3), HashSet::from([0, 1, 2]));
        assert_eq!(graph.before(2), HashSet::from([0, 1, 3]));
        assert_eq!((graph.before(4), graph.before(5)), (HashSet::new(), HashSet::new()));
    }
}
