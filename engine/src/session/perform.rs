//! Performing what the machine asks for: looks, attempts, repairs, undos.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::launch::Supervised;
use super::vault::Vault;
use crate::digest::Digest;
use crate::kind::{
    Applied, Binding, ErrorCause, Facts, Hands, Look, Moves, Observation, Past, Place, Prepared,
    Registry, Seen, Step, StepError, UndoPlan, With,
};
use crate::patience::within;
use crate::plan::{self, Plan, StepIx};
use crate::run::{Machine, Purpose, Sight};

/// The fact that says what was found elsewhere than it is written.
pub(super) const MOVED: &str = "moved";
/// The deadline of an attempt where none is given.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);
/// What an attempt gets beyond its own deadline to come to an end by itself.
const SLACK: Duration = Duration::from_secs(20);

/// Builds steps and the handles that they act through.
pub(super) struct Workshop {
    pub(super) registry: Registry,
    pub(super) plan: Arc<Plan>,
    pub(super) base: Arc<Path>,
    pub(super) vault: Arc<Vault>,
    pub(super) launcher: Arc<Supervised>,
    pub(super) dry_run: bool,
    pub(super) run: String,
    pub(super) place: Arc<Place>,
    /// What its steps move.
    pub(super) moves: Arc<Moves>,
    built: HashMap<StepIx, Result<Arc<dyn Step>, String>>,
}

impl Workshop {
    pub(super) fn new(
        registry: Registry,
        plan: Arc<Plan>,
        vault: Arc<Vault>,
        launcher: Arc<Supervised>,
        run: &str,
        dry_run: bool,
    ) -> Self {
        let place = Arc::new(plan.target.place());
        let base: Arc<Path> = plan.workplan.path.parent().unwrap_or(Path::new("/")).into();
        // Where the places are cannot be said of a target that names no such repo; the step that
        // moves says so itself.
        let mut look = Look::new("", &base, vault.clone(), launcher.clone());
        look.place = Arc::clone(&place);
        let moves = plan.steps.iter().filter_map(|step| {
            let (from, to) = registry.get(&step.kind)?.moves(&step.with)?;
            Some((look.locate_as_written(&from).ok()?, look.locate_as_written(&to).ok()?))
        });
        let moves = Arc::new(Moves::new(moves));
        Self {
            registry,
            plan,
            base,
            vault,
            launcher,
            dry_run,
            run: run.to_owned(),
            place,
            moves,
            built: HashMap::new(),
        }
    }

    /// The step, with the outputs that it uses put in.
    pub(super) fn step(&mut self, machine: &Machine, ix: StepIx) -> Result<Arc<dyn Step>, String> {
        if let Some(Ok(step)) = self.built.get(&ix) {
            return Ok(Arc::clone(step));
        }
        let planned = &self.plan.steps[ix];
        let built = self.build(&planned.kind, &planned.with, &|step, name| {
            machine.find(planned.task, step).and_then(|from| machine.output(from, name))
        });
        self.built.insert(ix, built.clone());
        built
    }

    /// The outputs that a step uses may have moved: what was built with the old ones is built anew.
    pub(super) fn refresh(&mut self, ix: StepIx) {
        if plan::has_references(&self.plan.steps[ix].with) {
            self.built.remove(&ix);
        }
    }

    pub(super) fn build(
        &self,
        kind: &str,
        with: &With,
        output: &dyn Fn(&str, &str) -> Option<serde_json::Value>,
    ) -> Result<Arc<dyn Step>, String> {
        let kind = self
            .registry
            .get(kind)
            .ok_or_else(|| format!("the kind `{kind}` is not known to this version"))?;
        let with = plan::resolve(with, kind.params(), output)?;
        kind.build(&with).map(Arc::from).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|p| p.message).collect();
            texts.join("; ")
        })
    }

    /// A reading handle.
    pub(super) fn look(
        &self,
        ix: StepIx,
        past: Past,
        attempt: u32,
        cancel: CancellationToken,
    ) -> Look {
        let step = &self.plan.steps[ix];
        Look {
            step: step.id.as_str().into(),
            base: Arc::clone(&self.base),
            place: Arc::clone(&self.place),
            past,
            dry_run: self.dry_run,
            timeout: step.timeout(),
            identity: format!("workplan:{}:{}:{attempt}", self.run, step.id).into(),
            env: Arc::clone(&self.launcher.env),
            secrets: self.vault.clone(),
            launcher: self.launcher.clone(),
            cancel,
            moves: Arc::clone(&self.moves),
            followed: Arc::default(),
        }
    }
}

/// A sight that could not be had because the step could not be built.
pub(super) fn blind(why: &str) -> Sight {
    Sight {
        observation: Observation::unknown(format!("its parameters cannot be used: {why}")),
        wait: None,
        undo: UndoPlan::Cannot(format!("its parameters cannot be used: {why}")),
        prepares: false,
    }
}

