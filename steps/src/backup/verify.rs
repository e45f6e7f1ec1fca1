//! `backup.verify`.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workplan_engine::duration;
use workplan_engine::kind::{
    Applied, Binding, Change, Class, ErrorCause, Facts, Hands, Kind, Look, Observation, OutputType,
    ParamProblem, ParamSpec, ParamType, Past, Prepared, Resources, Step, StepError, UndoPlan, With,
};

use super::cipher::{DigestKey, OpenError, on_disk, open};
use super::content::{self, Difference};
use super::keys::Keys;
use super::manifest::{DIGEST_KEY, Database, Member, MemberKind, Server};
use super::scratch::{NEEDED, Running, with_server};
use super::seal::Verdict;
use super::settings::{DIR, LAYER, Settings, TIMEOUT, Where};
use super::shelf::{Backup, Verified};
use super::store::{Id, Layer};
use super::tools::{Tools, major, quoted};
use super::words::io_error;
use crate::count::count;

/// Decrypts a backup, restores it into a scratch server, and compares.
#[derive(Debug, Clone, Copy)]
pub struct BackupVerify;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "backup",
        ty: ParamType::String,
        required: false,
        doc: "The backup, by its time (`20260315T102030Z`); the newest by default.",
    },
    ParamSpec {
        name: "manifest",
        ty: ParamType::String,
        required: false,
        doc: "SHA-256 of its manifest, the output `manifest` of `backup.create`. It says which \
              backup is meant where no private key was there to seal it.",
    },
    DIR,
    LAYER,
];

impl Kind for BackupVerify {
    fn name(&self) -> &'static str {
        "backup.verify"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Proves that a backup can be restored: its manifest is sealed by a key of ours, each member \
         is as it was written and can be decrypted, and the databases, restored into a scratch \
         server that is gone afterwards, have the tables, rows, sequences and large objects that \
         were dumped. A backup that passed is marked in `verified.json`."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        [
            ("backup", OutputType::String),
            ("manifest", OutputType::String),
            ("verified_at", OutputType::String),
            ("tables", OutputType::Int),
            ("rows", OutputType::Int),
            ("equal", OutputType::Bool),
            ("differences", OutputType::List),
        ]
        .map(|(name, ty)| (name.to_owned(), ty))
        .into()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let place = Where::read(with, &mut problems);
        let backup = with.str("backup").filter(|text| *text != "newest");
        if let Some(text) = backup.filter(|text| !text.contains("${{"))
            && Id::parse(text).is_none()
        {
            let what = format!("`{text}` is no backup: its name is a time, `20260315T102030Z`");
            problems.push(ParamProblem::new("backup", what));
        }
        if problems.is_empty() {
            let manifest = with
                .str("manifest")
                .map(|text| text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase());
            Ok(Box::new(VerifyStep { place, backup: backup.map(str::to_owned), manifest }))
        } else {
            Err(problems)
        }
    }
}

struct VerifyStep {
    place: Where,
    backup: Option<String>,
    manifest: Option<String>,
}

/// The backup that is meant.
pub(super) fn choose(layer: &Layer, wanted: Option<&str>) -> Result<Id, StepError> {
    let finished = layer.finished().map_err(|e| io_error("look at", &layer.root, &e))?;
    let newest = finished.first().map(Id::to_string);
    let found = match wanted.map(Id::parse) {
        None => finished.into_iter().next(),
        Some(wanted) => finished.into_iter().find(|id| Some(id) == wanted.as_ref()),
    };
    found.ok_or_else(|| {
        let root = layer.root.display();
        match (wanted, newest) {
            (Some(wanted), Some(newest)) => {
                StepError::failed(format!("there is no backup {wanted} in `{root}`"))
                    .with_help(format!("the newest is {newest}; see `workplan backup list`"))
            }
            _ => StepError::failed(format!("there is no backup in `{root}`"))
                .with_help("make one: `workplan backup create`"),
        }
    })
}

