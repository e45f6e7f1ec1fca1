//! What a `release.deploy` step sees, shows, does and takes back.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use workplan_engine::kind::{
    Applied, Binding, Change, ErrorCause, Facts, Hands, Look, Observation, Prepared, Resources,
    Seen, Step, StepError, UndoPlan,
};
use workplan_platform::{
    PlatformError, Release, ReleaseSpec, ReleaseStatus, Traffic, View, operate, view,
};

use super::look::{Found, changes};
use super::wanted::{NoSpec, Wanted};
use crate::files::{not_started, plain, said};

/// One `release.deploy` step.
pub(super) struct DeployStep {
    pub(super) wanted: Wanted,
}

/// What was there before, for the journal. It holds no value, only keyed digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The revision to go back to, where the newest one was good.
    revision: Option<Revision>,
    /// The release was there.
    there: bool,
    /// Whether the outside could get in.
    traffic: Option<Traffic>,
}

/// A revision to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Revision {
    number: u64,
    chart: String,
    values_digest: String,
}

/// A release as it is now, against what is known of it.
#[derive(Debug, PartialEq, Eq)]
enum Back {
    AsLeft,
    AsBefore,
    Changed(String),
}

impl Before {
    /// `same_values`: the release has the values that this step wants.
    fn judge(&self, at: &str, now: Option<&Release>, identity: &str, same_values: bool) -> Back {
        let (now, old) = match (now, &self.revision) {
            (None, _) if !self.there => return Back::AsBefore,
            (None, _) => {
                return Back::Changed(format!("{at} was uninstalled since by somebody else"));
            }
            (Some(now), old) => (now, old),
        };
        let is_old = old.as_ref().is_some_and(|old| {
            old.values_digest == now.values_digest
                && old.chart == now.chart
                && now.status == ReleaseStatus::Deployed
        });
        if is_old {
            return Back::AsBefore;
        }
        // Any attempt of this step of this run.
        let ours = identity.rsplit_once(':').map_or(identity, |(run, _)| run);
        let made_by = now.made_by.as_deref().unwrap_or_default();
        if made_by.starts_with(&format!("{ours}:")) {
            return Back::AsLeft;
        }
        // A later step or run made another revision, and going back from there made this one.
        if same_values && now.status == ReleaseStatus::Deployed && made_by.starts_with("workplan:")
        {
            return Back::AsLeft;
        }
        Back::Changed(format!(
            "revision {} of {at} was made since by {}; it is left as it is",
            now.revision,
            now.made_by.as_deref().unwrap_or("somebody else")
        ))
    }
}

impl DeployStep {
    async fn found(&self, look: &Look) -> Result<(ReleaseSpec, Found), NoSpec> {
        let spec = self.wanted.spec(look).await?;
        let view = view(look).map_err(|e| NoSpec::Unreadable(words(e)))?;
        let found = Found::ask(&*view, &spec).await;
        Ok((spec, found.map_err(|e| NoSpec::Unreadable(words(e)))?))
    }

    /// Whether the release on record has the values that this step wants, as far as that can be told.
    async fn has_wanted_values(&self, look: &Look) -> bool {
        let release =
            |found: &Found| found.release.as_ref().is_some_and(|r| r.chart == self.wanted.chart);
        self.found(look).await.is_ok_and(|(_, found)| found.same_values && release(&found))
    }

    fn outputs(release: Option<&Release>, changed: bool) -> BTreeMap<String, Value> {
        let revision = release.map_or(0, |r| r.revision);
        BTreeMap::from([
            ("changed".to_owned(), Value::from(changed)),
            ("revision".to_owned(), Value::from(revision)),
        ])
    }
}

#[async_trait]
impl Step for DeployStep {
    fn resources(&self) -> Resources {
        let name = |file: &String| format!("file/{}", plain(Path::new(file)).display());
        Resources {
            reads: self.wanted.files.iter().map(name).collect(),
            writes: vec![format!("release/{}", self.wanted.at)],
            claimed: true,
        }
    }

