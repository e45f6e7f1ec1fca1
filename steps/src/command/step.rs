//! What a `command` step does when it is asked and when it acts.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::{
    Applied, Binding, Change, CommandOutcome, CommandSpec, ErrorCause, Facts, Hands, Look,
    Observation, Past, Prepared, Resources, Secret, SecretRef, ShellScript, Step, StepError,
    UndoPlan, With,
};

use super::ending;
use super::outputs::{self, Declared};
use crate::files::said;

/// The longest that a check may take.
const CHECK: Duration = Duration::from_secs(60);
/// The deadline of a script whose step gives none.
const RUN: Duration = Duration::from_secs(60 * 60);

/// One `command` step.
pub(super) struct CommandStep {
    run: Option<ShellScript>,
    check: Option<ShellScript>,
    undo: Option<ShellScript>,
    readonly: bool,
    rerun_safe: bool,
    env: BTreeMap<String, String>,
    secrets: BTreeMap<String, SecretRef>,
    cwd: Option<String>,
    outputs: Declared,
    resources: Resources,
}

impl CommandStep {
    /// Takes parameters that the kind has found to be right.
    pub(super) fn new(with: &With, outputs: Declared) -> Self {
        let shell = with.str("shell").unwrap_or("sh");
        let script = |key| {
            with.str(key).map(|text| ShellScript { shell: shell.to_owned(), text: text.to_owned() })
        };
        let claimed = with.has("reads") || with.has("writes") || !with.has("run");
        Self {
            run: script("run"),
            check: script("check"),
            undo: script("undo"),
            readonly: with.bool("readonly"),
            rerun_safe: with.str("rerun") == Some("safe"),
            env: with.map("env"),
            secrets: with.secrets("secrets"),
            cwd: with.str("cwd").map(str::to_owned),
            outputs,
            resources: Resources {
                reads: with.strings("reads"),
                writes: with.strings("writes"),
                claimed,
            },
        }
    }

    /// A script as a child; secrets are resolved here, directly before it starts.
    async fn spec(
        &self,
        look: &Look,
        script: &ShellScript,
        timeout: Duration,
    ) -> Result<CommandSpec, StepError> {
        let not_started = |what: String| StepError::new(ErrorCause::NotStarted, what);
        let cwd = match &self.cwd {
            Some(cwd) => look.locate(cwd).map_err(|e| not_started(said(e)))?,
            None => look.base.to_path_buf(),
        };
        if !cwd.is_dir() {
            return Err(not_started(format!(
                "the working folder `{}` does not exist",
                cwd.display()
            )));
        }
        let mut spec = CommandSpec::shell(script, &cwd, timeout);
        spec.env = self.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        for (name, reference) in &self.secrets {
            let value = look.secret(reference).await.map_err(|e| not_started(e.to_string()))?;
            if value.reveal().contains(&0) {
                return Err(not_started(format!(
                    "the secret `{reference}` has a NUL byte and cannot be a variable"
                )));
            }
            spec.secret_env.push((name.clone(), value));
        }
        spec.capture = !self.outputs.is_empty();
        Ok(spec)
    }

    /// Asks the check: the world has the word, not the record.
    async fn ask(&self, look: &Look, check: &ShellScript) -> Observation {
        let timeout = look.timeout.map_or(CHECK, |t| t.min(CHECK));
        let spec = match self.spec(look, check, timeout).await {
            Ok(spec) => spec,
            Err(e) => return Observation::unknown(format!("the check could not be asked: {e}")),
        };
        let secrets = spec.secret_env.clone();
        let outcome = match look.check(spec).await {
            Ok(outcome) => outcome,
            Err(e) => return Observation::unknown(format!("the check could not be started: {e}")),
        };
        let ended_by_itself = !outcome.timed_out && !outcome.cancelled;
        match outcome.code {
            Some(code @ (0 | 1)) if ended_by_itself => {
                let seen = if code == 0 { Observation::done() } else { Observation::absent() };
                let mut seen =
                    seen.with_facts(Facts::default().with("check", Binding::Binding, code));
                if code == 0 {
                    seen.outputs = self.known_outputs(look, &outcome, &secrets);
                }
                seen
            }
            _ => Observation::unknown(ending::unclear(&outcome, timeout)),
        }
    }

    /// The outputs of a step that its check found done: what the check says itself, else what is
    /// on record. An attempt that was killed after its success has none on record.
    fn known_outputs(
        &self,
        look: &Look,
        outcome: &CommandOutcome,
        secrets: &[(String, Secret)],
    ) -> BTreeMap<String, Value> {
        outputs::read(&self.outputs, &outcome.stdout, secrets).unwrap_or_else(|_| {
            match &look.past {
                Past::Succeeded { outputs, .. } => outputs.clone(),
                _ => BTreeMap::new(),
            }
        })
    }

