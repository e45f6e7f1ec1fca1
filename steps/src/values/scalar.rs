//! Values as YAML text.

use serde_json::Value;
use workplan_platform::values::reads_as_text;

/// A value on one line: scalars, `[a, b]`, `{a: b}`.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", text(key), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

/// A text, without quotes where no reader takes it for anything else.
pub(super) fn text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// A text in the quotes of the one whose place it takes.
pub(super) fn text_like(new: &str, old: &str) -> String {
    match old.chars().next() {
        Some('"') => quoted(new),
        Some('\'') if !new.chars().any(|c| c.is_control() || c == '\u{feff}') => {
            format!("'{}'", new.replace('\'', "''"))
        }
        Some('\'') => quoted(new),
        _ => text(new),
    }
}

/// In double quotes. The escapes of JSON are escapes of YAML.
fn quoted(text: &str) -> String {
    let mut out = Value::from(text).to_string();
    for c in ['\u{7f}', '\u{85}', '\u{a0}', '\u{2028}', '\u{2029}', '\u{feff}'] {
        out = out.replace(c, &format!("\\u{:04x}", u32::from(c)));
    }
    out
}

/// Whether a text may stand without quotes, also in `[…]` and `{…}`. Fewer than YAML allows: who
/// reads it should not have to know all of YAML.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let fine = |c: char| c.is_alphanumeric() || "-_./+=@%~$^;()".contains(c);
    chars.next().is_some_and(|c| c.is_alphanumeric() || "./_$".contains(c))
        && text.char_indices().all(|(at, c)| {
            fine(c)
                // A colon is one of a mapping only before a space or at the end.
                || c == ':' && text[at + 1..].starts_with(fine)
                || c == ' ' && text[at + 1..].starts_with(fine)
        })
        && reads_as_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_on_a_line() {
        for (value, is) in [
            (json!("postgres"), "postgres"),
            (
                json!("postgresql-ha-pgpool.platform.svc:5432"),
                "postgresql-ha-pgpool.platform.svc:5432",
            ),
            (json!("redis://:pw@host:6379/0"), "redis://:pw@host:6379/0"),
            (json!("two words"), "two words"),
            (json!("ends: "), "\"ends: \""),
            (json!("a #b"), "\"a #b\""),
            (json!(" a"), "\" a\""),
            (json!("yes"), "\"yes\""),
            (json!("8080"), "\"8080\""),
            (json!("null"), "\"null\""),
            (json!("2026-03-11"), "\"2026-03-11\""),
            (json!(""), "\"\""),
            (json!("*x"), "\"*x\""),
            (json!("a\nb"), "\"a\\nb\""),
            (json!("Grüße"), "Grüße"),
            (json!(8080), "8080"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!(["a", 1, {"b c": "d"}, []]), "[a, 1, {b c: d}, []]"),
            (json!({}), "{}"),
        ] {
            assert_eq!(flow(&value), is);
        }
    }

    #[test]
    fn quotes_are_kept() {
        assert_eq!(text_like("new", "\"old\""), "\"new\"");
        assert_eq!(text_like("it's", "'old'"), "'it''s'");
        assert_eq!(text_like("new", "old"), "new");
        assert_eq!(text_like("a\tb", "'old'"), "\"a\\tb\"");
    }
}
