//! A run while it goes on: lines of committed events, spinners on a terminal, answers to Ctrl-C.

mod board;
mod control;
mod echo;
mod live;
mod talker;
mod words;

pub(crate) use control::{Control, listen};
pub(crate) use live::Live;
pub(crate) use talker::Talker;
