//! Parameters: from what is written to typed values, and references to their values.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::InputSpec;
use super::raw::RawParam;
use super::reference::{Piece, Reference, Template};
use super::target::{Target, scalar};
use crate::duration;
use crate::kind::{Kind, OutputType, ParamSpec, ParamType, SecretRef, With};
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
                for entry in &map.entries {
                    let value = match &entry.value.value {
                        yaml::Value::Scalar(s) => {
                            self.scalar(&entry.value, &s.text, s.plain, inner)
                        }
                        _ => self.wrong(&entry.value, inner),
                    };
                    out.insert(entry.key.clone(), value?);
                }
                Some(Value::Object(out))
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

/// Gives a value a type. `Err(None)` for a value of another type, with a reason for a bad secret.
fn coerce(value: Value, plain: bool, ty: ParamType) -> Result<Value, Option<&'static str>> {
    let text = match &value {
        Value::String(s) => Some(s.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match (ty, text) {
        (ParamType::String | ParamType::Script, Some(text)) => Ok(Value::from(text)),
        (ParamType::Bool, Some(text)) => match scalar(&text, plain || !value.is_string()) {
            Value::Bool(b) => Ok(Value::Bool(b)),
            _ => Err(None),
        },
        (ParamType::Int, Some(text)) => match scalar(&text, plain || !value.is_string()) {
            number @ Value::Number(_) => Ok(number),
            _ => Err(None),
        },
        (ParamType::Duration, Some(text)) if duration::parse(&text).is_some() => {
            Ok(Value::from(text))
        }
        (ParamType::Mode, Some(text)) => match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 && (3..=5).contains(&text.len()) => Ok(Value::from(text)),
            _ => Err(None),
        },
        (ParamType::OneOf(words), Some(text)) if words.contains(&text.as_str()) => {
            Ok(Value::from(text))
        }
        (ParamType::Secret, Some(text)) => {
            SecretRef::parse(&text).map(|_| Value::from(text)).map_err(Some)
        }
        (ParamType::Strings, Some(text)) => Ok(Value::Array(vec![Value::from(text)])),
        (ParamType::Strings, None) => match value {
            Value::Array(items) => items
                .into_iter()
                .map(|v| coerce(v, false, ParamType::String))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            _ => Err(None),
        },
        (ParamType::Map | ParamType::Secrets, None) => match value {
            Value::Object(map) => {
                let inner =
                    if ty == ParamType::Map { ParamType::String } else { ParamType::Secret };
                map.into_iter()
                    .map(|(k, v)| Ok((k, coerce(v, false, inner)?)))
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::Object)
            }
            _ => Err(None),
        },
        // Names of outputs never come out of a reference.
        (ParamType::Outputs, None) => Ok(value),
        _ => Err(None),
    }
}

/// What to call a value in a message.
fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Whether an output of this type may stand where `ty` is wanted, as the whole value.
pub(super) fn accepts(ty: ParamType, output: OutputType) -> bool {
    match ty {
        ParamType::String | ParamType::Strings => true,
        ParamType::Int => output == OutputType::Int,
        ParamType::Bool => output == OutputType::Bool,
        // An output is a single value, and it is kept in the journal: no secret, no mapping.
        ParamType::Secret
        | ParamType::Secrets
        | ParamType::Script
        | ParamType::Outputs
        | ParamType::Map => false,
        ParamType::Duration | ParamType::Mode | ParamType::OneOf(_) => output == OutputType::String,
    }
}

/// Whether any parameter still refers to an output.
pub(super) fn has_open(value: &Value) -> bool {
    match value {
        Value::String(s) => {
            s.contains("${{") && Template::parse(s).is_ok_and(|t| t.has_references())
        }
        Value::Array(items) => items.iter().any(has_open),
        Value::Object(map) => map.values().any(has_open),
        _ => false,
    }
}

/// Parameters as they could be in a run: a reference that is open stands for itself where text is
/// wanted, and for some value of the type elsewhere. Good for asking what a step touches.
pub(super) fn sample(with: &With, specs: &[ParamSpec]) -> With {
    let mut out = Map::new();
    for (key, value) in &with.0 {
        let ty = specs.iter().find(|s| s.name == key).map_or(ParamType::String, |s| s.ty);
        let value = match ty {
            ParamType::Script => script(value),
            _ if !has_open(value) => unescape(value),
            ParamType::Bool => Value::Bool(false),
            ParamType::Int => Value::from(1),
            ParamType::Duration => Value::from("1s"),
            ParamType::Mode => Value::from("0600"),
            ParamType::OneOf(words) => Value::from(words.first().copied().unwrap_or_default()),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    With(out)
}

/// Puts the outputs of other steps into parameters, just before they are needed. `output` gives
/// the value of an output by step name (`T02.dump`) and output name.
///
/// # Errors
/// A sentence that names the reference without a value, or the parameter that got a wrong type.
pub fn resolve(
    with: &With,
    specs: &[ParamSpec],
    output: &dyn Fn(&str, &str) -> Option<Value>,
) -> Result<With, String> {
    let mut out = Map::new();
    for (key, value) in &with.0 {
        let is_script = specs.iter().any(|s| s.name == key && s.ty == ParamType::Script);
        if is_script || !has_open(value) {
            out.insert(key.clone(), if is_script { script(value) } else { unescape(value) });
            continue;
        }
        let resolved = fill(value, output)?;
        let resolved = match specs.iter().find(|s| s.name == key) {
            Some(spec) => coerce(resolved, false, spec.ty).map_err(|_| {
                format!("`{key}` is {}, but its reference gave something else", spec.ty.expected())
            })?,
            None => resolved,
        };
        out.insert(key.clone(), resolved);
    }
    Ok(With(out))
}

/// A script as it runs. Only where all of it reads as ours is `$${{` an escape: in a text that
/// holds `${{` for another tool, `$$` is the shell's.
fn script(value: &Value) -> Value {
    match value {
        Value::String(text) if Template::parse(text).is_ok() => unescape(value),
        other => other.clone(),
    }
}

/// Escapes what [`unescape`] will take for a reference.
fn escape(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${{", "$${{")),
        Value::Array(items) => Value::Array(items.into_iter().map(escape).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, escape(v))).collect()),
        other => other,
    }
}

/// A literal `${{` was kept escaped until here.
fn unescape(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$${{", "${{")),
        Value::Array(items) => Value::Array(items.iter().map(unescape).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (k.clone(), unescape(v))).collect())
        }
        other => other.clone(),
    }
}

fn fill(value: &Value, output: &dyn Fn(&str, &str) -> Option<Value>) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let template = Template::parse(text).map_err(|bad| bad.message)?;
            let get = |reference: &Reference| match reference {
                Reference::Output(step, name) => {
                    output(step, name).ok_or_else(|| format!("`{reference}` has no value"))
                }
                other => Err(format!("`{other}` has no value")),
            };
            if let Some(reference) = template.whole() {
                return get(reference);
            }
            let mut out = String::new();
            for piece in &template.pieces {
                match piece {
                    Piece::Text(t) => out.push_str(t),
                    Piece::Reference(reference, _) => match get(reference)? {
                        Value::String(s) => out.push_str(&s),
                        other => out.push_str(&other.to_string()),
                    },
                }
            }
            Ok(Value::String(out))
        }
        Value::Array(items) => {
            items.iter().map(|v| fill(v, output)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| Ok((k.clone(), fill(v, output)?)))
            .collect::<Result<Map<_, _>, String>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}
