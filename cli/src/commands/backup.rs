//! `workplan backup`: its kinds of step, with parameters from the target, and the list.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use workplan_engine::kind::{
    BaseEnv, CommandOutcome, CommandSpec, ErrorCause, Launcher, Look, StepError,
};
use workplan_engine::session::{self, SourceOptions};
use workplan_steps::backup::{Listing, list};

use crate::app::App;
use crate::args::{
    Backup, BackupCommand, BackupCreate, BackupList, BackupPlace, BackupVerify, BackupWork, Do,
};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::json::BackupsDocument;
use crate::secrets::Secrets;
use crate::term::{Table, local_ms};
use crate::{person, state};

use super::load;
use super::single::once;

/// Makes, lists or verifies backups.
pub(crate) fn backup(app: &App, args: &Backup) -> Result<Exit, Failure> {
    match &args.what {
        BackupCommand::Create(args) => create(app, args),
        BackupCommand::List(args) => listed(app, args),
        BackupCommand::Verify(args) => verify(app, args),
    }
}

fn create(app: &App, args: &BackupCreate) -> Result<Exit, Failure> {
    let mut with = Vec::new();
    for (name, values) in
        [("databases", &args.database), ("releases", &args.release), ("files", &args.file)]
    {
        with.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
    }
    let step = step("backup.create", with, &args.place, &args.work);
    once(app, &step, "workplan backup create …")
}

fn verify(app: &App, args: &BackupVerify) -> Result<Exit, Failure> {
    let given = [("backup", &args.backup), ("manifest", &args.manifest)];
    let with =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let step = step("backup.verify", with.collect(), &args.place, &args.work);
    once(app, &step, "workplan backup verify …")
}

/// The same as `workplan do` with these parameters.
fn step(kind: &str, mut with: Vec<(String, String)>, place: &BackupPlace, work: &BackupWork) -> Do {
    let given = [("dir", &place.dir), ("layer", &place.layer)];
    with.extend(
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))),
    );
    Do {
        kind: kind.to_owned(),
        with,
        target: place.target.clone(),
        dry_run: work.dry_run,
        json: place.json,
        yes: work.yes,
        timeout: work.timeout,
    }
}

/// Lists what is there. Nothing is run, nothing is locked, nothing is written.
fn listed(app: &App, args: &BackupList) -> Result<Exit, Failure> {
    let here = std::env::current_dir().map_err(|e| Failure::io("find", Path::new("."), &e))?;
    let dir = state::of_current_folder(app)?;
    let options = SourceOptions {
        workplan: here.join("do"),
        steps: None,
        target: args.place.target.target.clone(),
        set: args.place.target.set.clone(),
        implicit_identity: state::identity(&dir),
        machine: person::machine_id(),
    };
    let (target, found) = session::load_target(&options, &here);
    load::say(app, &found);
    let Some(target) = target else {
        return Err(Failure::new(exit::INVALID, "the target cannot be used"));
    };
    let secrets = Arc::new(Secrets::new(app.env.clone()));
    let mut look = Look::new("backup.list", &here, secrets, Arc::new(Nobody));
    look.place = Arc::new(target.place());
    look.env = Arc::new(BaseEnv(app.env.all.clone()));
    let listing = list(&look, args.place.dir.as_deref(), args.place.layer.as_deref())
        .map_err(|e| Failure::new(exit::INVALID, e.what).with_help(e.help.unwrap_or_default()))?;
    if args.place.json {
        app.printer.json(&BackupsDocument::new(&listing))?;
    } else {
        print(app, &listing);
    }
    Ok(exit::DONE)
}

fn print(app: &App, listing: &Listing) {
    if listing.backups.is_empty() {
        app.printer.data_line("no backup");
        app.printer.say(&format!("The folder is `{}`", listing.folder.display()));
    } else {
        let mut table = Table::default();
        table.row(["backup", "made", "size", "databases", "rows", "verified"]);
        for backup in &listing.backups {
            let verified = match (&backup.trouble, backup.verified_ms) {
                (Some(trouble), _) => trouble.clone(),
                (None, Some(at)) => local_ms(at),
                (None, None) => "no".to_owned(),
            };
            table.row([
                backup.id.clone(),
                backup.made_ms.map(local_ms).unwrap_or_default(),
                backup.size.clone(),
                app.printer.clean_out(&backup.databases.join(", ")).into_owned(),
                backup.rows.to_string(),
                app.printer.clean_out(&verified).into_owned(),
            ]);
        }
        table.lines().iter().for_each(|line| app.printer.data_line(line));
    }
    for left in &listing.unfinished {
        let path = left.path.display();
        app.printer.say(&match left.live {
            true => format!("`{path}` is being made"),
            false => format!("`{path}` was begun and not finished; the next backup removes it"),
        });
    }
}

/// A list needs no child.
struct Nobody;

#[async_trait]
impl Launcher for Nobody {
    async fn run(
        &self,
        _spec: CommandSpec,
        _identity: &str,
        _log: Option<std::path::PathBuf>,
        _cancel: CancellationToken,
    ) -> Result<CommandOutcome, StepError> {
        Err(StepError::new(ErrorCause::NotStarted, "nothing is started for a list"))
    }
}
