//! Whether one step comes after another, asked many times.

use super::StepIx;
use super::graph::Graph;

/// A graph without cycles, prepared for questions about pairs.
///
/// All pairs at once would need the square of the steps in memory. A question is answered by a
/// walk between the two places in the order; steps of one chain (each the need of the next) are
/// answered without any, so that a long chain costs nothing.
pub(super) struct Order<'g> {
    graph: &'g Graph,
    /// The place of each step in the order.
    place: Vec<usize>,
    /// Steps of one chain come after each other.
    chain: Vec<usize>,
    seen: Vec<usize>,
    walk: usize,
}

impl<'g> Order<'g> {
    /// `order` must be an order of `graph`.
    pub(super) fn new(graph: &'g Graph, order: &[StepIx]) -> Self {
        let mut place = vec![0; order.len()];
        let mut chain = vec![0; order.len()];
        let mut is_end = vec![false; order.len()];
        let mut chains = 0;
        for (at, step) in order.iter().enumerate() {
            place[*step] = at;
            match graph.needs(*step).find(|need| is_end[*need]) {
                Some(need) => {
                    is_end[need] = false;
                    chain[*step] = chain[need];
                }
                None => {
                    chain[*step] = chains;
                    chains += 1;
                }
            }
            is_end[*step] = true;
        }
        Self { graph, place, chain, seen: vec![0; order.len()], walk: 0 }
    }

    /// The place of a step in the order.
    pub(super) fn place(&self, step: StepIx) -> usize {
        self.place[step]
    }

    /// Whether `later` comes after `earlier`, directly or not.
    pub(super) fn comes_after(&mut self, later: StepIx, earlier: StepIx) -> bool {
        let (end, chain) = (self.place[later], self.chain[later]);
        if self.place[earlier] >= end {
            return false;
        }
        self.walk += 1;
        let mut stack = vec![earlier];
        while let Some(step) = stack.pop() {
            if self.chain[step] == chain {
                return true;
            }
            for next in self.graph.dependents(step) {
                if self.place[next] <= end && self.seen[next] != self.walk {
                    self.seen[next] = self.walk;
                    stack.push(next);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn says_the_same_as_the_graph(
            // Each step may need steps of a lower number; half of the pairs, at random.
            bits in proptest::collection::vec(any::<u16>(), 1..16),
        ) {
            let needs: Vec<Vec<usize>> = bits
                .iter()
                .enumerate()
                .map(|(ix, bits)| (0..ix).filter(|need| bits >> need & 1 == 1).collect())
                .collect();
            let graph = Graph::new(&needs);
            let order = graph.order().expect("no cycle");
            let mut pairs = Order::new(&graph, &order);
            for later in 0..needs.len() {
                let before = graph.before(later);
                for earlier in 0..needs.len() {
                    prop_assert_eq!(pairs.comes_after(later, earlier), before.contains(&earlier));
                }
            }
        }
    }
}