    fn brings_about(&self) -> Option<String> {
        Some(format!("{} from chart {}", self.wanted.at, self.wanted.chart))
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::Can(format!(
            "takes {} back to the revision before, or uninstalls it if this run installed it; volumes stay",
            self.wanted.at
        ))
    }

    async fn observe(&self, look: &Look) -> Observation {
        let (spec, found) = match self.found(look).await {
            Ok(found) => found,
            // No release can have values that nobody has written yet; an earlier step will.
            Err(NoSpec::Missing(what)) => {
                let facts = Facts::default().with("missing", Binding::Informative, what);
                return Observation::absent().with_facts(facts);
            }
            Err(NoSpec::Unreadable(why)) => return Observation::unknown(why),
        };
        let mut facts = found.facts();
        // What this platform passes over is worth knowing before and after a deploy.
        if let Ok(view) = view(look)
            && let Ok(rendered) = view.render(&spec).await
        {
            let list = |texts: Vec<String>| Value::from(texts);
            let ignored = rendered.ignored.iter().map(|i| format!("{}: {}", i.key, i.why));
            facts = facts.with("ignored_keys", Binding::Informative, list(ignored.collect())).with(
                "notes",
                Binding::Informative,
                list(rendered.notes),
            );
        }
        let seen = found.judge(look, &spec);
        let mut observation = Observation::new(seen).with_facts(facts);
        if observation.is_done() {
            observation.outputs = Self::outputs(found.release.as_ref(), false);
        }
        observation
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let at = self.wanted.at.to_string();
        let shown = async {
            let spec = self.wanted.spec(look).await.map_err(|e| e.to_string())?;
            let view = view(look).map_err(words)?;
            let rendered = view.render(&spec).await.map_err(words)?;
            let live = view.objects(&spec.at).await.map_err(words)?;
            // What stands in the way comes first.
            let refused = rendered.refused.iter().map(|refused| Change {
                op: "blocked".to_owned(),
                path: format!("{at}: {refused}"),
                before: None,
                after: None,
            });
            Ok::<Vec<Change>, String>(refused.chain(changes(&rendered, &live, &at)).collect())
        };
        let mut changes = shown.await.unwrap_or_default();
        if changes.is_empty() {
            // The same objects, and the workload is not ready or the record is another one.
            let change =
                Change { op: "run".to_owned(), path: at.clone(), before: None, after: None };
            changes.push(change);
        }
        changes
    }

    fn prepares(&self) -> bool {
        true
    }

    async fn prepare(&self, look: &Look) -> Result<Prepared, StepError> {
        let view = view(look)?;
        let at = &self.wanted.at;
        let release = view.release(at).await?;
        let there = release.is_some();
        let revision = release.filter(|r| r.status == ReleaseStatus::Deployed).map(|r| Revision {
            number: r.revision,
            chart: r.chart,
            values_digest: r.values_digest,
        });
        let traffic = if there { way_in(&*view, self).await? } else { None };
        Prepared::of(&Before { revision, there, traffic })
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let (spec, found) = self.found(hands).await.map_err(|e| not_started(e.to_string()))?;
        match found.judge(hands, &spec) {
            Seen::Unknown(why) => return Err(not_started(why)),
            Seen::Half(what) => {
                return Err(not_started(what).with_help("`workplan resume` settles it first"));
            }
            Seen::Absent | Seen::Done => {}
        }
        let before = found.release.map(|r| r.revision);
        let release = operate(hands)?.deploy(&spec).await.map_err(|e| ended(hands, e))?;
        let changed = before != Some(release.revision);
        Ok(Applied { outputs: Self::outputs(Some(&release), changed), ..Applied::default() })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        let mut seen = self.observe(look).await;
        if seen.is_done() {
            seen.outputs.clone_from(&applied.outputs);
        }
        seen
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let platform = operate(hands)?;
        // What was begun with the values that are wanted is gone on with: no revision more, and no
        // way back and forth in between.
        if let Ok((spec, found)) = self.found(hands).await
            && found.same_values
            && found.release.is_some_and(|r| goes_on(r.status))
            && platform.deploy(&spec).await.is_ok()
        {
            return Ok(());
        }
        Ok(platform.settle(&self.wanted.at).await?)
    }

