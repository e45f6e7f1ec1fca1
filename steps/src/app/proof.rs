//! The proof that a Gitea works: login, a write, a push, a clone.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use workplan_engine::digest::Digest;
use workplan_engine::duration;
use workplan_engine::kind::{ErrorCause, Hands, Look, StepError};

use super::api::{self, Api, Health, PREFIX, Scratch};
use super::git::Git;
use super::login;
use super::miss::Miss;
use super::site::{Account, Site};

/// Between two looks for something that a worker of Gitea does in its own time.
const EVERY: Duration = Duration::from_millis(100);
/// How long asking why something failed may take, and removing what was made.
const AFTER: Duration = Duration::from_secs(5);
/// A check of somebody else that is younger than this may still be at work.
const STALE: Duration = Duration::from_secs(15 * 60);

/// A proof in the making.
pub(super) struct Proof<'a> {
    pub(super) hands: &'a Hands,
    /// `default/gitea (inside, 127.0.0.1:21010)`.
    pub(super) name: String,
    pub(super) site: &'a Site,
    pub(super) account: &'a Account,
    /// Deadline of each part.
    pub(super) within: Duration,
    took: BTreeMap<&'static str, Duration>,
}

/// What was found.
pub(super) struct Found {
    pub(super) version: String,
    /// How long each part took.
    pub(super) took: BTreeMap<&'static str, Duration>,
    pub(super) notes: Vec<String>,
}

impl<'a> Proof<'a> {
    pub(super) fn new(
        hands: &'a Hands,
        name: String,
        site: &'a Site,
        account: &'a Account,
        within: Duration,
    ) -> Self {
        Self { hands, name, site, account, within, took: BTreeMap::new() }
    }

    /// Proves it, and leaves nothing behind.
    ///
    /// # Errors
    /// Names the part that did not pass, and why.
    pub(super) async fn prove(mut self) -> Result<Found, StepError> {
        let basic = self.account.basic(self.hands);
        let (site, account, within) = (self.site, self.account, self.within);
        let api = Api { site, user: &account.user, basic: &basic, within };
        self.part("health", "the health check", async {
            match api::health(site, within).await? {
                Health::Fails(what) => Err(Miss::new(unhealthy(&what))),
                Health::Unknown(status) if status >= 500 => {
                    Err(Miss::new(format!("it does not run: `/api/healthz` says {status}")))
                }
                Health::Passes | Health::Unknown(_) => Ok(()),
            }
        })
        .await?;
        let (user_id, _) = self.part("api_login", "the API login", api.whoami()).await?;
        let version = self.part("version", "asking for the version", api.version()).await?;
        self.part("web_login", "the web login", login::by_form(site, account, within)).await?;

        let notes = self
            .part("clean", "removing what an earlier check left", clean(self.hands, api, user_id))
            .await?;
        let scratch = format!("{PREFIX}{}", Digest::of(self.hands.identity.as_bytes()).short());
        let folder = folder(self.hands);
        let full_name = self
            .part("write", "making a repository", api.make(&scratch, &self.hands.identity))
            .await
            .map_err(|error| with_leftover(error, &scratch))?;
        let passed = self.push_and_clone(api, &full_name, folder.clone()).await;
        remove_folder(&folder);
        if let Err(error) = passed {
            let gone = timeout(AFTER, Api { within: AFTER, ..api }.remove(&full_name)).await;
            return Err(match gone {
                Ok(Ok(())) => error,
                _ => with_leftover(error, &full_name),
            });
        }
        self.part("remove", "removing the repository", api.remove(&full_name))
            .await
            .map_err(|error| with_leftover(error, &full_name))?;
        Ok(Found { version, took: self.took, notes })
    }

    async fn push_and_clone(
        &mut self,
        api: Api<'_>,
        full_name: &str,
        folder: PathBuf,
    ) -> Result<(), StepError> {
        let within = self.within;
        let git = Git { hands: self.hands, folder, site: self.site, basic: api.basic, within };
        make_folder(&git.folder).map_err(|miss| self.miss("preparing a push", miss))?;
        let content = format!("{}\n", self.hands.identity);
        let pushed = self.part("push", "pushing to it", git.push(full_name, &content)).await?;
        // The push is there; that it is known to the rest of Gitea is the work of a queue.
        self.part("register", "registering the push", async {
            loop {
                match api.head(full_name).await? {
                    Some(head) if head == pushed => return Ok(()),
                    Some(head) => {
                        let what = format!("`main` is {head}, and {pushed} was pushed");
                        return Err(Miss::new(what));
                    }
                    None => sleep(EVERY).await,
                }
            }
        })
        .await?;
        let (cloned, file) = self.part("clone", "cloning it", git.clone(full_name)).await?;
        if cloned != pushed || file != content {
            let what = format!("{pushed} was pushed, and {cloned} came back");
            return Err(self.miss("cloning it", Miss::new(what)));
        }
        Ok(())
    }

