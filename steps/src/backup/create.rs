//! `backup.create`.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, ErrorCause, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Prepared, Resources, Seen, Step, StepError, UndoPlan, With,
};

use super::cipher::{DigestKey, on_disk};
use super::dump::{self, Maker, file_name, sealed};
use super::keys::{Keys, Recipients};
use super::manifest::{DIGEST_KEY, Manifest, MemberKind, SCHEMA, Target};
use super::retention::{Candidate, Keep, age_of, surplus};
use super::seal::Seal;
use super::settings::{DIR, LAYER, Settings, TIMEOUT, Where};
use super::shelf::Backup;
use super::store::{Id, Layer, Leftover, LeftoverState, MANIFEST, SEAL, host};
use super::subject::{Found, Subject};
use super::words::{io_error, size};
use crate::count::count;

/// Makes an encrypted backup of databases, roles and files.
#[derive(Debug, Clone, Copy)]
pub struct BackupCreate;

const PARAMS: &[ParamSpec] = &[
    optional(
        "databases",
        ParamType::Value,
        "Databases or servers, by their names in the target file, as mappings or as \
         `postgresql://` URLs; one or a list. A server without a database means all of its \
         databases. Where nothing is named, `backup.databases` of the target, else all of its \
         `databases`.",
    ),
    optional(
        "releases",
        ParamType::Strings,
        "Not there yet, and refused before anything is done: releases, `namespace/name`, with what no \
         file says of them. Name the databases of a release under `databases`, and its values under \
         `files`.",
    ),
    optional(
        "files",
        ParamType::Strings,
        "Files that a restore needs, secrets and values for example, also `REPO:path`; \
         `backup.files` of the target by default.",
    ),
    DIR,
    LAYER,
    optional(
        "recipients",
        ParamType::Strings,
        "Who can read it: `age1…`, `ssh-ed25519 …` or `ssh-rsa …` keys. By default \
         `backup.recipients` of the target, else those of the nearest `.sops.yaml`, else the public \
         halves of the keys that are here.",
    ),
    optional(
        "keep",
        ParamType::Value,
        "How many backups stay afterwards and for how long, `{count: 14, age: 30d}`; what one of \
         the two keeps stays. The newest one that was verified always stays. `backup.keep` of the \
         target by default, else all stay.",
    ),
    optional(
        "within",
        ParamType::Duration,
        "A backup of the same things that is younger than this is enough. Without it each run makes \
         its own.",
    ),
];

const fn optional(name: &'static str, ty: ParamType, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc }
}

impl Kind for BackupCreate {
    fn name(&self) -> &'static str {
        "backup.create"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a backup that age encrypts while it is read: nothing of it is on disk in plain. Each \
         database is dumped from a snapshot together with the digests of its tables, so that \
         `backup.verify` can tell whether a restored copy is the same. A rollback keeps it."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("backup", OutputType::String),
            ("path", OutputType::String),
            ("manifest", OutputType::String),
            ("bytes", OutputType::Int),
            ("tables", OutputType::Int),
            ("rows", OutputType::Int),
        ]
        .map(|(name, ty)| (name.to_owned(), ty))
        .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let place = Where::read(with, &mut problems);
        let subject = Subject::read(with, &mut problems);
        let keep = with.0.get("keep").and_then(|value| match Keep::read(value) {
            Ok(keep) => Some(keep),
            Err(why) => {
                problems.push(ParamProblem::new("keep", format!("`keep`: {why}")));
                None
            }
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(CreateStep {
            place,
            subject,
            recipients: with.strings("recipients"),
            keep,
            within: with.duration("within"),
        }))
    }
}

struct CreateStep {
    place: Where,
    subject: Subject,
    recipients: Vec<String>,
    keep: Option<Keep>,
    within: Option<Duration>,
}

impl CreateStep {
    fn settings(&self, look: &Look) -> Result<Settings, StepError> {
        let mut settings = self.place.settings(look)?;
        if !self.recipients.is_empty() {
            settings.recipients.clone_from(&self.recipients);
        }
        settings.keep = self.keep.unwrap_or(settings.keep);
        Ok(settings)
    }

