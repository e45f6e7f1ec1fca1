//! Lines on stderr from any task, without breaking spinners.

use indicatif::MultiProgress;

use crate::term::PlainTalk;

/// Says lines; a clone says them to the same screen.
#[derive(Debug, Clone)]
pub(crate) struct Talker {
    plain: PlainTalk,
    bars: Option<MultiProgress>,
}

impl Talker {
    /// Over stderr, with the spinners that have to make room.
    pub(crate) fn new(plain: PlainTalk, bars: Option<MultiProgress>) -> Self {
        Self { plain, bars }
    }

    /// Says a line.
    pub(crate) fn talk(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.plain.talk(line)),
            None => self.plain.talk(line),
        }
    }
}
