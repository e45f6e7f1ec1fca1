//! `workplan rollback`: take back what a run did.

use serde_json::{Map, Value};
use workplan_engine::kind::{Facts, Observation, Seen, UndoPlan};
use workplan_engine::session::{self, Loss, RollbackOptions, World};

use crate::app::App;
use crate::args::Rollback;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::{Losing, RollbackDocument, RollbackStep};
use crate::render::count;
use crate::term::Style;
use crate::view::RunView;
use crate::world;

use super::resume::{finished, refuse_live, say_down};
use super::{go, runtime, select};

/// Takes a run back.
pub(crate) fn rollback(app: &App, args: &Rollback) -> Result<Exit, Failure> {
    let here = select::here_to_work(app)?;
    let Some(view) = here.to_go_on(args.run.as_deref(), "rollback")? else {
        let newest = here.newest(None)?;
        finished(app, &newest);
        if newest.word() == "succeeded" {
            app.printer.talk(&format!(
                "to take it back all the same: `workplan rollback {}`",
                newest.id()
            ));
        }
        return Ok(exit::DONE);
    };
    if matches!(view.word(), "rolled_back" | "abandoned") {
        finished(app, &view);
        return Ok(exit::DONE);
    }
    refuse_live(&view)?;
    say_down(app, &view);
    here.say_elsewhere(app, &view);
    let scope = session::rollback_scope(&here.journal, &view.state, args.to.as_deref())?;
    let world = world::world(app);
    let way = Way::of(&view, &scope, &world);
    let loss = runtime()?.block_on(session::loss(&world, &view.state))?;
    let accepted = args.accept_loss || view.state.accept_loss;
    if args.dry_run {
        return way.show(app, args, loss, accepted);
    }
    let undone = way.tell(app);
    if let Some(loss) = &loss {
        if !accepted {
            return Err(refused(&view, loss));
        }
        app.printer.talk(&lost(app, loss));
    }
    let question = match undone {
        0 => "Nothing is to be taken back. End the run as rolled back?".to_owned(),
        n => format!("Take back {}?", count(n, "step")),
    };
    let mut again = format!("workplan rollback {}", view.id());
    if let Some(to) = &args.to {
        again.push_str(&format!(" --to {to}"));
    }
    if args.accept_loss {
        again.push_str(" --accept-loss");
    }
    if undone > 0 && !go::permitted(app, args.go.yes, &question, &again)? {
        app.printer.talk("nothing was done");
        return Ok(exit::WAITING);
    }
    let options = RollbackOptions {
        to: args.to.clone(),
        accept_loss: args.accept_loss,
        grace: args.go.grace,
    };
    let run = view.id().to_owned();
    let dir = here.close();
    let (exit, _) = go::drive(app, &dir, args.go.events.is_some(), async |live, control| {
        session::rollback(&world, &dir, &run, options, live, control).await
    })?;
    Ok(exit)
}

/// What is lost if it is not accepted: said, and refused.
fn refused(view: &RunView, loss: &Loss) -> Failure {
    let error = session::SessionError::PastNoReturn { loss: Box::new(loss.clone()) };
    let mut failure = Failure::from(error);
    failure.help = vec![accept(view)];
    failure
}

fn accept(view: &RunView) -> String {
    format!("if that loss is accepted: `workplan rollback {} --accept-loss`", view.id())
}

/// What is lost, as a warning before the question.
fn lost(app: &App, loss: &Loss) -> String {
    let printer = &app.printer;
    let head = format!("It loses what was written since `{}`", loss.step);
    let head = printer.err.paint(Style::Yellow, &head);
    format!("{head}{}", printer.clean_err(&loss.after_a_colon()))
}

/// The way back of a run.
struct Way<'a> {
    view: &'a RunView,
    world: &'a World,
    /// What was done, the last first, and how it would be taken back.
    back: Vec<(usize, Back)>,
}

/// How a step would be taken back; `None` where its parameters are known only when it is done.
type Back = Option<UndoPlan>;

impl<'a> Way<'a> {
    fn of(view: &'a RunView, scope: &[usize], world: &'a World) -> Self {
        let plan = |ix: usize| {
            let step = &view.state.plan.steps[ix];
            let kind = world.registry.get(&step.kind)?;
            kind.build(&step.with).ok().map(|s| s.undo_plan())
        };
        Self { view, world, back: scope.iter().map(|&ix| (ix, plan(ix))).collect() }
    }

    /// Says what will be taken back and what cannot be; how many steps that is.
    fn tell(&self, app: &App) -> usize {
        let printer = &app.printer;
        let mut cannot = Vec::new();
        let mut undone = 0;
        printer.talk(&format!("Rollback of run {} takes back, in this order:", self.view.id()));
        for (ix, back) in &self.back {
            let id = &self.view.state.plan.steps[*ix].id;
            match back {
                Some(UndoPlan::Cannot(why)) => cannot.push(format!("  {id}: {why}")),
                Some(UndoPlan::NotNeeded) => {}
                Some(UndoPlan::Can(how)) => {
                    undone += 1;
                    printer.talk(&printer.clean_err(&format!("  {id}: {}", one_line(how))));
                }
                // References to outputs are filled in when it is done.
                None => {
                    undone += 1;
                    printer.talk(&printer.clean_err(&format!("  {id}")));
                }
            }
        }
        if undone == 0 {
            printer.talk("  nothing");
        }
        if !cannot.is_empty() {
            printer.talk(&printer.err.paint(Style::Yellow, "It cannot take back:"));
            cannot.iter().for_each(|line| printer.talk(&printer.clean_err(line)));
        }
        undone
    }