    /// What the record says, for a step without a check.
    fn recall(&self, look: &Look) -> Observation {
        match &look.past {
            Past::Never => not_looked("never tried"),
            Past::Failed => not_looked("its last attempt failed"),
            Past::Succeeded { record, outputs } => {
                let mut seen = Observation::done().from_record(record);
                seen.outputs.clone_from(outputs);
                seen
            }
            Past::Interrupted(why) if self.rerun_safe => {
                not_looked(&format!("{why}; it may be run again (`rerun: safe`)"))
            }
            Past::Interrupted(why) => {
                Observation::unknown(format!("{why}; it has no check that could tell what it did"))
            }
            Past::Claimed => Observation::unknown(
                "the task is said to be done, but no evidence of it is to be had for this \
                 target; it has no check that could tell",
            ),
        }
    }

    /// The verdict on an attempt without a check: it exited with code 0, which is weak evidence.
    fn ran(applied: &Applied) -> Observation {
        let mut seen = Observation::done();
        seen.weak = true;
        seen.outputs.clone_from(&applied.outputs);
        seen
    }

    fn deadline(look: &Look) -> Duration {
        look.timeout.unwrap_or(RUN)
    }
}

/// Nothing could be looked at; `record` says why it counts as not done.
fn not_looked(record: &str) -> Observation {
    let mut seen = Observation::absent();
    seen.not_looked = true;
    seen.record = Some(record.to_owned());
    seen
}

#[async_trait]
impl Step for CommandStep {
    fn resources(&self) -> Resources {
        self.resources.clone()
    }

    fn undo_plan(&self) -> UndoPlan {
        match (&self.undo, &self.run) {
            (Some(undo), _) => UndoPlan::Can(
                ending::short(&undo.text)
                    .map_or_else(|| "runs its `undo`".to_owned(), |line| format!("runs `{line}`")),
            ),
            (None, None) => UndoPlan::NotNeeded,
            (None, Some(_)) => UndoPlan::Cannot("it declares no `undo`".to_owned()),
        }
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        match &self.check {
            None => Some(self.recall(look)),
            Some(_) if look.dry_run && !self.readonly => {
                let mut seen = Observation::absent();
                seen.not_looked = true;
                Some(seen)
            }
            Some(_) => None,
        }
    }

    async fn observe(&self, look: &Look) -> Observation {
        let Some(check) = &self.check else { return self.recall(look) };
        match self.observe_now(look) {
            Some(seen) => seen,
            None => self.ask(look, check).await,
        }
    }

    async fn look_back(&self, look: &Look, _prepared: &Prepared) -> Observation {
        match (&self.check, &look.past) {
            // `rerun: safe` says that it may be done again, not that nothing of it is there.
            (None, Past::Interrupted(why)) => {
                Observation::unknown(format!("{why}; it has no check"))
            }
            _ => self.observe(look).await,
        }
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        self.run
            .iter()
            .map(|run| Change {
                op: "run".to_owned(),
                path: look.step.to_string(),
                before: None,
                after: Some(Value::from(run.text.as_str())),
            })
            .collect()
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let who = format!("`{}`", hands.step);
        let Some(run) = &self.run else {
            return Err(StepError::new(
                ErrorCause::NotStarted,
                format!("the check of {who} says no, and there is no `run` that would change it"),
            ));
        };
        let timeout = Self::deadline(hands);
        let spec = self.spec(hands, run, timeout).await?;
        let secrets = spec.secret_env.clone();
        let outcome = hands.run(spec).await?;
        if let Some(error) = ending::error(&who, &run.text, &outcome, timeout) {
            return Err(error);
        }
        let outputs = outputs::read(&self.outputs, &outcome.stdout, &secrets).map_err(|why| {
            let mut error = StepError::failed(format!("{who} exited with code 0, but {why}"))
                .with_help("print one JSON object, or a line `name=value` for each output");
            error.said.clone_from(&outcome.tail);
            error.log.clone_from(&outcome.log);
            error
        })?;
        Ok(Applied { outputs, notes: outcome.notes, log: outcome.log })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        match &self.check {
            Some(check) => self.ask(look, check).await,
            None => Self::ran(applied),
        }
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        self.check.is_none().then(|| Self::ran(applied))
    }

    async fn undo(&self, hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        let Some(undo) = &self.undo else {
            return match self.run {
                None => Ok(()),
                Some(_) => Err(StepError::new(
                    ErrorCause::NotStarted,
                    format!("`{}` declares no `undo`", hands.step),
                )),
            };
        };
        let timeout = Self::deadline(hands);
        let mut spec = self.spec(hands, undo, timeout).await?;
        spec.capture = false;
        let outcome = hands.run(spec).await?;
        let who = format!("the undo of `{}`", hands.step);
        ending::error(&who, &undo.text, &outcome, timeout).map_or(Ok(()), Err)
    }
}
