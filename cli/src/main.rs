//! `workplan`: runs infrastructure workplans written in Markdown.

mod app;
mod args;
mod catalogue;
mod commands;
mod environment;
mod exit;
mod failure;
mod files;
mod graph;
mod json;
mod lab;
mod panic;
mod person;
mod program;
mod progress;
mod reference;
mod render;
mod report;
mod schema;
mod secrets;
mod signals;
mod sources;
mod state;
mod supervise;
mod term;
mod view;
mod world;

fn main() -> std::process::ExitCode {
    program::main()
}
