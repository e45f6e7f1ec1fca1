//! The terminal: what may be written to it, and how.

mod ask;
mod printer;
mod sanitize;
mod style;
mod table;
mod time;

pub(crate) use ask::confirm;
pub(crate) use printer::{Level, PlainTalk, Printer};
pub(crate) use sanitize::sanitize;
pub(crate) use style::{Paint, Style};
pub(crate) use table::Table;
pub(crate) use time::{ago, duration_ms, iso_ms, local_ms};
