//! Names of roles in a restore script.
//!
//! `pg_restore` writes a small, regular part of SQL. Roles stand in few places of it, and with all
//! names in double quotes (`--quote-all-identifiers`) a role is one word there. What stands inside
//! of functions and views is text to us and stays as it is.

use crate::postgres::names::{ident, quoted_length};
use crate::postgres::portrait::Roles;

/// The script with roles renamed.
pub(super) fn renamed(script: &str, roles: &Roles) -> String {
    let mut out = String::with_capacity(script.len());
    let mut rest = script;
    while !rest.is_empty() {
        let end = statement(rest);
        let (text, after) = rest.split_at(end);
        out.push_str(&in_statement(text, roles));
        rest = after;
    }
    out
}

/// A word of SQL with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word<'t> {
    start: usize,
    text: &'t str,
    /// Brackets around it.
    depth: usize,
}

/// The length of the first statement, its semicolon and what is before it included. A line of
/// `psql`'s own (`\restrict`) is one, too.
fn statement(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut body = 0_usize;
    for (at, word) in Words::new(text) {
        match word {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            // A body of the SQL standard has semicolons of its own.
            "ATOMIC" => body += 1,
            "CASE" if body > 0 => body += 1,
            "END" if body > 0 => body -= 1,
            ";" if depth == 0 && body == 0 => return at + 1,
            word if word.starts_with('\\') && depth == 0 => return at + word.len(),
            _ => {}
        }
    }
    text.len()
}

