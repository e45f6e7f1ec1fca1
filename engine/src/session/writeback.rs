//! Progress in the Markdown: statuses, dates and evidence, every other byte untouched.
//!
//! The file is replaced atomically and only when it is still what was read: a person's edit at
//! the very moment is parsed again, never overwritten.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::SessionError;
use super::evidence_file::{EvidenceFile, folder};
use crate::digest::Digest;
use crate::document::{self, Completion, Edit, NewValue, TaskStatus, WorkplanStatus};
use crate::run::{Direction, Event, RunPhase, RunState, StepState, TaskProgress, task_progress};
use crate::text::SourceFile;

/// How often a concurrent edit is taken in before it is left to the next time.
const ROUNDS: u32 = 20;
/// Above this many steps progress is written at most once in [`PAUSE`].
const MANY_STEPS: usize = 200;
const PAUSE: Duration = Duration::from_secs(1);

/// Writes the progress of one run to one file.
pub(super) struct WriteBack {
    path: PathBuf,
    last: Option<Instant>,
    /// The last thing that could not be done, so that it is said once.
    said: Option<String>,
}

/// What a write came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// For the journal, where the file was written.
    pub(super) event: Option<Event>,
    /// What could not be done.
    pub(super) notices: Vec<String>,
}

/// What the file should say.
#[derive(Debug, Default)]
struct Wanted {
    statuses: BTreeMap<String, NewValue<TaskStatus>>,
    written: Vec<(String, String)>,
    complete: Vec<(usize, TaskProgress)>,
    remove: Vec<(String, String)>,
    finished: bool,
    /// What made the workplan finished does not hold any more.
    unfinished: bool,
    /// All tasks are done, and a policy does not let the workplan be called finished.
    held: Vec<String>,
    restore: bool,
}

impl WriteBack {
    /// For a run on the target of record the workplan itself, else a copy in the run's folder.
    pub(super) fn new(state: &RunState, run_folder: &Path) -> Result<Option<Self>, SessionError> {
        if state.single || state.plan.tasks.iter().all(|t| t.id.is_empty()) {
            return Ok(None);
        }
        let original = state.plan.workplan.path.clone();
        let path = if state.plan.target.of_record {
            original
        } else {
            let name = original.file_name().unwrap_or_else(|| "workplan.md".as_ref());
            let copy = run_folder.join(name);
            if !copy.is_file() {
                let failed =
                    |source| SessionError::File { what: "write", path: copy.clone(), source };
                std::fs::create_dir_all(run_folder).map_err(failed)?;
                std::fs::copy(&original, &copy).map_err(failed)?;
            }
            copy
        };
        Ok(Some(Self { path, last: None, said: None }))
    }

    /// Brings the file to what the committed events say. Never fails the run: what cannot be
    /// written is said, and tried again at the next commit and on resume.
    pub(super) fn sync(
        &mut self,
        state: &RunState,
        last: bool,
    ) -> Result<Option<Written>, SessionError> {
        let many = state.plan.steps.len() > MANY_STEPS;
        if !last && many && self.last.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(None);
        }
        self.last = Some(Instant::now());
        let wanted = wanted(state);
        let mut written = Written::default();
        let evidence = (!wanted.complete.is_empty()).then(|| {
            let bytes = EvidenceFile::of(state, &wanted.complete).bytes();
            (Digest::of(&bytes), bytes)
        });
        let fresh = evidence.as_ref().filter(|(d, _)| state.evidence_written.as_ref() != Some(d));
        if let Some((_, bytes)) = fresh {
            let path = folder(&self.path).join(format!("{}.json", state.run));
            if let Err(e) = put(&path, bytes) {
                self.say(&mut written, format!("failed to write `{}`: {e}", path.display()));
                return Ok(Some(written));
            }
        }
        for text in &wanted.held {
            self.say(&mut written, text.clone());
        }
        let nothing = wanted.written.is_empty()
            && wanted.remove.is_empty()
            && !wanted.finished
            && !wanted.unfinished
            && !wanted.restore
            && fresh.is_none();
        if nothing {
            return Ok(Some(written).filter(|w| !w.notices.is_empty()));
        }
        let evidence = evidence.map(|(digest, _)| digest);
        match self.write(state, &wanted, evidence.as_ref()) {
            Ok(()) => {
                self.said = None;
                written.event = Some(Event::WorkplanWritten {
                    tasks: wanted.written,
                    evidence,
                    path: self.path.clone(),
                });
            }
            Err(why) => self.say(
                &mut written,
                format!("the progress could not be written to `{}`: {why}", self.path.display()),
            ),
        }
        Ok(Some(written))
    }

    fn say(&mut self, written: &mut Written, text: String) {
        if self.said.as_ref() != Some(&text) {
            written.notices.push(text.clone());
            self.said = Some(text);
        }
    }

    fn write(
        &self,
        state: &RunState,
        wanted: &Wanted,
        evidence: Option<&Digest>,
    ) -> Result<(), String> {
        // A link is followed: the file behind it is replaced, not the link.
        let path = std::fs::canonicalize(&self.path).map_err(|e| e.to_string())?;
        for _ in 0..ROUNDS {
            let before = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
            let file = SourceFile::new(&path, before.as_str());
            let (parsed, _) = document::parse(&file);
            let edit = edit(state, wanted, evidence, &parsed);
            let after = document::apply(&parsed, &edit).map_err(|e| e.to_string())?;
            if after == before {
                return Ok(());
            }
            if replace(&path, &before, &after).map_err(|e| e.to_string())? {
                return Ok(());
            }
        }
        Err("it keeps changing".to_owned())
    }
}

