//! What proves a clause, in a few words a step.

use serde_json::Value;

use crate::json::{ReportClause, ReportDocument, ReportStep};

/// Longer values say less to a person than their beginning.
const LONGEST: usize = 72;

/// A step that proves a clause.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The step.
    pub(super) step: String,
    /// What it gave, `name value` each; what it saw, where it gave nothing.
    pub(super) words: Vec<String>,
}

/// What the steps of a clause have to show.
pub(super) fn proofs(report: &ReportDocument, clause: &ReportClause) -> Vec<Proof> {
    let step = |id: &String| report.steps.iter().find(|s| s.status.id == *id);
    clause.by.iter().filter_map(step).map(proof).collect()
}

fn proof(step: &ReportStep) -> Proof {
    let pairs = if step.outputs.is_empty() { &step.facts } else { &step.outputs };
    let mut words: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| Some(format!("{} {}", name.replace('_', " "), brief(value)?)))
        .collect();
    words.extend(step.person.clone());
    Proof { step: step.status.id.clone(), words }
}

/// A value in one line; `None` for one that says nothing.
fn brief(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        // What machines hand to each other.
        Value::String(text) if text.starts_with(['{', '[']) && is_json(text) => return None,
        Value::Object(_) => return None,
        Value::String(text) if is_digest(text) => format!("{}…", &text[..12]),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if items.iter().all(|i| !i.is_array() && !i.is_object()) => {
            let items: Vec<String> = items.iter().filter_map(brief).collect();
            // A list is read item by item; each was cut by itself.
            return Some(items.join("; "));
        }
        other => other.to_string(),
    };
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(LONGEST).collect();
    Some(if chars.next().is_some() { format!("{head}…") } else { head })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A digest or an id of a commit.
fn is_digest(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_in_one_line() {
        assert_eq!(brief(&json!("")), None);
        assert_eq!(brief(&json!(null)), None);
        assert_eq!(brief(&json!(2.5)).unwrap(), "2.5");
        assert_eq!(brief(&json!([])).unwrap(), "none");
        assert_eq!(brief(&json!(["0.0 s: none", "1.6 s: b"])).unwrap(), "0.0 s: none; 1.6 s: b");
        assert_eq!(brief(&json!([{"a": 1}])).unwrap(), r#"[{"a":1}]"#);
        assert_eq!(brief(&json!({"a": [1]})), None);
        assert_eq!(brief(&json!(r#"{"a":[1]}"#)), None);
        assert_eq!(brief(&json!("[not json")).unwrap(), "[not json");
        assert_eq!(brief(&json!("ab".repeat(32))).unwrap(), "abababababab…");
        assert_eq!(brief(&json!("ü".repeat(80))).unwrap(), format!("{}…", "ü".repeat(72)));
    }
}
