//! Looking at a lab and acting on it, through the engine: whoever looks gets a `Look`, whoever acts
//! gets `Hands`, children die with this process, and a run that is under way is not disturbed.
//!
//! The engine hands these out to steps alone. So what a command of the lab does is a step of a kind
//! of its own, which is in no catalogue; it leaves no run behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use workplan_engine::document;
use workplan_engine::journal::{StateDir, StoredEvent};
use workplan_engine::kind::{
    Applied, Change, Class, Hands, Kind, Look, Observation, OutputType, ParamProblem, ParamSpec,
    Prepared, Registry, Resources, Step, StepError, UndoPlan, With,
};
use workplan_engine::plan::{self, Sources};
use workplan_engine::run::{Ending, Event, RunState};
use workplan_engine::session::{self, Loaded, Outcome, Reporter, SourceOptions, StartOptions};
use workplan_engine::text::SourceFile;

use crate::app::App;
use crate::commands::{runtime, say_findings};
use crate::exit;
use crate::failure::Failure;
use crate::{person, world};

/// What looks at a lab.
#[async_trait]
pub(crate) trait Asks: Send + Sync + 'static {
    /// What comes of it.
    type Answer: Send + 'static;
    /// Looks.
    async fn ask(&self, look: &Look) -> Result<Self::Answer, Failure>;
}

/// What acts on a lab.
#[async_trait]
pub(crate) trait Acts: Send + Sync + 'static {
    /// What comes of it.
    type Answer: Send + 'static;
    /// Acts. It is called once.
    async fn act(&self, hands: &Hands) -> Result<Self::Answer, Failure>;
}

/// Looks at the target of a file. Nothing is written; no lock is taken.
pub(crate) fn ask<A: Asks>(app: &App, target: &Path, question: A) -> Result<A::Answer, Failure> {
    let slot: Slot<A::Answer> = Arc::default();
    let kind = LookKind { question: Arc::new(question), slot: Arc::clone(&slot) };
    let (world, loaded) = bind_one(app, target, kind)?;
    let plan = loaded.plan.as_ref().ok_or_else(lost)?;
    runtime()?.block_on(session::preview(&world, plan, None, None))?;
    taken(&slot)
}

/// Acts on the target of a file, as nobody else may at that time.
pub(crate) fn act<A: Acts>(app: &App, target: &Path, deed: A) -> Result<A::Answer, Failure> {
    let slot: Slot<A::Answer> = Arc::default();
    let kind = ActKind { deed: Arc::new(deed), slot: Arc::clone(&slot) };
    let (world, loaded) = bind_one(app, target, kind)?;
    let outcome = perform(&world, &loaded)?;
    taken(&slot).map_err(|mut failure| {
        if failure.exit == exit::INTERNAL {
            failure.message = outcome.reason;
            failure.exit = exit::FAILED;
        }
        failure
    })
}

/// Runs one task of steps from the catalogue on the target of a file. `steps` are items of the list
/// `steps:` of a plan file, indented by six.
pub(crate) fn carry_out(app: &App, target: &Path, steps: &str) -> Result<(), Failure> {
    let world = world::world(app);
    let loaded = bind(app, &world, target, steps)?;
    let outcome = perform(&world, &loaded)?;
    match outcome.ending {
        Ending::Succeeded => Ok(()),
        _ => Err(Failure::new(exit::FAILED, outcome.reason)),
    }
}

/// What a command of the lab did is not to be resumed: its state ends with it.
fn perform(world: &session::World, loaded: &Loaded) -> Result<Outcome, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("workplan-lab.")
        .tempdir()
        .map_err(|e| Failure::io("make", Path::new("a temporary folder"), &e))?;
    let dir = StateDir::new(folder.path().join("state"));
    let options = StartOptions { single: true, grace: Duration::ZERO, ..StartOptions::default() };
    let runtime = runtime()?;
    // A signal ends this process as it would any other; what it started is found again by the
    // platform's own records.
    let (_control, receiver) = mpsc::unbounded_channel();
    let outcome = runtime.block_on(async {
        session::start(world, &dir, loaded, options, &mut Nobody, receiver).await
    });
    runtime.shutdown_background();
    Ok(outcome?)
}

type Slot<T> = Arc<Mutex<Option<Result<T, Failure>>>>;

fn put<T>(slot: &Slot<T>, answer: Result<T, Failure>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
}

fn taken<T>(slot: &Slot<T>) -> Result<T, Failure> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    slot.take().unwrap_or_else(|| Err(lost()))
}

fn lost() -> Failure {
    Failure::new(exit::INTERNAL, "the lab was not asked")
}

/// A plan of one step of a kind that is in no catalogue, on the target of a file.
fn bind_one(
    app: &App,
    target: &Path,
    kind: impl Kind + 'static,
) -> Result<(session::World, Loaded), Failure> {
    let mut world = world::world(app);
    world.registry = Registry::new().with(kind);
    let name = world.registry.names().next().unwrap_or_default();
    let steps = format!("      - {{id: lab, uses: {name}}}\n");
    let loaded = bind(app, &world, target, &steps)?;
    Ok((world, loaded))
}