fn in_statement(text: &str, roles: &Roles) -> String {
    let mut depth = 0_usize;
    let words: Vec<Word<'_>> = Words::new(text)
        .map(|(start, word)| {
            match word {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            Word { start, text: word, depth }
        })
        .collect();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for at in places(&words) {
        let Some(word) = words.get(at) else { continue };
        let name = unquoted(word.text);
        if let Some(other) = roles.get(&name) {
            out.push_str(&text[done..word.start]);
            out.push_str(&ident(other));
            done = word.start + word.text.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

fn unquoted(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => word.to_lowercase(),
    }
}

/// Which words of a statement are roles.
fn places(words: &[Word<'_>]) -> Vec<usize> {
    let is = |at: usize, text: &str| {
        words.get(at).is_some_and(|w| w.depth == 0 && w.text.eq_ignore_ascii_case(text))
    };
    let find = |text: &str, from: usize| (from..words.len()).find(|at| is(*at, text));
    let last = |text: &str| (0..words.len()).rev().find(|at| is(*at, text));
    /// The words of a list that begins here.
    fn list(words: &[Word<'_>], start: usize) -> Vec<usize> {
        let mut out = vec![start];
        let mut at = start + 1;
        while words.get(at).is_some_and(|w| w.text == ",") {
            out.push(at + 1);
            at += 2;
        }
        out
    }
    let mut out = Vec::new();
    let first = words.first().map(|w| w.text.to_ascii_uppercase()).unwrap_or_default();
    match first.as_str() {
        "ALTER" if is(1, "DEFAULT") && is(2, "PRIVILEGES") => {
            if let Some(at) = find("ROLE", 3) {
                out.extend(list(words, at + 1));
            }
            let whom = last("TO").or_else(|| last("FROM"));
            out.extend(whom.into_iter().flat_map(|at| list(words, at + 1)));
        }
        "ALTER" => {
            // The last words: `… OWNER TO "role";`.
            if let Some(at) = last("OWNER").filter(|at| is(at + 1, "TO")) {
                out.push(at + 2);
            }
        }
        "GRANT" | "REVOKE" => {
            let whom = if first == "GRANT" { last("TO") } else { last("FROM") };
            out.extend(whom.into_iter().flat_map(|at| list(words, at + 1)));
            out.extend(last("GRANTED").filter(|at| is(at + 1, "BY")).map(|at| at + 2));
        }
        "SET" if is(1, "SESSION") && is(2, "AUTHORIZATION") => out.push(3),
        "CREATE" if is(1, "SCHEMA") => out.extend(find("AUTHORIZATION", 2).map(|at| at + 1)),
        "CREATE" if is(1, "POLICY") => {
            out.extend(find("TO", 2).into_iter().flat_map(|at| list(words, at + 1)));
        }
        "CREATE" if is(1, "USER") && is(2, "MAPPING") => {
            out.extend(find("FOR", 3).map(|at| at + 1));
        }
        _ => {}
    }
    out
}

/// Words of SQL with their places: names, constants, single signs. Comments are passed by.
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let length = match first {
                c if c.is_whitespace() => {
                    self.at += c.len_utf8();
                    continue;
                }
                '-' if rest.starts_with("--") => {
                    self.at += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                '/' if rest.starts_with("/*") => {
                    self.at += block_comment(rest);
                    continue;
                }
                '"' => quoted_length(rest, '"', false),
                '\'' => quoted_length(rest, '\'', false),
                'E' | 'e' if rest[1..].starts_with('\'') => {
                    1 + quoted_length(&rest[1..], '\'', true)
                }
                '$' => dollar(rest).unwrap_or(1),
                // `psql`'s own words go to the end of the line.
                '\\' => rest.find('\n').unwrap_or(rest.len()),
                c if c.is_alphanumeric() || c == '_' => rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let start = self.at;
            self.at += length;
            return Some((start, &rest[..length]));
        }
    }
}

/// The length of `$tag$ … $tag$` at the beginning of a text.
fn dollar(text: &str) -> Option<usize> {
    let end = 1 + text[1..].find('$')?;
    let tag = &text[..=end];
    if !tag[1..end].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    text[tag.len()..].find(tag).map(|at| tag.len() + at + tag.len())
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles() -> Roles {
        Roles::from([
            ("old".to_owned(), "new".to_owned()),
            ("TO".to_owned(), "it's".to_owned()),
            ("to".to_owned(), "x".to_owned()),
        ])
    }

    #[test]
    fn roles_are_renamed_where_roles_stand() {
        for (before, after) in [
            (
                r#"ALTER TABLE "old"."old" OWNER TO "old";"#,
                r#"ALTER TABLE "old"."old" OWNER TO "new";"#,
            ),
            (
                r#"GRANT SELECT ON TABLE "a"."old" TO "old" WITH GRANT OPTION;"#,
                r#"GRANT SELECT ON TABLE "a"."old" TO "new" WITH GRANT OPTION;"#,
            ),
            (
                r#"REVOKE ALL ON TABLE "a"."b" FROM "TO";"#,
                r#"REVOKE ALL ON TABLE "a"."b" FROM "it's";"#,
            ),
            (r#"GRANT ALL ON SCHEMA "x" TO PUBLIC;"#, r#"GRANT ALL ON SCHEMA "x" TO PUBLIC;"#),
            (r#"SET SESSION AUTHORIZATION "old";"#, r#"SET SESSION AUTHORIZATION "new";"#),
            (
                r#"CREATE SCHEMA "old" AUTHORIZATION "old";"#,
                r#"CREATE SCHEMA "old" AUTHORIZATION "new";"#,
            ),
            (
                r#"ALTER DEFAULT PRIVILEGES FOR ROLE "old" IN SCHEMA "old" GRANT SELECT ON TABLES TO "other";"#,
                r#"ALTER DEFAULT PRIVILEGES FOR ROLE "new" IN SCHEMA "old" GRANT SELECT ON TABLES TO "other";"#,
            ),
            (
                r#"CREATE POLICY "old" ON "a"."b" AS RESTRICTIVE TO "old", "TO" USING (("old" = 'TO "old"'));"#,
                r#"CREATE POLICY "old" ON "a"."b" AS RESTRICTIVE TO "new", "it's" USING (("old" = 'TO "old"'));"#,
            ),
            (
                r#"CREATE USER MAPPING FOR "old" SERVER "old" OPTIONS ("user" 'old');"#,
                r#"CREATE USER MAPPING FOR "new" SERVER "old" OPTIONS ("user" 'old');"#,
            ),
        ] {
            assert_eq!(renamed(before, &roles()), after);
        }
    }

    #[test]
    fn everything_else_stays_to_the_byte() {
        let script = concat!(
            "\\restrict abc'\n\n-- OWNER TO \"old\";\n/* a /* nested */ ; */\n",
            "CREATE FUNCTION \"f\"() RETURNS text LANGUAGE sql AS $_$ SELECT 'GRANT x TO \"old\";' $_$;\n",
            "CREATE FUNCTION \"g\"() RETURNS int LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN 1 = 1 THEN 2 ELSE 3 END; SELECT 4;\nEND;\n",
            "COMMENT ON TABLE \"a\" IS E'OWNER TO \\'old\\'; \\\\';\n",
            "CREATE VIEW \"v\" AS SELECT \"t\".\"to\" FROM \"old\" \"t\";\n\\unrestrict abc\n",
        );
        assert_eq!(renamed(script, &roles()), script);
        let after = format!("{script}ALTER VIEW \"v\" OWNER TO \"old\";\n");
        assert!(renamed(&after, &roles()).ends_with("ALTER VIEW \"v\" OWNER TO \"new\";\n"));
    }

    #[test]
    fn broken_text_ends() {
        for text in ["'", "\"", "$a$", "/*", "E'\\", "\\", "$", "é$ü", ""] {
            assert_eq!(renamed(text, &roles()), text);
        }
    }
}
