//! The dispatcher: commits what the machine decides, then performs it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::launch::{Line, Supervised};
use super::perform::{self, Workshop};
use super::saved::SavedPlan;
use super::select::decode;
use super::vault::Vault;
use super::world::{Control, Reporter};
use super::writeback::WriteBack;
use super::{Outcome, SessionError};
use crate::journal::{Journal, JournalError, NewEvent, Owner, Projection, StateDir, StoredEvent};
use crate::kind::{ErrorCause, Observation, Prepared, StepError};
use crate::plan::StepIx;
use crate::run::{
    Action, Ending, Event, Input, Machine, Options, Person, Purpose, RunState, Timer,
};

/// Everything that one process needs to drive one run.
pub(super) struct Dispatcher<'r> {
    pub(super) journal: Journal,
    pub(super) state_dir: StateDir,
    pub(super) run: String,
    pub(super) machine: Machine,
    pub(super) workshop: Workshop,
    pub(super) vault: Arc<Vault>,
    pub(super) launcher: Arc<Supervised>,
    pub(super) reporter: &'r mut dyn Reporter,
    pub(super) control: UnboundedReceiver<Control>,
    pub(super) lines: mpsc::Receiver<Line>,
    pub(super) writeback: Option<WriteBack>,
    pub(super) saved: Option<SavedPlan>,
    pub(super) owner: Option<Owner>,
    pub(super) head: u64,
    pub(super) stale: Vec<String>,
    pub(super) options: Options,
    /// How many looks may be under way at once.
    pub(super) looks: Arc<tokio::sync::Semaphore>,
    /// Committed events that nobody was told of yet.
    pub(super) untold: Vec<(Vec<StoredEvent>, Vec<Event>)>,
}

/// Inputs that are not decided on yet, and where new ones come from.
struct Inbox {
    queue: VecDeque<Input>,
    sender: UnboundedSender<Input>,
    receiver: UnboundedReceiver<Input>,
    cancels: HashMap<StepIx, CancellationToken>,
    timers: CancellationToken,
}