fn bind(app: &App, world: &session::World, target: &Path, steps: &str) -> Result<Loaded, Failure> {
    let folder = target.parent().unwrap_or(Path::new(".")).to_path_buf();
    let options = SourceOptions {
        workplan: folder.join("lab"),
        target: Some(target.display().to_string()),
        machine: person::machine_id(),
        ..SourceOptions::default()
    };
    let (found, problems) = session::load_target(&options, &folder);
    say_findings(app, &problems);
    let unusable = || Failure::new(exit::INVALID, "the lab's target cannot be used");
    let found = found.ok_or_else(unusable)?;
    let (document, _) = document::parse(&SourceFile::new(
        "lab",
        "---\nid: lab\n---\n\n## T01 — lab\n\n```task\nid: lab-T01\nstatus: todo\n```\n",
    ));
    let steps =
        SourceFile::new("lab", format!("workplan: lab\ntasks:\n  T01:\n    steps:\n{steps}"));
    let binding = plan::bind(&Sources {
        document: &document,
        plan_file: Some(&steps),
        target: &found,
        inputs: &BTreeMap::default(),
        registry: &world.registry,
        path: folder.join("lab"),
    });
    say_findings(app, &binding.diagnostics);
    if binding.diagnostics.has_errors() {
        return Err(unusable());
    }
    Ok(Loaded {
        document: None,
        plan: binding.plan,
        diagnostics: binding.diagnostics,
        unbound_preconditions: Vec::new(),
        plan_file: None,
    })
}

/// Hears of events and says nothing: the lab's commands speak for themselves.
struct Nobody;

impl Reporter for Nobody {
    fn committed(&mut self, _: &RunState, _: &[StoredEvent], _: &[Event]) {}
}

struct LookKind<A: Asks> {
    question: Arc<A>,
    slot: Slot<A::Answer>,
}

struct ActKind<A: Acts> {
    deed: Arc<A>,
    slot: Slot<A::Answer>,
}

impl<A: Asks> Kind for LookKind<A> {
    fn name(&self) -> &'static str {
        "lab.look"
    }
    fn class(&self) -> Class {
        Class::State
    }
    fn about(&self) -> &'static str {
        "Looks at a lab."
    }
    fn params(&self) -> &'static [ParamSpec] {
        &[]
    }
    fn outputs(&self, _: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::new()
    }
    fn build(&self, _: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let (question, slot) = (Arc::clone(&self.question), Arc::clone(&self.slot));
        Ok(Box::new(LookStep::<A> { question, slot }))
    }
}

impl<A: Acts> Kind for ActKind<A> {
    fn name(&self) -> &'static str {
        "lab.act"
    }
    fn class(&self) -> Class {
        Class::State
    }
    fn about(&self) -> &'static str {
        "Acts on a lab."
    }
    fn params(&self) -> &'static [ParamSpec] {
        &[]
    }
    fn build(&self, _: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let (deed, slot) = (Arc::clone(&self.deed), Arc::clone(&self.slot));
        Ok(Box::new(ActStep::<A> { deed, slot }))
    }
}

struct LookStep<A: Asks> {
    question: Arc<A>,
    slot: Slot<A::Answer>,
}

struct ActStep<A: Acts> {
    deed: Arc<A>,
    slot: Slot<A::Answer>,
}

fn claims_nothing() -> Resources {
    Resources { claimed: true, ..Resources::default() }
}

#[async_trait]
impl<A: Asks> Step for LookStep<A> {
    fn resources(&self) -> Resources {
        claims_nothing()
    }
    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }
    async fn observe(&self, look: &Look) -> Observation {
        put(&self.slot, self.question.ask(look).await);
        Observation::done()
    }
    async fn preview(&self, _: &Look, _: &Observation) -> Vec<Change> {
        Vec::new()
    }
    async fn apply(&self, _: &Hands) -> Result<Applied, StepError> {
        Ok(Applied::default())
    }
    async fn undo(&self, _: &Hands, _: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl<A: Acts> Step for ActStep<A> {
    fn resources(&self) -> Resources {
        claims_nothing()
    }
    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }
    async fn observe(&self, _: &Look) -> Observation {
        Observation::absent()
    }
    async fn preview(&self, _: &Look, _: &Observation) -> Vec<Change> {
        Vec::new()
    }
    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let answer = self.deed.act(hands).await;
        let error = answer.as_ref().err().map(|failure| StepError::failed(&failure.message));
        put(&self.slot, answer);
        error.map_or_else(|| Ok(Applied::default()), Err)
    }
    fn verify_now(&self, _: &Look, _: &Applied) -> Option<Observation> {
        Some(Observation::done())
    }
    async fn undo(&self, _: &Hands, _: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