    /// The backup that makes a further one needless: this run's own, or one that is young enough.
    fn enough(&self, look: &Look, layer: &Layer, subject: &str) -> std::io::Result<Option<Backup>> {
        let now = Timestamp::now();
        let (backups, _) = Backup::all(layer)?;
        Ok(backups.into_iter().find(|backup| {
            let young = self.within.is_some_and(|within| age_of(backup.made_at, now) < within);
            let ours = is_ours(look, &backup.manifest.identity) || young;
            ours && backup.manifest.subject == subject && backup.misfits().is_empty()
        }))
    }
}

/// Whether an identity is of an attempt of this step in this run.
fn is_ours(look: &Look, identity: &str) -> bool {
    let of_step = |text: &str| text.rsplit_once(':').map(|(step, _)| step.to_owned());
    // Without a run nothing is.
    !look.identity.starts_with("workplan:-:") && of_step(identity) == of_step(&look.identity)
}

/// Leftovers that nobody is at: those of this step, or all.
fn dead(layer: &Layer, look: &Look, all: bool) -> std::io::Result<Vec<Leftover>> {
    let mut found = layer.leftovers()?;
    found.retain(|leftover| {
        let ours = leftover.owner.as_ref().is_some_and(|owner| is_ours(look, &owner.identity));
        matches!(leftover.state, LeftoverState::Dead { .. }) && (all || ours)
    });
    Ok(found)
}

fn remove(leftovers: Vec<Leftover>) -> Result<Vec<String>, StepError> {
    let mut names = Vec::new();
    for leftover in leftovers {
        fs::remove_dir_all(&leftover.path).map_err(|e| io_error("remove", &leftover.path, &e))?;
        names.push(leftover.path.display().to_string());
    }
    Ok(names)
}