/// What the state of the run means for the file.
fn wanted(state: &RunState) -> Wanted {
    let mut out = Wanted::default();
    let plan = &state.plan;
    let ended = match &state.phase {
        RunPhase::Ended { state, .. } => Some(state.as_str()),
        RunPhase::Live => None,
    };
    if state.direction != Direction::Forward {
        let whole = matches!(&state.direction, Direction::Back { to: None });
        match ended {
            Some("rolled_back") if whole => restore(state, &mut out),
            Some(_) => reopen(state, &mut out),
            None => {}
        }
        return out;
    }
    // On resume, what was so is looked at again; until that is over, a finished task stays so.
    let unsettled = ended.is_none()
        && plan.tasks.iter().any(|task| {
            state.written.get(&task.id).is_some_and(|status| status == "done")
                && task.steps.iter().all(|s| {
                    let state = state.steps[*s].state;
                    state.is_done() || matches!(state, StepState::Skipped | StepState::Pending)
                })
                && task.steps.iter().any(|s| state.steps[*s].state == StepState::Pending)
        });
    if unsettled {
        return out;
    }
    let mut all_done = true;
    for (ix, task) in plan.tasks.iter().enumerate().filter(|(_, t)| !t.id.is_empty()) {
        let progress = task_progress(plan, state, ix);
        let current =
            state.written.get(&task.id).map_or(task.status.as_str(), String::as_str).to_owned();
        let status = progress.status;
        let reached = status.map_or(current.clone(), |s| s.as_str().to_owned());
        all_done &= matches!(reached.as_str(), "done" | "cancelled");
        let acted = task.steps.iter().any(|s| state.steps[*s].state.is_done());
        if let Some(status) = status {
            if status.as_str() != current {
                out.statuses.insert(task.id.clone(), NewValue::Set(status));
                out.written.push((task.id.clone(), status.as_str().to_owned()));
            }
            if status == TaskStatus::Done && (acted || task.status != TaskStatus::Done) {
                out.complete.push((ix, progress));
            }
        }
    }
    let demands = demands(state);
    let met = demands.iter().all(|d| *d == Demand::Met);
    // A task that was done and has been done anew says so with a line of evidence alone.
    let told = !out.written.is_empty() || !out.complete.is_empty();
    out.finished = ended == Some("succeeded") && all_done && met && told;
    if ended == Some("succeeded") && all_done && !met {
        let open = state.plan.demands.iter().zip(&demands).filter(|(_, d)| **d != Demand::Met);
        out.held.extend(open.map(|(d, _)| {
            format!(
                "the workplan is not called finished: {} is not met for `{}`. {}",
                d.rule, d.because, d.message
            )
        }));
    }
    out.unfinished = ended.is_some() && demands.contains(&Demand::Broken);
    out
}

/// What a run says of a policy's demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Every proof passed, or was looked at and stands.
    Met,
    /// This run was not about it.
    Open,
    /// What it is about changed, or a proof did not pass: an earlier proof does not count any more.
    Broken,
}

fn demands(state: &RunState) -> Vec<Demand> {
    let rec = |id: &String| state.step(id).map(|ix| &state.steps[ix]);
    let judge = |demand: &crate::plan::PlanDemand| {
        let stands = |id: &String| {
            rec(id).is_some_and(|r| r.state.is_done() || r.state == StepState::Skipped && r.so)
        };
        let failed = |id: &String| {
            rec(id).is_some_and(|r| matches!(r.state, StepState::Failed | StepState::Unknown))
        };
        if !demand.proofs.is_empty() && demand.proofs.iter().all(stands) {
            return Demand::Met;
        }
        let acted = rec(&demand.because).is_some_and(|r| r.attempts > 0 && r.state.is_done());
        if acted || demand.proofs.iter().any(failed) { Demand::Broken } else { Demand::Open }
    };
    state.plan.demands.iter().map(judge).collect()
}

