//! What an answer must be.

use serde_json::Value;
use workplan_engine::kind::{ParamProblem, With};

use super::check::is_open;
use super::request::Answer;

/// Status codes and a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// First and last code of each range that passes; one code is a range of one.
    status: Vec<(u16, u16)>,
    /// As the author wrote them, for messages.
    wanted: String,
    contains: Option<String>,
}

impl Expected {
    /// Reads `status` and `contains`.
    ///
    /// # Errors
    /// A status that is none.
    pub(super) fn read(with: &With) -> Result<Self, ParamProblem> {
        let words: Vec<String> = match with.0.get("status") {
            None => vec!["200".to_owned()],
            Some(Value::Array(items)) => items.iter().map(word).collect(),
            Some(one) => vec![word(one)],
        };
        let wanted = words.join(", ");
        let contains = with.str("contains").map(str::to_owned);
        if is_open(&wanted) {
            return Ok(Self { status: Vec::new(), wanted, contains });
        }
        let status = wanted
            .split(',')
            .map(|word| {
                range(word.trim()).ok_or_else(|| {
                    ParamProblem::new("status", format!("`{}` is not a status code", word.trim()))
                        .with_help("for example `200`, `2xx` or `200,204`")
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { status, wanted, contains })
    }

    /// What is not as expected, in words; `None` where all is.
    pub(super) fn misses(&self, answer: &Answer) -> Option<String> {
        let status = answer.status;
        if !self.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Some(format!("expected status {}, got {status}", self.wanted));
        }
        let text = self.contains.as_deref()?;
        let found = answer.body.windows(text.len().max(1)).any(|w| w == text.as_bytes());
        (!found && !text.is_empty())
            .then(|| format!("status {status} is right, but `{text}` is not in the body"))
    }

    /// For people: `status 200, body contains …`.
    pub(super) fn describe(&self) -> String {
        match &self.contains {
            Some(text) => format!("status {}, body contains `{text}`", self.wanted),
            None => format!("status {}", self.wanted),
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn range(word: &str) -> Option<(u16, u16)> {
    if let Some(hundreds) = word.strip_suffix("xx").or_else(|| word.strip_suffix("XX")) {
        let hundreds: u16 = hundreds.parse().ok()?;
        return (1..=5).contains(&hundreds).then_some((hundreds * 100, hundreds * 100 + 99));
    }
    let code: u16 = word.parse().ok()?;
    (100..=599).contains(&code).then_some((code, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(status: Value) -> Result<Expected, ParamProblem> {
        Expected::read(&With([("status".to_owned(), status)].into_iter().collect()))
    }

    fn passes(expected: &Expected, status: u16) -> bool {
        let answer = Answer { status, body: Vec::new(), sha256: String::new() };
        expected.misses(&answer).is_none()
    }

    #[test]
    fn codes_classes_and_lists() {
        for (given, pass, miss) in [
            (Value::from(200), 200, 201),
            (Value::from("2xx"), 299, 300),
            (Value::from("200, 404"), 404, 204),
            (serde_json::json!([204, "3xx"]), 301, 200),
        ] {
            let expected = expected(given).unwrap();
            assert!(passes(&expected, pass) && !passes(&expected, miss), "{expected:?}");
        }
        for bad in ["", "20", "6xx", "xx", "ok", "200;204"] {
            assert!(expected(Value::from(bad)).is_err(), "{bad}");
        }
    }
}
