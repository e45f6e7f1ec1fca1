//! The reference of commands and kinds as Markdown, made from what the program itself knows.

use std::fmt::Write as _;

use clap::CommandFactory;
use workplan_engine::kind::{Class, Kind};

use crate::args::Args;
use crate::environment::VARIABLES;
use crate::exit::{self, Exit};
use crate::{catalogue, schema};

/// The whole page.
pub(crate) fn markdown() -> String {
    let mut out = String::from(
        "# Reference\n\nMade by `workplan util reference`; do not edit.\n\n## Commands\n",
    );
    let mut root = Args::command();
    root.build();
    for sub in root.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        command(&mut out, "", sub);
    }
    out.push_str("\n## Options of every command\n\n");
    for arg in root.get_arguments().filter(|a| a.is_global_set()) {
        option(&mut out, arg);
    }
    out.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in exit::TABLE {
        if let Exit::Code(code) = exit {
            let _ = writeln!(out, "| {code} | {meaning} |");
        }
    }
    out.push_str(
        "\nA signal ends it by that signal: 130 after Ctrl-C, 143 after SIGTERM, to a shell.\n",
    );
    out.push_str("\n## Environment variables\n\n| variable | effect |\n|---|---|\n");
    for (name, effect) in VARIABLES {
        let _ = writeln!(out, "| {name} | {effect} |");
    }
    out.push_str("\n## Kinds of steps\n");
    for kind in catalogue::all().iter() {
        describe(&mut out, kind.as_ref());
    }
    out.push_str("\n## Schemas\n\n`workplan schema NAME` prints the JSON Schema of\n\n");
    for (name, about) in schema::names() {
        let _ = writeln!(out, "- `{name}`: {about}");
    }
    out
}

fn command(out: &mut String, above: &str, sub: &clap::Command) {
    let name = format!("{above}{}", sub.get_name());
    let _ = writeln!(out, "\n### `workplan {name}`\n");
    if let Some(about) = sub.get_about() {
        let _ = writeln!(out, "{about}.\n");
    }
    for arg in sub.get_arguments() {
        if !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help" {
            option(out, arg);
        }
    }
    for inner in sub.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        command(out, &format!("{name} "), inner);
    }
}

fn option(out: &mut String, arg: &clap::Arg) {
    let value = arg
        .get_num_args()
        .filter(|n| n.takes_values())
        .and_then(|_| arg.get_value_names())
        .and_then(|names| names.first())
        .map(ToString::to_string);
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => String::new(),
    };
    let shown = match (name.as_str(), value) {
        ("", value) => value.unwrap_or_else(|| arg.get_id().to_string().to_uppercase()),
        (name, Some(value)) => format!("{name} {value}"),
        (name, None) => name.to_owned(),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|v| !v.is_hide_set())
        .map(|v| format!("`{}`", v.get_name()))
        .collect();
    let takes = arg.get_num_args().is_some_and(|n| n.takes_values());
    let words =
        if words.is_empty() || !takes { String::new() } else { format!(" ({})", words.join(", ")) };
    let default = match arg.get_default_values() {
        [value] if takes && !help.contains("[default") => {
            format!(" [default: {}]", value.to_string_lossy())
        }
        _ => String::new(),
    };
    let _ = writeln!(out, "- `{shown}`: {help}{words}{default}");
}

fn describe(out: &mut String, kind: &dyn Kind) {
    let class = match kind.class() {
        Class::State => "state",
        Class::Bracket => "bracket",
        Class::Proof => "proof",
    };
    let _ = writeln!(out, "\n### `{}` ({class})\n\n{}\n", kind.name(), kind.about());
    if kind.params().is_empty() {
        return;
    }
    out.push_str("| `with` | holds | says |\n|---|---|---|\n");
    for param in kind.params() {
        let must = if param.required { " (required)" } else { "" };
        let expected = param.ty.expected().replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}`{must} | {expected} | {} |",
            param.name,
            param.doc.replace('|', "\\|")
        );
    }
}
