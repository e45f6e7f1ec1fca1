//! Parameters: from what is written to typed values.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::InputSpec;
use super::coerce::{called, coerce};
use super::raw::RawParam;
use super::reference::{Piece, Reference, Template};
use super::resolve::escape;
use super::target::Target;
use crate::kind::{Kind, ParamSpec, ParamType, With};
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{self, Node};

/// What references may name while a plan is made.
pub(super) struct Scope<'a> {
    pub(super) target: &'a Target,
    pub(super) inputs: &'a BTreeMap<String, InputSpec>,
    pub(super) input_values: &'a BTreeMap<String, Value>,
}

/// A reference to another step's output, found in a parameter.
#[derive(Debug, Clone)]
pub(super) struct OutputUse {
    pub(super) step: String,
    pub(super) output: String,
    pub(super) span: Span,
    /// The type that the place demands, where the reference is the whole value.
    pub(super) wanted: Option<ParamType>,
}

/// Typed parameters of one step, with what they refer to.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) with: With,
    pub(super) uses: Vec<OutputUse>,
    pub(super) failed: bool,
}

/// Checks names and types, and puts in the values of the target and the inputs. `name` gives the
/// full name of a step as it is written in a reference; references are kept with full names.
pub(super) fn read(
    file: &Arc<SourceFile>,
    kind: &dyn Kind,
    at: Span,
    params: &[RawParam],
    scope: &Scope<'_>,
    name: &dyn Fn(&str) -> Option<String>,
    found: &mut Diagnostics,
) -> Read {
    let mut out = Read::default();
    let before = found.0.len();
    let specs = kind.params();
    for param in params {
        let Some(spec) = specs.iter().find(|s| s.name == param.key) else {
            found.push(
                Diagnostic::error(
                    "unknown-parameter",
                    file,
                    param.key_span,
                    format!("`{}` has no parameter `{}`", kind.name(), param.key),
                )
                .with_help(
                    did_you_mean(&param.key, specs.iter().map(|s| s.name)).unwrap_or_else(|| {
                        let names: Vec<&str> = specs.iter().map(|s| s.name).collect();
                        format!("its parameters are {}", names.join(", "))
                    }),
                ),
            );
            continue;
        };
        let mut reader = ParamReader { file, scope, name, spec, uses: &mut out.uses, found };
        if let Some(value) = reader.value(&param.value, spec.ty) {
            out.with.0.insert(spec.name.to_owned(), value);
        }
    }
    for spec in specs.iter().filter(|s| s.required) {
        if !params.iter().any(|p| p.key == spec.name) {
            found.push(
                Diagnostic::error(
                    "missing-parameter",
                    file,
                    at,
                    format!("`{}` needs the parameter `{}`", kind.name(), spec.name),
                )
                .with_help(spec.doc),
            );
        }
    }
    out.failed = found.0[before..].iter().any(|d| d.severity == crate::text::Severity::Error);
    out
}

struct ParamReader<'a> {
    file: &'a Arc<SourceFile>,
    scope: &'a Scope<'a>,
    name: &'a dyn Fn(&str) -> Option<String>,
    spec: &'a ParamSpec,
    uses: &'a mut Vec<OutputUse>,
    found: &'a mut Diagnostics,
}