impl VerifyStep {
    /// Whether what is on record still stands: the backup that is meant is the one that passed.
    fn stands(&self, look: &Look, outputs: &BTreeMap<String, Value>) -> Option<Backup> {
        let settings = self.place.settings(look).ok()?;
        let keys = Keys::gather(look, &settings);
        let id = choose(&settings.folder, self.backup.as_deref()).ok()?;
        let backup = Backup::read(&settings.folder, &id).ok()?;
        let text = |name: &str| outputs.get(name).and_then(Value::as_str);
        let same = text("backup") == Some(&id.to_string())
            && text("manifest") == Some(backup.digest.as_str());
        let whole = same && backup.misfits().is_empty() && backup.verified(&keys).is_some();
        whole.then_some(backup)
    }
}

fn done(outputs: &BTreeMap<String, Value>) -> Observation {
    let mut facts = Facts::default();
    for (name, class) in [
        ("backup", Binding::Informative),
        ("manifest", Binding::Informative),
        ("tables", Binding::Informative),
        ("rows", Binding::Informative),
    ] {
        if let Some(value) = outputs.get(name) {
            facts = facts.with(name, class, value.clone());
        }
    }
    let mut seen = Observation::done().with_facts(facts);
    seen.outputs.clone_from(outputs);
    seen
}

#[async_trait]
impl Step for VerifyStep {
    fn resources(&self) -> Resources {
        Resources { reads: vec![self.place.resource()], writes: Vec::new(), claimed: true }
    }

    fn undo_plan(&self) -> UndoPlan {
        UndoPlan::NotNeeded
    }

    fn observe_now(&self, look: &Look) -> Option<Observation> {
        // Restoring is no look. What passed for somebody else is not this step's proof.
        let due = !matches!(look.past, Past::Succeeded { .. });
        due.then(Observation::absent)
    }

    async fn observe(&self, look: &Look) -> Observation {
        let Past::Succeeded { record, outputs } = &look.past else { return Observation::absent() };
        if self.stands(look, outputs).is_none() {
            return Observation::absent();
        }
        let mut seen = done(outputs);
        seen.record = Some(record.clone());
        seen
    }

    async fn preview(&self, look: &Look, _seen: &Observation) -> Vec<Change> {
        let name = self.place.settings(look).ok().map(|settings| {
            match choose(&settings.folder, self.backup.as_deref()) {
                Ok(id) if self.backup.is_some() => settings.folder.path(&id).display().to_string(),
                _ => format!("the newest backup in {}", settings.folder.root.display()),
            }
        });
        vec![Change {
            op: "read".to_owned(),
            path: name.unwrap_or_else(|| "the newest backup".to_owned()),
            before: None,
            after: Some("decrypted, restored into a scratch server, and equal".into()),
        }]
    }

    async fn apply(&self, hands: &Hands) -> Result<Applied, StepError> {
        let settings = self.place.settings(hands)?;
        let timeout = hands.timeout.unwrap_or(TIMEOUT);
        let work = self.check(hands, &settings, timeout);
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            Err(_) => {
                let late =
                    format!("the backup was not verified within {}", duration::format(timeout));
                Err(StepError::new(ErrorCause::TimedOut, late)
                    .with_help("give it more time with `timeout`"))
            }
        }
    }

    async fn verify(&self, _look: &Look, applied: &Applied) -> Observation {
        done(&applied.outputs)
    }

    fn verify_now(&self, _look: &Look, applied: &Applied) -> Option<Observation> {
        Some(done(&applied.outputs))
    }

    async fn undo(&self, _hands: &Hands, _prepared: &Prepared) -> Result<(), StepError> {
        Ok(())
    }
}

