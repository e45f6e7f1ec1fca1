//! The engine of `workplan`: Markdown -> document -> plan -> preview -> run -> journal.
//!
//! No PostgreSQL, Kubernetes, terminal or environment variables in here: settings arrive as
//! arguments, and what happens leaves as events.

pub mod digest;
pub mod document;
pub mod duration;
pub mod journal;
pub mod kind;
mod patience;
pub mod plan;
pub mod process;
pub mod run;
pub mod session;
pub mod text;
pub mod yaml;
