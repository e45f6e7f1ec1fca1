//! Declared outputs and how they are read from standard output.

use serde_json::Value;
use std::collections::BTreeMap;
use workplan_engine::kind::{OutputType, ParamProblem, Secret, With};

/// Declared names with their types, in the author's order.
pub(super) type Declared = Vec<(String, OutputType)>;

/// What a launcher keeps of standard output, in bytes. At this size the rest may be missing.
const CAPTURED: usize = 1024 * 1024;

/// A shorter secret is in too many innocent texts to look for it inside of values.
const SEARCHED_SECRET: usize = 4;

/// The outputs that the parameters declare.
///
/// # Errors
/// Names that are invalid or given twice, types that do not exist.
pub(super) fn declared(with: &With) -> Result<Declared, Vec<ParamProblem>> {
    let pairs: Vec<(String, Option<String>)> = match with.0.get("outputs") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(|n| Some((n.as_str()?.to_owned(), None))).collect()
        }
        Some(Value::Object(map)) => map
            .iter()
            .map(|(n, ty)| (n.clone(), Some(ty.as_str().unwrap_or_default().to_owned())))
            .collect(),
        Some(Value::String(name)) => vec![(name.clone(), None)],
        _ => Vec::new(),
    };
    let mut list = Declared::new();
    let mut problems = Vec::new();
    for (name, ty) in pairs {
        if !is_name(&name) {
            problems.push(
                ParamProblem::new("outputs", format!("`{name}` is not a name for an output"))
                    .with_help("letters, digits, `_` and `-`, starting with a letter or `_`"),
            );
        }
        if list.iter().any(|(n, _)| *n == name) {
            problems.push(ParamProblem::new("outputs", format!("`{name}` is declared twice")));
        }
        let ty = match ty.as_deref() {
            None | Some("string") => OutputType::String,
            Some("int") => OutputType::Int,
            Some("bool") => OutputType::Bool,
            Some(_) => {
                problems.push(
                    ParamProblem::new("outputs", format!("the type of `{name}` does not exist"))
                        .with_help("`string`, `int` or `bool`"),
                );
                continue;
            }
        };
        list.push((name, ty));
    }
    if problems.is_empty() { Ok(list) } else { Err(problems) }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Reads the declared outputs from standard output: one JSON object, or lines `name=value` of
/// which the last one counts.
///
/// # Errors
/// A sentence that names an output that is missing, of another type, or repeats a secret. It
/// never repeats the value.
pub(super) fn read(
    declared: &Declared,
    stdout: &[u8],
    secrets: &[(String, Secret)],
) -> Result<BTreeMap<String, Value>, String> {
    if declared.is_empty() {
        return Ok(BTreeMap::new());
    }
    if stdout.len() >= CAPTURED {
        return Err(
            "its standard output is larger than 1 MiB, so the outputs in it cannot be relied on"
                .to_owned(),
        );
    }
    let text = String::from_utf8_lossy(stdout);
    let json = match serde_json::from_str::<Value>(text.trim()) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    };
    let mut outputs = BTreeMap::new();
    for (name, ty) in declared {
        let found = match &json {
            Some(map) => map.get(name).map(|v| of_json(v, *ty)),
            None => last_line(&text, name).map(|v| of_text(v, *ty)),
        };
        let value = found
            .ok_or_else(|| format!("it did not give the output `{name}`"))?
            .ok_or_else(|| format!("its output `{name}` is not {}", a_type(*ty)))?;
        if repeats(&value, secrets) {
            return Err(format!("its output `{name}` repeats a secret, and outputs are kept"));
        }
        outputs.insert(name.clone(), value);
    }
    Ok(outputs)
}

fn last_line<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().rev().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix('='))
}

fn of_json(value: &Value, ty: OutputType) -> Option<Value> {
    let fits = match ty {
        OutputType::String => value.is_string(),
        OutputType::Int => value.is_i64(),
        OutputType::Bool => value.is_boolean(),
        OutputType::Number => value.is_number(),
        OutputType::List => value.is_array(),
    };
    fits.then(|| value.clone())
}

fn of_text(text: &str, ty: OutputType) -> Option<Value> {
    match ty {
        OutputType::String => Some(Value::from(text)),
        OutputType::Int => text.trim().parse::<i64>().ok().map(Value::from),
        OutputType::Bool => text.trim().parse::<bool>().ok().map(Value::from),
        OutputType::Number => text.trim().parse::<f64>().ok().map(Value::from),
        OutputType::List => serde_json::from_str(text).ok().filter(Value::is_array),
    }
}

fn a_type(ty: OutputType) -> &'static str {
    match ty {
        OutputType::String => "text",
        OutputType::Int => "a whole number",
        OutputType::Bool => "`true` or `false`",
        OutputType::Number => "a number",
        OutputType::List => "a list",
    }
}

fn repeats(value: &Value, secrets: &[(String, Secret)]) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    secrets.iter().any(|(_, secret)| {
        let bytes = secret.reveal().trim_ascii();
        bytes.len() >= SEARCHED_SECRET
            && text.as_bytes().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Declared {
        vec![
            ("name".to_owned(), OutputType::String),
            ("rows".to_owned(), OutputType::Int),
            ("ok".to_owned(), OutputType::Bool),
        ]
    }

    #[test]
    fn one_json_object() {
        let out =
            read(&three(), b"\n{\"name\":\"a\",\"rows\":3,\"ok\":true,\"more\":1}\n", &[]).unwrap();
        assert_eq!(out["name"], "a");
        assert_eq!(out["rows"], 3);
        assert_eq!(out["ok"], true);
        assert_eq!(out.len(), 3);
    }

    #[test]
    fn the_last_line_of_a_name_counts() {
        let out = read(&three(), b"rows=1\ntalk\nname=a=b \nrows= 2\nok=false\n", &[]).unwrap();
        assert_eq!(out["name"], "a=b ");
        assert_eq!(out["rows"], 2);
        assert_eq!(out["ok"], false);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        for (text, said) in [
            ("rows=1\nok=true", "it did not give the output `name`"),
            ("name=x\nrows=one\nok=true", "its output `rows` is not a whole number"),
            ("{\"name\":1,\"rows\":1,\"ok\":true}", "its output `name` is not text"),
            (
                "{\"name\":\"x\",\"rows\":1.5,\"ok\":true}",
                "its output `rows` is not a whole number",
            ),
        ] {
            assert_eq!(read(&three(), text.as_bytes(), &[]).unwrap_err(), said);
        }
    }

    #[test]
    fn a_repeated_secret_is_refused_without_showing_it() {
        let secrets = [("T".to_owned(), Secret::new("hunter22"))];
        let said = read(&three(), b"name=a-hunter22-b\nrows=1\nok=true", &secrets).unwrap_err();
        assert!(said.contains("repeats a secret") && !said.contains("hunter22"), "{said}");
    }
}
