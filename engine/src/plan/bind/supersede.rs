//! Which step a later one of the same plan stands for.

use std::collections::HashMap;

use super::binder::Binder;
use super::build::Built;
use super::races::{Touched, canonical};
use crate::plan::model::StepIx;
use crate::plan::order::Order;

impl Binder<'_> {
    /// Finds, for each step, the last one after it that brings about the same, where a step between
    /// the two changes what the first one reads. Without such a change a difference is nobody
    /// else's, and the step is done again.
    pub(super) fn supersede(
        &self,
        built: &mut Built,
        touched: &Touched,
        order: &[StepIx],
        before: &mut Order<'_>,
    ) {
        let mut alike: HashMap<(&str, &str), Vec<StepIx>> = HashMap::new();
        for ix in order {
            if let Some(brings) = &built.brings[*ix] {
                let kind = built.steps[*ix].kind.as_str();
                alike.entry((kind, brings.as_str())).or_default().push(*ix);
            }
        }
        alike.retain(|_, steps| steps.len() > 1);
        if alike.is_empty() {
            return;
        }
        let base = self.base();
        let mut found = Vec::new();
        for steps in alike.values() {
            for (at, step) in steps.iter().enumerate() {
                let reads = &built.resources[*step].reads;
                let changed: Vec<StepIx> = reads
                    .iter()
                    .filter_map(|name| touched.get(&canonical(name, base)))
                    .flat_map(|users| &users.writers)
                    .copied()
                    .filter(|writer| writer != step && before.comes_after(*writer, *step))
                    .collect();
                let later = steps[at + 1..].iter().rev().copied().find(|later| {
                    changed.iter().any(|w| w != later && before.comes_after(*later, *w))
                });
                found.extend(later.map(|later| (*step, later)));
            }
        }
        for (step, later) in found {
            built.steps[step].superseded_by = Some(later);
        }
    }
}
