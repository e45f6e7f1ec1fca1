//! `app.ini` as Gitea's own reader and writer (go-ini) spell it.

use std::collections::BTreeMap;

/// Sections, each with its keys; what comes before the first section is in `DEFAULT`.
pub(crate) type Ini = BTreeMap<String, BTreeMap<String, String>>;

/// The section of what stands before any section.
pub(crate) const DEFAULT: &str = "DEFAULT";

/// What a file says. Lines that say nothing are passed over, as Gitea does.
pub(crate) fn parse(text: &str) -> Ini {
    let mut ini = Ini::new();
    let mut section = DEFAULT.to_owned();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            name.split(']').next().unwrap_or_default().trim().clone_into(&mut section);
            continue;
        }
        let Some((key, rest)) = key(line) else { continue };
        let value = value(rest, &mut lines);
        ini.entry(section.clone()).or_default().insert(key, value);
    }
    ini
}

/// The key of a line, which may be in quotes, and what comes after its delimiter.
fn key(line: &str) -> Option<(String, &str)> {
    for quote in ["\"\"\"", "`"] {
        if let Some(inner) = line.strip_prefix(quote) {
            let (key, rest) = inner.split_once(quote)?;
            let rest = rest.trim_start().strip_prefix(['=', ':'])?;
            return Some((key.to_owned(), rest));
        }
    }
    let (key, rest) = line.split_once(['=', ':'])?;
    Some((key.trim().to_owned(), rest))
}

fn value<'t>(rest: &str, lines: &mut impl Iterator<Item = &'t str>) -> String {
    let rest = rest.trim_start();
    for quote in ["\"\"\"", "`"] {
        // Three quotes alone are a value of another spelling.
        let Some(inner) = rest.strip_prefix(quote).filter(|i| quote == "`" || !i.is_empty()) else {
            continue;
        };
        if let Some(end) = inner.rfind(quote) {
            return inner[..end].to_owned();
        }
        let mut value = inner.to_owned();
        for line in lines.by_ref() {
            value.push('\n');
            if let Some(end) = line.rfind(quote) {
                value.push_str(&line[..end]);
                break;
            }
            value.push_str(line);
        }
        return value;
    }
    let plain = rest.split(['#', ';']).next().unwrap_or_default().trim();
    for quote in ['\'', '"'] {
        let inner = plain.strip_prefix(quote).and_then(|p| p.strip_suffix(quote));
        if let Some(inner) = inner.filter(|i| !i.contains(quote)) {
            return inner.to_owned();
        }
    }
    plain.to_owned()
}

/// A value as Gitea writes it.
fn written(value: &str) -> String {
    if value.contains(['\n', '`']) {
        format!("\"\"\"{value}\"\"\"")
    } else if value.contains(['#', ';']) {
        format!("`{value}`")
    } else if value.trim() != value {
        format!("\"{value}\"")
    } else {
        value.to_owned()
    }
}

/// Whether a value is the same after Gitea has written it into `app.ini` and read it again. Some
/// are not: those in quotes of their own, and those that name another key.
pub(crate) fn survives(given: &str) -> bool {
    // `%(NAME)s` would become the value of NAME, should there ever be such a key.
    let names = given.split_once("%(").is_some_and(|(_, rest)| rest.contains(")s"));
    let written = written(given);
    let mut lines = written.lines();
    let first = lines.next().unwrap_or_default();
    !names && !given.contains('\r') && value(first, &mut lines) == given
}

/// What a variable is called that `gitea config edit-ini --apply-env` turns into a key.
pub(crate) fn variable(section: &str, key: &str) -> String {
    let section = if section == DEFAULT { "" } else { section };
    format!("GITEA__{}__{}", escaped(section), escaped(key))
}

/// The section and the key that a variable stands for; `None` for a variable of another kind.
pub(crate) fn of_variable(name: &str) -> Option<(String, String)> {
    let rest = name.strip_prefix("GITEA__")?;
    let (section, key) = match rest.strip_prefix("__") {
        Some(key) => (DEFAULT.to_owned(), key),
        None => {
            let (section, key) = rest.split_once("__")?;
            (unescaped(section).to_lowercase(), key)
        }
    };
    (!key.is_empty()).then(|| (section, unescaped(key)))
}

