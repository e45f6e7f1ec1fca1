//! References to outputs of other steps.

use std::collections::BTreeMap;

use super::binder::Binder;
use super::build::Built;
use crate::kind::{OutputType, ParamType};
use crate::plan::coerce;
use crate::plan::model::StepIx;
use crate::plan::params::OutputUse;
use crate::text::Diagnostic;

impl Binder<'_> {
    /// Checks names and types; gives the edges: using an output means coming after its step.
    pub(super) fn check_outputs(&mut self, built: &Built) -> Vec<Vec<StepIx>> {
        let mut implied = vec![Vec::new(); self.placed.len()];
        let mut known: BTreeMap<StepIx, BTreeMap<String, OutputType>> = BTreeMap::new();
        for (ix, used) in &built.uses {
            let Some(from) = self.names.step(&used.step, self.own(*ix)) else {
                self.no_such_step(*ix, used);
                continue;
            };
            if from == *ix {
                let help = "a step's outputs are known when it is done";
                let message = "it refers to its own output".to_owned();
                self.bad_use(*ix, used, "bad-reference", message, help.to_owned());
                continue;
            }
            implied[*ix].push(from);
            let step = &built.steps[from];
            // A step of an unknown kind was reported, and what it gives is not known.
            let Some(kind) = self.sources.registry.get(&step.kind) else { continue };
            let outputs = known.entry(from).or_insert_with(|| kind.outputs(&step.with));
            let Some(ty) = outputs.get(&used.output).copied() else {
                let names = outputs.keys().map(String::as_str);
                let help = self.names.suggest(&used.output, names.clone()).unwrap_or_else(|| {
                    if outputs.is_empty() {
                        format!("`{}` declares no `outputs`", step.id)
                    } else {
                        format!("its outputs are {}", names.collect::<Vec<_>>().join(", "))
                    }
                });
                let message = format!("`{}` has no output `{}`", step.id, used.output);
                self.bad_use(*ix, used, "unknown-reference", message, help);
                continue;
            };
            if let Some(wanted) = used.wanted.filter(|wanted| !coerce::accepts(*wanted, ty)) {
                let is = match ty {
                    OutputType::String => "text",
                    OutputType::Int => "a number",
                    OutputType::Bool => "a boolean",
                    OutputType::Number => "a number",
                    OutputType::List => "a list",
                };
                let message = format!(
                    "`{}` of `{}` is {is}, wanted is {}",
                    used.output,
                    step.id,
                    wanted.expected()
                );
                let help = match wanted {
                    _ if ty == OutputType::List => "a list is for reading, name another output",
                    ParamType::Bool | ParamType::Int => {
                        "declare the output with its type, for example `outputs: {rows: int}`"
                    }
                    _ => "an output is a single value that the journal keeps; write this one out",
                };
                self.bad_use(*ix, used, "wrong-type", message, help.to_owned());
            }
        }
        implied
    }

    fn no_such_step(&mut self, ix: StepIx, used: &OutputUse) {
        let own = &self.tasks[self.placed[ix].task].steps;
        let siblings = own.iter().map(|s| self.placed[*s].raw.id.text.as_str());
        let all = self.placed.iter().map(|p| p.id.as_str());
        let help = self.names.suggest(&used.step, siblings.chain(all)).unwrap_or_else(|| {
            "name a step of the same task, or the task and the step: `steps.T01.dump.outputs.x`"
                .to_owned()
        });
        let message = format!("there is no step `{}`", used.step);
        self.bad_use(ix, used, "unknown-reference", message, help);
    }

    fn bad_use(
        &mut self,
        ix: StepIx,
        used: &OutputUse,
        code: &'static str,
        message: String,
        help: String,
    ) {
        let file = &self.placed[ix].raw.file;
        self.found.push(Diagnostic::error(code, file, used.span, message).with_help(help));
    }
}
