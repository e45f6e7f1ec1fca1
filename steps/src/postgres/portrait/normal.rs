//! Expressions as text that a dump and a restore do not change.
//!
//! The server keeps an expression parsed and writes it out again. What it writes can be read back
//! to something that is written differently, with the same meaning; from then on it is stable.
//! Two such forms are known, and they are common:
//!
//! - `a BETWEEN 1 AND 2 AND b` is kept as `((a >= 1) AND (a <= 2)) AND b` and read back as
//!   `(a >= 1) AND (a <= 2) AND b`;
//! - `v IN ('a', 'b')` with a `varchar` is kept as `ANY ((ARRAY['a'::character varying, …])::text[])`
//!   and read back as `ANY (ARRAY[('a'::character varying)::text, …])`.
//!
//! Both are brought to the second form here, on the words and the tree of brackets alone. Nothing
//! is taken for equal that means something else.

use crate::postgres::names::quoted_length;

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// A word, a constant, a name, an operator.
    Word(String),
    /// What stands in brackets, with the opening one.
    Group(char, Vec<Node>),
}

/// An expression or statement in its normal form.
pub(super) fn normal(text: &str) -> String {
    let words = words(text);
    let mut words = words.into_iter().peekable();
    let tree = tree(&mut words);
    // A bracket that closes nothing: not SQL that a server wrote. It is compared as it is.
    if words.peek().is_some() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    write(&simple(tree), &mut out);
    out
}

/// Cuts text into words, as SQL does. White space outside of quotes is nothing.
fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '\'' | '"' => quoted_length(rest, first, false),
            'E' if rest[1..].starts_with('\'') => 1 + quoted_length(&rest[1..], '\'', true),
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            '(' | ')' | '[' | ']' | ',' | ';' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || is_name(c) || "()[],;'\"".contains(c))
                .unwrap_or(rest.len()),
        };
        out.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    out
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || c == '.' || !c.is_ascii()
}

fn tree(words: &mut std::iter::Peekable<std::vec::IntoIter<String>>) -> Vec<Node> {
    let mut out = Vec::new();
    while let Some(word) = words.peek() {
        let word = match word.as_str() {
            ")" | "]" => break,
            _ => words.next().unwrap_or_default(),
        };
        match word.as_str() {
            "(" | "[" => {
                let inner = tree(words);
                words.next();
                out.push(Node::Group(if word == "(" { '(' } else { '[' }, inner));
            }
            _ => out.push(Node::Word(word)),
        }
    }
    out
}

fn is_word(node: Option<&Node>, word: &str) -> bool {
    matches!(node, Some(Node::Word(w)) if w == word)
}

fn simple(nodes: Vec<Node>) -> Vec<Node> {
    let nodes = nodes
        .into_iter()
        .map(|node| match node {
            Node::Group(open, inner) => Node::Group(open, simple(inner)),
            word => word,
        })
        .collect();
    flattened(distributed(nodes))
}

/// The word that joins all operands of a list of nodes, where it is one and the same: `AND`, `OR`.
fn joint(nodes: &[Node]) -> Option<&'static str> {
    let has = |word| nodes.iter().any(|node| is_word(Some(node), word));
    match (has("AND"), has("OR")) {
        (true, false) => Some("AND"),
        (false, true) => Some("OR"),
        _ => None,
    }
}

/// Whether a list of nodes is nothing but bracketed operands with one word between them, the only
/// form in which the server writes `AND` and `OR`. A `BETWEEN SYMMETRIC`, a frame or a join
/// condition among other words does not look like that.
fn is_pure(nodes: &[Node], word: &str) -> bool {
    nodes.split(|node| is_word(Some(node), word)).all(|operand| {
        !operand.is_empty()
            && !operand.iter().any(|node| {
                ["SELECT", "FROM", "WHERE", "WHEN", "THEN", "ROWS", "RANGE", "GROUPS", "ON", ","]
                    .iter()
                    .any(|other| is_word(Some(node), other))
            })
    })
}

/// `((a AND b) AND c)` is `(a AND b AND c)`, and the same with `OR`.
fn flattened(nodes: Vec<Node>) -> Vec<Node> {
    let mut out = Vec::with_capacity(nodes.len());
    let count = nodes.len();
    let words: Vec<Option<String>> = nodes
        .iter()
        .map(|node| match node {
            Node::Word(word) => Some(word.clone()),
            Node::Group(..) => None,
        })
        .collect();
    let own = joint(&nodes).filter(|word| is_pure(&nodes, word));
    for (at, node) in nodes.into_iter().enumerate() {
        let Node::Group('(', inner) = node else {
            out.push(node);
            continue;
        };
        let word = |at: Option<usize>| at.and_then(|at| words.get(at)).cloned().flatten();
        let before = word(at.checked_sub(1));
        let after = if at + 1 < count { word(Some(at + 1)) } else { None };
        let spliced = own.is_some_and(|own| {
            // The whole operand is this group, and it is joined by the same word.
            let alone = |side: &Option<String>, edge: bool| {
                edge || side.as_deref().is_some_and(|word| word == own)
            };
            alone(&before, at == 0)
                && alone(&after, at + 1 == count)
                && joint(&inner) == Some(own)
                && is_pure(&inner, own)
        });
        if spliced {
            out.extend(inner);
        } else {
            out.push(Node::Group('(', inner));
        }
    }
    out
}

