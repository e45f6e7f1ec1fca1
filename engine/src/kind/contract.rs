//! The two traits: a [`Kind`] reads parameters, a [`Step`] is one of its steps.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    ErrorCause, Hands, Look, Observation, OutputType, ParamProblem, ParamSpec, Seen, StepError,
    With,
};

/// What "already done" means for a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Makes the world be so; observed in the world itself.
    State,
    /// Opens and closes around others.
    Bracket,
    /// Says something about a subject; done is recorded evidence bound to the subject.
    Proof,
}

/// A type in the catalogue.
pub trait Kind: Send + Sync {
    /// The name that `uses:` gives, for example `file.content`.
    fn name(&self) -> &'static str;

    /// What "already done" means.
    fn class(&self) -> Class;

    /// What it does, in a sentence or two, for the reference.
    fn about(&self) -> &'static str;

    /// Its parameters.
    fn params(&self) -> &'static [ParamSpec];

    /// The outputs that a step with these parameters will have. References to anything else are
    /// refused before anything runs.
    fn outputs(&self, with: &With) -> BTreeMap<String, OutputType> {
        let _ = with;
        BTreeMap::new()
    }

    /// What a step with these parameters moves, from where to where, each as [`Look::locate`] takes
    /// it. Other steps of the plan that name the old place then find it in the new one.
    fn moves(&self, with: &With) -> Option<(String, String)> {
        let _ = with;
        None
    }

    /// Builds a step.
    ///
    /// # Errors
    /// All that is wrong beyond the types that [`Kind::params`] already demands.
    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>>;
}

/// What a step reads and changes, as resource names: `file//etc/app.conf`, `database/<id>/gitea`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Looked at.
    pub reads: Vec<String>,
    /// Changed. Two steps that change one resource must be ordered.
    pub writes: Vec<String>,
    /// Whether the lists are a claim at all: a plain command that declares none makes none.
    pub claimed: bool,
}

/// What taking a step back would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "text")]
pub enum UndoPlan {
    /// It can be taken back; says how.
    Can(String),
    /// It changes nothing that would have to be taken back.
    NotNeeded,
    /// It cannot; says why.
    Cannot(String),
}

/// What a step waits for instead of acting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "for")]
pub enum Wait {
    /// A person's decision, given with `approve` or `reject`.
    Gate {
        /// What is asked.
        message: String,
        /// An `allowed_signers` file: the approval must be an SSH signature that it allows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signers: Option<PathBuf>,
    },
    /// A person's work, answered with `resolve`.
    Manual {
        /// What is to be done.
        instructions: String,
    },
}

/// One thing that a step would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `create`, `update`, `delete`, `run`, `ask`, or `read` where nothing changes at all.
    pub op: String,
    /// What it is about.
    pub path: String,
    /// What is there, where it may be shown.
    #[serde(default)]
    pub before: Option<Value>,
    /// What would be there, where it may be shown.
    #[serde(default)]
    pub after: Option<Value>,
}

/// What [`Step::prepare`] captured, once, before the first intent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Undo data that may stand in the journal.
    #[serde(default)]
    pub undo: Value,
    /// Undo bytes: stored beside the journal, owner-only, found again by digest.
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

impl Prepared {
    /// Undo data as the journal takes them.
    ///
    /// # Errors
    /// When they cannot be JSON.
    pub fn of(undo: &impl Serialize) -> Result<Self, StepError> {
        let undo = serde_json::to_value(undo).map_err(|e| {
            let what = format!("the undo data cannot be written down: {e}");
            StepError::new(ErrorCause::NotStarted, what)
        })?;
        Ok(Self { undo, bytes: None })
    }

    /// Undo data as [`Prepared::of`] took them.
    ///
    /// # Errors
    /// When they are not that: those of another version.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_value(self.undo.clone()).map_err(|e| {
            let what = format!("the undo data cannot be read: {e}");
            StepError::new(ErrorCause::NotStarted, what)
        })
    }
}

/// What [`Step::apply`] came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Outputs for later steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// Worth telling, for example processes that were left behind and ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The whole output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

/// One idempotent unit of work.
///
/// `observe`, `preview`, `prepare` and `verify` must not change anything. `apply`, `repair` and
/// `undo` get the deadline and the cancel token with their [`Hands`]; dropping their future must
/// not be relied on to stop what they started.
#[async_trait]
pub trait Step: Send + Sync {
    /// What it reads and changes.
    fn resources(&self) -> Resources;

    /// What it brings about, where all of that follows from what it reads. Of two steps of a plan
    /// that say the same here, the later one stands for both once a step between them has changed
    /// what they read: the earlier one was done, and is not done again for a difference that is the
    /// later one's to settle.
    fn brings_about(&self) -> Option<String> {
        None
    }

    /// What it waits for, for steps that a person answers.
    fn waits(&self) -> Option<Wait> {
        None
    }

    /// How it would be taken back.
    fn undo_plan(&self) -> UndoPlan;

    /// The observation, where it needs no input or output at all (a record says it). Lets the
    /// engine put the end of one step and the beginning of the next into one commit.
    fn observe_now(&self, look: &Look) -> Option<Observation> {
        let _ = look;
        None
    }

    /// Whether the world is so.
    async fn observe(&self, look: &Look) -> Observation;

    /// What [`Step::apply`] would change, given what was seen.
    async fn preview(&self, look: &Look, seen: &Observation) -> Vec<Change>;

    /// Whether [`Step::prepare`] has anything to capture.
    fn prepares(&self) -> bool {
        false
    }

    /// Captures what undo will need. Called once, before the first intent.
    ///
    /// # Errors
    /// When it cannot be captured; the step is then not begun.
    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let _ = look;
        Ok(Prepared::default())
    }

    /// Does it.
    ///
    /// # Errors
    /// When it did not succeed. The engine observes afterwards; an error is not a promise that
    /// nothing happened.
    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError>;

    /// Whether it is so now: only `Done` counts. `applied` is what this attempt came to.
    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        let _ = applied;
        self.observe(look).await
    }

    /// The verdict of [`Step::verify`], where it needs no input or output.
    fn verify_now(&self, look: &Look, applied: &Applied) -> Option<Observation> {
        let _ = (look, applied);
        None
    }

    /// Turns [`Seen::Half`] into absent or done; touches only what carries our identity.
    ///
    /// # Errors
    /// When it could not, or when the kind has no repair.
    async fn repair(&self, hands: &Hands, half: &Seen) -> Result<(), StepError> {
        let _ = (hands, half);
        Err(StepError::failed("this kind of step has no repair").with_help(
            "put the world right by hand, then answer with `workplan resolve RUN STEP --done` or `--not-done`",
        ))
    }

    /// Whether there is something to take back: `Done` where the world is as the step left it,
    /// `Absent` where it is as it was before, `Unknown` where it is neither. A point of no return says
    /// in facts named [`SINCE`](super::SINCE)`…` what came after it; a rollback shows them before it
    /// begins.
    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let _ = prepared;
        self.observe(look).await
    }

    /// Takes it back. Idempotent. The engine has just seen that the world is as the step left it.
    ///
    /// # Errors
    /// When it could not be taken back.
    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError>;
}