impl Dispatcher<'_> {
    /// Drives the run to its end for this process.
    pub(super) async fn drive(mut self) -> Result<Outcome, SessionError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut inbox = Inbox {
            queue: VecDeque::from([Input::Begin]),
            sender,
            receiver,
            cancels: HashMap::new(),
            timers: CancellationToken::new(),
        };
        let result = self.turn(&mut inbox).await;
        self.tell();
        inbox.timers.cancel();
        if result.is_err() {
            // The journal cannot be written: nothing new starts, what runs is ended, and the
            // intents on disk say what has to be looked at.
            for cancel in inbox.cancels.values() {
                cancel.cancel();
            }
        }
        if let Err(error) = self.launcher.shutdown().await {
            self.reporter.notice(&format!("failed to {error}"));
        }
        let ending = result?;
        if !self.stale.is_empty() {
            self.give_up_unbegun()?;
            return Err(SessionError::Stale { what: self.stale });
        }
        let reason = match &self.machine.state.phase {
            crate::run::RunPhase::Ended { reason, .. } => reason.clone(),
            crate::run::RunPhase::Live => String::new(),
        };
        Ok(Outcome { run: self.run, ending, reason, state: self.machine.state })
    }

    /// A run that a stale plan stopped before its first step is in nobody's way.
    fn give_up_unbegun(&mut self) -> Result<(), SessionError> {
        if self.machine.state.steps.iter().any(|r| r.started_ms.is_some()) {
            return Ok(());
        }
        let person = Person {
            who: "workplan".to_owned(),
            reason: "the saved plan was stale before anything was begun".to_owned(),
            signature: None,
        };
        self.append_one(Event::RunAbandoned { person })?;
        self.tell();
        Ok(())
    }

    async fn turn(&mut self, inbox: &mut Inbox) -> Result<Ending, SessionError> {
        loop {
            let mut events = Vec::new();
            let mut actions = Vec::new();
            while let Some(input) = self.next(inbox) {
                if let Input::Looked { step, .. } | Input::Applied { step, .. } = &input {
                    inbox.cancels.remove(step);
                }
                if self.is_stale(&input) {
                    self.decide(inbox, Input::Cancel { kill: false }, &mut events, &mut actions);
                }
                self.decide(inbox, input, &mut events, &mut actions);
            }
            // The Markdown is brought up to date before the run is said to be over: a kill in
            // between leaves a run that resume finishes, not a file that nobody comes back to.
            let end = events.iter().position(|e| matches!(e, Event::RunEnded { .. }));
            let over = events.split_off(end.unwrap_or(events.len()));
            if !self.commit(inbox, events)? {
                continue;
            }
            if end.is_some() && !inbox.queue.is_empty() {
                // Somebody answered while the last step ran: it is not the end.
                inbox.queue.clear();
                self.start_over(inbox)?;
                continue;
            }
            self.write_back(end.is_some())?;
            if !self.commit(inbox, over)? {
                continue;
            }
            for action in actions {
                if let Action::Finish(ending) = action {
                    return Ok(ending);
                }
                self.perform(inbox, action);
            }
            // What was begun goes its way first: steps do not wait for a slow screen.
            if !self.untold.is_empty() {
                tokio::task::yield_now().await;
                self.tell();
            }
            self.wait(inbox).await;
        }
    }

    fn tell(&mut self) {
        for (stored, events) in self.untold.drain(..) {
            self.reporter.committed(&self.machine.state, &stored, &events);
        }
    }

    fn decide(
        &mut self,
        inbox: &mut Inbox,
        input: Input,
        events: &mut Vec<Event>,
        actions: &mut Vec<Action>,
    ) {
        let decision = self.machine.decide(now_ms(), input);
        events.extend(decision.events);
        for action in decision.actions {
            match self.at_once(&action) {
                Some(input) => inbox.queue.push_back(input),
                None => actions.push(action),
            }
        }
    }

    /// Whether a look directly before an attempt shows something else than the saved plan saw,
    /// where nothing of this run can have moved it.
    fn is_stale(&mut self, input: &Input) -> bool {
        let Input::Looked { step, purpose: Purpose::Before, sight } = input else { return false };
        let Some(saved) = &self.saved else { return false };
        let state = &self.machine.state;
        if state.steps.iter().any(|r| r.state.is_done()) {
            return false;
        }
        let Some(saved) = saved.step(&state.plan.steps[*step].id) else { return false };
        match saved.moved(&sight.observation) {
            Some(why) => {
                self.stale.push(why);
                true
            }
            None => false,
        }
    }

    /// The next input; all that is ready goes into one commit.
    fn next(&mut self, inbox: &mut Inbox) -> Option<Input> {
        if let Some(input) = inbox.queue.pop_front() {
            return Some(input);
        }
        if self.machine.is_ended() {
            return None;
        }
        inbox.receiver.try_recv().ok()
    }

    async fn wait(&mut self, inbox: &mut Inbox) {
        loop {
            tokio::select! {
                biased;
                input = inbox.receiver.recv() => {
                    inbox.queue.extend(input);
                    return;
                }
                Some(control) = self.control.recv() => {
                    let kill = control == Control::Kill;
                    inbox.queue.push_back(Input::Cancel { kill });
                    return;
                }
                Some((identity, line)) = self.lines.recv() => {
                    let step = identity.split(':').nth(2).unwrap_or_default();
                    self.reporter.line(step, &line);
                }
            }
        }
    }

    /// Looks that need no input or output are answered before anything is committed: the end of
    /// one step and the beginning of the next share a commit.
    fn at_once(&mut self, action: &Action) -> Option<Input> {
        let Action::Look { step, purpose } = action else { return None };
        let past = self.machine.past(*step, purpose);
        let sight = match self.workshop.step(&self.machine, *step) {
            Err(why) => perform::blind(&why),
            Ok(built) => {
                let attempt = self.machine.state.steps[*step].attempts;
                let look = self.workshop.look(*step, past, attempt, CancellationToken::new());
                let observation = perform::look_now(built.as_ref(), &look, purpose)?;
                perform::sight(built.as_ref(), observation)
            }
        };
        Some(Input::Looked { step: *step, purpose: purpose.clone(), sight: Box::new(sight) })
    }

    fn perform(&mut self, inbox: &mut Inbox, action: Action) {
        match action {
            Action::Look { step, purpose } => self.look(inbox, step, purpose),
            Action::Prepare { step } => self.prepare(inbox, step),
            Action::Apply { step, attempt } => self.apply(inbox, step, attempt),
            Action::Repair { step, what, then } => self.repair(inbox, step, what, then),
            Action::Undo { step } => self.undo(inbox, step),
            Action::Wake { timer, after_ms } => wake(inbox, timer, after_ms),
            Action::Stop { steps, kill } => {
                for (step, cancel) in &inbox.cancels {
                    if steps.as_ref().is_none_or(|s| s.contains(step)) {
                        cancel.cancel();
                    }
                }
                if kill {
                    let launcher = Arc::clone(&self.launcher);
                    tokio::spawn(async move { launcher.kill_all().await });
                }
            }
            Action::Finish(_) => {}
        }
    }

    fn token(&self, inbox: &mut Inbox, step: StepIx) -> CancellationToken {
        let token = CancellationToken::new();
        inbox.cancels.insert(step, token.clone());
        token
    }

    fn look(&mut self, inbox: &mut Inbox, step: StepIx, purpose: Purpose) {
        let past = self.machine.past(step, &purpose);
        let attempt = self.machine.state.steps[step].attempts;
        let token = self.token(inbox, step);
        let sender = inbox.sender.clone();
        let built = match self.workshop.step(&self.machine, step) {
            Ok(built) => built,
            Err(why) => {
                let sight = Box::new(perform::blind(&why));
                drop(sender.send(Input::Looked { step, purpose, sight }));
                return;
            }
        };
        let look = self.workshop.look(step, past, attempt, token);
        let prepared = self.prepared(step, false).ok();
        let permits = Arc::clone(&self.looks);
        tokio::spawn(async move {
            // A wide level of checks must not start thousands of processes at once.
            let permit = permits.acquire().await;
            let observation = perform::look(Arc::clone(&built), look, &purpose, prepared).await;
            drop(permit);
            let sight = Box::new(perform::sight(built.as_ref(), observation));
            drop(sender.send(Input::Looked { step, purpose, sight }));
        });
    }

    fn prepare(&mut self, inbox: &mut Inbox, step: StepIx) {
        let token = self.token(inbox, step);
        let sender = inbox.sender.clone();
        let folder = self.state_dir.undo();
        let built = match self.workshop.step(&self.machine, step) {
            Ok(built) => built,
            Err(why) => {
                let error = Box::new(StepError::new(ErrorCause::NotStarted, why));
                drop(sender.send(Input::Prepared { step, result: Err(error) }));
                return;
            }
        };
        let past = self.machine.past(step, &Purpose::Before);
        let look = self.workshop.look(step, past, 0, token);
        tokio::spawn(async move {
            let result = match built.prepare(&look).await {
                Err(error) => Err(Box::new(error)),
                Ok(mut prepared) => match prepared.bytes.take() {
                    None => Ok((prepared, None)),
                    Some(bytes) => match perform::store_undo(&folder, &bytes) {
                        Ok(digest) => Ok((prepared, Some(digest))),
                        Err(e) => Err(Box::new(StepError::new(
                            ErrorCause::NotStarted,
                            format!("failed to keep undo data in `{}`: {e}", folder.display()),
                        ))),
                    },
                },
            };
            drop(sender.send(Input::Prepared { step, result }));
        });
    }

    fn apply(&mut self, inbox: &mut Inbox, step: StepIx, attempt: u32) {
        let token = self.token(inbox, step);
        let sender = inbox.sender.clone();
        self.workshop.refresh(step);
        let built = match self.workshop.step(&self.machine, step) {
            Ok(built) => built,
            Err(why) => {
                let error = Box::new(StepError::new(ErrorCause::NotStarted, why));
                drop(sender.send(Input::Applied { step, result: Err(error) }));
                return;
            }
        };
        let past = self.machine.past(step, &Purpose::Before);
        let look = self.workshop.look(step, past, attempt, token);
        let name = self.workshop.plan.steps[step].id.clone();
        let log = self.state_dir.log(&self.run, &name, attempt);
        let vault = Arc::clone(&self.vault);
        tokio::spawn(async move {
            let result = perform::apply(built, look, log, vault).await;
            drop(sender.send(Input::Applied { step, result }));
        });
    }

    fn repair(&mut self, inbox: &mut Inbox, step: StepIx, what: String, then: Purpose) {
        let token = self.token(inbox, step);
        let sender = inbox.sender.clone();
        let attempt = self.machine.state.steps[step].attempts;
        let past = self.machine.past(step, &then);
        let built = self.workshop.step(&self.machine, step);
        let look = self.workshop.look(step, past, attempt, token);
        let log = self.extra_log(step, "repair");
        tokio::spawn(async move {
            let result = match built {
                Ok(built) => perform::repair(built, look, log, what).await,
                Err(why) => Err(Box::new(StepError::new(ErrorCause::NotStarted, why))),
            };
            drop(sender.send(Input::Repaired { step, then, result }));
        });
    }

    fn undo(&mut self, inbox: &mut Inbox, step: StepIx) {
        let token = self.token(inbox, step);
        let sender = inbox.sender.clone();
        let attempt = self.machine.state.steps[step].attempts;
        let past = self.machine.past(step, &Purpose::UndoBefore);
        let built = self.workshop.step(&self.machine, step);
        let look = self.workshop.look(step, past, attempt, token);
        let log = self.extra_log(step, "undo");
        let prepared = self.prepared(step, true);
        tokio::spawn(async move {
            let result = match (built, prepared) {
                (Ok(built), Ok(prepared)) => perform::undo(built, look, log, prepared).await,
                (Err(why), _) | (_, Err(why)) => {
                    Err(Box::new(StepError::new(ErrorCause::NotStarted, why)))
                }
            };
            drop(sender.send(Input::Undone { step, result }));
        });
    }

    /// Undo data of a step, with its bytes where they are wanted.
    fn prepared(&self, step: StepIx, bytes: bool) -> Result<Prepared, String> {
        let rec = &self.machine.state.steps[step];
        let mut prepared = rec.prepared.clone().unwrap_or_default();
        if let Some(digest) = rec.prepared_bytes.as_ref().filter(|_| bytes) {
            prepared.bytes = Some(perform::load_undo(&self.state_dir.undo(), digest)?);
        }
        Ok(prepared)
    }

    /// The log of a repair or an undo, begun anew: children write behind what is there.
    fn extra_log(&self, step: StepIx, what: &str) -> std::path::PathBuf {
        let log = self.state_dir.side_log(&self.run, &self.workshop.plan.steps[step].id, what);
        // Where there is none yet, there is nothing to take away; another error shows at the open.
        drop(std::fs::remove_file(&log));
        log
    }

    /// Commits events. `false` when the machine starts over, because somebody answered at the very
    /// moment at which the run was to end.
    fn commit(&mut self, inbox: &mut Inbox, mut events: Vec<Event>) -> Result<bool, SessionError> {
        match self.append(&mut events) {
            Err(SessionError::Journal(JournalError::Moved { .. })) => {}
            other => return other.map(|()| true),
        }
        let foreign = self.journal.events_after(&self.run, self.head)?;
        self.head = foreign.last().map_or(self.head, |e| e.seq);
        let ends = |e: &Event| matches!(e, Event::RunEnded { .. });
        if events.iter().any(ends) {
            events.retain(|e| !ends(e));
            self.append(&mut events)?;
            self.start_over(inbox)?;
            return Ok(false);
        }
        self.append(&mut events)?;
        for stored in &foreign {
            inbox.queue.push_back(Input::Answered(Box::new(decode(stored)?)));
        }
        Ok(true)
    }

    /// Builds the machine anew from the journal; whatever waited looks at the answers now.
    fn start_over(&mut self, inbox: &mut Inbox) -> Result<(), SessionError> {
        let state = super::load_run(&self.journal, &self.run)?;
        let resumed = Event::RunResumed {
            owner: state.owner.clone(),
            plan: None,
            revisions: Vec::new(),
            forced: state.forced.clone(),
        };
        self.machine = Machine::new(state, self.options.clone());
        self.append_one(resumed)?;
        inbox.queue.push_back(Input::Begin);
        Ok(())
    }

    /// Takes an event of ours in and appends it.
    fn append_one(&mut self, event: Event) -> Result<(), SessionError> {
        self.machine.state.apply(now_ms(), &event);
        self.append(&mut vec![event])
    }

    /// Appends the events that the state has taken in; on success none of them is left.
    fn append(&mut self, events: &mut Vec<Event>) -> Result<(), SessionError> {
        if events.is_empty() {
            return Ok(());
        }
        let new: Vec<NewEvent> =
            events.iter().map(|event| encode(event, &self.vault)).collect::<Result<_, _>>()?;
        let derived = projections(&self.machine.state, events, self.owner.as_ref());
        let now = jiff::Timestamp::now();
        let stored = self.journal.append_expecting(&self.run, self.head, now, &new, &derived)?;
        self.head = stored.last().map_or(self.head, |e| e.seq);
        self.untold.push((stored, std::mem::take(events)));
        Ok(())
    }

    fn write_back(&mut self, last: bool) -> Result<(), SessionError> {
        let Some(writeback) = &mut self.writeback else { return Ok(()) };
        let Some(written) = writeback.sync(&self.machine.state, last)? else { return Ok(()) };
        if !written.notices.is_empty() {
            self.tell();
        }
        for notice in &written.notices {
            self.reporter.notice(notice);
        }
        match written.event {
            Some(event) => self.append_one(event),
            None => Ok(()),
        }
    }
}