fn outputs(backup: &Backup) -> BTreeMap<String, Value> {
    [
        ("backup", Value::from(backup.id.to_string())),
        ("path", backup.path.display().to_string().into()),
        ("manifest", backup.digest.as_str().into()),
        ("bytes", backup.manifest.bytes().into()),
        ("tables", backup.manifest.tables().into()),
        ("rows", backup.manifest.rows().into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn done(backup: &Backup) -> Observation {
    let facts = Facts::default().with("backup", Binding::Informative, backup.id.to_string()).with(
        "manifest",
        Binding::Informative,
        backup.digest.as_str(),
    );
    let mut seen = Observation::done().with_facts(facts);
    seen.outputs = outputs(backup);
    seen
}

#[async_trait]
impl Step for CreateStep {
    fn resources(&self) -> Resources {
        let writes = vec![self.place.resource()];
        Resources { reads: self.subject.reads(), writes, claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    async fn observe(&self, look: &Look) -> Observation {
        // What the target does not say yet is told by the attempt; there is nothing to see.
        let (Ok(settings), Ok(found)) = (self.settings(look), self.subject.find(look)) else {
            return Observation::absent();
        };
        let layer = &settings.folder;
        let unknown = |e: std::io::Error| {
            let root = layer.root.display();
            Observation::unknown(format!("the backups in `{root}` cannot be looked at: {e}"))
        };
        match self.enough(look, layer, found.digest().as_str()) {
            Ok(Some(backup)) => return done(&backup),
            Ok(None) => {}
            Err(e) => return unknown(e),
        }
        match dead(layer, look, false) {
            Ok(leftovers) => match leftovers.first() {
                Some(left) => Observation::half(format!(
                    "`{}` was begun and not finished",
                    left.path.display()
                )),
                None => Observation::absent(),
            },
            Err(e) => unknown(e),
        }
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let change =
            |op: &str, path: String, after| Change { op: op.to_owned(), path, before: None, after };
        let (settings, found) = match (self.settings(look), self.subject.find(look)) {
            (Ok(settings), Ok(found)) => (settings, found),
            (Err(e), _) | (_, Err(e)) => {
                let what = format!("nothing: {}", e.what);
                return vec![change("create", "a backup".to_owned(), Some(what.into()))];
            }
        };
        let path = format!("{}/<time>", settings.folder.root.display());
        let keys = Keys::gather(look, &settings);
        let mut lines = found.describe();
        lines.push(match Recipients::choose(look, &settings, &keys) {
            Ok(who) => format!("readable by {} (from {})", who.texts.join(", "), who.from),
            Err(error) => error.what,
        });
        let mut changes = vec![change("create", path, Some(lines.into()))];
        for id in gone(&settings, &keys, true).unwrap_or_default() {
            let path = settings.folder.path(&id).display().to_string();
            changes.push(change("delete", path, None));
        }
        changes
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let settings = self.settings(hands)?;
        let found = self.subject.find(hands)?;
        let keys = Keys::gather(hands, &settings);
        let recipients = Recipients::choose(hands, &settings, &keys)?;
        let layer = &settings.folder;
        let look = |e: std::io::Error| io_error("look at", &layer.root, &e);
        let mut notes = Vec::new();
        // They take the space that is needed now.
        for path in remove(dead(layer, hands, true).map_err(look)?)? {
            notes.push(format!("removed what a dead process left: {path}"));
        }
        let backup = make(hands, &settings, &found, recipients, &keys, &mut notes).await?;
        for id in gone(&settings, &keys, false).map_err(look)? {
            match layer.remove(&id) {
                Ok(true) => notes.push(format!("removed the backup {id}, as `keep` says")),
                Ok(false) => notes.push(format!("kept the backup {id}: somebody reads it")),
                // The backup is there; that an old one is too is no reason to fail.
                Err(e) => notes.push(format!("failed to remove the backup {id}: {e}")),
            }
        }
        Ok(Applied { outputs: outputs(&backup), notes, ..Applied::default() })
    }

    async fn verify(&self, look: &Look, applied: &Applied) -> Observation {
        let Ok(settings) = self.settings(look) else { return Observation::absent() };
        let id = applied.outputs.get("backup").and_then(Value::as_str);
        let Some(id) = id.and_then(Id::parse) else { return Observation::absent() };
        let cancel = look.cancel().clone();
        let whole = tokio::task::spawn_blocking(move || {
            let backup = Backup::read(&settings.folder, &id)?;
            for member in &backup.manifest.members {
                let path = backup.path.join(&member.name);
                let found = on_disk(&path, &cancel)
                    .map_err(|e| format!("`{}` cannot be read back: {e}", path.display()))?;
                if found != (member.sizes.bytes, member.sizes.sha256.clone()) {
                    return Err(format!("`{}` is not what was written", path.display()));
                }
            }
            Ok(backup)
        });
        match whole.await {
            Ok(Ok(backup)) => done(&backup),
            Ok(Err(why)) => Observation::unknown(why),
            Err(_) => Observation::unknown("reading it back ended without a result"),
        }
    }

    async fn repair(&self, hands: &Hands, _half: &Seen) -> Result<(), StepError> {
        let settings = self.settings(hands)?;
        let layer = &settings.folder;
        let leftovers =
            dead(layer, hands, false).map_err(|e| io_error("look at", &layer.root, &e))?;
        remove(leftovers).map(drop)
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}

/// Those that may go; before a new backup is there, as if it were.
fn gone(settings: &Settings, keys: &Keys, before: bool) -> std::io::Result<Vec<Id>> {
    let (backups, _) = Backup::all(&settings.folder)?;
    let now = Timestamp::now();
    let new = before.then(|| Candidate { id: Id::of(now, 1), made_at: now, verified: false });
    let candidates: Vec<Candidate> =
        new.into_iter().chain(backups.iter().map(|backup| backup.candidate(keys))).collect();
    Ok(surplus(&candidates, settings.keep, now))
}

/// Makes the backup. Whatever goes wrong, nothing of it is left.
async fn make(
    hands: &Hands,
    settings: &Settings,
    found: &Found,
    recipients: Recipients,
    keys: &Keys,
    notes: &mut Vec<String>,
) -> Result<Backup, StepError> {
    let began = Timestamp::now();
    let clock = tokio::time::Instant::now();
    let partial = settings.folder.begin(&hands.identity, began)?;
    let id = partial.id.clone();
    let timeout = hands.timeout.unwrap_or(TIMEOUT);
    let mut maker = Maker {
        hands,
        partial: &partial,
        recipients: recipients.into(),
        key: DigestKey::random()?,
        timeout,
        members: Vec::new(),
    };
    let mut manifest = Manifest {
        schema: SCHEMA.to_owned(),
        id: id.to_string(),
        layer: settings.layer.clone(),
        target: Target { name: hands.place.name.clone(), identity: hands.place.identity.clone() },
        identity: hands.identity.to_string(),
        subject: found.digest().to_string(),
        made_at: began.to_string(),
        took_ms: 0,
        host: host(),
        tools: BTreeMap::from([("workplan".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        recipients: maker.recipients.texts.clone(),
        members: Vec::new(),
        servers: Vec::new(),
        valkeys: Vec::new(),
    };
    let made = tokio::time::timeout(timeout, members(&mut maker, &mut manifest, found)).await;
    let made = made.unwrap_or_else(|_| {
        let late = format!("the backup was not made within {}", duration::format(timeout));
        Err(StepError::new(ErrorCause::TimedOut, late)
            .with_help("give it more time with `timeout`"))
    });
    made.map_err(|error| unfinished(error, &partial.path))?;
    manifest.members = std::mem::take(&mut maker.members);
    manifest.took_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);

    let bytes = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| StepError::failed(format!("the manifest cannot be written: {e}")))?;
    let seal = Seal::of(&bytes, keys);
    if seal.is_empty() {
        notes.push(format!(
            "the manifest is not sealed, because no private key is here; verify it with the digest \
             that it has now; {}",
            keys.places()
        ));
    }
    let seal = serde_json::to_vec_pretty(&seal).unwrap_or_default();
    partial.write(SEAL, &seal).map_err(|error| unfinished(error, &partial.path))?;
    partial.write(MANIFEST, &bytes).map_err(|error| unfinished(error, &partial.path))?;
    partial.finish()?;
    notes.push(format!(
        "{} of {}, {} for {}",
        count(manifest.members.len(), "member"),
        size(manifest.bytes()),
        count(manifest.tables(), "table"),
        count(manifest.recipients.len(), "recipient"),
    ));
    Backup::read(&settings.folder, &id).map_err(StepError::failed)
}

/// Says what became of a backup that could not be made.
fn unfinished(mut error: StepError, path: &std::path::Path) -> StepError {
    error.what = format!(
        "{}; `{}` is removed, earlier backups are as they were",
        error.what,
        path.display()
    );
    error
}

async fn members(
    maker: &mut Maker<'_>,
    manifest: &mut Manifest,
    found: &Found,
) -> Result<(), StepError> {
    let key = std::io::Cursor::new(maker.key.bytes().to_vec());
    let sizes = sealed(maker.seal(DIGEST_KEY, key)?).await?;
    let of = "digests of plain text".to_owned();
    maker.add(DIGEST_KEY.to_owned(), MemberKind::DigestKey, of, sizes);
    for source in &found.servers {
        let (server, version) = dump::server(maker, source).await?;
        manifest.tools.insert("pg_dump".to_owned(), version);
        manifest.servers.push(server);
    }
    for (number, (text, path)) in found.files.iter().enumerate() {
        file(maker, number + 1, text, path).await?;
    }
    Ok(())
}

async fn file(
    maker: &mut Maker<'_>,
    number: usize,
    text: &str,
    path: &std::path::Path,
) -> Result<(), StepError> {
    let failed = |e: std::io::Error| io_error("read", path, &e);
    let from = fs::File::open(path).map_err(failed)?;
    let meta = from.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(StepError::failed(format!("`{}` is not a file", path.display()))
            .with_help("name each file that a restore needs"));
    }
    let base = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("file-{number}-{}.age", file_name(&base));
    let sizes = sealed(maker.seal(&name, from)?).await?;
    maker.add(name, MemberKind::File, text.to_owned(), sizes);
    if let Some(member) = maker.members.last_mut() {
        member.mode = Some(format!("{:04o}", meta.permissions().mode() & 0o7777));
    }
    Ok(())
}
