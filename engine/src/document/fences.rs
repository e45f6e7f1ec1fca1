//! What a fenced block is for.

use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, Gathered, SourceFile, Span};
use crate::yaml::{self, Node};

use super::blocks::Fence;
use super::{Attribute, attributes};

/// A fenced block after a look at its info string.
#[derive(Debug)]
pub(super) enum Role {
    /// `task`, or `yaml` with an id of this workplan; `None` where the YAML is broken.
    Task(Option<Node>),
    /// `steps`.
    Steps(Option<Node>),
    /// A shell block with `step=`.
    Shell { shell: &'static str, attributes: Vec<Attribute> },
    /// Meant to be one of them, and reported as broken.
    Broken,
    /// Only text.
    Text,
}

/// Looks at one block.
pub(super) fn classify(
    file: &Arc<SourceFile>,
    workplan: &str,
    fence: &Fence,
    diagnostics: &mut Diagnostics,
) -> Role {
    let info = file.slice(fence.info);
    let word = info.split_whitespace().next().unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let ours = matches!(lower.as_str(), "task" | "steps");
    let swallowed = swallowed(file, fence, ours);
    if !fence.closed || swallowed.is_some() {
        let mut diagnostic = Diagnostic::error(
            "fence-unclosed",
            file,
            fence.opening,
            "this fenced block is not closed",
        )
        .with_help(format!("close it with a line of `{}`", info_mark(file.slice(fence.opening))));
        if let Some(line) = swallowed {
            diagnostic = diagnostic.with_label(line, "the next block begins before it ends");
        }
        diagnostics.push(diagnostic);
        if swallowed.is_some() {
            return if ours || has_step(info) { Role::Broken } else { Role::Text };
        }
    }
    if ours && word != lower {
        let span = Span::new(fence.info.start, fence.info.start + word.len());
        diagnostics.push(
            Diagnostic::warning(
                "info-string-case",
                file,
                span,
                format!("`{word}` is read as `{lower}`"),
            )
            .with_help(format!("write `{lower}`; other tools may not find it")),
        );
    }
    match lower.as_str() {
        "task" => {
            let (node, found) = yaml::parse_gathered(file, &fence.content);
            diagnostics.extend(found);
            Role::Task(node)
        }
        "steps" => {
            let (node, found) = yaml::parse_gathered(file, &fence.content);
            let broken = found.has_errors();
            diagnostics.extend(found);
            if node.as_ref().is_none_or(|n| n.as_seq().is_none()) && !broken {
                let (span, what) = match &node {
                    Some(node) => (node.span, node.type_name()),
                    None => (fence.opening, "nothing"),
                };
                diagnostics.push(
                    Diagnostic::error(
                        "wrong-type",
                        file,
                        span,
                        format!("a `steps` block holds a list of steps, not {what}"),
                    )
                    .with_help("begin each step with `- id: …`"),
                );
            }
            Role::Steps(node.filter(|n| n.as_seq().is_some()))
        }
        "yaml" | "yml" if names_our_task(&fence.content, workplan) => {
            let (node, found) = yaml::parse_gathered(file, &fence.content);
            diagnostics.extend(found);
            Role::Task(node)
        }
        "sh" | "bash" | "shell" if has_step(info) => {
            let shell = if lower == "bash" { "bash" } else { "sh" };
            shell_block(file, fence, word, shell, diagnostics)
        }
        _ => {
            if has_step(info) {
                diagnostics.push(
                    Diagnostic::warning(
                        "step-not-shell",
                        file,
                        fence.info,
                        format!("this block has `step=`, but `{word}` is not run"),
                    )
                    .with_help("only `sh` and `bash` blocks can be steps"),
                );
            }
            Role::Text
        }
    }
}

fn shell_block(
    file: &Arc<SourceFile>,
    fence: &Fence,
    word: &str,
    shell: &'static str,
    diagnostics: &mut Diagnostics,
) -> Role {
    let rest = Span::new(fence.info.start + word.len(), fence.info.end);
    match attributes::parse(file, rest) {
        // `title="step=1"` has the letters, not the attribute.
        Ok(attributes) => match attributes.iter().find(|a| a.name == "step") {
            None => Role::Text,
            Some(step) if step.value.as_deref().is_none_or(str::is_empty) => {
                diagnostics.push(
                    Diagnostic::error(
                        "missing-value",
                        file,
                        step.name_span,
                        "`step=` needs a name",
                    )
                    .with_help("write `step=dump`"),
                );
                Role::Broken
            }
            Some(_) => Role::Shell { shell, attributes },
        },
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            Role::Broken
        }
    }
}

/// Whether the info string has an attribute `step=`, as far as a glance can tell.
fn has_step(info: &str) -> bool {
    info.match_indices("step=").any(|(i, _)| info[..i].ends_with(char::is_whitespace))
}

/// A line `id: WORKPLAN-…` at the left edge, even if the rest is broken YAML.
fn names_our_task(content: &Gathered, workplan: &str) -> bool {
    !workplan.is_empty()
        && content.text.lines().any(|line| {
            line.strip_prefix("id:")
                .map(|value| value.trim_start().trim_start_matches(['"', '\'']))
                .and_then(|value| value.strip_prefix(workplan))
                .is_some_and(|rest| rest.starts_with('-'))
        })
}

/// A line inside the block that opens another one: then the first was never closed.
fn swallowed(file: &Arc<SourceFile>, fence: &Fence, ours: bool) -> Option<Span> {
    let mark = info_mark(file.slice(fence.opening));
    let char = mark.chars().next()?;
    let mut at = 0;
    for line in fence.content.text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let length = trimmed.len() - trimmed.trim_start_matches(char).len();
        let info = trimmed[length..].trim();
        let opens = length >= mark.len()
            && length >= 3
            && line.len() - trimmed.len() < 4
            && (ours
                || matches!(
                    info.split_whitespace().next().map(str::to_ascii_lowercase).as_deref(),
                    Some("task" | "steps")
                )
                || has_step(info));
        if opens {
            let start = at + (line.len() - trimmed.len());
            return Some(fence.content.span(start..start + trimmed.trim_end().len()));
        }
        at += line.len();
    }
    None
}

/// The fence characters that an opening line starts with.
fn info_mark(opening: &str) -> &str {
    let mark = opening.chars().next().unwrap_or('`');
    &opening[..opening.len() - opening.trim_start_matches(mark).len()]
}
