//! From a shell block with attributes to a `command` step.

use std::sync::Arc;

use super::Retry;
use super::raw::{RawParam, RawStep, Word};
use super::reader::{DEFAULT_BACKOFF_MS, bad_id, is_step_id};
use crate::document::{Attribute, ShellBlock};
use crate::duration;
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{Node, Scalar, Value};

/// Attributes that are parameters of the `command` kind.
const PARAMS: &[&str] =
    &["check", "readonly", "undo", "cwd", "reads", "writes", "outputs", "rerun", "due"];
/// Attributes that are keys of a step.
const KEYS: &[&str] =
    &["step", "needs", "timeout", "retry", "holds", "done_when", "point_of_no_return"];

/// Reads one block.
pub(super) fn read(
    file: &Arc<SourceFile>,
    block: &ShellBlock,
    found: &mut Diagnostics,
) -> Option<RawStep> {
    let mut id = None;
    let mut with = vec![RawParam {
        key: "run".to_owned(),
        key_span: block.info_span,
        value: text_node(&block.script, block.span),
    }];
    if block.shell == "bash" {
        with.push(RawParam {
            key: "shell".to_owned(),
            key_span: block.info_span,
            value: text_node("bash", block.info_span),
        });
    }
    let mut step = RawStep {
        file: Arc::clone(file),
        id: Word { text: String::new(), span: block.info_span },
        uses: Word { text: "command".to_owned(), span: block.info_span },
        with: Vec::new(),
        needs: None,
        timeout_ms: None,
        retry: None,
        holds: Vec::new(),
        done_when: Vec::new(),
        point_of_no_return: false,
        from_shell: true,
    };
    for attribute in &block.attributes {
        let name = attribute.name.as_str();
        let words = || words(attribute);
        let mut fail = |expected: &str, example: &str| {
            found.push(
                Diagnostic::error(
                    "wrong-type",
                    file,
                    attribute.value_span,
                    format!("`{name}` is {expected}"),
                )
                .with_help(format!("write `{name}={example}`")),
            );
        };
        match (name, attribute.value.as_deref()) {
            ("step", Some(text)) => {
                let word = Word { text: text.to_owned(), span: attribute.value_span };
                if is_step_id(text) {
                    id = Some(word);
                } else {
                    found.push(bad_id(file, &word));
                }
            }
            ("needs", Some(_)) => step.needs = Some(words()),
            ("holds", Some(_)) => step.holds = words(),
            ("done_when", Some(text)) => {
                step.done_when = vec![Word { text: text.to_owned(), span: attribute.value_span }];
            }
            ("timeout", Some(text)) => match duration::parse(text) {
                Some(d) if !d.is_zero() => step.timeout_ms = u64::try_from(d.as_millis()).ok(),
                _ => fail("a duration", "60s"),
            },
            ("retry", Some(text)) => match text.parse() {
                Ok(max) if max <= 100 => {
                    step.retry = Some(Retry { max, backoff_ms: DEFAULT_BACKOFF_MS });
                }
                _ => fail("a whole number up to 100", "2"),
            },
            ("point_of_no_return", None | Some("true")) => step.point_of_no_return = true,
            ("point_of_no_return", Some("false")) => {}
            ("point_of_no_return", Some(_)) => fail("`true` or `false`", "true"),
            ("readonly", None) => with.push(param(attribute, plain_node("true", attribute))),
            ("readonly", Some(text)) => with.push(param(attribute, plain_node(text, attribute))),
            ("reads" | "writes" | "outputs", Some(_)) => {
                let items = words().iter().map(|w| text_node(&w.text, w.span)).collect();
                let value = Node { span: attribute.value_span, value: Value::Seq(items) };
                with.push(param(attribute, value));
            }
            (name, Some(text)) if PARAMS.contains(&name) => {
                with.push(param(attribute, text_node(text, attribute.value_span)));
            }
            (name, None) if PARAMS.contains(&name) || KEYS.contains(&name) => {
                found.push(
                    Diagnostic::error(
                        "wrong-type",
                        file,
                        attribute.name_span,
                        format!("`{name}` needs a value"),
                    )
                    .with_help(format!("write `{name}=\"…\"`")),
                );
            }
            _ => {
                let known = PARAMS.iter().chain(KEYS).copied();
                found.push(
                    Diagnostic::error(
                        "unknown-key",
                        file,
                        attribute.name_span,
                        format!("a shell block has no attribute `{name}`"),
                    )
                    .with_help(did_you_mean(name, known).unwrap_or_else(
                        || {
                            "use a `steps` block or a plan file for what an info string cannot say"
                                .to_owned()
                        },
                    )),
                );
            }
        }
    }
    step.id = id?;
    step.with = with;
    Some(step)
}

/// Words separated by commas or blanks.
fn words(attribute: &Attribute) -> Vec<Word> {
    attribute
        .value
        .as_deref()
        .unwrap_or_default()
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|w| !w.is_empty())
        .map(|w| Word { text: w.to_owned(), span: attribute.value_span })
        .collect()
}

fn param(attribute: &Attribute, value: Node) -> RawParam {
    RawParam { key: attribute.name.clone(), key_span: attribute.name_span, value }
}

fn text_node(text: &str, span: Span) -> Node {
    Node { span, value: Value::Scalar(Scalar { text: text.to_owned(), plain: false }) }
}

fn plain_node(text: &str, attribute: &Attribute) -> Node {
    Node {
        span: attribute.value_span,
        value: Value::Scalar(Scalar { text: text.to_owned(), plain: true }),
    }
}