impl super::SavedStep {
    /// What moved since the plan was saved. What a dry-run could not look at binds nothing.
    fn moved(&self, now: &Observation) -> Option<String> {
        let saved = self.binding.as_ref()?;
        (*saved != super::binding::binding_of(now))
            .then(|| format!("`{}` is not as it was seen", self.id))
    }
}

fn wake(inbox: &Inbox, timer: Timer, after_ms: u64) {
    let sender = inbox.sender.clone();
    let over = inbox.timers.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(after_ms)) => {
                drop(sender.send(Input::Woke(timer)));
            }
        }
    });
}

/// The journal's form of an event; secrets that slipped into a text are taken out here at the
/// latest.
pub(super) fn encode(event: &Event, vault: &Vault) -> Result<NewEvent, SessionError> {
    let mut value = serde_json::to_value(event)
        .map_err(|e| SessionError::Internal(format!("failed to write an event: {e}")))?;
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let data = vault.redact(value["data"].take());
    Ok(NewEvent { kind, step: event.step().map(str::to_owned), data })
}

/// What the derived tables keep of events.
pub(super) fn projections(
    state: &RunState,
    events: &[Event],
    owner: Option<&Owner>,
) -> Vec<Projection> {
    let plan = &state.plan;
    let mut out = Vec::new();
    for (event_ix, event) in events.iter().enumerate() {
        let outcome = match event {
            Event::StepIntent { .. } | Event::RepairIntent { .. } => "begun",
            Event::StepDone { .. } | Event::StepAdopted { .. } => "done",
            Event::StepResolved { done: true, .. } => "done",
            Event::StepFailed { attempt, .. } if *attempt > 0 => "failed",
            Event::StepUnknown { .. } => "unknown",
            Event::StepReset { .. }
            | Event::UndoDone { .. }
            | Event::StepResolved { done: false, .. }
            | Event::StepInterrupted { absent: true, .. } => "undone",
            Event::RunEnded { state, .. } => {
                out.push(Projection::RunEnded { state: state.clone() });
                continue;
            }
            Event::RunAbandoned { .. } => {
                out.push(Projection::RunEnded { state: "abandoned".to_owned() });
                continue;
            }
            Event::RunResumed { .. } => {
                out.push(Projection::RunState { state: "running".to_owned() });
                out.push(Projection::Owner { owner: owner.cloned() });
                continue;
            }
            Event::RollbackStarted { .. } => {
                out.push(Projection::RunState { state: "rolling_back".to_owned() });
                out.push(Projection::Owner { owner: owner.cloned() });
                continue;
            }
            _ => continue,
        };
        let Some(name) = event.step() else { continue };
        let Some(step) = state.step(name).map(|ix| &plan.steps[ix]) else { continue };
        out.push(Projection::History {
            target: plan.target.identity.clone(),
            workplan: plan.workplan.id.clone(),
            step: name.to_owned(),
            meaning: step.meaning.to_string(),
            outcome: outcome.to_owned(),
            event: event_ix,
        });
    }
    out
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
