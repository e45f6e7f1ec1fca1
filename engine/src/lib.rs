//! The engine of `workplan`: Markdown -> document -> plan -> preview -> run -> journal.
//!
//! No PostgreSQL, Kubernetes, terminal or environment variables in here: settings arrive as
//! arguments, and what happens leaves as events.

pub mod document;
pub mod process;
pub mod text;
pub mod yaml;
