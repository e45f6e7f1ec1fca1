//! A workplan as it is written: tolerant parse, byte spans, every problem at once.

mod model;
mod parse;

pub use model::{
    Attribute, Clause, Document, FrontMatter, Precondition, ShellBlock, StepsBlock, Task,
    TaskStatus, WorkplanStatus,
};
pub use parse::parse;