impl VerifyStep {
    async fn check(
        &self,
        hands: &Hands,
        settings: &Settings,
        timeout: Duration,
    ) -> Result<Applied, StepError> {
        let layer = &settings.folder;
        let id = choose(layer, self.backup.as_deref())?;
        let held = layer.hold(&id).map_err(|e| io_error("read", &layer.path(&id), &e))?;
        let keys = Keys::gather(hands, settings);
        let opened = Opened::open(hands, layer, &id, &keys, self.manifest.as_deref()).await?;
        let backup = &opened.backup;

        let mut differences: Vec<Value> = Vec::new();
        let mut said = Vec::new();
        let mut notes = Vec::new();
        let mut versions = Vec::new();
        for server in &backup.manifest.servers {
            let wanted = major(&server.version).unwrap_or_default();
            let tools = Tools::find(hands, wanted, NEEDED).await?;
            let found = with_server(hands, &tools, settings, timeout, async |running| {
                restore_server(hands, running, &opened, server, &mut notes).await
            })
            .await?;
            for (database, difference) in found {
                let object = format!("{}/{database}: {}", server.name, difference.object);
                said.push(format!("{object}: {}", difference.detail));
                differences.push(json!({
                    "object": object,
                    "kind": difference.kind,
                    "detail": difference.detail,
                }));
            }
            versions.push(tools.version);
        }
        versions.dedup();
        let now = Timestamp::now().to_string();
        let manifest = &backup.manifest;
        let outputs: BTreeMap<String, Value> = [
            ("backup", Value::from(id.to_string())),
            ("manifest", backup.digest.as_str().into()),
            ("verified_at", now.clone().into()),
            ("tables", manifest.tables().into()),
            ("rows", manifest.rows().into()),
            ("equal", differences.is_empty().into()),
            ("differences", differences.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if !said.is_empty() {
            let what = format!(
                "the backup {id} does not restore to what was dumped: {}",
                count(said.len(), "difference")
            );
            let mut error = StepError::failed(what).with_outputs(outputs);
            error.said = said;
            error.log = hands.log().map(ToOwned::to_owned);
            return Err(error);
        }
        let verified = Verified {
            manifest: backup.digest.to_string(),
            at: now,
            by: hands.identity.to_string(),
            tables: manifest.tables(),
            rows: manifest.rows(),
            restored_into: versions,
        };
        backup
            .set_verified(verified, &keys)
            .map_err(|e| io_error("mark as verified", &backup.path, &e))?;
        drop(held);
        Ok(Applied { outputs, notes, ..Applied::default() })
    }
}

/// A backup that is ours and whole, with what it takes to read it.
pub(super) struct Opened {
    pub(super) backup: Backup,
    pub(super) keys: Arc<Keys>,
    pub(super) key: DigestKey,
}

impl Opened {
    /// Opens a backup: who made it, whether each member is as it was written, whether it can be
    /// decrypted. All members but the databases' are decrypted to their ends.
    ///
    /// # Errors
    /// What is wrong with it, each member by name.
    pub(super) async fn open(
        hands: &Hands,
        layer: &Layer,
        id: &Id,
        keys: &Arc<Keys>,
        manifest: Option<&str>,
    ) -> Result<Self, StepError> {
        let (layer, id, keys) = (layer.clone(), id.clone(), Arc::clone(keys));
        let (manifest, cancel) = (manifest.map(str::to_owned), hands.cancel().clone());
        let opening = tokio::task::spawn_blocking(move || {
            Self::open_now(&layer, &id, keys, manifest.as_deref(), &cancel)
        });
        match opening.await {
            Ok(result) => result,
            Err(_) => Err(StepError::failed("reading the backup ended without a result")),
        }
    }

    fn open_now(
        layer: &Layer,
        id: &Id,
        keys: Arc<Keys>,
        wanted: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Self, StepError> {
        let backup = Backup::read(layer, id)
            .map_err(|why| StepError::failed(format!("the backup {id} cannot be used: {why}")))?;
        if wanted.is_some_and(|wanted| wanted != backup.digest.as_str()) {
            return Err(StepError::failed(format!(
                "the backup {id} is not the one that is meant: its manifest has the digest {}",
                backup.digest
            )));
        }
        let verdict = backup.verdict(&keys);
        if verdict == Verdict::Broken {
            return Err(StepError::failed(format!(
                "the manifest of the backup {id} was exchanged or changed after it was sealed"
            ))
            .with_help("do not restore it; use another one"));
        }
        damaged(&backup, cancel)?;
        let key = digest_key(&backup, &keys, cancel)?;
        if verdict == Verdict::Unsealed && wanted.is_none() {
            return Err(StepError::failed(format!(
                "nothing says that the backup {id} is ours: no key that is here has sealed its manifest"
            ))
            .with_help(format!(
                "if you know where it is from, say which manifest you mean: `--manifest {}`",
                backup.digest
            )));
        }
        let opened = Self { backup, keys, key };
        for member in &opened.backup.manifest.members {
            if !matches!(member.kind, MemberKind::DigestKey | MemberKind::Database) {
                opened.decrypt(member, std::io::sink(), cancel)?;
            }
        }
        Ok(opened)
    }

    /// Decrypts a member into a writer, whose end says whether it was whole. Blocks.
    ///
    /// # Errors
    /// When it is not what was encrypted, or the writer takes no more.
    pub(super) fn decrypt(
        &self,
        member: &Member,
        to: impl std::io::Write,
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        let path = self.backup.path.join(&member.name);
        match open(&path, &self.keys, Some(&self.key), to, cancel) {
            Ok(plain) if plain == member.sizes.plain => Ok(()),
            Ok(_) => Err(StepError::failed(format!(
                "`{}` of the backup {} holds something else than what was backed up",
                member.name, self.backup.id
            ))),
            Err(error) => Err(unopened(&self.backup, &member.name, &self.keys, &error)),
        }
    }
}

/// Compares all members with what was written. All that are wrong are named.
fn damaged(backup: &Backup, cancel: &CancellationToken) -> Result<(), StepError> {
    let mut said = Vec::new();
    for member in &backup.manifest.members {
        let path = backup.path.join(&member.name);
        match on_disk(&path, cancel) {
            Ok((bytes, sha256)) if bytes == member.sizes.bytes && sha256 == member.sizes.sha256 => {
            }
            Ok((bytes, _)) if bytes != member.sizes.bytes => said.push(format!(
                "`{}` has {bytes} bytes instead of {}",
                member.name, member.sizes.bytes
            )),
            Ok(_) => said.push(format!("`{}` was changed or exchanged", member.name)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                said.push(format!("`{}` is missing", member.name));
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                return Err(StepError::new(ErrorCause::Cancelled, "the run was cancelled"));
            }
            Err(e) => said.push(format!("`{}` cannot be read: {e}", member.name)),
        }
    }
    if said.is_empty() {
        return Ok(());
    }
    let what = format!("the backup {} is damaged: {}", backup.id, said.join("; "));
    let differences: Vec<Value> =
        said.iter().map(|detail| json!({"kind": "member", "detail": detail})).collect();
    let outputs = [
        ("backup", Value::from(backup.id.to_string())),
        ("equal", false.into()),
        ("differences", differences.into()),
    ];
    Err(StepError::failed(what)
        .with_help("make a new one, and look at the disk it was on")
        .with_outputs(outputs.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn digest_key(
    backup: &Backup,
    keys: &Keys,
    cancel: &CancellationToken,
) -> Result<DigestKey, StepError> {
    let mut bytes = Vec::new();
    let path = backup.path.join(DIGEST_KEY);
    open(&path, keys, None, &mut bytes, cancel)
        .map_err(|error| unopened(backup, DIGEST_KEY, keys, &error))?;
    DigestKey::from_bytes(&bytes)
        .ok_or_else(|| StepError::failed(format!("`{}` is no key", path.display())))
}

fn unopened(backup: &Backup, member: &str, keys: &Keys, error: &OpenError) -> StepError {
    let id = &backup.id;
    match error {
        OpenError::Cancelled => StepError::new(ErrorCause::Cancelled, "the run was cancelled"),
        OpenError::NoKey => {
            let recipients = backup.manifest.recipients.join("`, `");
            let what = if keys.all.is_empty() {
                format!("the backup {id} cannot be decrypted: there is no private key here")
            } else {
                format!("the backup {id} cannot be decrypted: no key that is here fits")
            };
            let mut error = StepError::failed(what).with_help(format!(
                "it is for `{recipients}`: name a file with the private key of one of them, \
                 `sops: {{age_key_file: PATH}}` or `backup: {{key: PATH}}` in the target file"
            ));
            error.said = vec![keys.places()];
            error
        }
        OpenError::Damaged => StepError::failed(format!(
            "`{member}` of the backup {id} cannot be decrypted: it was changed or cut short"
        )),
        OpenError::Read(e) => io_error("read", &backup.path.join(member), e),
        OpenError::Sink(e) => {
            StepError::failed(format!("`{member}` of the backup {id} was not taken whole: {e}"))
        }
    }
}

/// Restores the roles and databases of one server, and compares each with what was dumped.
async fn restore_server(
    hands: &Hands,
    running: &Running<'_>,
    opened: &Opened,
    server: &Server,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Difference)>, StepError> {
    let maintenance = running.writer("template1").await?;
    // The backup has its own.
    maintenance.run("drop database postgres").await?;
    let mut psql = running.client("psql", "template1");
    psql.argv.extend(
        ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"]
            .map(Into::into),
    );
    psql.argv.push("--output=/dev/null".into());
    let who = format!("restoring the roles of {}", server.name);
    feed(hands, running, opened, &server.roles, &who, psql).await?;
    let mut found = Vec::new();
    for database in &server.databases {
        create(&maintenance, database, notes).await?;
        let mut restore = running.client("pg_restore", &database.name);
        restore
            .argv
            .extend(["--format=custom", "--exit-on-error", "--no-tablespaces"].map(Into::into));
        let who = format!("restoring `{}` of {}", database.name, server.name);
        feed(hands, running, opened, &database.member, &who, restore).await?;
        let reader = running.reader(&database.name).await?;
        let restored = content::read(&reader, &opened.key).await?;
        let differences = content::compare(&database.content, &restored);
        found.extend(differences.into_iter().map(|d| (database.name.clone(), d)));
    }
    Ok(found)
}

/// Makes the database that a dump is restored into.
async fn create(
    maintenance: &workplan_platform::sql::Writer,
    database: &Database,
    notes: &mut Vec<String>,
) -> Result<(), StepError> {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let sql = |collate: &str, ctype: &str| {
        format!(
            "create database {} template template0 owner {} encoding {} lc_collate {} lc_ctype {}",
            quoted(&database.name),
            quoted(&database.owner),
            literal(&database.encoding),
            literal(collate),
            literal(ctype),
        )
    };
    match maintenance.run(&sql(&database.collate, &database.ctype)).await {
        Ok(()) => Ok(()),
        // The digests do not depend on it.
        Err(error) if error.to_string().contains("locale") => {
            maintenance.run(&sql("C", "C")).await?;
            notes.push(format!(
                "`{}` was restored with the locale `C`: `{}` is not on this machine",
                database.name, database.collate
            ));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Decrypts a member into a program of the scratch server.
async fn feed(
    hands: &Hands,
    running: &Running<'_>,
    opened: &Opened,
    member: &str,
    who: &str,
    mut spec: workplan_engine::kind::CommandSpec,
) -> Result<(), StepError> {
    let missing = || StepError::failed(format!("the manifest has no member `{member}`"));
    let member = opened.backup.manifest.member(member).ok_or_else(missing)?.clone();
    let pipe = std::io::pipe();
    let (from, to) = pipe.map_err(|e| StepError::failed(format!("failed to make a pipe: {e}")))?;
    spec.read_from = Some(from.into());
    let (backup, keys) = (opened.backup.path.join(&member.name), Arc::clone(&opened.keys));
    let (key, cancel) = (opened.key.clone(), hands.cancel().clone());
    let decrypting =
        tokio::task::spawn_blocking(move || open(&backup, &keys, Some(&key), to, &cancel));
    let taken = running.client_run(who, spec).await;
    let decrypted = decrypting.await;
    match (taken, decrypted) {
        (Ok(()), Ok(Ok(plain))) if plain == member.sizes.plain => Ok(()),
        (_, Ok(Ok(plain))) if plain != member.sizes.plain => Err(StepError::failed(format!(
            "`{}` of the backup {} holds something else than what was backed up",
            member.name, opened.backup.id
        ))),
        // What the program says tells more than that it took no more.
        (Err(error), Ok(Ok(_) | Err(OpenError::Sink(_)))) => Err(error),
        (_, Ok(Err(error))) => Err(unopened(&opened.backup, &member.name, &opened.keys, &error)),
        (Err(error), Err(_)) => Err(error),
        (Ok(()), _) => Err(StepError::failed(format!("`{}` was not read", member.name))),
    }
}