impl ParamReader<'_> {
    fn wrong(&mut self, node: &Node, ty: ParamType) -> Option<Value> {
        self.wrong_value(node.span, ty, &format!("this is {}", node.type_name()))
    }

    fn wrong_value(&mut self, span: Span, ty: ParamType, is: &str) -> Option<Value> {
        let help = match ty {
            ParamType::String | ParamType::Script => "put it in quotes, or use a block text (`|`)",
            ParamType::Bool => "write `true` or `false`, without quotes",
            ParamType::Int => "write digits, without quotes",
            ParamType::Duration => "a number with its unit, for example `60s`",
            ParamType::Strings => "for example `[one, two]`; each is a single value",
            ParamType::Map => "for example `{NAME: value}`; each value is a single one",
            ParamType::Secrets | ParamType::Secret => "for example `env:NAME`",
            ParamType::Mode => "for example `0644`",
            ParamType::OneOf(_) => "use one of these words",
            ParamType::Outputs => "for example `[rows, digest]` or `{rows: int}`",
            ParamType::Value => "write a text, a list or a mapping",
        };
        self.found.push(
            Diagnostic::error(
                "wrong-type",
                self.file,
                span,
                format!("`{}` is {}, {is}", self.spec.name, ty.expected()),
            )
            .with_help(help),
        );
        None
    }

    fn value(&mut self, node: &Node, ty: ParamType) -> Option<Value> {
        match (&node.value, ty) {
            (yaml::Value::Scalar(s), ParamType::Strings) => {
                let one = self.scalar(node, &s.text, s.plain, ty)?;
                Some(if one.is_array() { one } else { Value::Array(vec![one]) })
            }
            // Names are names: a reference in one is not read, and is no name.
            (yaml::Value::Scalar(s), ParamType::Outputs) => {
                Some(Value::Array(vec![Value::from(s.text.clone())]))
            }
            (yaml::Value::Seq(items), ParamType::Outputs)
                if items.iter().all(|n| n.as_str().is_some()) =>
            {
                Some(items.iter().filter_map(Node::as_str).map(Value::from).collect())
            }
            (yaml::Value::Scalar(s), _) => self.scalar(node, &s.text, s.plain, ty),
            (yaml::Value::Null, ParamType::Value) => Some(Value::Null),
            (yaml::Value::Seq(items), ParamType::Value) => {
                let values: Vec<Value> =
                    items.iter().filter_map(|n| self.value(n, ParamType::Value)).collect();
                (values.len() == items.len()).then_some(Value::Array(values))
            }
            (yaml::Value::Map(map), ParamType::Value) => {
                let values: Map<String, Value> = map
                    .entries
                    .iter()
                    .filter_map(|e| Some((e.key.clone(), self.value(&e.value, ParamType::Value)?)))
                    .collect();
                (values.len() == map.entries.len()).then_some(Value::Object(values))
            }
            (yaml::Value::Seq(items), ParamType::Strings) => {
                let values: Vec<Value> = items
                    .iter()
                    .filter_map(|n| match &n.value {
                        yaml::Value::Scalar(s) => {
                            self.scalar(n, &s.text, s.plain, ParamType::String)
                        }
                        _ => self.wrong(n, ParamType::String),
                    })
                    .collect();
                (values.len() == items.len()).then_some(Value::Array(values))
            }
            (yaml::Value::Map(map), ParamType::Map | ParamType::Secrets | ParamType::Outputs) => {
                let inner = match ty {
                    ParamType::Secrets => ParamType::Secret,
                    ParamType::Outputs => ParamType::OneOf(&["string", "int", "bool"]),
                    _ => ParamType::String,
                };
                let mut out = Map::new();
                let mut complete = true;
                for entry in &map.entries {
                    let value = match &entry.value.value {
                        yaml::Value::Scalar(s) => {
                            self.scalar(&entry.value, &s.text, s.plain, inner)
                        }
                        _ => self.wrong(&entry.value, inner),
                    };
                    complete &= value.is_some();
                    out.extend(value.map(|value| (entry.key.clone(), value)));
                }
                complete.then_some(Value::Object(out))
            }
            _ => self.wrong(node, ty),
        }
    }

    fn scalar(&mut self, node: &Node, text: &str, plain: bool, ty: ParamType) -> Option<Value> {
        let template = match Template::parse(text) {
            // A script may well hold `${{` for some other tool; only what reads as ours is ours.
            Err(_) if ty == ParamType::Script => return Some(Value::from(text)),
            Ok(template) if ty == ParamType::Script && !template.has_references() => {
                return Some(Value::from(text));
            }
            Ok(template) => template,
            Err(bad) => {
                let span = self.locate(node, &text[bad.range]);
                self.found.push(
                    Diagnostic::error("bad-reference", self.file, span, bad.message)
                        .with_help("`$${{` stands for a literal `${{`"),
                );
                return None;
            }
        };
        if !template.has_references() {
            let literal: String = template
                .pieces
                .into_iter()
                .map(|p| match p {
                    Piece::Text(t) => t,
                    Piece::Reference(..) => String::new(),
                })
                .collect();
            // Escaped again: a literal `${{` must not read as a reference later.
            return self.typed(node, Value::from(literal.replace("${{", "$${{")), plain, ty);
        }
        if ty == ParamType::Script {
            let (reference, range) = template.references().next()?;
            let span = self.locate(node, &text[range.clone()]);
            self.found.push(
                Diagnostic::error(
                    "reference-in-script",
                    self.file,
                    span,
                    format!("`{}` holds a reference; it would become part of the script", self.spec.name),
                )
                .with_help(format!(
                    "hand it over as a variable: `env: {{VALUE: \"${{{{ {reference} }}}}\"}}` and `\"$VALUE\"` in the script"
                )),
            );
            return None;
        }
        self.substitute(node, text, &template, ty)
    }

    /// Puts in what is known now; references to outputs stay.
    fn substitute(
        &mut self,
        node: &Node,
        text: &str,
        template: &Template,
        ty: ParamType,
    ) -> Option<Value> {
        let whole = template.whole().is_some();
        let mut out = String::new();
        let mut open = false;
        for piece in &template.pieces {
            match piece {
                Piece::Text(t) => out.push_str(&t.replace("${{", "$${{")),
                Piece::Reference(Reference::Output(step, output), range) => {
                    let span = self.locate(node, &text[range.clone()]);
                    self.uses.push(OutputUse {
                        step: step.clone(),
                        output: output.clone(),
                        span,
                        wanted: whole.then_some(ty),
                    });
                    open = true;
                    let full = (self.name)(step).unwrap_or_else(|| step.clone());
                    let reference = Reference::Output(full, output.clone());
                    out.push_str(&format!("${{{{ {reference} }}}}"));
                }
                Piece::Reference(reference, range) => {
                    let span = self.locate(node, &text[range.clone()]);
                    let value = self.lookup(reference, span)?;
                    if whole {
                        return self.whole(reference, value, span, ty);
                    }
                    match &value {
                        Value::String(s) => out.push_str(&s.replace("${{", "$${{")),
                        Value::Number(_) | Value::Bool(_) => out.push_str(&value.to_string()),
                        _ => {
                            self.found.push(
                                Diagnostic::error(
                                    "wrong-type",
                                    self.file,
                                    span,
                                    format!(
                                        "`{reference}` is {}; it cannot stand inside a text",
                                        called(&value)
                                    ),
                                )
                                .with_help(
                                    "name one value in it, for example `target.databases.old.host`",
                                ),
                            );
                            return None;
                        }
                    }
                }
            }
        }
        if open {
            return Some(Value::String(out));
        }
        self.typed(node, Value::String(out), false, ty)
    }

    /// A value that is the whole parameter keeps its type, which must be the wanted one.
    fn whole(
        &mut self,
        reference: &Reference,
        value: Value,
        span: Span,
        ty: ParamType,
    ) -> Option<Value> {
        let is = format!("`{reference}` is {}", called(&value));
        match coerce(value, false, ty) {
            // Escaped: what stands in a value is text and no reference.
            Ok(value) => Some(escape(value)),
            Err(None) => self.wrong_value(span, ty, &is),
            Err(Some(why)) => self.bad_secret(span, why),
        }
    }

    fn bad_secret(&mut self, span: Span, why: &str) -> Option<Value> {
        self.found.push(
            Diagnostic::error("bad-secret-reference", self.file, span, why)
                .with_help("the text itself is not repeated here, in case it is the secret"),
        );
        None
    }

    fn lookup(&mut self, reference: &Reference, span: Span) -> Option<Value> {
        let (message, last, names) = match reference {
            Reference::Target(path) => match self.scope.target.get(path) {
                Some(value) => return Some(value.clone()),
                None => {
                    let message = format!(
                        "the target `{}` has no `{}`",
                        self.scope.target.reference.name,
                        path.join(".")
                    );
                    let (last, names) = self.scope.target.near(path);
                    (message, last, names)
                }
            },
            Reference::Input(name) => match self.scope.input_values.get(name) {
                Some(value) => return Some(value.clone()),
                None if self.scope.inputs.contains_key(name) => {
                    (format!("the input `{name}` has no value"), name.clone(), Vec::new())
                }
                None => (
                    format!("there is no input `{name}`"),
                    name.clone(),
                    self.scope.inputs.keys().cloned().collect(),
                ),
            },
            Reference::Output(..) => return None,
        };
        let help =
            did_you_mean(&last, names.iter().map(String::as_str)).unwrap_or_else(
                || match reference {
                    Reference::Target(_) if self.scope.target.reference.implicit => {
                        "no target was given: `--target NAME`, or `--set KEY=VALUE`".to_owned()
                    }
                    Reference::Target(_) => {
                        "add it to the target file, or `--set KEY=VALUE`".to_owned()
                    }
                    _ if names.is_empty() && self.scope.inputs.contains_key(&last) => {
                        format!("give it: `--set {last}=VALUE`, or a `default` in the plan file")
                    }
                    _ => "declare it under `inputs` in the plan file".to_owned(),
                },
            );
        self.found
            .push(Diagnostic::error("unknown-reference", self.file, span, message).with_help(help));
        None
    }

    /// Gives a value the type that the parameter demands.
    fn typed(&mut self, node: &Node, value: Value, plain: bool, ty: ParamType) -> Option<Value> {
        match coerce(value, plain, ty) {
            Ok(value) => Some(value),
            Err(None) => self.wrong(node, ty),
            Err(Some(why)) => self.bad_secret(node.span, why),
        }
    }

    /// Where a piece of a scalar stands in the file.
    fn locate(&self, node: &Node, piece: &str) -> Span {
        match self.file.slice(node.span).find(piece) {
            Some(at) => Span::new(node.span.start + at, node.span.start + at + piece.len()),
            None => node.span,
        }
    }
}
