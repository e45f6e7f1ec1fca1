//! What a YAML scalar is. Helm reads YAML 1.1 and SOPS YAML 1.2; where the two differ, the text is
//! refused instead of guessed.

use serde_json::{Number, Value};
use workplan_engine::yaml::Scalar;

/// A scalar with its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Typed {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Typed {
    /// The value as JSON. Whole floats are whole numbers, as JSON knows only one kind.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(i) => Value::from(*i),
            Self::Float(f) => {
                let text = f.to_string();
                match text.parse::<i64>() {
                    Ok(whole) => Value::from(whole),
                    Err(_) => Number::from_f64(*f).map_or(Value::String(text), Value::Number),
                }
            }
            Self::Text(text) => Value::String(text.clone()),
        }
    }

    /// The bytes that SOPS authenticates; nothing for null, which it passes over.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Bool(true) => b"True".to_vec(),
            Self::Bool(false) => b"False".to_vec(),
            Self::Int(i) => i.to_string().into_bytes(),
            // Both languages write the shortest digits that read back, without an exponent.
            Self::Float(f) => f.to_string().into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
        }
    }
}

/// What a scalar is.
///
/// # Errors
/// A sentence, for a text that one reader takes for another thing than the next.
pub(super) fn typed(scalar: &Scalar) -> Result<Typed, String> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return Ok(Typed::Text(text.to_owned()));
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Typed::Null),
        "true" | "True" | "TRUE" => return Ok(Typed::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Typed::Bool(false)),
        _ => {}
    }
    let both =
        |what: &str| format!("`{text}` is {what} to some readers of YAML and text to others");
    if matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
        return Err(both("a boolean"));
    }
    if matches!(text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str(), ".inf" | ".nan")
    {
        return Err(format!("`{text}` is a number that JSON does not have"));
    }
    if !text
        .strip_prefix(['+', '-'])
        .unwrap_or(text)
        .starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return Ok(Typed::Text(text.to_owned()));
    }
    if is_date(text) {
        return Err(both("a date"));
    }
    // Both pass over underscores in numbers.
    let number = text.replace('_', "");
    let (minus, digits) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number.strip_prefix('+').unwrap_or(&number)),
    };
    let too_large = || format!("the number `{text}` is too large");
    if let Some((digits, radix)) = whole(digits) {
        return i64::from_str_radix(&format!("{minus}{digits}"), radix)
            .map(Typed::Int)
            .map_err(|_| too_large());
    }
    if is_float(digits) {
        return match number.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Typed::Float(number)),
            _ => Err(too_large()),
        };
    }
    Ok(Typed::Text(text.to_owned()))
}

/// Digits and their base: `7`, `0x1f`, `0b1`, and octal `0o17` and `017`.
fn whole(text: &str) -> Option<(&str, u32)> {
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2), ("0", 8)];
    let prefixed =
        prefixes.into_iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)));
    let (digits, radix) = match prefixed {
        Some(("", 8)) | None => (text, 10),
        Some(found) => found,
    };
    (!digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))).then_some((digits, radix))
}

/// `1.5`, `.5`, `1.`, `1e3`; not a whole number without an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let fits = match mantissa.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part) && whole.len() + part.len() > 0,
        None => !mantissa.is_empty() && digits(mantissa),
    };
    fits && exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    })
}

/// `2026-03-11`, with or without a time after it.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(3, '-').collect();
    let digits = |t: &str, n: std::ops::RangeInclusive<usize>| {
        n.contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit())
    };
    match parts[..] {
        [year, month, rest] => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (day, time) = rest.split_at(end);
            digits(year, 4..=4)
                && digits(month, 1..=2)
                && digits(day, 1..=2)
                && (time.is_empty() || time.starts_with(['T', 't', ' ']))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<Typed, String> {
        typed(&Scalar { text: text.to_owned(), plain: true })
    }

    #[test]
    fn what_all_readers_agree_on_has_its_type() {
        for (text, is) in [
            ("", Typed::Null),
            ("True", Typed::Bool(true)),
            ("-7", Typed::Int(-7)),
            ("+7", Typed::Int(7)),
            ("0", Typed::Int(0)),
            ("1.50", Typed::Float(1.5)),
            ("1e3", Typed::Float(1000.0)),
            (".5", Typed::Float(0.5)),
            ("17.6.0-debian-12-r2", Typed::Text("17.6.0-debian-12-r2".into())),
            ("8Gi", Typed::Text("8Gi".into())),
            ("10.0.0.1", Typed::Text("10.0.0.1".into())),
            ("60s", Typed::Text("60s".into())),
            ("-", Typed::Text("-".into())),
            (".", Typed::Text(".".into())),
            ("0xyz", Typed::Text("0xyz".into())),
            ("0400", Typed::Int(256)),
            ("0o17", Typed::Int(15)),
            ("-0x1F", Typed::Int(-31)),
            ("1_000", Typed::Int(1000)),
            ("0778", Typed::Float(778.0)),
        ] {
            assert_eq!(plain(text), Ok(is), "{text}");
        }
        let quoted = Scalar { text: "yes".into(), plain: false };
        assert_eq!(typed(&quoted), Ok(Typed::Text("yes".into())));
    }

    #[test]
    fn what_readers_differ_on_is_refused() {
        for text in [
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "2026-03-11",
            "2026-3-1T00:00:00Z",
            ".inf",
            "-.INF",
            ".nan",
            "9223372036854775808",
            "1e999",
        ] {
            assert!(plain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_floats_are_whole_numbers_in_json() {
        assert_eq!(Typed::Float(3.0).json().to_string(), "3");
        assert_eq!(Typed::Float(1.5).json().to_string(), "1.5");
        assert_eq!(Typed::Float(3.0).bytes(), b"3");
        assert_eq!(Typed::Float(1e21).bytes(), b"1000000000000000000000");
    }
}
