//! The engine as the binary uses it, without arguments and terminal.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use workplan_engine::journal::{StateDir, StoredEvent};
use workplan_engine::kind::{BaseEnv, Look, Secret, SecretError, SecretRef, SecretSource};
use workplan_engine::process::ServiceStarter;
use workplan_engine::run::{Event, RunState};
use workplan_engine::session::{
    Outcome, Reporter, SessionError, SourceOptions, StartOptions, World, load, start,
};

/// One run of one workplan.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The workplan.
    pub workplan: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The binary that has the hidden subcommand `supervise`.
    pub program: PathBuf,
    /// Steps at once.
    pub jobs: usize,
}

struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn resolve(&self, reference: &SecretRef, _: &Look) -> Result<Secret, SecretError> {
        let why = "there are no secrets in a benchmark".to_owned();
        Err(SecretError { reference: reference.to_string(), why })
    }
}

struct Silent;

impl Reporter for Silent {
    fn committed(&mut self, _: &RunState, _: &[StoredEvent], _: &[Event]) {}
}

/// What a command brings along.
#[must_use]
pub fn world(program: PathBuf) -> World {
    World {
        registry: workplan_steps::catalogue(),
        secrets: Arc::new(NoSecrets),
        env: BaseEnv(std::env::vars_os().collect()),
        supervisor: (program.clone(), vec![OsString::from("supervise")]),
        services: ServiceStarter { program, args: vec!["service".into()], env: Vec::new() },
        machine_locks: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        guard: None,
    }
}

/// Loads the workplan and runs it to its end.
///
/// # Errors
/// What the session says.
pub fn drive(drive: &Drive) -> Result<Outcome, SessionError> {
    let world = world(drive.program.clone());
    let options = SourceOptions {
        workplan: drive.workplan.clone(),
        implicit_identity: format!("state:{}", drive.state.display()),
        machine: "bench".to_owned(),
        ..SourceOptions::default()
    };
    let loaded = load(&world, &options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| SessionError::Internal(format!("failed to start: {e}")))?;
    let (_control, receiver) = mpsc::unbounded_channel();
    let options = StartOptions { jobs: drive.jobs, ..StartOptions::default() };
    let dir = StateDir::new(&drive.state);
    runtime.block_on(async { start(&world, &dir, &loaded, options, &mut Silent, receiver).await })
}

/// Reads and binds a workplan, and says how many steps it has.
///
/// # Errors
/// How many errors were found.
pub fn load_only(workplan: &Path) -> Result<usize, String> {
    let options = SourceOptions {
        workplan: workplan.to_path_buf(),
        implicit_identity: "state:bench".to_owned(),
        machine: "bench".to_owned(),
        ..SourceOptions::default()
    };
    let loaded = load(&world(PathBuf::new()), &options);
    match loaded.plan {
        Some(plan) => Ok(plan.steps.len()),
        None => Err(format!("{} problems", loaded.diagnostics.iter().count())),
    }
}
