//! Everything that can happen in a run. The journal holds these; all else is derived.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evidence, Person};
use crate::digest::Digest;
use crate::kind::{Facts, StepError, Wait};
use crate::plan::Plan;
use crate::process::ProcessId;

/// One event. Steps are named, never numbered: plans are edited between run and resume.
///
/// The documentation of each variant says which states of a step it leaves and which it enters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// The first event of a run.
    #[serde(rename = "run.started")]
    RunStarted(Box<RunStarted>),
    /// A process goes on with the run. Failed, skipped, waiting and undone steps become pending.
    #[serde(rename = "run.resumed")]
    RunResumed {
        /// Who runs it now.
        owner: ProcessId,
        /// The plan, where sources were edited since; steps that are gone stand in it as retired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Box<Plan>>,
        /// What the edit did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        revisions: Vec<StepRevision>,
        /// Steps that are to be done again, whatever is so.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forced: Vec<String>,
    },
    /// It is so already, or nothing that is due needs it: pending -> skipped.
    #[serde(rename = "step.skipped")]
    StepSkipped {
        /// The step.
        step: String,
        /// Why, in words.
        reason: String,
        /// It was looked at and is so (else: not needed, or blocked).
        so: bool,
        /// It would be due, but a status, a person's task or a blocked step is in its way.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        blocked: bool,
        /// What was seen.
        #[serde(default)]
        evidence: Option<Box<Evidence>>,
    },
    /// Undo data was captured, once: no change of state.
    #[serde(rename = "step.prepared")]
    StepPrepared {
        /// The step.
        step: String,
        /// Undo data.
        undo: Value,
        /// Digest of the undo bytes beside the journal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<Digest>,
    },
    /// An attempt starts now: pending -> running.
    #[serde(rename = "step.intent")]
    StepIntent {
        /// The step.
        step: String,
        /// From 1.
        attempt: u32,
        /// It was so, or done before, and is done again because a person said so.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    },
    /// Verified: running -> done. An approved gate has no attempt: pending -> done.
    #[serde(rename = "step.done")]
    StepDone {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// The proof, in the same transaction.
        evidence: Box<Evidence>,
    },
    /// An attempt that did not report success was found done: running, unknown -> adopted.
    #[serde(rename = "step.adopted")]
    StepAdopted {
        /// The step.
        step: String,
        /// The proof.
        evidence: Box<Evidence>,
    },
    /// An attempt failed: running, pending -> failed, or pending where it is tried again.
    #[serde(rename = "step.failed")]
    StepFailed {
        /// The step.
        step: String,
        /// The attempt; 0 where it never began.
        attempt: u32,
        /// Why.
        error: Box<StepError>,
        /// Milliseconds until the next attempt, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
    /// An attempt was ended by a cancel and left nothing, or was not looked at: running -> pending,
    /// or stays running (it is looked at on resume).
    #[serde(rename = "step.interrupted")]
    StepInterrupted {
        /// The step.
        step: String,
        /// Nothing of it is there.
        absent: bool,
        /// Why.
        reason: String,
    },
    /// It cannot be told what an attempt did: running, pending -> unknown.
    #[serde(rename = "step.unknown")]
    StepUnknown {
        /// The step.
        step: String,
        /// Why it cannot be told.
        why: String,
        /// What was seen.
        #[serde(default)]
        facts: Facts,
        /// The attempt's error, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<StepError>>,
    },
    /// An interrupted attempt left nothing: running, unknown, pending, skipped -> pending.
    #[serde(rename = "step.reset")]
    StepReset {
        /// The step.
        step: String,
        /// How that is known.
        why: String,
    },
    /// A person has to answer: pending -> waiting.
    #[serde(rename = "step.waiting")]
    StepWaiting {
        /// The step.
        step: String,
        /// The name that `approve` takes: the step's, or a bracket's.
        gate: String,
        /// What for.
        wait: Wait,
    },
    /// A repair starts now: running, pending -> running.
    #[serde(rename = "step.repair_intent")]
    RepairIntent {
        /// The step.
        step: String,
        /// What was found half done.
        what: String,
    },
    /// A person said what an unknown or manual step came to: unknown, waiting -> adopted or pending.
    #[serde(rename = "step.resolved")]
    StepResolved {
        /// The step.
        step: String,
        /// Done, or not.
        done: bool,
        /// Who and why.
        person: Person,
    },
    /// A gate was opened. Waiting steps become pending.
    #[serde(rename = "gate.approved")]
    GateApproved {
        /// Its name.
        gate: String,
        /// Who and why.
        person: Person,
    },
    /// A gate was refused. A waiting step becomes failed.
    #[serde(rename = "gate.rejected")]
    GateRejected {
        /// Its name.
        gate: String,
        /// Who and why.
        person: Person,
    },
    /// The first intent of a bracket's `open`, or the undo of its `close`. A `close` that was done
    /// before becomes pending.
    #[serde(rename = "bracket.opened")]
    BracketOpened {
        /// Its name.
        bracket: String,
        /// Its budget in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget_ms: Option<u64>,
    },
    /// Its `close` is done.
    #[serde(rename = "bracket.closed")]
    BracketClosed {
        /// Its name.
        bracket: String,
    },
    /// What is inside is being taken back, then `open`.
    #[serde(rename = "bracket.releasing")]
    BracketReleasing {
        /// Its name.
        bracket: String,
        /// Why.
        why: String,
    },
    /// `open` is taken back. Steps inside that are still done become undone.
    #[serde(rename = "bracket.released")]
    BracketReleased {
        /// Its name.
        bracket: String,
    },
    /// It stays open for a person.
    #[serde(rename = "bracket.held")]
    BracketHeld {
        /// Its name.
        bracket: String,
        /// Why.
        why: String,
    },
    /// From here on the run goes backwards.
    #[serde(rename = "rollback.started")]
    RollbackStarted {
        /// Who runs it.
        owner: ProcessId,
        /// The step to go back to; the beginning where it is `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// What would be lost was told and accepted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        accept_loss: bool,
        /// What that was, in words, looked at directly before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        loss: Vec<String>,
    },
    /// An undo starts now: done, adopted, undo failed -> undoing.
    #[serde(rename = "undo.intent")]
    UndoIntent {
        /// The step.
        step: String,
    },
    /// It is taken back: undoing, done, adopted -> undone.
    #[serde(rename = "undo.done")]
    UndoDone {
        /// The step.
        step: String,
        /// How that is known.
        why: String,
    },
    /// It is not taken back: undoing -> undo failed.
    #[serde(rename = "undo.failed")]
    UndoFailed {
        /// The step.
        step: String,
        /// Why.
        error: Box<StepError>,
    },
    /// There is nothing to take back or no way to: no change of state (in a release, done, adopted
    /// -> undone once it ends: what was passed by rests on what was taken back).
    #[serde(rename = "undo.skipped")]
    UndoSkipped {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// The run stops here, finished or not.
    #[serde(rename = "run.ended")]
    RunEnded {
        /// How: a state of `status`.
        state: String,
        /// Why, in words.
        reason: String,
    },
    /// Given up for ever.
    #[serde(rename = "run.abandoned")]
    RunAbandoned {
        /// Who and why.
        person: Person,
    },
    /// The Markdown was written.
    #[serde(rename = "workplan.written")]
    WorkplanWritten {
        /// Tasks and their new statuses.
        tasks: Vec<(String, String)>,
        /// Digest of the evidence file, where one was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Digest>,
        /// The file.
        path: std::path::PathBuf,
    },
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's id.
    pub run: String,
    /// The plan.
    pub plan: Plan,
    /// Who runs it.
    pub owner: ProcessId,
    /// Version of the program.
    pub version: String,
    /// Digest of the saved plan that was run, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_plan: Option<Digest>,
    /// The parts of the plan that were asked for, in words (`--task T02`), where it was not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<super::Scope>,
    /// Steps that are to be done again, whatever is so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<String>,
    /// A single step without a workplan (`workplan do`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
    /// `updated` of the front matter before the run, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// Status of the workplan before the run, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workplan_status: Option<String>,
    /// How the sources are found again on resume, as the command line wrote it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub sources: Value,
    /// Statuses of tasks as written before the run (quotes included), by short id.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub statuses: std::collections::BTreeMap<String, String>,
    /// The preconditions that were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<String>,
}

/// What an edit between run and resume did to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "edit")]
pub enum StepRevision {
    /// It is new.
    Added {
        /// The step.
        step: String,
    },
    /// Its meaning is another one. What was done under the old meaning stands under `kept`.
    Changed {
        /// The step.
        step: String,
        /// The name under which the old meaning can still be taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    },
    /// It is gone; what it did can still be taken back.
    Removed {
        /// The step.
        step: String,
    },
    /// It has another name.
    Renamed {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
}

impl Event {
    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::StepSkipped { step, .. }
            | Self::StepPrepared { step, .. }
            | Self::StepIntent { step, .. }
            | Self::StepDone { step, .. }
            | Self::StepAdopted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepInterrupted { step, .. }
            | Self::StepUnknown { step, .. }
            | Self::StepReset { step, .. }
            | Self::StepWaiting { step, .. }
            | Self::RepairIntent { step, .. }
            | Self::StepResolved { step, .. }
            | Self::UndoIntent { step }
            | Self::UndoDone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::UndoSkipped { step, .. } => Some(step),
            _ => None,
        }
    }
}
