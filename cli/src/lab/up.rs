//! `workplan lab up`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ask::{act, ask, carry_out};
use super::digest::Gather;
use super::fill::fill;
use super::folder::{FilledRecord, Folder, Found, Record, Stage};
use super::old::{Deploy, FindSite, Restart, Wake};
use super::shape::{PORTS, Shape};
use super::{down, repos};
use crate::app::App;
use crate::args::LabUp;
use crate::commands::runtime;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// How long after the filling Gitea may still be busy with it.
const QUIET: Duration = Duration::from_secs(60);
/// Between two looks at whether it is.
const PAUSE: Duration = Duration::from_secs(1);

/// The workplan touches nothing without a backup that is known to restore, so a lab has one.
const BACKUP: &str = r#"
      - id: backup
        uses: backup.create
        with:
          databases: ["${{ target.databases.old }}"]
          files: [railiance-cluster:helm/gitea-values.sops.yaml]
      - id: restorable
        uses: backup.verify
        needs: [backup]
        with: {backup: "${{ steps.T01.backup.outputs.backup }}"}
"#;

/// Makes a lab, or brings up what is down of one.
pub(crate) fn up(app: &App, args: &LabUp) -> Result<Exit, Failure> {
    let folder = Folder::find(&args.dir)?;
    match folder.look()? {
        Found::Lab(record) if record.stage == Stage::Ready => wake(app, args, &folder, &record),
        Found::Lab(record) => {
            sops(app)?;
            app.printer.say("an earlier `lab up` did not come to its end; the lab is made anew");
            down::end(app, &folder)?;
            folder.remove()?;
            let seed = args.seed.unwrap_or(record.seed);
            make(app, &folder, &Shape::new(seed, args.size.unwrap_or(record.size)))
        }
        Found::Nothing => {
            let seed = match args.seed {
                Some(seed) => seed,
                None => drawn()?,
            };
            make(app, &folder, &Shape::new(seed, args.size.unwrap_or(1)))
        }
    }
}

/// A seed, short enough to be typed again.
fn drawn() -> Result<u64, Failure> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::new(exit::FAILED, format!("failed to draw a seed: {e}")))?;
    Ok(u64::from(u32::from_be_bytes(bytes)) % 1_000_000)
}

/// Brings up what is down. Nothing else changes.
fn wake(app: &App, args: &LabUp, folder: &Folder, record: &Record) -> Result<Exit, Failure> {
    let other =
        args.seed.is_some_and(|s| s != record.seed) || args.size.is_some_and(|s| s != record.size);
    if other {
        return Err(Failure::usage(format!(
            "the lab in `{}` has seed {} and size {}",
            folder.root().display(),
            record.seed,
            record.size
        ))
        .with_help("end it with `workplan lab down`, or choose another folder with `--dir`"));
    }
    let work = Work::begin(app);
    work.doing("bringing up what is down");
    act(app, &folder.target(), Wake)?;
    work.done("the lab is up");
    Ok(exit::DONE)
}

fn make(app: &App, folder: &Folder, shape: &Shape) -> Result<Exit, Failure> {
    let sops = sops(app)?;
    let ports = free_ports(shape)?;
    let work = Work::begin(app);
    app.printer.say(&format!(
        "a lab in `{}`: seed {}, size {}, ports from {ports}",
        folder.root().display(),
        shape.seed,
        shape.size
    ));
    let mut record = Record::begun(shape.seed, shape.size, ports);
    folder.write(&record)?;

    work.doing("five repositories");
    repos::write(folder, shape, ports, &sops)?;
    super::folder::make(&folder.backup())?;

    work.doing("Gitea on its PostgreSQL HA and Valkey");
    let target = folder.target();
    act(app, &target, Deploy { folder: folder.clone() })?;

    work.doing("filling Gitea");
    let site = ask(app, &target, FindSite)?;
    let filled = runtime()?.block_on(fill(&site, shape, |done, all| {
        work.doing(&format!("filled {done} of {all} repositories"));
    }))?;
    record.filled = Some(FilledRecord { users: filled.users, repositories: filled.repositories });

    work.doing("restarting Gitea, until it is quiet");
    act(app, &target, Restart)?;
    quiet(app, folder)?;

    work.doing("a backup, and the proof that it restores");
    carry_out(app, &target, BACKUP)?;

    record.stage = Stage::Ready;
    folder.write(&record)?;
    work.done(&format!(
        "the lab is up: {} users, {} repositories ({} requests)",
        filled.users, filled.repositories, filled.requests
    ));
    let workplan = folder.workplan();
    app.printer.say("next:");
    app.printer.say(&format!("  workplan plan --target lab {}", workplan.display()));
    app.printer.data_line(&folder.root().display().to_string());
    Ok(exit::DONE)
}

/// Waits until two looks see the same.
fn quiet(app: &App, folder: &Folder) -> Result<(), Failure> {
    let until = Instant::now() + QUIET;
    let look = || ask(app, &folder.target(), Gather { folder: folder.clone() });
    let mut before = look()?;
    loop {
        std::thread::sleep(PAUSE);
        let now = look()?;
        if now == before {
            return Ok(());
        }
        if Instant::now() > until {
            let names: Vec<String> = now
                .lines()
                .filter(|(name, digest)| !before.lines().any(|b| b == (*name, digest.clone())))
                .map(|(name, _)| name.to_owned())
                .collect();
            let mut failure = Failure::new(exit::FAILED, "Gitea does not come to rest");
            failure.causes.push(format!("what still moves: {}", names.join(", ")));
            return Err(failure);
        }
        before = now;
    }
}

/// The first block of ports in which nobody listens.
fn free_ports(shape: &Shape) -> Result<u16, Failure> {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    shape
        .port_blocks()
        .find(|first| (*first..first + PORTS).all(|port| free(&port)))
        .ok_or_else(|| Failure::new(exit::FAILED, "no block of 100 ports on loopback is free"))
}

/// The program that seals values; without it a lab cannot be made.
fn sops(app: &App) -> Result<PathBuf, Failure> {
    app.env.program("sops").ok_or_else(|| {
        Failure::new(exit::FAILED, "a lab needs the `sops` program, which is not on the PATH")
            .with_help("`tools/setup.sh platform` builds it, with everything else that a lab needs")
    })
}

/// Says what is done, and how long it took so far.
struct Work<'a> {
    app: &'a App,
    began: Instant,
}

impl<'a> Work<'a> {
    fn begin(app: &'a App) -> Self {
        Self { app, began: Instant::now() }
    }

    fn doing(&self, what: &str) {
        self.app.printer.say(&format!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    fn done(&self, what: &str) {
        self.doing(what);
    }
}
