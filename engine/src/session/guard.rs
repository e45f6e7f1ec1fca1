//! The target's own lock and memory, where a platform keeps one.
//!
//! The locks of this machine keep two runs of this machine apart. What keeps two machines apart, and
//! what remembers a run that is not finished, can only be at the target itself.

use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::environment::without_secrets;
use super::launch::Supervised;
use super::vault::Vault;
use super::{Control, SessionError, World};
use crate::journal::{Journal, Owner};
use crate::kind::{Look, Place, StepError};
use crate::plan::Plan;

/// Keeps targets for one run at a time.
#[async_trait]
pub trait TargetGuard: Send + Sync {
    /// The run that the target remembers as not finished. `None` where there is none, and for
    /// targets that this guard does not keep.
    ///
    /// # Errors
    /// When the target cannot be asked.
    async fn remembered(&self, look: &Look) -> Result<Option<Remembered>, StepError>;

    /// Takes the target for a run, and has it remembered as not finished. `None` for targets that
    /// this guard does not keep.
    ///
    /// # Errors
    /// When somebody else has it, or it cannot be asked.
    async fn take(
        &self,
        look: &Look,
        claim: &Claim,
    ) -> Result<Option<Box<dyn TargetHold>>, NotTaken>;
}

/// A target that is ours until it is released, or until the process has been gone for a while.
#[async_trait]
pub trait TargetHold: Send + Sync {
    /// Cancelled when somebody else has taken the target: nothing may be written any more.
    fn lost(&self) -> &CancellationToken;

    /// Lets go of it. `unfinished` says whether the run is remembered.
    async fn release(self: Box<Self>, unfinished: bool);
}

/// Who wants a target.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The process and its run.
    pub owner: Owner,
    /// The workplan's id.
    pub workplan: String,
    /// Whether the run is remembered until it is finished; a single step is not.
    pub remember: bool,
    /// What will be done: the kind of each step, and the namespace where it names one.
    pub steps: Vec<(String, Option<String>)>,
}

/// A run that a target remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The run.
    pub run: String,
    /// Its workplan.
    pub workplan: String,
    /// The machine that it ran on.
    pub host: String,
}

/// Why a target was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// A live process has it.
    Held(Box<Owner>),
    /// It could not be asked, or said no.
    Failed(StepError),
}

/// What a run has besides the locks of its machine.
pub(super) struct Guarded {
    hold: Box<dyn TargetHold>,
    /// What the hold knows of the target is kept here, for the steps' handles to find.
    pub(super) place: Arc<Place>,
}

impl Guarded {
    /// Hands on what a person asks, and asks to stop at once when the target is lost.
    pub(super) fn watch(
        &self,
        mut control: mpsc::UnboundedReceiver<Control>,
    ) -> mpsc::UnboundedReceiver<Control> {
        let (sender, both) = mpsc::unbounded_channel();
        let lost = self.hold.lost().clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    asked = control.recv() => match asked {
                        Some(asked) if sender.send(asked).is_ok() => {}
                        _ => break,
                    },
                    () = lost.cancelled() => {
                        // Whoever does not listen any more has stopped.
                        let _ = sender.send(Control::Kill);
                        break;
                    }
                }
            }
        });
        both
    }

    /// Lets go of the target.
    pub(super) async fn release(self, unfinished: bool) {
        self.hold.release(unfinished).await;
    }
}

/// Takes the target of a plan for a run. A run that the target remembers, and that is not this one,
/// stands in the way unless this journal knows that it is over.
pub(super) async fn guard(
    world: &World,
    journal: &Journal,
    plan: &Plan,
    owner: &Owner,
    single: bool,
) -> Result<Option<Guarded>, SessionError> {
    let Some(guard) = world.guard.as_ref().filter(|_| !plan.target.implicit) else {
        return Ok(None);
    };
    let vault = Vault::new(Arc::clone(&world.secrets));
    let env = without_secrets(&world.env, plan);
    let launcher = Supervised::new(world, env, Arc::clone(&vault), None, None);
    let folder = plan.workplan.path.parent().unwrap_or(std::path::Path::new("/"));
    let mut look = Look::new("target", folder, vault, launcher.clone());
    look.env = Arc::clone(&launcher.env);
    look.place = Arc::new(plan.target.place());
    if !single
        && let Some(other) = guard.remembered(&look).await.map_err(refused)?
        && other.run != owner.run
        && !super::select::load_run(journal, &other.run).is_ok_and(|state| !state.is_unfinished())
    {
        return Err(SessionError::Unfinished {
            run: other.run,
            workplan: other.workplan,
            state: format!("the target remembers it; it ran on {}", other.host),
        });
    }
    let steps = plan.steps.iter().filter(|step| !step.retired);
    let claim = Claim {
        owner: owner.clone(),
        workplan: plan.workplan.id.clone(),
        remember: !single,
        steps: steps
            .map(|step| (step.kind.clone(), step.with.str("namespace").map(str::to_owned)))
            .collect(),
    };
    match guard.take(&look, &claim).await {
        Ok(hold) => Ok(hold.map(|hold| Guarded { hold, place: look.place })),
        Err(NotTaken::Held(owner)) => Err(SessionError::Locked {
            owner: Some(*owner),
            help: "wait until that run ends, or end it on its machine".to_owned(),
        }),
        Err(NotTaken::Failed(error)) => Err(refused(error)),
    }
}

fn refused(error: StepError) -> SessionError {
    let help = error.help.unwrap_or_else(|| "nothing was started".to_owned());
    SessionError::NotNow { what: error.what, help }
}