    async fn look_back(&self, look: &Look, prepared: &Prepared) -> Observation {
        let back = async {
            let before: Before = prepared.read()?;
            let view = view(look)?;
            let now = view.release(&self.wanted.at).await?;
            let same = self.has_wanted_values(look).await;
            let at = self.wanted.at.to_string();
            let back = before.judge(&at, now.as_ref(), &look.identity, same);
            let shut = before.traffic == Some(Traffic::Open)
                && back == Back::AsBefore
                && way_in(&*view, self).await? == Some(Traffic::Shut);
            Ok::<_, StepError>(if shut { Back::AsLeft } else { back })
        };
        match back.await {
            Err(error) => Observation::unknown(said(error)),
            Ok(Back::Changed(how)) => Observation::unknown(how),
            Ok(Back::AsLeft) => Observation::done(),
            Ok(Back::AsBefore) => Observation::absent(),
        }
    }

    async fn undo(&self, hands: &Hands, prepared: &Prepared) -> Result<(), StepError> {
        let before: Before = prepared.read()?;
        let at = &self.wanted.at;
        let platform = operate(hands)?;
        let same = self.has_wanted_values(hands).await;
        let judge =
            |now: Option<&Release>| before.judge(&at.to_string(), now, &hands.identity, same);
        let mut now = platform.release(at).await?;
        let mut back = judge(now.as_ref());
        if back == Back::AsLeft && now.as_ref().is_some_and(|r| r.status.is_pending()) {
            platform.settle(at).await?;
            now = platform.release(at).await?;
            back = judge(now.as_ref());
        }
        match back {
            Back::Changed(how) => {
                return Err(StepError::failed(how).with_help(
                    "roll it back by hand where that is wanted, then answer with `workplan resolve`",
                ));
            }
            Back::AsBefore => {}
            Back::AsLeft => match &before.revision {
                None if before.there => {
                    let what = format!("{at} had no good revision before this step to go back to");
                    return Err(not_started(what));
                }
                None => platform.uninstall(at).await.map_err(|e| ended(hands, e))?,
                Some(old) => {
                    let timeout = self.wanted.timeout;
                    platform
                        .roll_back(at, old.number, timeout)
                        .await
                        .map_err(|e| ended(hands, e))?;
                }
            },
        }
        // A deploy in quarantine shut the outside out; whoever could get in before can again.
        if before.traffic == Some(Traffic::Open)
            && way_in(&*platform, self).await? == Some(Traffic::Shut)
        {
            platform.set_traffic(at, true).await?;
        }
        Ok(())
    }
}

const fn goes_on(status: ReleaseStatus) -> bool {
    matches!(status, ReleaseStatus::PendingInstall | ReleaseStatus::PendingUpgrade)
}

/// Whether the outside can get in; asked only where a deploy may change it.
async fn way_in<V: View + ?Sized>(
    view: &V,
    step: &DeployStep,
) -> Result<Option<Traffic>, PlatformError> {
    if !step.wanted.quarantine {
        return Ok(None);
    }
    view.traffic(&step.wanted.at).await.map(Some)
}

fn words(error: PlatformError) -> String {
    said(error.into())
}

/// An operation's failure; one that a cancel ended says so.
fn ended(hands: &Hands, error: PlatformError) -> StepError {
    let mut error = StepError::from(error);
    if hands.cancel().is_cancelled() {
        error.cause = ErrorCause::Cancelled;
    }
    error
}
