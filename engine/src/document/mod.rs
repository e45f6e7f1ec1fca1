//! A workplan as it is written: tolerant parse, byte spans, every problem at once.

mod attributes;
mod blocks;
mod edit;
mod fences;
mod front;
mod heading;
mod keys;
mod mentions;
mod model;
mod parse;
mod prose;
mod scan;
mod sections;
mod status;
mod unread;

pub use edit::{Completion, Edit, EditError, NewValue, apply};
pub use model::{
    Attribute, Clause, Document, FrontMatter, Precondition, ShellBlock, StepsBlock, Task,
    TaskStatus, WorkplanStatus,
};
pub use parse::parse;

#[cfg(test)]
mod tests;