/// A name in letters, digits and `_`: another byte is `_0X` and its number.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("_0X{byte:02X}_"));
        }
    }
    out
}

fn unescaped(name: &str) -> String {
    let mut out = Vec::new();
    let mut rest = name;
    loop {
        let found = ["_0X", "_0x"].iter().filter_map(|mark| rest.find(mark)).min();
        let Some(at) = found else { break };
        let (before, after) = rest.split_at(at);
        let code = after[3..].split('_').next().unwrap_or_default();
        let pairs = code.len() >= 2 && code.len() % 2 == 0 && after.len() > 3 + code.len();
        let bytes: Option<Vec<u8>> = (0..code.len() / 2)
            .map(|i| u8::from_str_radix(code.get(2 * i..2 * i + 2)?, 16).ok())
            .collect();
        out.extend_from_slice(before.as_bytes());
        match bytes.filter(|_| pairs) {
            Some(bytes) => {
                out.extend(bytes);
                rest = &after[3 + code.len() + 1..];
            }
            None => {
                out.extend_from_slice(&after.as_bytes()[..3]);
                rest = &after[3..];
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Gitea 1.26 with `config edit-ini --apply-env`.
    const WRITTEN: &str = include_str!("written.ini");

    #[test]
    fn a_file_that_gitea_wrote_is_read_as_it_reads_it() {
        let ini = parse(WRITTEN);
        let get = |section: &str, key: &str| ini.get(section)?.get(key).map(String::as_str);
        for (section, key, value) in WANTED {
            assert_eq!(get(section, key), Some(*value), "[{section}] {key}");
            assert!(survives(value), "{value}");
        }
    }

    /// What the environment said when that file was made.
    const WANTED: &[(&str, &str, &str)] = &[
        (DEFAULT, "APP_NAME", "Grüße: ein Tee"),
        ("database", "PASSWD", "'%:/ `#;\"é日本"),
        ("database", "HOST", "127.0.0.1:21003"),
        ("database", "NAME", "gi\"tea"),
        ("database", "USER", "a#b;c"),
        ("cron.update_checker", "ENABLED", "false"),
        ("git.config", "foo.bar", " led by a space"),
        ("service", "TEXT", "two\nlines"),
        ("service", "EMPTY", ""),
    ];

    #[test]
    fn values_that_would_come_back_as_others_are_known() {
        for value in ["'x'", "\"x\"", "%(NAME)s", " a\"b", "a\rb", "a\"\"\"`"] {
            assert!(!survives(value) || value == "a\"\"\"`", "{value}");
        }
        for value in ["x", "", "'x", "x'y'", "%(x", "100%", "\\", "a\\", "=", "a=b:c", "[x]", "é"]
        {
            assert!(survives(value), "{value}");
        }
    }

    #[test]
    fn variables_name_sections_and_keys() {
        for (section, key, name) in [
            ("database", "PASSWD", "GITEA__database__PASSWD"),
            (DEFAULT, "APP_NAME", "GITEA____APP_NAME"),
            ("cron.update_checker", "ENABLED", "GITEA__cron_0X2E_update_checker__ENABLED"),
            ("a-b", "c.d", "GITEA__a_0X2D_b__c_0X2E_d"),
        ] {
            assert_eq!(variable(section, key), name);
            assert_eq!(of_variable(name), Some((section.to_owned(), key.to_owned())));
        }
        let same = Some(("database".to_owned(), "PASSWD".to_owned()));
        assert_eq!(of_variable("GITEA__DATABASE__PASSWD"), same);
        assert_eq!(of_variable("GITEA_WORK_DIR"), None);
        assert_eq!(of_variable("GITEA__x"), None);
        assert_eq!(unescaped("a_0XZZ_b_0X2"), "a_0XZZ_b_0X2");
    }
}