/// Everything as it was before the run.
fn restore(state: &RunState, out: &mut Wanted) {
    for task in state.plan.tasks.iter().filter(|t| !t.id.is_empty()) {
        let Some(raw) = state.statuses_before.get(&task.id) else { continue };
        // A kill between the file and its event leaves a status that no event tells of; a task
        // that was begun may have one.
        let begun = task.steps.iter().any(|s| state.steps[*s].started_ms.is_some());
        let changed = match state.written.get(&task.id) {
            Some(now) => now != bare(raw),
            None => begun,
        };
        if changed {
            out.statuses.insert(task.id.clone(), NewValue::Restore(raw.clone()));
            out.written.push((task.id.clone(), bare(raw).to_owned()));
        }
    }
    if !out.written.is_empty() || state.is_written {
        out.restore = true;
        // A change that has no way back stays, and so does what it broke.
        out.unfinished = demands(state).contains(&Demand::Broken);
        lines_to_remove(state, out);
    }
}

/// A rollback that did not come to its end: nothing is done any more, nothing is as before.
fn reopen(state: &RunState, out: &mut Wanted) {
    for (task, status) in &state.written {
        if status == "done" {
            let status = TaskStatus::InProgress;
            out.statuses.insert(task.clone(), NewValue::Set(status));
            out.written.push((task.clone(), status.as_str().to_owned()));
        }
    }
    if !out.written.is_empty() {
        lines_to_remove(state, out);
    }
}

fn lines_to_remove(state: &RunState, out: &mut Wanted) {
    let tasks = state.plan.tasks.iter().filter(|t| !t.id.is_empty());
    out.remove.extend(tasks.map(|t| (t.id.clone(), state.run.clone())));
}

fn bare(raw: &str) -> &str {
    raw.trim_matches(|c| c == '"' || c == '\'')
}

/// The edit of the document as it is now: tasks that are gone meanwhile are left out.
fn edit(
    state: &RunState,
    wanted: &Wanted,
    evidence: Option<&Digest>,
    document: &document::Document,
) -> Edit {
    let tasks: HashMap<&str, &document::Task> =
        document.tasks.iter().map(|t| (t.short.as_str(), t)).collect();
    let has = |short: &str| tasks.get(short).copied();
    let run = &state.run;
    let ours = format!("by workplan run {run} ");
    let mut edit = Edit::default();
    for (task, status) in &wanted.statuses {
        if has(task).is_some() {
            edit.statuses.insert(task.clone(), status.clone());
        }
    }
    let evidence = evidence.map(Digest::to_string).unwrap_or_default();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    for (ix, _) in &wanted.complete {
        let task = state.plan.tasks[*ix].id.clone();
        if has(&task).is_some() {
            let date = today.clone();
            edit.complete.push(Completion {
                task,
                date,
                run: run.clone(),
                evidence: evidence.clone(),
            });
        }
    }
    for (task, run) in &wanted.remove {
        if has(task).is_some_and(|t| t.completions.iter().any(|(line, _)| line.contains(&ours))) {
            edit.remove.push((task.clone(), run.clone()));
        }
    }
    if wanted.finished && document.status == Some(WorkplanStatus::Active) {
        edit.workplan_status = Some(NewValue::Set(WorkplanStatus::Finished));
    }
    let finished =
        matches!(document.status, Some(WorkplanStatus::Finished | WorkplanStatus::Completed));
    if wanted.unfinished && finished {
        edit.workplan_status = Some(NewValue::Set(WorkplanStatus::Active));
    }
    if document.updated_written().is_some() {
        edit.updated = Some(NewValue::Set(today));
    }
    if wanted.restore {
        let (updated, status) = &state.before;
        if document.updated_written().is_some() {
            edit.updated = updated.clone().map(NewValue::Restore);
        }
        if document.status_written().is_some() && !wanted.unfinished {
            edit.workplan_status = status.clone().map(NewValue::Restore);
        }
    }
    edit
}