    /// Those on top: nothing that would go back stands on them. What is below cannot be looked at before
    /// its turn comes: the world is as those above it left it.
    fn on_top(&self) -> Vec<usize> {
        let plan = &self.view.state.plan;
        let dependents = plan.dependents();
        let mut goes = vec![false; plan.steps.len()];
        for (ix, back) in &self.back {
            goes[*ix] = !matches!(back, Some(UndoPlan::NotNeeded | UndoPlan::Cannot(_)));
        }
        let mut below = vec![false; plan.steps.len()];
        for ix in (0..plan.steps.len()).rev() {
            below[ix] = dependents[ix].iter().any(|&after| below[after] || goes[after]);
        }
        self.back.iter().map(|(ix, _)| *ix).filter(|&ix| goes[ix] && !below[ix]).collect()
    }

    /// Looks at the steps that would go back first, and says what the rollback would do.
    fn show(
        &self,
        app: &App,
        args: &Rollback,
        loss: Option<Loss>,
        accepted: bool,
    ) -> Result<Exit, Failure> {
        let top = self.on_top();
        let looked = runtime()?.block_on(session::look_back(self.world, &self.view.state, &top))?;
        let seen = |ix| looked.iter().find(|one| one.step == ix).map(|one| &one.seen);
        let steps = self.back.iter().map(|(ix, back)| self.step(*ix, back, seen(*ix))).collect();
        let document = RollbackDocument {
            schema: "workplan/rollback/v1",
            run: self.view.id().to_owned(),
            to: args.to.clone(),
            steps,
            loss: loss.as_ref().map(|loss| Losing {
                step: loss.step.clone(),
                said: loss.words(),
                facts: facts(&loss.facts),
                accepted,
            }),
        };
        if args.json {
            app.printer.json(&document)?;
            return Ok(exit::DONE);
        }
        let printer = &app.printer;
        let head = format!("Rollback of run {} would take back, in this order:", document.run);
        printer.data_line(&head);
        let mut none = true;
        for step in document.steps.iter().filter(|s| s.action != "keep") {
            none = false;
            let what = match (&step.undo, &step.reason) {
                (Some(how), _) => format!(": {how}"),
                (None, Some(why)) => format!(": {}: {why}", step.action),
                (None, None) => String::new(),
            };
            printer.data_line(&printer.clean_out(&format!("  {}{what}", step.id)));
        }
        if none {
            printer.data_line("  nothing");
        }
        let mut head = Some("It could not take back:");
        for (ix, back) in &self.back {
            let Some(UndoPlan::Cannot(why)) = back else { continue };
            head.take().into_iter().for_each(|head| printer.data_line(head));
            let id = &self.view.state.plan.steps[*ix].id;
            printer.data_line(&printer.clean_out(&format!("  {id}: {why}")));
        }
        if let Some(loss) = &loss {
            printer.data_line(&lost(app, loss));
            if !accepted {
                printer.data_line(&accept(self.view));
            }
        }
        Ok(exit::DONE)
    }

    fn step(&self, ix: usize, back: &Back, seen: Option<&Observation>) -> RollbackStep {
        let step = &self.view.state.plan.steps[ix];
        let seen = seen.filter(|seen| !seen.not_looked);
        let (action, reason) = match (back, seen.map(|seen| &seen.seen)) {
            (Some(UndoPlan::Cannot(why)), _) => ("keep", Some(why.clone())),
            (Some(UndoPlan::NotNeeded), _) => ("keep", Some("nothing has to go back".to_owned())),
            (_, None) => ("undo", Some("it is looked at when its turn comes".to_owned())),
            (_, Some(Seen::Done)) => ("undo", None),
            (_, Some(Seen::Absent)) => ("gone", Some("it is as before already".to_owned())),
            (_, Some(Seen::Half(what))) => ("undo", Some(what.clone())),
            (_, Some(Seen::Unknown(why))) => ("unknown", Some(why.clone())),
        };
        let undo = match back {
            Some(UndoPlan::Can(how)) if action == "undo" => Some(one_line(how)),
            _ => None,
        };
        RollbackStep {
            id: step.id.clone(),
            kind: step.kind.clone(),
            action,
            reason,
            undo,
            facts: seen.map(|seen| facts(&seen.facts)).unwrap_or_default(),
            point_of_no_return: step.point_of_no_return,
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

fn facts(facts: &Facts) -> Map<String, Value> {
    let json = |fact| serde_json::to_value(fact).unwrap_or(Value::Null);
    facts.0.iter().map(|(name, fact)| (name.clone(), json(fact))).collect()
}
