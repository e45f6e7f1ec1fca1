//! `backup.recent`.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Past, Prepared, Resources, Step, StepError, UndoPlan, With,
};

use super::keys::Keys;
use super::retention::age_of;
use super::seal::Verdict;
use super::settings::{DIR, LAYER, Where};
use super::shelf::Backup;

/// Asks for a verified backup that is young enough.
#[derive(Debug, Clone, Copy)]
pub struct BackupRecent;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "within",
        ty: ParamType::Duration,
        required: true,
        doc: "How old the newest verified backup may be, from the time at which it was begun.",
    },
    DIR,
    LAYER,
];

impl Kind for BackupRecent {
    fn name(&self) -> &'static str {
        "backup.recent"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Proves that there is a backup which passed `backup.verify`, is still whole in number and \
         length of its members, and is younger than `within`. It makes none."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        ["backup", "made_at", "verified_at"]
            .map(|name| (name.to_owned(), OutputType::String))
            .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let place = Where::read(with, &mut problems);
        let within = with.duration("within").unwrap_or_default();
        if within.is_zero() && with.has("within") {
            problems.push(ParamProblem::new("within", "`within` is zero: no backup is that young"));
        }
        if problems.is_empty() { Ok(Box::new(RecentStep { place, within })) } else { Err(problems) }
    }
}

struct RecentStep {
    place: Where,
    within: Duration,
}

impl RecentStep {
    fn find(&self, look: &Look) -> Result<BTreeMap<String, Value>, StepError> {
        let settings = self.place.settings(look)?;
        let layer = &settings.folder;
        let keys = Keys::gather(look, &settings);
        let (backups, unreadable) =
            Backup::all(layer).map_err(|e| super::words::io_error("look at", &layer.root, &e))?;
        let mut why: Vec<String> = Vec::new();
        let now = Timestamp::now();
        for backup in &backups {
            let age = age_of(backup.made_at, now);
            let not = |what: &str| format!("{} {what}", backup.id);
            let Some(verified) = backup.verified(&keys) else {
                why.push(not("was not verified"));
                continue;
            };
            if age >= self.within {
                why.push(not(&format!("was verified and is {} old", duration::human(age))));
                // The others are older.
                break;
            }
            if backup.verdict(&keys) == Verdict::Broken {
                why.push(not("has a manifest that was changed after it was sealed"));
                continue;
            }
            if let Some(misfit) = backup.misfits().first() {
                why.push(not(&format!("is not whole any more: {misfit}")));
                continue;
            }
            return Ok([
                ("backup", backup.id.to_string()),
                ("made_at", backup.manifest.made_at.clone()),
                ("verified_at", verified.at),
            ]
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .into());
        }
        why.extend(unreadable.into_iter().map(|(_, why)| why));
        let mut error = StepError::failed(format!(
            "there is no verified backup younger than {} in `{}`",
            duration::format(self.within),
            layer.root.display()
        ));
        error.said = if why.is_empty() { vec!["there is none at all".to_owned()] } else { why };
        error.help =
            Some("make one: `workplan backup create`, then `workplan backup verify`".to_owned());
        Err(error)
    }
}

fn done(outputs: BTreeMap<String, Value>) -> Observation {
    let mut facts = Facts::default();
    for (name, value) in &outputs {
        facts = facts.with(name, Binding::Informative, value.clone());
    }
    let mut seen = Observation::done().with_facts(facts);
    seen.outputs = outputs;
    seen
}

#[async_trait]
impl Step for RecentStep {
    fn resources(&self) -> Resources {
        Resources { reads: vec![self.place.resource()], writes: Vec::new(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        // A backup that an earlier step makes may not be there yet; a dry-run wants to know now.
        let due = !look.dry_run && !matches!(look.past, Past::Succeeded { .. });
        due.then(Observation::absent)
    }

    async fn observe(&self, look: &Look) -> Observation {
        if let Some(seen) = self.observe_now(look) {
            return seen;
        }
        match self.find(look) {
            Ok(outputs) => done(outputs),
            Err(error) if look.dry_run => {
                let said = error.said.last().map(|said| format!(": {said}")).unwrap_or_default();
                Observation::unknown(format!("{}{said}", error.what))
            }
            Err(_) => Observation::absent(),
        }
    }

    async fn preview(&self, _look: &Look, _seen: &Observation) -> Vec<Change> {
        let within = duration::format(self.within);
        vec![Change {
            op: "read".to_owned(),
            path: "the newest verified backup".to_owned(),
            before: None,
            after: Some(format!("younger than {within}").into()),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        Ok(Applied { outputs: self.find(hands)?, ..Applied::default() })
    }

    async fn verify(&self, _look: &Look, applied: &Applied) -> Observation {
        done(applied.outputs.clone())
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        Some(done(applied.outputs.clone()))
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}
