//! The only module that writes to stdout and stderr: stdout is data, stderr is talk.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use serde::Serialize;

use super::{Paint, Style, sanitize};
use crate::failure::Failure;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Data and errors alone.
    Quiet,
    /// What a person wants to know.
    Default,
    /// And why.
    Verbose,
}

/// Where text goes.
#[derive(Debug)]
pub(crate) struct Printer {
    /// How much is said.
    pub(crate) level: Level,
    /// Colour on stdout.
    pub(crate) out: Paint,
    /// Colour on stderr.
    pub(crate) err: Paint,
    /// Whether stdout is a terminal.
    pub(crate) out_tty: bool,
    /// Whether stderr is a terminal.
    pub(crate) err_tty: bool,
    /// Whether stdin is a terminal: somebody can answer.
    pub(crate) in_tty: bool,
    /// Columns of the screen.
    pub(crate) width: usize,
    /// Bars that have to make room while a line is written.
    bars: RefCell<Option<MultiProgress>>,
    /// What stdout said no with; a reader that went away is not told of.
    trouble: RefCell<Option<io::ErrorKind>>,
}

impl Printer {
    /// A printer over the process's own streams. `color` is `None` for "by what is there".
    pub(crate) fn new(
        level: Level,
        color: Option<bool>,
        env: &crate::environment::Environment,
    ) -> Self {
        let (out_tty, err_tty) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let allowed = |tty: bool| {
            color.unwrap_or(if env.no_color {
                false
            } else {
                env.force_color || (tty && !env.dumb)
            })
        };
        Self {
            level,
            out: Paint(allowed(out_tty)),
            err: Paint(allowed(err_tty)),
            out_tty,
            err_tty,
            in_tty: io::stdin().is_terminal(),
            width: screen_width().or(env.columns).unwrap_or(100),
            bars: RefCell::new(None),
            trouble: RefCell::new(None),
        }
    }

    /// A printer of the same streams for another thread, without bars.
    pub(crate) fn plain(other: &Self) -> PlainTalk {
        PlainTalk { err_tty: other.err_tty }
    }

    /// Whether a question can be asked: somebody reads stderr and can type an answer.
    pub(crate) fn can_ask(&self) -> bool {
        self.in_tty && self.err_tty
    }

    /// Whether foreign text must be made harmless on stdout.
    pub(crate) fn clean_out<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.out_tty { sanitize(text) } else { text.into() }
    }

    /// Whether foreign text must be made harmless on stderr.
    pub(crate) fn clean_err<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.err_tty { sanitize(text) } else { text.into() }
    }

    /// Hands the screen to bars, or takes it back.
    pub(crate) fn share_with(&self, bars: Option<MultiProgress>) {
        *self.bars.borrow_mut() = bars;
    }

    /// Writes data, as it is.
    pub(crate) fn data(&self, text: &str) {
        if self.trouble.borrow().is_some() {
            return;
        }
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        let bars = self.bars.borrow();
        let done = match bars.as_ref().filter(|_| self.out_tty) {
            Some(bars) => bars.suspend(write),
            None => write(),
        };
        if let Err(error) = done {
            *self.trouble.borrow_mut() = Some(error.kind());
        }
    }

    /// Writes a line of data.
    pub(crate) fn data_line(&self, line: &str) {
        let mut text = String::with_capacity(line.len() + 1);
        text.push_str(line);
        text.push('\n');
        self.data(&text);
    }

    /// Writes a JSON document, indented.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document).map_err(|e| {
            Failure::new(crate::exit::INTERNAL, format!("failed to write JSON: {e}"))
        })?;
        self.data_line(&text);
        Ok(())
    }

    /// Writes a JSON document as one line.
    pub(crate) fn json_line(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document).map_err(|e| {
            Failure::new(crate::exit::INTERNAL, format!("failed to write JSON: {e}"))
        })?;
        self.data_line(&text);
        Ok(())
    }

    /// Says a line, unless quiet.
    pub(crate) fn say(&self, line: &str) {
        if self.level >= Level::Default {
            self.talk(line);
        }
    }

    /// Says a line where much is wanted.
    pub(crate) fn detail(&self, line: &str) {
        if self.level >= Level::Verbose {
            self.talk(line);
        }
    }

    /// Says a line also when quiet: errors, and questions.
    pub(crate) fn talk(&self, line: &str) {
        // In one piece: other processes may write to the same place.
        let mut text = String::with_capacity(line.len() + 1);
        text.push_str(line);
        text.push('\n');
        let write = || {
            // Nobody is left to be told that stderr is gone.
            let _ = io::stderr().lock().write_all(text.as_bytes());
        };
        match self.bars.borrow().as_ref() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Says a question; the answer is typed on the same line.
    pub(crate) fn ask(&self, question: &str) {
        let mut err = io::stderr().lock();
        // Nobody is left to be told that stderr is gone.
        let _ = err.write_all(question.as_bytes());
        let _ = err.flush();
    }

    /// Says why a command did not do what was asked.
    pub(crate) fn failure(&self, failure: &Failure) {
        let paint = self.err;
        let mut text =
            format!("{} {}", paint.paint(Style::Red, "error:"), self.clean_err(&failure.message));
        for cause in &failure.causes {
            let _ = write!(text, "\n  caused by: {}", self.clean_err(cause));
        }
        for help in &failure.help {
            let _ =
                write!(text, "\n{} {}", paint.paint(Style::Cyan, "help:"), self.clean_err(help));
        }
        self.talk(&text);
    }

    /// What stdout said no with, other than that its reader went away.
    pub(crate) fn trouble(&self) -> Option<io::ErrorKind> {
        self.trouble.borrow().filter(|kind| *kind != io::ErrorKind::BrokenPipe)
    }
}

/// Says lines on stderr from any thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainTalk {
    err_tty: bool,
}

impl PlainTalk {
    /// Says a line.
    pub(crate) fn talk(self, line: &str) {
        let clean = if self.err_tty { sanitize(line) } else { line.into() };
        // Nobody is left to be told that stderr is gone.
        let _ = writeln!(io::stderr().lock(), "{clean}");
    }
}

/// The terminal's width in columns, where stderr is one.
fn screen_width() -> Option<usize> {
    let (_, columns) = console::Term::stderr().size_checked()?;
    (columns > 0).then_some(usize::from(columns))
}