/// What a look came to, with what the machine wants to know of the step.
pub(super) fn sight(step: &dyn Step, observation: Observation) -> Sight {
    Sight { observation, wait: step.waits(), undo: step.undo_plan(), prepares: step.prepares() }
}

/// The answer to a look, where it needs no input or output.
pub(super) fn look_now(step: &dyn Step, look: &Look, purpose: &Purpose) -> Option<Observation> {
    match purpose {
        Purpose::Verify(applied) => step.verify_now(look, applied),
        // On the way back the step is asked what is there, not whether it is so.
        Purpose::UndoBefore | Purpose::UndoRepaired | Purpose::UndoAfter => None,
        _ => step.observe_now(look),
    }
}

/// Looks at the world.
pub(super) async fn look(
    step: Arc<dyn Step>,
    look: Look,
    purpose: &Purpose,
    prepared: Option<Prepared>,
) -> Observation {
    let deadline = look.timeout.unwrap_or(DEFAULT_TIMEOUT) + SLACK;
    let seen = async {
        match (purpose, &prepared) {
            (Purpose::Verify(applied), _) => step.verify(&look, applied).await,
            (Purpose::UndoBefore | Purpose::UndoRepaired | Purpose::UndoAfter, Some(prepared)) => {
                step.look_back(&look, prepared).await
            }
            _ => step.observe(&look).await,
        }
    };
    match within(deadline, seen).await {
        Some(observation) => with_followed(observation, &look),
        None => Observation::new(Seen::Unknown(format!(
            "the look took longer than {}",
            crate::duration::format(deadline)
        ))),
    }
}

/// The plan's own moves that led to what was seen are a fact of it.
fn with_followed(observation: Observation, look: &Look) -> Observation {
    let followed = look.followed();
    if followed.is_empty() {
        return observation;
    }
    observation.with_facts(Facts::default().with(MOVED, Binding::Informative, followed))
}

/// Makes an attempt under its deadline.
pub(super) async fn apply(
    step: Arc<dyn Step>,
    look: Look,
    log: PathBuf,
    vault: Arc<Vault>,
) -> Result<Box<Applied>, Box<StepError>> {
    let hands = Hands::new(look, Some(log));
    let result = bounded(&hands, step.apply(&hands)).await;
    let told = vault.too_short();
    match result {
        Ok(mut applied) => {
            applied.notes.extend(told);
            // What is a secret stays one, also as an output.
            for value in applied.outputs.values_mut() {
                *value = vault.redact(std::mem::take(value));
            }
            Ok(Box::new(applied))
        }
        Err(mut error) => {
            error.said.extend(told);
            for value in error.outputs.values_mut() {
                *value = vault.redact(std::mem::take(value));
            }
            Err(Box::new(error))
        }
    }
}

/// Takes a step back under its deadline.
pub(super) async fn undo(
    step: Arc<dyn Step>,
    look: Look,
    log: PathBuf,
    prepared: Prepared,
) -> Result<(), Box<StepError>> {
    let hands = Hands::new(look, Some(log));
    bounded(&hands, step.undo(&hands, &prepared)).await.map_err(Box::new)
}

/// Repairs what is half done, under the deadline of an attempt.
pub(super) async fn repair(
    step: Arc<dyn Step>,
    look: Look,
    log: PathBuf,
    what: String,
) -> Result<(), Box<StepError>> {
    let hands = Hands::new(look, Some(log));
    let half = Seen::Half(what);
    bounded(&hands, step.repair(&hands, &half)).await.map_err(Box::new)
}

/// A hang is a failure with a name: whatever a kind does, its attempt comes to an end.
async fn bounded<T>(
    hands: &Hands,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let deadline = hands.timeout.unwrap_or(DEFAULT_TIMEOUT);
    tokio::pin!(work);
    if let Some(result) = within(deadline + Duration::from_secs(1), &mut work).await {
        return result;
    }
    let late = format!("`{}` did not end within {}", hands.step, crate::duration::format(deadline));
    hands.cancel().cancel();
    match within(SLACK, work).await {
        Some(Ok(done)) => Ok(done),
        Some(Err(mut error)) => {
            error.cause = ErrorCause::TimedOut;
            error.what = late;
            Err(error)
        }
        None => Err(StepError::new(ErrorCause::TimedOut, late)),
    }
}

/// Puts undo bytes beside the journal, owner-only, safe on disk before the intent is.
pub(super) fn store_undo(folder: &Path, bytes: &[u8]) -> std::io::Result<Digest> {
    use std::io::Write as _;
    let digest = Digest::of(bytes);
    let path = folder.join(digest.as_str());
    if path.is_file() {
        return Ok(digest);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(digest)
}

/// Reads undo bytes back; they must be what was stored.
pub(super) fn load_undo(folder: &Path, digest: &Digest) -> Result<Vec<u8>, String> {
    let path = folder.join(digest.as_str());
    let bytes =
        std::fs::read(&path).map_err(|e| format!("failed to read `{}`: {e}", path.display()))?;
    if Digest::of(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(format!("`{}` is not what was stored: its digest differs", path.display()))
    }
}
