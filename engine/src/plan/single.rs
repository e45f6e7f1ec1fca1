//! A plan of one step, without a workplan (`workplan do`).

use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

use super::model::{Plan, PlanStep, PlanTask, WorkplanRef};
use super::params::{self, Scope};
use super::raw::RawParam;
use super::{Binding, Target};
use crate::digest::Digest;
use crate::document::TaskStatus;
use crate::kind::Registry;
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{self, Node, Scalar};

/// Makes a plan of one step from `key=value` pairs; values in brackets or braces are YAML.
/// Relative paths start from `folder`. The step's name is the kind's last word.
#[must_use]
pub fn single(
    registry: &Registry,
    kind_name: &str,
    with: &[(String, String)],
    target: &Target,
    folder: &Path,
) -> Binding {
    let mut found = Diagnostics::default();
    let (file, params) = command_line(kind_name, with, &mut found);
    let at = Span::new(0, kind_name.len());
    let Some(kind) = registry.get(kind_name) else {
        found.push(
            Diagnostic::error(
                "unknown-kind",
                &file,
                at,
                format!("there is no kind of step `{kind_name}`"),
            )
            .with_help(did_you_mean(kind_name, registry.names()).unwrap_or_else(
                || format!("the kinds are {}", registry.names().collect::<Vec<_>>().join(", ")),
            )),
        );
        return Binding { plan: None, diagnostics: found, unbound_preconditions: Vec::new() };
    };
    let (inputs, values) = (BTreeMap::new(), BTreeMap::new());
    let scope = Scope { target, inputs: &inputs, input_values: &values };
    let read = params::read(&file, kind.as_ref(), at, &params, &scope, &|_| None, &mut found);
    if let Some(used) = read.uses.first() {
        found.push(Diagnostic::error(
            "unknown-reference",
            &file,
            used.span,
            "a single step has no other steps to refer to",
        ));
    }
    if !found.has_errors()
        && let Ok(resolved) = super::resolve(&read.with, kind.params(), &|_, _| None)
        && let Err(problems) = kind.build(&resolved)
    {
        for problem in problems {
            let span = params.iter().find(|p| p.key == problem.key).map_or(at, |p| p.value.span);
            found.push(
                Diagnostic::error("bad-parameter", &file, span, problem.message)
                    .with_help_opt(problem.help),
            );
        }
    }
    let name = kind_name.rsplit('.').next().unwrap_or(kind_name).to_owned();
    let plan = Plan {
        workplan: WorkplanRef {
            id: format!("do:{kind_name}"),
            title: kind.about().to_owned(),
            path: folder.join("-"),
        },
        target: target.reference.clone(),
        tasks: vec![PlanTask {
            id: String::new(),
            full_id: format!("do:{kind_name}"),
            title: kind_name.to_owned(),
            status: TaskStatus::Todo,
            steps: vec![0],
            needs: Vec::new(),
            clauses: Vec::new(),
        }],
        steps: vec![PlanStep {
            id: name,
            task: 0,
            kind: kind_name.to_owned(),
            class: kind.class(),
            always: read.with.str("due") == Some("always"),
            meaning: Digest::of_json(&json!([kind_name, read.with])),
            with: read.with,
            needs: Vec::new(),
            needs_people: Vec::new(),
            timeout_ms: None,
            retry: None,
            holds: Vec::new(),
            point_of_no_return: false,
            retired: false,
            proves: false,
        }],
        brackets: Vec::new(),
        preconditions: Vec::new(),
    };
    let plan = Some(plan).filter(|_| !found.has_errors());
    Binding { plan, diagnostics: found, unbound_preconditions: Vec::new() }
}

/// The pairs as a file, so that complaints have a caret.
fn command_line(
    kind: &str,
    with: &[(String, String)],
    found: &mut Diagnostics,
) -> (std::sync::Arc<SourceFile>, Vec<RawParam>) {
    let mut text = format!("{kind}\n");
    let mut places = Vec::new();
    for (key, value) in with {
        let start = text.len();
        text.push_str(key);
        text.push('=');
        let at = text.len();
        text.push_str(value);
        places.push((Span::new(start, start + key.len()), Span::new(at, text.len())));
        text.push('\n');
    }
    let file = SourceFile::new("(command line)", text);
    let params = with
        .iter()
        .zip(places)
        .map(|((key, value), (key_span, span))| {
            let value = if value.starts_with(['[', '{']) {
                let (node, problems) = yaml::parse_block(&file, &[span]);
                found.extend(problems);
                node.unwrap_or(Node { span, value: yaml::Value::Null })
            } else {
                let scalar = Scalar { text: value.clone(), plain: true };
                Node { span, value: yaml::Value::Scalar(scalar) }
            };
            RawParam { key: key.clone(), key_span, value }
        })
        .collect();
    (file, params)
}