/// `(ARRAY[a, b])::text[]` is `ARRAY[(a)::text, (b)::text]`.
fn distributed(nodes: Vec<Node>) -> Vec<Node> {
    let mut out = Vec::with_capacity(nodes.len());
    let mut rest = nodes.into_iter().peekable();
    while let Some(node) = rest.next() {
        let elements = match &node {
            Node::Group('(', inner) => match inner.as_slice() {
                [array, Node::Group('[', elements)] if is_word(Some(array), "ARRAY") => {
                    Some(elements.clone())
                }
                _ => None,
            },
            _ => None,
        };
        let (Some(elements), true) = (elements, is_word(rest.peek(), "::")) else {
            out.push(node);
            continue;
        };
        let mut cast: Vec<Node> = Vec::new();
        let mut is_array = false;
        while let Some(next) = rest.peek() {
            let next_is = match next {
                Node::Word(word) => word == "::" && cast.is_empty() || is_type_word(word),
                Node::Group('[', inner) => inner.is_empty(),
                // The length in `character varying(20)[]`.
                Node::Group(_, inner) => {
                    cast.len() > 1 && inner.iter().all(|n| matches!(n, Node::Word(_)))
                }
            };
            if !next_is {
                break;
            }
            is_array = matches!(next, Node::Group('[', _));
            cast.extend(rest.next());
            if is_array {
                break;
            }
        }
        if !is_array {
            out.push(node);
            out.extend(cast);
            continue;
        }
        cast.pop();
        let mut inner = Vec::new();
        for (number, element) in elements.split(|n| is_word(Some(n), ",")).enumerate() {
            if number > 0 {
                inner.push(Node::Word(",".to_owned()));
            }
            inner.push(Node::Group('(', element.to_vec()));
            inner.extend(cast.iter().cloned());
        }
        // The brackets around the array go with the cast.
        out.push(Node::Word("ARRAY".to_owned()));
        out.push(Node::Group('[', inner));
    }
    out
}

fn is_type_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '"' || c == '_' || c == '.')
        && !["AND", "OR", "NOT", "COLLATE", "THEN", "ELSE", "END", "IS", "AS", "FROM", "WHERE"]
            .contains(&word)
}

fn write(nodes: &[Node], out: &mut String) {
    for node in nodes {
        if !out.is_empty() && !out.ends_with(['(', '[']) {
            out.push(' ');
        }
        match node {
            Node::Word(word) => out.push_str(word),
            Node::Group(open, inner) => {
                out.push(*open);
                write(inner, out);
                out.push(if *open == '(' { ')' } else { ']' });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_changes_is_the_same() {
        for (kept, restored) in [
            ("(((a >= 1) AND (a <= 2)) AND (b = 3))", "((a >= 1) AND (a <= 2) AND (b = 3))"),
            (
                "((((a >= 1) AND (a <= 2)) AND ((b >= 1) AND (b <= 2))) OR (c IS NULL))",
                "(((a >= 1) AND (a <= 2) AND (b >= 1) AND (b <= 2)) OR (c IS NULL))",
            ),
            (
                "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b,]'::character varying])::text[])))",
                "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b,]'::character varying)::text])))",
            ),
            (
                "(x = ANY ((ARRAY['a'::character varying])::character varying(20)[]))",
                "(x = ANY (ARRAY[('a'::character varying)::character varying(20)]))",
            ),
            (" SELECT a\n   FROM t\n  WHERE  (a)", "SELECT a FROM t WHERE (a)"),
        ] {
            assert_eq!(normal(kept), normal(restored));
        }
    }

    #[test]
    fn what_means_something_else_stays_different() {
        for (one, other) in [
            ("((a OR b) AND c)", "(a OR (b AND c))"),
            ("((a AND b) OR c)", "(a AND (b OR c))"),
            ("(NOT (a AND b) AND c)", "(NOT a AND b AND c)"),
            ("('a  b'::text)", "('a b'::text)"),
            ("(a = 'AND')", "(a = 'and')"),
            ("((a - b) - c)", "(a - (b - c))"),
            ("f((a AND b), c)", "f(a AND b, c)"),
            ("(ARRAY['a'::text])::text[]", "(ARRAY['b'::text])::text[]"),
            ("(ARRAY[1, 2])::bigint[]", "(ARRAY[1, 2])::integer[]"),
            ("(ARRAY[1, 2])::bigint", "(ARRAY[1, 2])::bigint[]"),
            ("\"a b\"", "\"a  b\""),
            (
                "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            ),
            ("E'a\\'b'", "E'a\\'c'"),
            ("x(a)", "x a"),
            ("f((a, b))", "f(a, b)"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
    }

    #[test]
    fn it_is_stable_and_never_fails() {
        for text in
            ["", ")", "((", "'open", "E'\\", "a::", "(ARRAY[", "ü \"", "::text[]", "(ARRAY[1])::"]
        {
            let once = normal(text);
            assert_eq!(normal(&once), once, "{text}");
        }
    }
}
