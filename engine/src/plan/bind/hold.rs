//! What must still stand when a step begins.

use super::binder::Binder;
use crate::plan::model::PlanStep;
use crate::plan::order::Order;
use crate::text::Diagnostic;

impl Binder<'_> {
    pub(super) fn holds(&mut self, steps: &mut [PlanStep], before: &mut Order<'_>) {
        for (ix, step) in steps.iter_mut().enumerate() {
            for word in std::mem::take(&mut self.placed[ix].raw.holds) {
                let Some(held) = self.names.step(&word.text, self.own(ix)) else {
                    self.unknown_step(ix, &word, "holds on to");
                    continue;
                };
                if before.comes_after(ix, held) {
                    step.holds.push(held);
                    continue;
                }
                let placed = &self.placed[ix];
                self.found.push(
                    Diagnostic::error(
                        "holds-unordered",
                        &placed.raw.file,
                        word.span,
                        format!(
                            "`{}` holds on to `{}` but does not come after it",
                            placed.id, word.text
                        ),
                    )
                    .with_help("add it to `needs` as well"),
                );
            }
            step.holds.sort_unstable();
            step.holds.dedup();
        }
    }
}