/// Puts a file where its folder may not be yet, whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".wp-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    set_mode(file.path(), 0o644)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Replaces a file if it still is what was read; `false` when it is not.
fn replace(path: &Path, before: &str, after: &str) -> std::io::Result<bool> {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = path.parent().unwrap_or(Path::new("."));
    let meta = std::fs::metadata(path)?;
    let mut file = tempfile::Builder::new().prefix(".wp-").tempfile_in(folder)?;
    file.write_all(after.as_bytes())?;
    set_mode(file.path(), meta.permissions().mode() & 0o7777)?;
    if let Err(e) = std::os::unix::fs::chown(file.path(), Some(meta.uid()), Some(meta.gid())) {
        let ours = nix::unistd::geteuid().as_raw() == meta.uid();
        if !ours {
            return Err(e);
        }
    }
    file.as_file().sync_all()?;
    let exchange = |a: &Path, b: &Path| renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE);
    match exchange(file.path(), path) {
        Ok(()) => {}
        // A file system without exchange: compare, then rename; the window is as small as it gets.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if std::fs::read(path)? != before.as_bytes() {
                return Ok(false);
            }
            file.persist(path)?;
            std::fs::File::open(folder)?.sync_all()?;
            return Ok(true);
        }
        Err(e) => return Err(e.into()),
    }
    // What was swapped out is the file as it was at that very moment.
    if std::fs::read(file.path())? == before.as_bytes() {
        std::fs::File::open(folder)?.sync_all()?;
        return Ok(true);
    }
    exchange(file.path(), path)?;
    if std::fs::read(file.path())? != after.as_bytes() {
        // Somebody wrote to our version meanwhile as well: neither edit may be lost.
        let kept = path.with_extension("md.kept");
        file.persist(&kept)?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{Class, With};
    use crate::plan::{Plan, PlanStep, PlanTask, TargetRef, WorkplanRef};
    use crate::process::ProcessId;
    use crate::run::RunStarted;

    fn started() -> RunStarted {
        let target = TargetRef {
            name: "local".into(),
            kind: "local".into(),
            identity: "here".into(),
            of_record: true,
            live: false,
            implicit: true,
            hides: Vec::new(),
            folder: Default::default(),
            values: Default::default(),
        };
        let task = PlanTask {
            id: "T01".into(),
            full_id: "W-T01".into(),
            title: "One".into(),
            status: TaskStatus::Todo,
            steps: vec![0],
            needs: Vec::new(),
            clauses: Vec::new(),
        };
        let step = PlanStep {
            id: "T01.a".into(),
            task: 0,
            kind: "command".into(),
            class: Class::State,
            with: With::default(),
            needs: Vec::new(),
            needs_people: Vec::new(),
            timeout_ms: None,
            retry: None,
            holds: Vec::new(),
            sources: Vec::new(),
            overwrites: Vec::new(),
            superseded_by: None,
            point_of_no_return: false,
            always: false,
            retired: false,
            proves: false,
            meaning: Digest::of(b"a"),
        };
        let workplan = WorkplanRef { id: "W".into(), title: "W".into(), path: "/w.md".into() };
        RunStarted {
            run: "r1".into(),
            plan: Plan {
                workplan,
                target,
                tasks: vec![task],
                steps: vec![step],
                brackets: Vec::new(),
                preconditions: Vec::new(),
                demands: Vec::new(),
            },
            owner: ProcessId::current().expect("this process"),
            version: "0".into(),
            saved_plan: None,
            asked: None,
            forced: Vec::new(),
            single: false,
            updated: None,
            workplan_status: None,
            sources: serde_json::Value::Null,
            statuses: [("T01".to_owned(), "\"todo\"".to_owned())].into(),
            preconditions: Vec::new(),
        }
    }

    /// A run that was begun, wrote `in_progress`, and is rolled back; `told` says whether the
    /// write has its event.
    fn rolled_back(told: bool) -> RunState {
        let started = started();
        let mut state = RunState::begin(0, &started);
        state.apply(1, &Event::StepIntent { step: "T01.a".into(), attempt: 1, forced: false });
        if told {
            let tasks = vec![("T01".to_owned(), "in_progress".to_owned())];
            state.apply(2, &Event::WorkplanWritten { tasks, evidence: None, path: "/w.md".into() });
        }
        let owner = started.owner.clone();
        state.apply(
            3,
            &Event::RollbackStarted { owner, to: None, accept_loss: false, loss: Vec::new() },
        );
        state.apply(4, &Event::RunEnded { state: "rolled_back".into(), reason: String::new() });
        state
    }

    #[test]
    fn a_rollback_restores_what_was_written_before_a_kill_also_without_its_event() {
        for told in [true, false] {
            let wanted = wanted(&rolled_back(told));
            assert!(wanted.restore, "told: {told}");
            let restored = wanted.statuses.get("T01");
            assert!(matches!(restored, Some(NewValue::Restore(raw)) if raw == "\"todo\""));
        }
    }

    #[test]
    fn a_restored_file_is_left_alone() {
        let mut state = rolled_back(false);
        let tasks = vec![("T01".to_owned(), "todo".to_owned())];
        state.apply(5, &Event::WorkplanWritten { tasks, evidence: None, path: "/w.md".into() });
        assert!(!wanted(&state).restore);
    }
}
