//! Tells of a run while it goes on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressDrawTarget};
use unicode_width::UnicodeWidthStr;
use workplan_engine::journal::StoredEvent;
use workplan_engine::run::{Event, RunState};
use workplan_engine::session::Reporter;

use super::board::{Board, TICK};
use super::echo::QuietEcho;
use super::{Talker, words};
use crate::app::App;
use crate::json::EventLine;
use crate::term::{Level, Printer};

/// The reporter of the command line.
pub(crate) struct Live<'a> {
    printer: &'a Printer,
    board: Board,
    talker: Talker,
    events: bool,
    spinning: bool,
    /// Holds the terminal's modes until the end.
    echo: Option<QuietEcho>,
    /// Keeps the columns of lines under each other.
    width: usize,
    /// Since when brackets are open, in milliseconds since 1970.
    open: HashMap<String, i64>,
    /// The run, once it has an id.
    pub(crate) run: Option<String>,
}

impl<'a> Live<'a> {
    /// A reporter; `events` prints committed events on stdout.
    pub(crate) fn new(app: &'a App, events: bool) -> Self {
        let printer = &app.printer;
        let spinning = printer.err_tty
            && printer.level >= Level::Default
            && !app.env.ci
            && !app.env.dumb
            && !(events && printer.out_tty);
        let bars = spinning.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let echo = spinning.then(QuietEcho::new).flatten();
        printer.share_with(bars.clone());
        let talker = Talker::new(Printer::plain(printer), bars.clone());
        let slow_lines = printer.level >= Level::Default;
        let board = Board::new(bars, talker.clone(), slow_lines);
        Self {
            printer,
            board,
            talker,
            events,
            spinning,
            echo,
            width: 0,
            open: HashMap::new(),
            run: None,
        }
    }

    /// Looks after the screen until it is dropped by its runtime.
    pub(crate) async fn look_after(board: Board) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            board.tick(Instant::now());
        }
    }

    /// What is under way.
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Says lines on the same screen.
    pub(crate) fn talker(&self) -> Talker {
        self.talker.clone()
    }

    /// Gives the screen back.
    pub(crate) fn end(&mut self) {
        self.board.clear();
        self.echo = None;
        self.printer.share_with(None);
    }

    fn tell(&mut self, event: &Event, at_ms: Option<i64>) {
        let step = event.step();
        let took = match event {
            Event::BracketClosed { bracket } | Event::BracketReleased { bracket } => {
                self.open.remove(bracket).zip(at_ms).map(|(since, at)| {
                    Duration::from_millis(u64::try_from(at - since).unwrap_or_default())
                })
            }
            Event::StepIntent { .. } | Event::RepairIntent { .. } | Event::UndoIntent { .. } => {
                None
            }
            Event::StepPrepared { .. } => None,
            _ => step.and_then(|s| self.board.end(s)),
        };
        match event {
            Event::StepIntent { step, .. } => self.board.start(step, "running"),
            Event::RepairIntent { step, .. } => self.board.start(step, "repairing"),
            Event::UndoIntent { step } => self.board.start(step, "taking back"),
            _ => {}
        }
        let Some(words) = words::of(event, took) else { return };
        // A spinner shows what is under way; a line would say it twice.
        let begins = matches!(words.what.as_str(), "running" | "taking back");
        if begins && self.spinning {
            return;
        }
        let painted = self.printer.err.paint(words.style, &words.what);
        let pad = " ".repeat(self.width.saturating_sub(words.who.width()));
        let (who, detail) =
            (self.printer.clean_err(&words.who), self.printer.clean_err(&words.detail));
        let line = format!("{who}{pad}  {painted}  {detail}").trim_end().to_owned();
        if words.small { self.printer.detail(&line) } else { self.printer.say(&line) }
    }
}

impl Reporter for Live<'_> {
    fn committed(&mut self, state: &RunState, stored: &[StoredEvent], events: &[Event]) {
        if self.events {
            for event in stored {
                // What cannot be written is seen at the end; the run goes on.
                let _ = self.printer.json_line(&EventLine::new(event));
            }
        }
        if self.width == 0 {
            self.width = state
                .plan
                .steps
                .iter()
                .map(|s| s.id.width())
                .max()
                .unwrap_or(0)
                .min(self.printer.width / 2);
        }
        if self.run.is_none() {
            self.run = Some(state.run.clone());
            self.printer.say(&format!("run {}", state.run));
        }
        for (ix, event) in events.iter().enumerate() {
            self.tell(event, stored.get(ix).map(|e| e.at.as_millisecond()));
        }
        for (bracket, now) in state.plan.brackets.iter().zip(&state.brackets) {
            if let Some(since) = now.open_since_ms {
                self.open.insert(bracket.name.clone(), since);
            }
        }
    }

    fn line(&mut self, step: &str, line: &str) {
        self.board.said(step, line);
        if self.printer.level >= Level::Verbose {
            self.printer.talk(&self.printer.clean_err(&format!("{step} | {line}")));
        }
    }

    fn wants_lines(&self) -> bool {
        self.printer.level >= Level::Default
    }

    fn notice(&mut self, text: &str) {
        self.printer.say(&format!("note: {}", self.printer.clean_err(text)));
    }
}
