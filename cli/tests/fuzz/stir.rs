//! Texts and JSON, damaged the way people and disks damage them.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use serde_json::Value;

/// How many cases, kept finds beside the sources.
pub(crate) fn config(quick: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    Config {
        cases: cases.unwrap_or(quick),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}

/// One change of a text.
#[derive(Debug, Clone)]
pub(crate) enum Tear {
    DropLine(usize),
    DoubleLine(usize),
    SwapLines(usize, usize),
    Indent(usize, i8),
    Insert(usize, String),
    Replace(usize, String),
    CutOff(usize),
}

pub(crate) fn tear() -> impl Strategy<Value = Tear> {
    let at = any::<usize>;
    prop_oneof![
        3 => at().prop_map(Tear::DropLine),
        2 => at().prop_map(Tear::DoubleLine),
        2 => (at(), at()).prop_map(|(a, b)| Tear::SwapLines(a, b)),
        2 => (at(), -3_i8..4).prop_map(|(a, n)| Tear::Indent(a, n)),
        4 => (at(), scrap()).prop_map(|(a, s)| Tear::Insert(a, s)),
        4 => (at(), scrap()).prop_map(|(a, s)| Tear::Replace(a, s)),
        1 => at().prop_map(Tear::CutOff),
    ]
}

/// What is put in: words that mean something here, and some that mean nothing.
fn scrap() -> impl Strategy<Value = String> {
    const WORDS: [&str; 56] = [
        "${{ steps.T01.a.outputs.x }}",
        "${{ target.values.x }}",
        "${{",
        "}}",
        "$${{",
        "${{}}",
        "T01",
        "T02.a",
        "needs: [a, T01, T9]",
        "holds: [a]",
        "timeout: 1s",
        "timeout: 99999999999999999999d",
        "retry: {max: 4294967296}",
        "retry: {max: -1, backoff: 0s}",
        "uses: command",
        "uses: gate.approve",
        "with: {run: x}",
        "with:",
        "done_when: [all]",
        "id: a",
        "brackets:",
        "budget: 0s",
        "on_failure: hold",
        "status: done",
        "status: blocked",
        "---",
        "```",
        "```task",
        "```steps",
        "```sh step=a check=\"",
        "~~~~",
        "\t",
        "\r",
        "\r\n",
        "\0",
        "\u{feff}",
        "\u{202e}",
        "ü€",
        "&a",
        "*a",
        "!!str",
        "<<: {}",
        "|",
        ">-",
        "'",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "# ",
        "null",
        "~",
        "1e999",
    ];
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

/// A text after its changes.
pub(crate) fn torn(text: &str, tears: &[Tear]) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for tear in tears {
        if lines.is_empty() {
            return String::new();
        }
        let count = lines.len();
        match tear {
            Tear::DropLine(a) => drop(lines.remove(a % count)),
            Tear::DoubleLine(a) => lines.insert(a % count, lines[a % count].clone()),
            Tear::SwapLines(a, b) => lines.swap(a % count, b % count),
            Tear::Indent(a, by) => {
                let line = &mut lines[a % count];
                let spaces = usize::from(by.unsigned_abs());
                *line = if *by >= 0 {
                    format!("{}{line}", " ".repeat(spaces))
                } else {
                    line.strip_prefix(&" ".repeat(spaces)).unwrap_or(line).to_owned()
                };
            }
            Tear::Insert(a, scrap) => {
                let line = &mut lines[a % count];
                let at = place(line, a / count);
                line.insert_str(at, scrap);
            }
            Tear::Replace(a, scrap) => {
                let line = &mut lines[a % count];
                let from = place(line, a / count);
                let to = line[from..].find([' ', ':', ',', '\n']).map_or(line.len(), |n| from + n);
                line.replace_range(from..to, scrap);
            }
            Tear::CutOff(a) => {
                lines.truncate(a % count + 1);
                if let Some(last) = lines.last_mut() {
                    last.truncate(place(last, a / count));
                }
            }
        }
    }
    lines.concat()
}

/// A place in a line where a character begins.
fn place(line: &str, wish: usize) -> usize {
    let places: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
    places.get(wish % places.len().max(1)).copied().unwrap_or(0)
}

/// One change of a JSON value: which of its nodes, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Twist(usize, Value);

pub(crate) fn twist() -> impl Strategy<Value = Twist> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::Null),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!("")),
        Just(serde_json::json!("T01.a")),
        Just(serde_json::json!("done")),
        Just(serde_json::json!(true)),
        Just(serde_json::json!(-1)),
        Just(serde_json::json!(u64::MAX)),
        Just(serde_json::json!(1e300)),
        any::<u32>().prop_map(|n| n.into()),
    ];
    (any::<usize>(), value).prop_map(|(at, value)| Twist(at, value))
}

/// Changes one node of a value; null stands for "take it away".
pub(crate) fn twisted(value: &mut Value, twist: &Twist) {
    let count = nodes(value);
    put(value, &mut (twist.0 % count), &twist.1);
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Returns whether the place was found.
fn put(value: &mut Value, at: &mut usize, new: &Value) -> bool {
    if *at == 0 {
        *value = new.clone();
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| put(item, at, new)),
        Value::Object(map) => {
            let key = map.iter_mut().find_map(|(k, v)| put(v, at, new).then(|| k.clone()));
            if let Some(key) = key {
                if map[&key].is_null() {
                    map.remove(&key);
                }
                return true;
            }
            false
        }
        _ => false,
    }
}