    /// One part under its deadline.
    async fn part<T>(
        &mut self,
        key: &'static str,
        name: &str,
        work: impl Future<Output = Result<T, Miss>>,
    ) -> Result<T, StepError> {
        let began = Instant::now();
        let ended = tokio::select! {
            biased;
            () = self.hands.cancel().cancelled() => {
                let what = format!("{} was ended during {name}: the run was cancelled", self.name);
                return Err(StepError::new(ErrorCause::Cancelled, what));
            }
            ended = timeout(self.within, work) => ended,
        };
        self.took.insert(key, began.elapsed());
        let miss = match ended {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(miss)) => miss,
            Err(_) => {
                let within = duration::format(self.within);
                Miss::new(format!("it did not end within {within}; Gitea hangs"))
            }
        };
        Err(self.why(name, miss).await)
    }

    fn miss(&self, name: &str, miss: Miss) -> StepError {
        let mut error = StepError::failed(format!("{} failed {name}: {}", self.name, miss.what));
        error.said = miss.said.into_iter().filter(|line| !line.is_empty()).collect();
        error
    }

    /// A miss, and what Gitea itself says of its health: with its database away it calls every
    /// password wrong.
    async fn why(&self, name: &str, miss: Miss) -> StepError {
        let health = timeout(AFTER, api::health(self.site, AFTER.min(self.within))).await;
        let mut error = self.miss(name, miss);
        if name == "the health check" {
            return error;
        }
        match health {
            Ok(Ok(Health::Fails(what))) => {
                error.what = format!("{} ({})", error.what, unhealthy(&what))
            }
            Ok(Ok(Health::Passes | Health::Unknown(_))) => {}
            Ok(Err(_)) | Err(_) => {
                error.what = format!("{} (`/api/healthz` does not answer either)", error.what);
            }
        }
        error
    }
}

fn unhealthy(what: &[String]) -> String {
    let reach = |of: &str| format!("Gitea does not reach its {of} (`/api/healthz` says so)");
    match what.iter().find_map(|name| name.strip_suffix(":ping")) {
        Some(of) => reach(of),
        None => format!("`/api/healthz` fails: {}", what.join(", ")),
    }
}

fn with_leftover(mut error: StepError, name: &str) -> StepError {
    let help = format!("the repository `{name}` may be left; the next attempt removes it");
    error.help = Some(error.help.map_or(help.clone(), |first| format!("{first}; {help}")));
    error
}

/// Whether a repository was left by an attempt that is over: one of this very step, or one that is
/// too old to be at work.
fn is_left(look: &Look, scratch: &Scratch) -> bool {
    let of_step = |identity: &str| identity.rsplit_once(':').map(|(step, _)| step.to_owned());
    let old = |made: Timestamp| {
        Timestamp::now().duration_since(made)
            > jiff::SignedDuration::try_from(STALE).unwrap_or_default()
    };
    of_step(&scratch.identity) == of_step(&look.identity) || scratch.made.is_some_and(old)
}

/// What earlier attempts left.
///
/// # Errors
/// When it cannot be asked for.
pub(super) async fn left(look: &Look, api: Api<'_>, user_id: i64) -> Result<Vec<Scratch>, Miss> {
    let mut all = api.scratches(user_id).await?;
    all.retain(|scratch| is_left(look, scratch));
    Ok(all)
}

/// Removes what earlier attempts left; says what it was.
///
/// # Errors
/// When it cannot be removed.
pub(super) async fn clean(hands: &Hands, api: Api<'_>, user_id: i64) -> Result<Vec<String>, Miss> {
    remove_folder(&folder(hands));
    let mut notes = Vec::new();
    for scratch in left(hands, api, user_id).await? {
        api.remove(&scratch.full_name).await?;
        notes.push(format!(
            "removed the repository `{}` that `{}` had left",
            scratch.full_name, scratch.identity
        ));
    }
    Ok(notes)
}

/// Where a step pushes from and clones to: the same for all its attempts, so that what a killed
/// one left is found.
pub(super) fn folder(look: &Look) -> PathBuf {
    let step = look.identity.rsplit_once(':').map_or(&*look.identity, |(step, _)| step);
    std::env::temp_dir().join(format!("{PREFIX}{}", Digest::of(step.as_bytes()).short()))
}

fn make_folder(folder: &PathBuf) -> Result<(), Miss> {
    use std::os::unix::fs::DirBuilderExt;
    // Ours from the first moment: somebody else's folder of that name is no place to work in.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|e| Miss::new(format!("failed to make `{}`: {e}", folder.display())))
}

fn remove_folder(folder: &PathBuf) {
    // If it is not gone, making it says so.
    let _ = std::fs::remove_dir_all(folder);
}

/// The proof's parts that are told as outputs, with what each is called there.
pub(super) const TOLD: &[(&str, &str)] = &[
    ("api_login", "api_login_ms"),
    ("web_login", "web_login_ms"),
    ("write", "write_ms"),
    ("push", "push_ms"),
    ("clone", "clone_ms"),
];

impl Found {
    /// As outputs.
    pub(super) fn outputs(&self) -> BTreeMap<String, Value> {
        let ms = |of: &str| {
            let took = self.took.get(of).copied().unwrap_or_default();
            Value::from(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        let mut out: BTreeMap<String, Value> =
            TOLD.iter().map(|(of, name)| ((*name).to_owned(), ms(of))).collect();
        out.insert("version".to_owned(), Value::from(self.version.as_str()));
        out
    }
}
